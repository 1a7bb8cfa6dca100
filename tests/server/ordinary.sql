-- Ordinary queries, one a line, that clients may run.
SELECT 1
SELECT id, name FROM vercel.authentication.user_tokens WHERE origin = 'saml' ORDER BY createdAt DESC LIMIT 5 OFFSET 1
FROM authentication.user_tokens
FROM "VERCEL"."Authentication"."USER_TOKENS" SELECT count(*)
TABLE audit.user_tokens
VALUES (1, 'a'), (2, 'b')
SELECT t.name, u.idle_days FROM authentication.user_tokens AS t JOIN audit.user_tokens AS u USING (id)
SELECT * FROM authentication.user_tokens AS t LEFT JOIN audit.user_tokens AS u ON t.id = u.id AND u.idle_days > 90
SELECT * FROM authentication.user_tokens AS t SEMI JOIN audit.user_tokens AS u ON t.id = u.id
SELECT t.id FROM authentication.user_tokens AS t ASOF JOIN (SELECT 0 AS createdAt) AS u ON t.createdAt >= u.createdAt
SELECT * FROM range(3) AS a(i), LATERAL (SELECT i + 1) AS b(j)
SELECT * FROM range(3) AS a POSITIONAL JOIN range(4) AS b
WITH a AS (SELECT 1 AS x), b AS MATERIALIZED (SELECT x + 1 AS x FROM a) SELECT * FROM a, b
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n) FROM t
WITH RECURSIVE t(a, b) USING KEY (a) AS (SELECT 1, 2 UNION SELECT a + 1, b FROM t WHERE a < 3) FROM t
WITH "my tokens" AS (FROM audit.user_tokens) SELECT * FROM "my tokens" WHERE name IN (SELECT name FROM "My Tokens")
WITH t AS (SELECT 1 AS x) SELECT (SELECT max(x) FROM t), EXISTS (FROM t), 1 IN (FROM t) FROM t WHERE x = ANY (FROM t)
SELECT origin, count(*), count(DISTINCT name), count(*) FILTER (WHERE expiresAt IS NULL) FROM authentication.user_tokens GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL
SELECT origin, type, count(*), grouping(origin) FROM authentication.user_tokens GROUP BY GROUPING SETS ((origin), (type), ())
SELECT origin, type, count(*) FROM authentication.user_tokens GROUP BY ROLLUP (origin, type)
SELECT origin, type, count(*) FROM authentication.user_tokens GROUP BY CUBE (origin, type)
SELECT name, row_number() OVER (PARTITION BY origin ORDER BY createdAt) AS nr FROM authentication.user_tokens QUALIFY nr = 1
SELECT lag(name) OVER w, first_value(name) OVER w, sum(createdAt) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM authentication.user_tokens WINDOW w AS (ORDER BY id)
SELECT rank() OVER w, dense_rank() OVER w, ntile(4) OVER w, percent_rank() OVER w, cume_dist() OVER w, lead(id, 1) OVER w, nth_value(id, 2) OVER w FROM audit.user_tokens WINDOW w AS (ORDER BY idle_days)
PIVOT (SELECT origin, type FROM authentication.user_tokens) ON origin IN ('saml', 'github') USING count(*) GROUP BY type
FROM (SELECT origin, type FROM authentication.user_tokens) PIVOT (count(*) FOR origin IN ('saml', 'github'))
UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b INTO NAME n VALUE v
FROM (SELECT 1 AS a, 2 AS b) UNPIVOT (v FOR n IN (a, b))
SELECT 1 UNION SELECT 2 EXCEPT SELECT 3 INTERSECT SELECT 4
SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS b
SELECT DISTINCT ON (origin) origin, name FROM authentication.user_tokens ORDER BY origin, name NULLS LAST
SELECT * FROM range(100) USING SAMPLE 10%
SELECT * FROM range(100) TABLESAMPLE reservoir(10)
SELECT * FROM range(10) LIMIT 10%
SELECT s.type FROM (SELECT unnest(scopes) AS s FROM authentication.user_tokens)
SELECT id, s.scope.type FROM authentication.user_tokens, unnest(scopes) AS s(scope)
SELECT unnest([{'a': 1}], recursive := true)
SELECT len(scopes), scopes[1].type, scopes[1:2] FROM authentication.user_tokens
SELECT [x * 2 FOR x IN [1, 2, 3] IF x > 1]
SELECT list_transform([1, 2], lambda x: x + 1), list_filter([1, 2], lambda x: x > 1), list_reduce([1, 2], lambda a, b: a + b)
SELECT list_contains([1], 1), 1 IN [1, 2], list_sort([2, 1]), list_sum([1, 2]), array_to_string(['a', 'b'], ','), [1, 2] || [3]
SELECT s.a.b, s['a'], struct_pack(x := 1), row(1, 2), MAP {'k': 1}['k'], map_keys(MAP {'k': 1}) FROM (SELECT {'a': {'b': 1}} AS s)
SELECT a: 1, b: 'x'
SELECT additional_fields -> 'a', additional_fields ->> '$.b', json_extract(additional_fields, '$.c'), to_json(t) FROM authentication.user_tokens AS t
SELECT json_object('a', 1, 'b', [1]), json_array(1, 2), '{"a": 1}'::JSON, json_keys('{"a": 1}'), json_group_array(1)
SELECT * FROM json_each('{"a": 1}')
SELECT created_at - INTERVAL 90 DAY, created_at + INTERVAL '1' MONTH, now() - created_at, age(now(), created_at) FROM audit.user_tokens
SELECT date_trunc('month', created_at), extract(year FROM created_at), date_part('dow', created_at), strftime(created_at, '%Y-%m'), created_at AT TIME ZONE 'Europe/Berlin', date_diff('day', created_at, now()) FROM audit.user_tokens
SELECT DATE '2026-01-01', TIMESTAMP '2026-01-01 00:00:00', TIMESTAMPTZ '2026-01-01 00:00:00+00', TIME '12:00', INTERVAL 1 DAY, current_date, current_timestamp, today()
SELECT epoch_ms(now()), to_timestamp(0), make_date(2026, 1, 1), time_bucket(INTERVAL 1 WEEK, now()), epoch_ms(createdAt) FROM authentication.user_tokens
SELECT CAST('1' AS INTEGER), '1'::DECIMAL(10, 2), TRY_CAST('x' AS DATE), '[1]'::INT[], [1, 2]::INT[2], {'a': 1}::STRUCT(a BIGINT), MAP {'a': 1}::MAP(VARCHAR, INT), 1::UNION(a INT, b VARCHAR), 'a'::BLOB, 1::HUGEINT, gen_random_uuid()::UUID
SELECT CASE WHEN 1 = 1 THEN 'a' ELSE 'b' END, CASE 1 WHEN 2 THEN 3 END, coalesce(NULL, 1), ifnull(NULL, 1), nullif(1, 1), if(true, 1, 2), greatest(1, 2), least(1, 2), TRY(1 / 0)
SELECT 1 IS NULL, 1 IS NOT NULL, 1 IN (1, 2), 1 NOT IN (3), 1 BETWEEN 0 AND 2, NOT true, true AND false OR true, 1 IS DISTINCT FROM 2, 1 <> 2, 1 != 2, 1 <= 2, 1 >= 2
SELECT 'a' LIKE 'b', 'a' NOT LIKE 'b', 'a' ILIKE 'b', 'a' SIMILAR TO 'b', 'a' ~ 'b', 'a' LIKE 'b' ESCAPE '\', 'a' NOT ILIKE 'b' ESCAPE '\', 'a' GLOB 'a*'
SELECT 'a' || 'b', 1 + 2 - 3 * 4 / 5, 7 // 2, 7 % 2, 2 ** 3, 2 ^ 3, 1 & 2, 1 | 2, ~1, 1 << 2, -1, +1
SELECT upper(name), name.lower().trim(), substring(name FROM 1 FOR 2), position('a' IN name), trim(BOTH 'x' FROM name), replace(name, 'a', 'b'), name[1:3], format('{} {}', name, 1), printf('%s', name) FROM authentication.user_tokens
SELECT regexp_matches(name, '^a'), regexp_extract(name, '(a)', 1), regexp_replace(name, 'a', 'b', 'g'), string_split(name, ' '), name COLLATE NOCASE FROM authentication.user_tokens ORDER BY name COLLATE de
SELECT string_agg(name, ', ' ORDER BY name), list(name), any_value(name), arg_max(name, createdAt), quantile_cont(createdAt, 0.5), median(createdAt), mode(origin), histogram(origin), stddev(createdAt), approx_count_distinct(name) FROM authentication.user_tokens
SELECT md5('a'), sha256('a'), hash(1), uuid(), random(), typeof(1), version()
SELECT * EXCLUDE (id) REPLACE (upper(name) AS name) FROM authentication.user_tokens
SELECT * RENAME (id AS token_id) FROM authentication.user_tokens
SELECT COLUMNS('.*_days'), COLUMNS(lambda c: c LIKE '%_at') FROM audit.user_tokens
SELECT t FROM authentication.user_tokens AS t
SELECT #1 FROM range(1)
SELECT name, idle_days FROM audit.user_tokens WHERE (never_expires, is_leaked) = (true, false)
SELECT (SELECT count(*) FROM authentication.user_tokens AS u WHERE u.origin = t.origin) FROM authentication.user_tokens AS t
SELECT name FROM vercel.authentication.get_auth_token(tokenId := 'current')
FROM vercel.authentication.list_auth_tokens()
DESCRIBE authentication.user_tokens
DESCRIBE SELECT 1
SUMMARIZE audit.user_tokens
SUMMARIZE SELECT idle_days FROM audit.user_tokens
FROM (DESCRIBE audit.user_tokens) SELECT column_name
SELECT table_schema, table_name FROM information_schema.tables
SELECT column_name, data_type FROM information_schema.columns
SELECT schema_name FROM duckdb_schemas()
SELECT * FROM generate_series(DATE '2026-01-01', DATE '2026-02-01', INTERVAL 1 DAY)
/* a comment */ SELECT 1 -- and another
SELECT 'COPY', "a" FROM (SELECT 'read_csv(''x'')' AS a)
