SELECT 1

SELECT 42 AS answer, 'it''s' AS text, "quoted;name" FROM (SELECT 1 AS "quoted;name")

FROM range(10)

FROM range(10) t(i) SELECT i, i * 2 AS twice WHERE i > 3

FROM 'data;file.csv'

SELECT * EXCLUDE (i) FROM (SELECT 1 AS i, 2 AS j)

SELECT * REPLACE (i + 1 AS i) FROM (SELECT 1 AS i)

SELECT * RENAME (i AS k) FROM (SELECT 1 AS i)

SELECT COLUMNS('a.*') FROM t

SELECT COLUMNS(c -> c LIKE '%;%') FROM t

SELECT min(COLUMNS(*)) FROM t

PIVOT cities ON year USING sum(population)

PIVOT cities ON year IN (2000, 2010) USING sum(population) GROUP BY country

UNPIVOT monthly ON jan, feb, mar INTO NAME month VALUE sales

FROM cities PIVOT (sum(population) FOR year IN (2000, 2010) GROUP BY country)

SELECT list_transform([1, 2, 3], lambda x: x + 1)

SELECT list_transform([1, 2, 3], x -> x + 1)

SELECT list_filter([1, 2, 3], lambda x, i: x > i)

SELECT [x + 1 FOR x IN [1, 2, 3] IF x > 1]

SELECT i FROM range(5) t(i) QUALIFY row_number() OVER (ORDER BY i DESC) = 1

SELECT * FROM trades ASOF JOIN prices ON trades.at >= prices.at

SELECT * FROM trades t ASOF LEFT JOIN prices p USING (symbol, day)

SELECT * FROM a POSITIONAL JOIN b

SELECT * FROM a SEMI JOIN b USING (id)

SELECT * FROM a ANTI JOIN b ON a.id = b.id

SELECT * FROM a NATURAL FULL OUTER JOIN b

SELECT * FROM a, LATERAL (SELECT a.i + 1) t(j)

SELECT * FROM range(3) t(i) CROSS JOIN generate_series(1, 2) s(j)

SELECT year, sum(n) FROM t GROUP BY ALL ORDER BY ALL

SELECT a, b, count(*) FROM t GROUP BY GROUPING SETS ((a, b), (a), ())

SELECT a, b, count(*) FROM t GROUP BY CUBE (a, b)

SELECT a, b, count(*) FROM t GROUP BY ROLLUP (a, b) HAVING count(*) > 1

SELECT * FROM t USING SAMPLE 10%

SELECT * FROM t USING SAMPLE reservoir(50 ROWS) REPEATABLE (100)

SELECT * FROM t TABLESAMPLE BERNOULLI (10 PERCENT)

SUMMARIZE t

SUMMARIZE SELECT * FROM range(10)

DESCRIBE SELECT 1 AS a

DESCRIBE t

SHOW TABLES

SHOW ALL TABLES

SHOW t

PRAGMA table_info('t')

PRAGMA database_size

PRAGMA threads = 4

CALL pragma_version()

CALL range(0, 10)

SET threads = 4

SET SESSION search_path = 'main'

SET GLOBAL memory_limit = '1GB'

SET VARIABLE my_var = 30

SELECT getvariable('my_var')

RESET threads

USE memory

USE memory.main

ATTACH ':memory:' AS other

ATTACH IF NOT EXISTS 'file;name.db' AS other (READ_ONLY)

DETACH other

COPY t TO 'out.parquet' (FORMAT parquet, COMPRESSION zstd)

COPY (FROM range(3)) TO '/tmp/x.csv' (HEADER, DELIMITER ';')

COPY t FROM 'in.csv' (AUTO_DETECT true)

COPY FROM DATABASE a TO b

EXPORT DATABASE 'dir' (FORMAT parquet)

SELECT current_date, localtimestamp

CREATE TABLE t (i INTEGER PRIMARY KEY, s VARCHAR DEFAULT ';', CHECK (i > 0))

CREATE OR REPLACE TABLE t AS FROM range(10)

CREATE TEMP TABLE IF NOT EXISTS t AS SELECT 1 AS i

CREATE TABLE t (d DECIMAL(18, 3), l INTEGER[], a INTEGER[3], s STRUCT(a INT, b VARCHAR), m MAP(VARCHAR, INT), u UNION(n INT, s VARCHAR))

CREATE TABLE t (a INT, b INT GENERATED ALWAYS AS (a + 1) VIRTUAL)

CREATE VIEW v AS SELECT ';' AS semicolon

CREATE OR REPLACE VIEW v (a) AS FROM t

CREATE INDEX idx ON t (i)

CREATE SEQUENCE seq START 1

CREATE SCHEMA IF NOT EXISTS s

CREATE TYPE mood AS ENUM ('happy;', 'sad')

CREATE MACRO add(a, b) AS a + b

CREATE MACRO add_default(a, b := 5) AS a + b

CREATE MACRO f(x) AS TABLE SELECT x AS v

CREATE OR REPLACE TEMP MACRO sq(x) AS x * x, (x, y) AS x * y

CREATE SECRET s (TYPE s3, KEY_ID 'a;b', SECRET 'c')

DROP TABLE IF EXISTS t CASCADE

DROP MACRO IF EXISTS add

ALTER TABLE t ADD COLUMN k INTEGER DEFAULT 10

ALTER TABLE t RENAME COLUMN a TO b

ALTER TABLE t ALTER i SET DATA TYPE BIGINT USING i + 1

COMMENT ON TABLE t IS 'a; comment'

COMMENT ON COLUMN t.a IS NULL

PREPARE q AS SELECT $1, ?

PREPARE named AS SELECT $a + $b

EXECUTE q(1, 2)

EXECUTE named(a := 1, b := 2)

DEALLOCATE q

BEGIN

BEGIN TRANSACTION

COMMIT

ROLLBACK

CHECKPOINT

VACUUM

ANALYZE

INSTALL httpfs

LOAD httpfs

FORCE INSTALL httpfs

EXPLAIN SELECT 1

EXPLAIN ANALYZE SELECT 1

EXPLAIN (FORMAT JSON) SELECT 1

EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1

EXPLAIN INSERT INTO t VALUES (1)

INSERT INTO t VALUES (1, 'a;b'), (2, NULL)

INSERT INTO t (i, s) SELECT 1, 'x' RETURNING *

INSERT INTO t BY NAME SELECT 1 AS i

INSERT INTO t DEFAULT VALUES

INSERT OR REPLACE INTO t VALUES (1)

INSERT INTO t VALUES (1) ON CONFLICT (i) DO UPDATE SET s = excluded.s WHERE t.i > 1 RETURNING i

INSERT INTO t FROM range(3)

WITH a AS (SELECT 1) INSERT INTO t FROM a

DELETE FROM t

DELETE FROM t AS x USING y WHERE x.i = y.i RETURNING x.i

UPDATE t SET i = i + 1 FROM y WHERE t.i = y.i RETURNING *

TRUNCATE t

MERGE INTO t USING s ON t.i = s.i WHEN MATCHED THEN UPDATE SET a = s.a WHEN NOT MATCHED THEN INSERT

WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) FROM r

WITH a AS MATERIALIZED (SELECT 1), b AS NOT MATERIALIZED (SELECT 2) SELECT * FROM a, b

SELECT 1 UNION ALL BY NAME SELECT 2

SELECT 1 EXCEPT ALL SELECT 2 INTERSECT SELECT 3

VALUES (1, 'a'), (2, 'b')

TABLE t

(SELECT 1) UNION (SELECT 2)

SELECT $$dollar; 'quoted' "text" -- no comment$$

SELECT $tag$ a $$ b ; $other$ c $tag$

SELECT $_t1$;$_t1$ || $$$$

SELECT E'escape\'; d' || e'\\'

SELECT 'back\', ';'

SELECT 'a' -- a comment; with ' and "
'b'

SELECT 1 /* a /* nested; */ comment ' */ + 1

SELECT 4 //* half; a division */ 2

SELECT 1 -|--; not an operator
 2

SELECT x'00', X'DEADBEEF', b'101'

SELECT 1_000_000, 0xFF, 0b101, 1e10, 1.5E-3, .5, 5.

SELECT "a"";b" FROM (SELECT 1 AS "a"";b")

SELECT 'ünïcödé; 日本' AS "naïve;", größe FROM (SELECT 1 AS größe)

SELECT a$b, c$$ FROM (SELECT 1 AS a$b, 2 AS c$$)

SELECT {'a': 1, 'b': {'c': [1, 2]}}.b.c[1]

SELECT MAP {'k;': 1}, MAP {{'a': 1}: 2}, MAP([1], [2])

SELECT a: 42, b: 'x'

SELECT [1, 2, 3][1:2], [1, 2, 3][:2], [1, 2, 3][2:], [1, 2, 3][-1:1:-1], 'abc'[1]

SELECT #1, #2 FROM (SELECT 1, 2)

SELECT 2 ** 3, 2 ^ 3, 7 // 2, 7 % 2, 5 & 3, 5 | 3, ~5, 1 << 2, @ -5, @(-5), 5!

SELECT 'a' ^@ 'a', 'a' ~~ 'a', 'a' !~~ 'a', 'a' ~~* 'A', 'a' !~~* 'A', 'a' ~~~ 'a', 'a' ~ 'a', 'a' !~ 'b'

SELECT [1, 2] @> [1], [1] <@ [1, 2], [1] && [1], [1.0, 2.0]::FLOAT[2] <-> [1.0, 3.0]::FLOAT[2]

SELECT j -> '$.a', j ->> '$.b[0]', j->'c'->>'d' FROM (SELECT '{"a": ";"}'::JSON AS j)

SELECT '1'::INT::VARCHAR, CAST('2020-01-01' AS DATE), TRY_CAST('x' AS INT), DATE '2020-01-01', INTERVAL 1 DAY, INTERVAL '2' MONTH

SELECT TIMESTAMP WITH TIME ZONE '2020-01-01 00:00:00+01', TIME '12:00:00'

SELECT CASE WHEN 1 = 1 THEN 'a;' ELSE 'b' END, CASE 1 WHEN 2 THEN 3 END

SELECT 1 IS NOT DISTINCT FROM 2, NULL ISNULL, 1 NOTNULL, 1 BETWEEN 0 AND 2, 'a' SIMILAR TO 'b', 'a' LIKE 'b' ESCAPE 'c', 'a' ILIKE 'b', 'a' GLOB 'b'

SELECT sum(i) FILTER (WHERE i > 1) OVER (PARTITION BY j ORDER BY k ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM t

SELECT rank() OVER w FROM t WINDOW w AS (ORDER BY i)

SELECT string_agg(s, ';' ORDER BY s DESC) FROM t

SELECT arg_max(a, b), first(a ORDER BY b) FROM t LIMIT 10% OFFSET 1

SELECT DISTINCT ON (a) a, b FROM t ORDER BY a NULLS LAST, b COLLATE NOCASE

SELECT * FROM read_csv('x.csv', delim = ';', columns = {'a': 'INT'})

SELECT * FROM read_json_auto(['a.json', 'b;c.json'], format := 'newline_delimited')

SELECT * FROM glob('*;*')

SELECT unnest({'a': 1, 'b': 2}), unnest([1, 2], recursive := true)

SELECT struct_pack(a := 1, b => 2), row(1, 2)

SELECT EXISTS (SELECT 1), 1 IN (SELECT 1), 1 = ANY (SELECT 1), (1, 2) IN ((1, 2))

SELECT t.* FROM t, t.s.u AS v

SELECT 'a'.upper().concat(';')

SELECT extract('year' FROM DATE '2020-01-01'), substring('abc' FROM 1 FOR 2), trim(BOTH ' ' FROM ' a '), position('a' IN 'b')

SELECT ARRAY[1, 2], ARRAY(SELECT 1)

SELECT 1 AS returning, 2 AS "end", 3 AS begin

SELECT * FROM t WHERE i = ? AND j = $2

SELECT * FROM t AT (VERSION => 1)

SELECT 1 WHERE 1 == 1 AND 1 <> 2 AND 1 != 3 AND NOT false

CREATE TRIGGER tr AFTER INSERT ON z FOR EACH STATEMENT INSERT INTO y VALUES (1)

SELECT 1 AS `back;tick`

WITH x AS (DELETE FROM t RETURNING *) FROM x
