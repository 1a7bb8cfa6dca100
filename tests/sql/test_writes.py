"""INSERT, DELETE and the other writes, as far as our own execution needs to know them."""

import pytest

from vercel_sql.errors import SQLSyntaxError
from vercel_sql.sql import Delete, Insert, Native, Parameters, parse
from vercel_sql.sql.statements import CopyFrom, Merge, Truncate, Update


def one(sql, kind):
    (statement,) = parse(sql)
    assert type(statement) is kind
    return statement


def insert(sql):
    return one(sql, Insert)


def test_all_clauses_of_an_insert():
    statement = insert(
        'WITH a AS (SELECT 1) INSERT OR IGNORE INTO v."a ""b".t AS x BY NAME (p, "Q,") '
        "SELECT 1 AS returning FROM a ON CONFLICT (p) DO NOTHING RETURNING *, f(1, 2)"
    )
    assert statement.with_clause.text == "WITH a AS (SELECT 1)"
    assert statement.or_action == "IGNORE"
    assert statement.target.parts == ("v", 'a "b', "t")
    assert statement.target.quoted() == '"v"."a ""b"."t"'
    assert statement.alias == "x"
    assert statement.by_name
    assert statement.columns == ("p", "Q,")
    assert statement.source.text == "SELECT 1 AS returning FROM a"
    assert statement.on_conflict
    assert statement.returning.text == "*, f(1, 2)"
    assert statement.malformed is None


@pytest.mark.parametrize(
    ("rest", "columns", "source"),
    [
        ("VALUES (1)", None, "VALUES (1)"),
        ("(a) VALUES (1)", ("a",), "VALUES (1)"),
        ("(a, b) (SELECT 1, 2)", ("a", "b"), "(SELECT 1, 2)"),
        ("(SELECT 1)", None, "(SELECT 1)"),
        ("(VALUES (1))", None, "(VALUES (1))"),
        ("(FROM x)", None, "(FROM x)"),
        ("(TABLE x)", None, "(TABLE x)"),
        ("FROM x JOIN y ON x.a = y.b", None, "FROM x JOIN y ON x.a = y.b"),
        ("TABLE x", None, "TABLE x"),
        ("WITH q AS (SELECT 1) FROM q", None, "WITH q AS (SELECT 1) FROM q"),
        ("BY POSITION (a) FROM x", ("a",), "FROM x"),
    ],
)
def test_columns_and_source(rest, columns, source):
    statement = insert(f"INSERT INTO t {rest} RETURNING *")
    assert (statement.columns, statement.source.text) == (columns, source)


def test_default_values():
    statement = insert("INSERT INTO t DEFAULT VALUES")
    assert (statement.source, statement.malformed) == (None, None)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t",
        "INSERT INTO t RETURNING a",
        "INSERT INTO t OVERRIDING SYSTEM VALUE SELECT 1",
        "INSERT INTO t SELECT 1 RETURNING",
        "DELETE FROM t WHERE",
        "DELETE FROM t USING",
        "DELETE FROM t WHERE true RETURNING",
        "DELETE FROM t LIMIT 1",
    ],
)
def test_what_is_malformed_is_told_once_the_target_is_known_to_be_ours(sql):
    (statement,) = parse(sql)
    with pytest.raises(SQLSyntaxError, match=r"Expected .* 1:\d+\.$"):
        statement.require_well_formed()


def nulls(source, values=None):
    return insert(f"INSERT INTO t {source}").literal_nulls(Parameters(values))


@pytest.mark.parametrize(
    "item",
    [
        "NULL",
        "null AS x",
        "NULL x",
        "x: NULL",
        "(NULL)",
        "CAST(NULL AS BIGINT)",
        "NULL::INT[]",
        "TRY_CAST(NULL AS DECIMAL(1, 2)) AS d",
        "NULL::DECIMAL(1, 2)::BIGINT x",
        "$p",
        "'{{ p }}'",
        "{{ p }} AS x",
        "$p::BIGINT",
        "CAST(:p AS INT)",
        "((NULL::INT))",
        "NULL::s.kind",
    ],
)
def test_a_literal_null(item):
    assert nulls(f"SELECT 1, {item}, 2 FROM x", {"p": None}).rows == (frozenset({1}),)


@pytest.mark.parametrize(
    "item",
    [
        "1",
        "f(NULL)",
        "NULL + 1",
        "NULL::INT + 1",
        "x IS NULL",
        "NULL IS NULL",
        "NOT NULL",
        "'NULL'",
        "coalesce(NULL, NULL)",
        "CASE WHEN a THEN NULL END",
        '"NULL"',
        "NULL ISNULL",
        "$q",
        "$r",
        "NULL::INT IS NULL",
        "(NULL) OR (NULL)",
        "(SELECT NULL)",
    ],
)
def test_no_literal_null(item):
    assert nulls(f"SELECT {item}", {"q": 1}).rows == (frozenset(),)


def test_nulls_of_one_query_hold_for_every_row():
    found = nulls("FROM x SELECT DISTINCT ON (a) a, NULL WHERE b ORDER BY c LIMIT 3")
    assert found.every_row
    assert found.at(7) == {1}


def test_nulls_of_values_are_told_row_by_row():
    found = nulls("(VALUES (1, NULL), (NULL, f(1, NULL)),)")
    assert [found.at(0), found.at(1)] == [{1}, {0}]


@pytest.mark.parametrize(
    "source",
    [
        "SELECT * FROM x",
        "SELECT x.*, NULL FROM x",
        "SELECT COLUMNS('a'), NULL FROM x",
        "SELECT NULL UNION ALL SELECT 1",
        "VALUES (NULL), (1) ORDER BY 1",
        "TABLE x",
        "FROM x",
        "SELECT unnest(s), NULL FROM x",
        "WITH q AS (SELECT NULL) FROM q",
        "DEFAULT VALUES",
    ],
)
def test_where_the_text_does_not_tell_nothing_is_said(source):
    assert nulls(source) is None


def delete(sql):
    return one(sql, Delete)


def test_all_clauses_of_a_delete():
    statement = delete(
        "WITH RECURSIVE a(b) AS NOT MATERIALIZED (SELECT 1), c AS (SELECT 2) "
        "DELETE FROM v.a.t AS x USING a JOIN c USING (b), (FROM y WHERE z) "
        "WHERE x.id IN (SELECT id FROM c WHERE true) RETURNING x.id, *"
    )
    assert statement.with_clause.text.endswith("c AS (SELECT 2)")
    assert (statement.target.parts, statement.alias) == (("v", "a", "t"), "x")
    assert statement.using.text == "a JOIN c USING (b), (FROM y WHERE z)"
    assert statement.where.text == "x.id IN (SELECT id FROM c WHERE true)"
    assert statement.returning.text == "x.id, *"


def test_a_delete_without_where():
    statement = delete("DELETE FROM t x")
    assert (statement.alias, statement.where, statement.malformed) == ("x", None, None)


@pytest.mark.parametrize(
    ("where", "column", "values", "equality"),
    [
        ("id = 'a'", "id", ("a",), True),
        ("'a' == id", "id", ("a",), True),
        ("((\"Id\") = 'it''s')", "Id", ("it's",), True),
        ("id = E'a'", "id", ("a",), True),
        ("id = 'a'\n'b'", "id", ("ab",), True),
        ("(\"Id\" = 'it''s')", "Id", ("it's",), True),
        ("id = $$a$$", "id", ("a",), True),
        ("t.id = 'a'", "id", ("a",), True),
        ("V.a.T.id = 'a'", "id", ("a",), True),
        ("id IN ('a', $p, '{{ p }}',)", "id", ("a", "k", "k"), False),
        ("id = :p", "id", ("k",), True),
        ("{{ p }} = id", "id", ("k",), True),
    ],
)
def test_a_where_of_constants(where, column, values, equality):
    match = delete(f"DELETE FROM v.a.t WHERE {where}").constant_match(Parameters({"p": "k"}))
    if column is None:
        assert match is None
    else:
        assert (match.column, match.values, match.equality) == (column, values, equality)


@pytest.mark.parametrize(
    "where",
    [
        "true",
        "id = 'a' AND true",
        "id = 'a' OR 1",
        "NOT id = 'a'",
        "id <> 'a'",
        "id NOT IN ('a')",
        "id = lower('A')",
        "lower(id) = 'a'",
        "id = 'a' || 'b'",
        "id IN (SELECT 'a')",
        "id = 5",
        "id IN ('a', f())",
        "id IN ('a', NULL)",
        "id = NULL",
        "id = $n",
        "id = $i",
        "id = $missing",
        "other.id = 'a'",
        "id IN ()",
        "id = 'a' = true",
        "id IN x",
        "('a') = 'b'",
        "id IN ('a') IS NULL",
        "id = 'a'::VARCHAR",
    ],
)
def test_any_other_where_is_for_duckdb_to_evaluate(where):
    parameters = Parameters({"n": None, "i": 5})
    assert delete(f"DELETE FROM v.a.t WHERE {where}").constant_match(parameters) is None


def test_an_alias_hides_the_name_of_the_target():
    assert delete("DELETE FROM a.t q WHERE q.id = 'a'").constant_match().column == "id"
    assert delete("DELETE FROM a.t q WHERE t.id = 'a'").constant_match() is None


def test_with_using_no_where_is_constant():
    assert delete("DELETE FROM t USING x WHERE id = 'a'").constant_match() is None


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("UPDATE v.a.t SET x = 1", Update),
        ("WITH q AS (SELECT 1) UPDATE v.a.t SET x = 1", Update),
        ("MERGE INTO v.a.t USING s ON 1 = 1 WHEN MATCHED THEN DELETE", Merge),
        ("TRUNCATE v.a.t", Truncate),
        ("TRUNCATE TABLE v.a.t", Truncate),
        ("COPY v.a.t FROM 'x.csv'", CopyFrom),
        ("COPY v.a.t (a, b) FROM 'x.csv' (HEADER)", CopyFrom),
    ],
)
def test_writes_that_need_only_a_target(sql, kind):
    assert one(sql, kind).target.parts == ("v", "a", "t")


@pytest.mark.parametrize(
    "sql",
    [
        "COPY t TO 'x'",
        "COPY (FROM t) TO 'x'",
        "COPY FROM DATABASE a TO b",
        "WITH insert AS (SELECT 1) FROM insert",
        "WITH delete AS (SELECT 1), b AS (SELECT 2) SELECT 1",
        "WITH x AS (DELETE FROM t RETURNING *) FROM x",
        "SELECT 1 AS insert",
        "INSERT",
        "DELETE",
        "INSERT INTO 'a string' VALUES (1)",
    ],
)
def test_the_rest_is_duckdbs(sql):
    assert one(sql, Native).text == sql
