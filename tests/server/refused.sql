-- What clients may not run, one a line, beside what attacks.toml has.
SELECT getenv('HOME')
SELECT * FROM arrow_scan(0, 0, 0)
SELECT * FROM pandas_scan(0)
SELECT * FROM python_map_function(0)
SELECT * FROM seq_scan('a')
SELECT __vercel_sql_judge('a', 'SELECT 1')
SELECT vercel.main.__vercel_sql_run('a', 'b', 1)
SELECT main.getenv('HOME')
SELECT 'HOME'.getenv()
SELECT a.b.c('x')
FROM query('SELECT 1')
FROM vercel.main.query('SELECT 1')
FROM range
FROM user_tokens
FROM memory.authentication.user_tokens
FROM vercel.main.user_tokens
FROM vercel.authentication.nothing
FROM authentication.user_tokens, live."authentication.user_tokens"
FROM vercel.authentication.create_auth_token('a', request_id := 'b')
FROM authentication.user_tokens AT (VERSION => 1)
FROM '~/a.csv'
SELECT * FROM upper('a')
SELECT 1::inet
SELECT 'pg_class'::regclass
SELECT 1::vercel.main.t
SELECT TRY_CAST('a' AS main.t)
SELECT '[]'::thing[]
SELECT {'a': 1}::STRUCT(a thing)
PIVOT authentication.user_tokens ON origin
PIVOT authentication.user_tokens ON origin IN some_type USING count(*)
SELECT $1
SELECT $name
SELECT ?
SHOW TABLES
SHOW ALL TABLES
DESCRIBE
SELECT 1; SELECT 2
SELECT
INSERT INTO authentication.user_tokens VALUES (1)
WITH a AS (INSERT INTO authentication.user_tokens VALUES (1) RETURNING *) FROM a
EXPLAIN SELECT 1
EXECUTE p
CALL range(1)
WITH "a.csv" AS (SELECT 1) FROM "a.csv"
WITH "a/b" AS (SELECT 1) FROM "a/b"
WITH "a*" AS (SELECT 1) SELECT 1
WITH RECURSIVE duckdb_settings AS (FROM duckdb_settings UNION ALL FROM duckdb_settings) FROM duckdb_settings
SELECT 1 FROM (SELECT 1) LIMIT (SELECT getvariable('a'))
SELECT nextval('s')
SELECT setseed(0.5)
SELECT pg_sleep(1)
SELECT current_query()
SELECT write_log('a')
