"""SHOW and DESCRIBE: what there is, as the manifest has it."""

import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"


def as_dicts(cursor):
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_services(db, sent):
    rows = as_dicts(db.execute("SHOW SERVICES IN vercel"))
    assert [row["service"] for row in rows] == [
        *("authentication", "integrations", "oauth", "teams", "user")
    ]
    assert sent() == []


def test_resources(db):
    rows = as_dicts(db.execute("show resources in VERCEL.Authentication"))
    assert [(row["resource"], row["id"]) for row in rows] == [("user_tokens", T)]


def test_methods(db):
    rows = {row["method"]: row for row in as_dicts(db.execute(f"SHOW METHODS IN {T}"))}
    assert [(name, row["verb"]) for name, row in rows.items()] == [
        ("get_auth_token", "select"),
        ("list_auth_tokens", "select"),
        ("create_auth_token", "insert"),
        ("delete_auth_token", "delete"),
        ("_list_auth_tokens", "exec"),
        ("verify_token", "exec"),
        ("email_login", "exec"),
        ("rotate_token", "exec"),
    ]
    assert rows["create_auth_token"]["required"] == "data__name"
    assert rows["create_auth_token"]["optional"].split(", ") == [
        *("data__expiresAt", "data__projectId", "teamId", "slug")
    ]
    assert rows["verify_token"]["http"] == "GET /registration/verify"
    extended = as_dicts(db.execute(f"SHOW EXTENDED METHODS IN {T}"))
    assert {row["method"]: row["effect"] for row in extended}["verify_token"] == "write"


def test_insert_into_is_a_template_that_parses_and_needs_its_values(db, sent):
    ((template,),) = db.execute(f"SHOW INSERT INTO {T}").fetchall()
    assert "data__name" in template
    with pytest.raises(vercel_sql.ParameterError, match="have no value"):
        db.execute(template)
    given = {"name": "a", "expiresAt": None, "projectId": None, "teamId": None, "slug": None}
    assert db.execute(template, given).rowcount == 1
    assert sent("POST")[0].body == {"name": "a"}


def test_describe(db):
    rows = as_dicts(db.execute(f"DESCRIBE {T}"))
    types = {row["column_name"]: row["column_type"] for row in rows}
    assert list(types)[:8] == [
        *("id", "name", "activeAt", "createdAt", "expiresAt", "origin", "scopes", "type")
    ]
    assert (types["expiresAt"], types["additional_fields"]) == ("BIGINT", "JSON")
    duckdbs = {row[0]: row[1] for row in db.execute(f"DESCRIBE (FROM {T})").fetchall()}
    assert {name: kind.replace('"', "") for name, kind in duckdbs.items()} == {
        name: kind.replace('"', "") for name, kind in types.items()
    }
    extended = as_dicts(db.execute(f"DESC EXTENDED {T}"))
    assert {row["column_name"] for row in extended if row["get_by"] == "yes"} == {"id", "tokenId"}


def test_describe_method(db):
    rows = as_dicts(db.execute(f"DESCRIBE METHOD {T}.verify_token"))
    secrets = [(row["kind"], row["name"]) for row in rows if row["secret"] == "yes"]
    assert secrets == [("parameter", "token"), ("result", "token")]


def test_a_procedure_of_ours_is_marked_and_tells_its_steps(db):
    rows = {row["method"]: row for row in as_dicts(db.execute(f"SHOW METHODS IN {T}"))}
    kind, _, requests = rows["rotate_token"]["http"].partition(": ")
    assert kind == "procedure"
    tokens = "/user/tokens"
    assert requests.split(", ") == [
        f"GET /v5{tokens}/{{tokenId}}",
        f"POST /v3{tokens}",
        f"GET /v5{tokens}/{{tokenId}}",
        f"DELETE /v3{tokens}/{{tokenId}}",
    ]
    assert not [name for name, row in rows.items() if ":" in row["http"] and name != "rotate_token"]
    steps = [
        (row["name"], row["location"])
        for row in as_dicts(db.execute(f"DESCRIBE METHOD {T}.rotate_token"))
        if row["kind"] == "step"
    ]
    assert [request for _, request in steps if request] == requests.split(", ")
    assert [name for name, _ in steps] == [
        *("get_auth_token", "create_auth_token", "get_auth_token", None, "delete_auth_token")
    ]


def test_what_is_duckdbs_is_described_by_duckdb(db):
    db.execute("CREATE TABLE t (i INT)")
    assert db.execute("DESCRIBE t").fetchall()[0][:2] == ("i", "INTEGER")
    assert ("t",) in db.execute("SHOW TABLES").fetchall()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SHOW SERVICES IN vercle", "did you mean 'vercel'"),
        ("SHOW SERVICES IN vercel.authentication", "as in SHOW SERVICES IN vercel"),
        ("SHOW RESOURCES IN vercel.authentcation", "did you mean 'authentication'"),
        ("SHOW RESOURCES IN vercel", "as in SHOW RESOURCES"),
        ("SHOW METHODS IN vercel.authentication.user_token", "did you mean 'vercel.auth"),
        ("SHOW INSERT INTO vercel.user.user", "has no INSERT"),
        (f"DESCRIBE METHOD {T}.email", "did you mean 'email_login'|it has"),
        ("DESCRIBE EXTENDED nothing", "unknown resource"),
    ],
)
def test_wrong_names_get_suggestions(db, statement, words):
    with pytest.raises(vercel_sql.ProgrammingError, match=words):
        db.execute(statement)
