"""The Python door against PEP 249's own wording, item by item (quoted in the comments)."""

import datetime
import pickle
import time

import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"


def test_module_globals():
    assert vercel_sql.apilevel == "2.0"
    assert vercel_sql.threadsafety in (0, 1, 2, 3)
    assert vercel_sql.paramstyle in ("qmark", "numeric", "named", "format", "pyformat")


def test_exceptions_inherit_as_the_pep_draws_them():
    v = vercel_sql
    assert v.Warning.__bases__ == v.Error.__bases__ == (Exception,)
    assert v.InterfaceError.__base__ is v.DatabaseError.__base__ is v.Error
    for name in ("Data", "Operational", "Integrity", "Internal", "Programming", "NotSupported"):
        assert getattr(v, f"{name}Error").__base__ is v.DatabaseError


def test_exceptions_are_attributes_of_the_connection(db):
    for name in (
        *("Warning", "Error", "InterfaceError", "DatabaseError", "DataError", "OperationalError"),
        *("IntegrityError", "InternalError", "ProgrammingError", "NotSupportedError"),
    ):
        assert getattr(db, name) is getattr(vercel_sql, name)


def test_constructors():
    assert vercel_sql.Date(2030, 1, 2) == datetime.date(2030, 1, 2)
    assert vercel_sql.Time(3, 4, 5) == datetime.time(3, 4, 5)
    assert vercel_sql.Timestamp(2030, 1, 2, 3, 4, 5) == datetime.datetime(2030, 1, 2, 3, 4, 5)
    assert vercel_sql.Binary(b"\0x") == b"\0x"
    now = time.time()
    local = datetime.datetime.fromtimestamp(int(now))
    assert vercel_sql.TimestampFromTicks(now) == local
    assert vercel_sql.DateFromTicks(now) == local.date()
    assert vercel_sql.TimeFromTicks(now) == local.time()


def test_values_of_the_constructors_bind(db):
    row = db.execute(
        "SELECT typeof(?), typeof(?), typeof(?), typeof(?)",
        [
            vercel_sql.Date(2030, 1, 2),
            vercel_sql.Time(3, 4, 5),
            vercel_sql.Timestamp(2030, 1, 2, 3, 4, 5),
            vercel_sql.Binary(b"x"),
        ],
    ).fetchone()
    assert row == ("DATE", "TIME", "TIMESTAMP", "BLOB")


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("'x'", "STRING"),
        ("'x'::ENUM ('x')", "STRING"),
        ("uuid()", "STRING"),
        ("'{}'::JSON", "STRING"),
        ("1", "NUMBER"),
        ("1::HUGEINT", "NUMBER"),
        ("1.5::DECIMAL(9, 2)", "NUMBER"),
        ("1.5::DOUBLE", "NUMBER"),
        ("true", "NUMBER"),
        ("'x'::BLOB", "BINARY"),
        ("DATE '2030-01-01'", "DATETIME"),
        ("TIME '12:00'", "DATETIME"),
        ("TIMESTAMP '2030-01-01'", "DATETIME"),
        ("now()", "DATETIME"),
        ("INTERVAL 1 DAY", "DATETIME"),
    ],
)
def test_type_codes_compare_equal_to_one_type_object(db, expression, kind):
    # "The type_code must compare equal to one of Type Objects defined below."
    type_code = db.execute(f"SELECT {expression}").description[0][1]
    kinds = ("STRING", "BINARY", "NUMBER", "DATETIME", "ROWID")
    assert [name for name in kinds if type_code == getattr(vercel_sql, name)] == [kind]
    assert [name for name in kinds if getattr(vercel_sql, name) == type_code] == [kind]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS a, 'x' AS a",
        f"SELECT id, name FROM {T}",
        f"INSERT INTO {T} (name) VALUES ('a')",
        f"EXEC {T}.get_auth_token @tokenId = 'current'",
        "SHOW SERVICES IN vercel",
        f"EXPLAIN DELETE FROM {T} WHERE id = 'x'",
    ],
)
def test_description_is_a_sequence_of_7_item_sequences(db, query):
    cursor = db.cursor().execute(query)
    assert len(cursor.description) == len(cursor.fetchone())
    for column in cursor.description:
        assert len(column) == 7
        assert isinstance(column[0], str)
        assert column[1] is not None  # "The first two items (name and type_code) are mandatory"


def test_description_is_none_where_there_are_no_rows(db):
    # "This attribute will be None for operations that do not return rows or if the cursor has
    # not had an operation invoked via the .execute*() method yet."
    cursor = db.cursor()
    assert cursor.description is None
    assert cursor.execute("CREATE TABLE t (i INT)").description is None
    assert cursor.execute("SELECT 1").description is not None
    assert cursor.execute("SET threads = 2").description is None
    assert cursor.execute("-- nothing at all").description is None


def test_rowcount(db, ids):
    # "The attribute is -1 in case no .execute*() has been performed on the cursor or the
    # rowcount of the last operation cannot be determined by the interface."
    cursor = db.cursor()
    assert cursor.rowcount == -1
    assert cursor.execute("SELECT 1").rowcount in (-1, 1)
    assert cursor.execute("CREATE TABLE t AS FROM range(3)").rowcount == 3
    assert cursor.execute("UPDATE t SET range = 1 WHERE range > 0").rowcount == 2
    assert cursor.execute("DELETE FROM t").rowcount == 3
    assert cursor.execute(f"INSERT INTO {T} (name) VALUES ('a'), ('b')").rowcount == 2
    assert cursor.execute(f"DELETE FROM {T} WHERE id = ?", [ids[0]]).rowcount == 1
    assert cursor.execute("SELECT 2").rowcount in (-1, 1)


def test_fetching(db):
    cursor = db.cursor().execute("FROM range(10)")
    assert cursor.arraysize == 1  # "It defaults to 1 meaning to fetch a single row at a time."
    assert cursor.fetchone() == (0,)
    assert cursor.fetchmany() == [(1,)]
    assert cursor.fetchmany(2) == [(2,), (3,)]
    assert cursor.fetchmany(size=1) == [(4,)]
    cursor.arraysize = 3
    assert cursor.fetchmany() == [(5,), (6,), (7,)]
    assert cursor.fetchall() == [(8,), (9,)]
    # "An empty sequence is returned when no more rows are available", "None when no more data"
    assert (cursor.fetchone(), cursor.fetchmany(), cursor.fetchall()) == (None, [], [])


@pytest.mark.parametrize("fetch", ["fetchone", "fetchmany", "fetchall", "arrow", "df", "pl"])
@pytest.mark.parametrize(
    "before", [None, "CREATE TABLE t (i INT)", "-- nothing", "SELECT 1; BEGIN"]
)
def test_fetching_where_there_is_no_result_is_an_error(db, fetch, before):
    # "An Error (or subclass) exception is raised if the previous call to .execute*() did not
    # produce any result set or no call was issued yet."
    cursor = db.cursor()
    if before:
        cursor.execute(before)
    with pytest.raises(vercel_sql.Error, match="no result to fetch"):
        getattr(cursor, fetch)()


@pytest.mark.parametrize("wrong", ["SELECT no_such", "EXEC", "SELECT $x", "SELECT 'a"])
def test_a_statement_that_fails_leaves_no_rows_of_the_one_before(db, wrong):
    cursor = db.cursor().execute("SELECT 1")
    with pytest.raises(vercel_sql.Error):
        cursor.execute(wrong)
    assert cursor.description is None
    with pytest.raises(vercel_sql.ProgrammingError, match="no result"):
        cursor.fetchall()


def test_columns_called_like_duckdbs_own_results_are_columns(db):
    assert db.execute("SELECT true AS Success").fetchall() == [(True,)]
    cursor = db.execute('SELECT range AS "Count" FROM range(3)')
    assert (cursor.rowcount, cursor.fetchall()) == (-1, [(0,), (1,), (2,)])
    cursor = db.execute('WITH t AS (SELECT 7::BIGINT AS "Count") FROM t')
    assert (cursor.rowcount, cursor.fetchall()) == (-1, [(7,)])


def test_iteration_and_attributes_of_the_cursor(db):
    cursor = db.cursor()
    assert cursor.connection is db
    assert list(cursor.execute("FROM range(3)")) == [(0,), (1,), (2,)]
    assert next(cursor, None) is None
    assert cursor.setinputsizes([10]) is None
    assert cursor.setoutputsize(10) is None
    assert cursor.setoutputsize(10, 0) is None


def test_executemany(db, sent, ids):
    cursor = db.cursor()
    cursor.execute("CREATE TABLE t (i INT, s VARCHAR)")
    cursor.executemany("INSERT INTO t VALUES (?, ?)", [(1, "a"), (2, "b"), (3, "c")])
    assert cursor.rowcount == 3
    assert (
        cursor.executemany("DELETE FROM t WHERE i = $i", iter([{"i": 1}, {"i": 9}])).rowcount == 1
    )
    assert cursor.executemany("DELETE FROM t WHERE i = ?", []).rowcount == 0
    cursor.executemany(f"DELETE FROM {T} WHERE id = ?", [[ids[0]], [ids[1]], ["nobody"]])
    assert cursor.rowcount == 2
    assert len(sent("DELETE")) == 3


@pytest.mark.parametrize(
    "statement", [f"INSERT INTO {T} (name) VALUES (?)", f"EXEC {T}.create_auth_token @name = ?"]
)
def test_executemany_never_makes_a_secret_that_it_drops(connect, sent, tmp_path, statement):
    with pytest.raises(vercel_sql.ProgrammingError, match="executemany drops the rows"):
        connect().executemany(statement, [("a",), ("b",)])
    assert sent() == []
    saved = connect(secrets_file=tmp_path / "secrets")
    assert saved.executemany(statement, [("a",), ("b",)]).rowcount == 2
    assert len((tmp_path / "secrets").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO {T} (name) VALUES ('a') RETURNING bearerToken",
        f"EXEC {T}.create_auth_token @name = 'a'",
    ],
)
@pytest.mark.parametrize("then", ["SELECT 1", "SELECT error('no')"])
def test_a_script_never_makes_a_secret_that_it_drops(connect, sent, tmp_path, statement, then):
    with pytest.raises(vercel_sql.ProgrammingError, match="a script drops the rows of all"):
        connect().execute(f"{statement}; {then}")
    assert sent() == []
    saved = connect(secrets_file=tmp_path / "secrets")
    saved.execute(f"{statement}; SELECT 1")
    assert len((tmp_path / "secrets").read_text().splitlines()) == 1


def test_a_script_gives_the_secret_of_its_last_statement_and_explains_any(connect, sent):
    insert = f"INSERT INTO {T} (name) VALUES ('a') RETURNING bearerToken"
    assert connect().execute(f"EXPLAIN {insert}; SELECT 1").fetchall() == [(1,)]
    assert sent("POST") == []
    ((bearer,),) = connect().execute(f"SELECT 1; {insert}; -- that is all").fetchall()
    assert bearer
    assert len(sent("POST")) == 1


def test_a_closed_connection_is_unusable(connect):
    # "The connection will be unusable from this point forward; an Error (or subclass) exception
    # will be raised if any operation is attempted … The same applies to all cursor objects."
    db = connect()
    cursor = db.cursor().execute("SELECT 1")
    db.close()
    db.close()
    for use in (
        *(db.cursor, db.commit, db.rollback, db.interrupt, db.fetchall),
        *(cursor.fetchone, cursor.fetchmany, cursor.fetchall, cursor.df, cursor.arrow),
        *(lambda: db.execute("SELECT 1"), lambda: cursor.execute("SELECT 1")),
        *(lambda: db.sql("SELECT 1"), lambda: cursor.executemany("SELECT ?", [[1]])),
    ):
        with pytest.raises(vercel_sql.InterfaceError, match="closed"):
            use()


def test_a_closed_cursor_is_unusable(db):
    cursor = db.cursor().execute("SELECT 1")
    cursor.close()
    cursor.close()
    for use in (
        *(cursor.fetchone, cursor.fetchmany, cursor.fetchall),
        *(lambda: cursor.execute("SELECT 1"), lambda: cursor.executemany("SELECT ?", [])),
    ):
        with pytest.raises(vercel_sql.InterfaceError, match="closed"):
            use()
    assert db.execute("SELECT 2").fetchone() == (2,)


def test_context_managers_close(connect):
    with connect() as db:
        with db.cursor() as cursor:
            assert cursor.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(vercel_sql.InterfaceError):
            cursor.fetchone()
    with pytest.raises(vercel_sql.InterfaceError):
        db.cursor()


def test_nothing_that_holds_a_credential_is_pickled(db):
    for thing in (db, db.cursor(), db.client, db.client.credential, db.client.redactor):
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(thing)
