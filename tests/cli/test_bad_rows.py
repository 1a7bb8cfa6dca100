"""One bad row hides nothing: every door lists all rows, and names those that can't be read."""

from __future__ import annotations

import json
import re
import warnings

import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"
AUDIT = "vercel.audit.user_tokens"
HALF = b'"release bot \\ud83d"'

# What is sent, in which field, and what additional_fields has of it.
KINDS = [
    ("name", HALF, r"release bot \ud83d"),
    ("name", b'"\\udc00\\ud800"', r"\udc00\ud800"),
    ("name", b'"a\\\\b\\ud83d"', r"a\\b\ud83d"),
    ("name", b'"caf\xe9"', r"caf\xe9"),
    ("name", b'"\xed\xa0\x80\xff"', r"\xed\xa0\x80\xff"),
    ("name", b'"\\udce9"', r"\udce9"),
    ("name", b'"\\q"', r'"\q"'),
    ("name", b'"a\nb"', '"a\nb"'),
    ("name", b"5", 5),
    ("name", b'{"a":[1.50]}', {"a": [1.5]}),
    ("name", b'"one","name":"two"', ["one", "two"]),
    ("name", b"NaN", "NaN"),
    ("name", b"[" * 5000 + b"]" * 5000, None),
    ("expiresAt", b'"soon"', "soon"),
    ("expiresAt", b'"NaN"', "NaN"),
    ("expiresAt", b"NaN", "NaN"),
    ("expiresAt", b"-Infinity", "-Infinity"),
    ("expiresAt", b"9223372036854775808", 2**63),
    ("expiresAt", b"1.5", 1.5),
    ("expiresAt", b'1,"expiresAt":null', [1, None]),
    ("expiresAt", b"1e99999999999999999999", "1e99999999999999999999"),
    ("expiresAt", b"9" * 5000, "9" * 5000),
    ("createdAt", b"true", True),
    ("scopes", b"5", 5),
    (
        "scopes",
        b'[{"type":"team","teamId":"team_\\ud83d"}]',
        [{"type": "team", "teamId": r"team_\ud83d"}],
    ),
    ("scopes", b'[{"type":"user","type":"team"}]', [{"type": ["user", "team"]}]),
    (
        "scopes",
        b'[{"type":"user","sudo":{"expiresAt":18446744073709551616}}]',
        [{"type": "user", "sudo": {"expiresAt": 2**64}}],
    ),
    ("scopes", b'[{"type":"\xff"}]', [{"type": r"\xff"}]),
    ("scopes", b"[[]]", [[]]),
    ("leakedAt", b'"yesterday"', "yesterday"),
    ("revokedAt", b"[]", []),
    ("origin", b"{}", {}),
    ("newField", b'"\\ud83d"', r"\ud83d"),
    ("newField", b"[" * 300 + b"]" * 300, None),
]
COLUMNS = "id, name, expiresAt, createdAt, scopes, leakedAt, revokedAt, origin, additional_fields"


def told(lines):
    """The rows and columns that warnings name."""
    found = re.findall(
        r"user_tokens: id (\S+): ([A-Za-z_]+)[^\n]*\. (?:It is NULL|What was)", lines
    )
    return sorted((key, column) for key, column in found)


@pytest.fixture
def planted(simulate):
    """An account of 1,000, a hundred of which are bad: their ids with what was planted."""
    sim = simulate(999)
    tokens = [t for t in sim.state.tokens() if t is not sim.state.calling_token][::9][:100]
    bad = {}
    for number, token in enumerate(tokens):
        field, raw, kept = KINDS[number % len(KINDS)]
        token.plant(field, raw)
        bad[token.id] = (field, raw, kept)
    return sim, bad


@pytest.fixture
def opened(planted):
    sim, _ = planted
    with vercel_sql.connect(sim.token, api_url=sim.url) as con:
        yield con


def expected(bad):
    named = {"newField": "additional_fields"}
    return sorted((key, named.get(field, field)) for key, (field, _, _) in bad.items())


def check_rows(rows, sim, bad):
    """All rows are there, the bad values are NULL and kept, and no other value is altered."""
    assert len(rows) == len({row["id"] for row in rows}) == 1000
    for row in rows:
        token, planted_field = sim.state.find_token(row["id"]), None
        if row["id"] in bad:
            planted_field, raw, kept = bad[row["id"]]
            rest = row["additional_fields"]
            rest = json.loads(rest) if isinstance(rest, str) else rest
            assert list(rest) == [planted_field]
            if kept is not None:
                assert rest[planted_field] == kept
            else:
                assert json.dumps(rest).count("[") == raw.count(b"["), "nothing of it is lost"
            assert row.get(planted_field) is None
        else:
            assert row["additional_fields"] is None
        for name in ("name", "expiresAt", "createdAt", "leakedAt", "revokedAt", "origin"):
            if name != planted_field:
                assert row[name] == token.get(name), name


def as_dicts(cursor):
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_connect_lists_all_warns_by_id_and_gets_the_same(planted, opened):
    sim, bad = planted
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows = as_dicts(opened.execute(f"SELECT {COLUMNS} FROM {T}"))
        opened.execute(f"SELECT * FROM {T}").fetchall()
    check_rows(rows, sim, bad)
    assert {each.category for each in caught} == {vercel_sql.DataWarning}
    assert told("\n".join(str(each.message) for each in caught)) == expected(bad), "each once"
    by_id = {row["id"]: row for row in rows}
    for number, key in enumerate(bad):
        if number < len(KINDS):
            got = as_dicts(opened.execute(f"SELECT {COLUMNS} FROM {T} WHERE id = ?", [key]))
            assert got == [by_id[key]]
    called = as_dicts(opened.execute(f"EXEC {T}.list_auth_tokens"))
    assert {row["id"]: row["additional_fields"] for row in called} == {
        key: row["additional_fields"] for key, row in by_id.items()
    }


def test_attach_lists_all_and_warns(planted, attached):
    sim, bad = planted
    con = attached(sim)
    with pytest.warns(vercel_sql.DataWarning) as caught:
        check_rows(as_dicts(con.execute(f"SELECT {COLUMNS} FROM {T}")), sim, bad)
    assert told("\n".join(str(each.message) for each in caught)) == expected(bad)


def test_the_command_line_lists_all_and_warns(planted, command):
    sim, bad = planted
    ended = command("-c", f"SELECT {COLUMNS} FROM {T}", "-o", "json", sim=sim)
    assert ended.code == 0
    check_rows(json.loads(ended.out), sim, bad)
    assert told(ended.err) == expected(bad)
    assert len(ended.err.splitlines()) == 100
    assert all(line.startswith("vercel-sql: ") for line in ended.err.splitlines())


def test_a_report_has_the_warnings_on_its_page(planted, here, tmp_path):
    sim, bad = planted
    inventory = "queries/inventory.sql"
    ended = here("run", inventory, "-o", "html", "--out", str(tmp_path), sim=sim)
    assert ended.code == 0, ended.err
    page = (tmp_path / "inventory.html").read_text("utf-8")
    assert "1,000 rows" in page
    assert "Read with care" in page
    read = {"name", "expiresAt", "createdAt", "scopes", "leakedAt", "revokedAt", "origin"}
    for key, (field, _, _) in bad.items():
        assert (f"id {key}: {field}" in page) == (field in read)


@pytest.mark.parametrize("columns", ["*", "name", "expiresAt", "scopes", "additional_fields"])
def test_strict_makes_it_an_error(planted, columns):
    sim, _ = planted
    with (
        vercel_sql.connect(sim.token, api_url=sim.url, strict=True) as con,
        pytest.raises(vercel_sql.DataError, match=r"user_tokens: id \w{64}: "),
    ):
        con.execute(f"SELECT {columns} FROM {T}").fetchall()


def test_strict_is_an_option_of_the_command_line(planted, here):
    sim, _ = planted
    for arguments in (["-c", f"SELECT name FROM {T}"], ["run", "queries/inventory.sql"]):
        ended = here(*arguments, "--strict", sim=sim)
        assert ended.code == 1
        assert re.search(r"user_tokens: id \w{64}: ", ended.err)
        assert ended.out == ""


def test_what_is_not_read_is_not_warned_of(planted, opened):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert opened.execute(f"SELECT count(*), count(id) FROM {T}").fetchall() == [(1000, 1000)]


# Frames: what pages are put together by is never guessed


@pytest.mark.parametrize(
    "body",
    [
        b'{"tokens":[{"id":"a","name":%b}],"pagination":{"count":1,"next":null}',
        b'{"tokens":[{"id":"a","name":%b}],"pagination":{"count":2,"next":null}}',
        b'{"tokens":[{"id":"a","name":%b}],"pagination":{"count":1}}',
        b'{"tokens":[{"id":"a","name":%b}],"pagination":{"count":1,"next":1,"next":null}}',
        b'{"tokens":[{"id":"a","name":%b}],"pagination":{"count":1,"next":NaN}}',
        b'{"tokens":[{"id":"a","name":%b}],"pagination":{"count":NaN,"next":null}}',
        b'{"tokens":[{"id":"a","name":%b}],"tokens":[],"pagination":{"count":0,"next":null}}',
        b'{"tokens":[{"id":"a","name":%b}]}',
        b'{"tokens":[{"id":"a","name":%b},5],"pagination":{"count":2,"next":null}}',
        b'{"tokens":[{"id":"a","name":%b}],"pagination":{"count":1,"next":"\\ud83d"}}',
        b'{"tokens":[{"id":"a","name":%b}],"pagination":{"count":true,"next":null}}',
        b'{"tokens":{"id":"a","name":%b},"pagination":{"count":1,"next":null}}',
        b'{"tokens":[{"id":"a","name":%b,}],"pagination":{"count":1,"next":null}}',
    ],
)
@pytest.mark.parametrize("raw", [HALF, b"NaN", b'"\xff"', b"[" * 5000 + b"]" * 5000])
def test_a_broken_frame_stays_an_error(db, sim, body, raw):
    sim.faults(kind="body", body=body % raw, times=None)
    with pytest.raises(vercel_sql.OperationalError):
        db.execute(f"SELECT name FROM {T}").fetchall()


# Ids


ODD_IDS = [b"5", b"null", HALF, b'"\xff"', b'"a","id":"b"', b"NaN", b"[]"]


@pytest.mark.parametrize("raw", ODD_IDS)
def test_a_row_without_a_usable_id_is_still_a_row(simulate, raw):
    sim = simulate(250)  # several pages, which overlap by a row
    for token in sim.state.tokens()[99:101]:
        token.plant("id", raw)
    with vercel_sql.connect(sim.token, api_url=sim.url) as con:
        with pytest.warns(
            vercel_sql.DataWarning, match="id .* (belongs|twice|missing|half|bytes|not a JSON)"
        ):
            rows = con.execute(f"SELECT id, name FROM {T}").fetchall()
        assert len(rows) == 251
        assert sum(id_ is None for id_, _ in rows) == 2
        (name,) = [token["name"] for token in sim.state.tokens()[99:100]]
        for where in (f"name = '{name.replace(chr(39), chr(39) * 2)}'", "true", "id IS NULL"):
            with pytest.raises(vercel_sql.DataError, match="Nothing was sent"):
                con.execute(f"DELETE FROM {T} WHERE {where}")
        assert not [each for each in sim.requests() if each.method == "DELETE"]


# Writes


@pytest.fixture
def one_bad(sim):
    """The small account, one of whose rows has an expiry that can't be read."""
    token = sim.state.tokens()[3]
    token.plant("expiresAt", b'"someday"')
    return token


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM {t} WHERE expiresAt IS NULL",
        "DELETE FROM {t} WHERE coalesce(expiresAt, 0) < 5",
        "DELETE FROM {t} WHERE token.expiresAt = 7",
        "DELETE FROM {t} WHERE id IN (SELECT id FROM {a} WHERE never_expires AND NOT is_current)",
        "DELETE FROM {t} WHERE id IN (SELECT id FROM {a} WHERE is_expired)",
        "DELETE FROM {t} WHERE id IN (SELECT id FROM {t} ORDER BY expiresAt LIMIT 1)",
        "DELETE FROM {t} WHERE id = '{id}' RETURNING id, expiresAt",
        "DELETE FROM {t} WHERE id = '{id}' RETURNING *",
        "DELETE FROM {t} AS t WHERE id = '{id}' RETURNING to_json(t)",
        "DELETE FROM {t} WHERE id = '{id}' RETURNING COLUMNS('exp.*')",
        "DELETE FROM {t} USING {a} AS a WHERE {t}.id = a.id AND a.expires_in_days < 0",
        "EXEC {t}.delete_auth_token @tokenId = (SELECT min(id) FROM {t} WHERE expiresAt IS NULL)",
        "INSERT INTO {t} (name) SELECT min(name) FROM {t} WHERE expiresAt IS NULL",
        "EXEC {t}.rotate_token @tokenId = '{id}'",
        "EXPLAIN DELETE FROM {t} WHERE expiresAt IS NULL",
    ],
)
def test_a_write_that_reads_a_value_in_doubt_is_refused(db, sim, sent, one_bad, statement):
    sql = statement.format(t=T, a=AUDIT, id=one_bad.id)
    with pytest.raises(vercel_sql.DataError) as raised:
        db.execute(sql)
    assert f"id {one_bad.id}: expiresAt is text" in str(raised.value)
    assert "Nothing was sent" in str(raised.value) or "Nothing was changed" in str(raised.value)
    assert not sent("DELETE")
    assert not sent("POST")


@pytest.mark.parametrize(
    "scopes", [b'[{"type":"user","origin":"\\ud83d"}]', b'[{"type":"user","type":"user"}]', b"NaN"]
)
def test_a_rotation_reaches_no_more_because_of_what_cant_be_read(db, sim, sent, scopes):
    token = sim.state.add_token({"id": "old"})
    token.plant("scopes", scopes)
    with pytest.raises(vercel_sql.DatabaseError, match=r"Nothing was (sent|changed)"):
        db.execute(f"EXEC {T}.rotate_token @tokenId = 'old'")
    assert not sent("POST")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM {t} WHERE id = '{id}'",
        "DELETE FROM {t} WHERE name = '{name}'",
        "DELETE FROM {t} WHERE name = '{name}' RETURNING id, name, scopes",
        "DELETE FROM {t} AS t WHERE name = '{name}' RETURNING t.id",
        "DELETE FROM {t} WHERE id IN (SELECT id FROM {a} WHERE name = '{name}')",
        "EXEC {t}.rotate_token @tokenId = '{id}', @expiresAt = NULL, @teamId = NULL",
    ],
)
def test_a_write_that_does_not_read_it_is_carried_out(db, exists, one_bad, statement, tmp_path):
    one_bad.set("name", "the odd one")
    db.execute(statement.format(t=T, a=AUDIT, id=one_bad.id, name="the odd one"))
    assert not exists(one_bad.id)


def test_an_expiry_that_cant_be_read_is_not_never(db, here, sim, one_bad):
    flags = "is_expired, never_expires, expires_in_days, expires_at"
    query = f"SELECT {flags} FROM {AUDIT} WHERE id = ?"
    assert db.execute(query, [one_bad.id]).fetchall() == [(None,) * 4]
    reports = here("run", "queries/never_expiring.sql", "-o", "json", sim=sim)
    assert one_bad.id not in reports.out
    assert one_bad.id in reports.err
    works = here("run", "queries/inventory.sql", "-o", "json", sim=sim)
    (row,) = [row for row in json.loads(works.out) if row["id"] == one_bad.id]
    assert row["state"] in ("unreadable", "revoked", "leaked")


@pytest.mark.parametrize(
    ("field", "flags"),
    [
        ("scopes", ["has_user_scope", "has_sudo", "team_count"]),
        ("revokedAt", ["is_revoked"]),
        ("leakedAt", ["is_leaked"]),
        ("createdAt", ["age_days", "never_used"]),
        ("activeAt", ["idle_days", "never_used"]),
    ],
)
def test_flags_about_what_cant_be_read_are_unknown(db, sim, field, flags):
    token = sim.state.add_token({"id": "odd"})
    token.plant(field, b'"\\ud83d"')
    (row,) = db.execute(f"SELECT {', '.join(flags)} FROM {AUDIT} WHERE id = 'odd'").fetchall()
    assert row == (None,) * len(flags)
    (row,) = db.execute(
        f"SELECT {', '.join(flags)} FROM {AUDIT} WHERE name = 'hand-made'"
    ).fetchall()
    assert row == (None,) * len(flags)


# Other rooms


def test_whoami_and_account_say_what_cant_be_read(sim, here):
    sim.state.user["name"] = "Ada \ud83d"
    sim.state.calling_token.plant("expiresAt", b"9223372036854775808")
    sim.state.calling_token.plant("name", HALF)
    team = sim.state.teams[0]
    object.__setattr__(team, "slug", "acme \ud83d")
    ended = here("whoami", sim=sim)
    assert ended.code == 0, ended.err
    assert "never expires" not in ended.out
    assert "expires 9223372036854775808 (not a readable time)" in ended.out
    assert f"(unreadable) ({team.id})" in ended.out
    for named in ("user.user: ", f"teams.teams: id {team.id}: slug", "user_tokens: id"):
        assert named in ended.err
    assert here("whoami", "--strict", sim=sim).code == 1
    as_json = json.loads(here("whoami", "-o", "json", sim=sim).out)
    assert as_json["token"]["expiresAt"] == "9223372036854775808"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "acme \ud83d"),
        ("name", 5),
        ("slug", ["a"]),
        ("created_at", 2**70),
        ("limited_by", ["\udc00"]),
        ("id", 7),
        ("id", None),
    ],
)
def test_a_bad_team_hides_no_other(db, sim, field, value):
    teams = sim.state.teams
    object.__setattr__(teams[2], field, value)
    with pytest.warns(vercel_sql.DataWarning, match=r"teams\.teams: id ") as caught:
        rows = db.execute("SELECT * FROM vercel.teams.teams").fetchall()
    assert len(rows) == len(teams)
    assert len(caught) == 1
    column = {"created_at": "createdAt", "limited_by": "limitedBy"}.get(field, field)
    query = f"SELECT additional_fields FROM vercel.teams.teams WHERE {column} IS NULL"
    kept = [json.loads(rest) for (rest,) in db.execute(query).fetchall() if rest is not None]
    assert [list(rest) for rest in kept] == [[column]]


def test_a_snapshot_takes_all_rows(sim, here, one_bad, tmp_path):
    file = str(tmp_path / "history.duckdb")
    ended = here("snapshot", "--to", file, sim=sim)
    assert ended.code == 0
    assert "31 tokens" in ended.err
    assert f"id {one_bad.id}: expiresAt is text" in ended.err
    one_bad.plant("expiresAt", b"1900000000000")
    assert here("snapshot", "--to", file, sim=sim).code == 0
    changes = here("run", "queries/changes.sql", "--history", file, "-o", "json", sim=sim)
    (row,) = [row for row in json.loads(changes.out) if row["kind"] == "expiry changed"]
    assert (row["before"], row["after"]) == ("someday", "2030-03-17 17:46:40")


@pytest.mark.parametrize(("field", "raw"), [("createdAt", b'"?"'), ("name", HALF), ("id", b"5")])
def test_recover_finds_a_lost_create_whose_row_cant_be_read(db, here, sim, field, raw):
    sim.faults(kind="drop_after", method="POST")
    with pytest.raises(vercel_sql.UnknownOutcomeError):
        db.execute(f"INSERT INTO {T} (name) VALUES ('lost')")
    (made,) = [token for token in sim.state.tokens() if token["name"] == "lost"]
    made.plant(field, raw)
    ended = here("recover", "-o", "json", sim=sim)
    assert ended.code == 3
    (row,) = json.loads(ended.out)
    assert row["outcome"] == "may have been made"
    assert row["id"] == made.id if field != "id" else row["id"].startswith("(unreadable id")
    if field == "id":
        revoked = here("recover", "--revoke", row["id"], "--yes", sim=sim)
        assert "could not be revoked" in revoked.err
        assert revoked.code == 3


def test_an_id_that_cant_be_read_is_nobodys_identity(db, sim):
    query = "SELECT id FROM vercel.user.user"
    raw = '{"user":{"id":NaN,"email":"ada@example.com","username":"ada","name":"Ada"}}'
    sim.faults(kind="body", path="/v2/user", body=raw, times=1)
    assert db.execute(query).fetchall() == [(None,)]
    ((id_,),) = db.execute(query).fetchall()  # no answer to somebody else
    assert id_ is not None
