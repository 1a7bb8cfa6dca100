"""The shell's history: what it keeps, what it never keeps, and that it never gets in the way."""

from __future__ import annotations

import asyncio
import itertools
import os
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vercel_sql.cli.shell.prompt import MaskedHistory
from vercel_sql.manifest import Method, Parameter, vercel
from vercel_sql.redaction import Redactor
from vercel_sql.sql.masking import masked_statement


def entries(history: MaskedHistory) -> list[str]:
    """What a new session finds, the oldest entry first, as prompt_toolkit asks for it."""

    async def load() -> list[str]:
        return [entry async for entry in history.load()]

    return asyncio.run(load())[::-1]


def unmasked(text: str) -> str:
    return text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history"


@pytest.fixture
def history(path: Path) -> MaskedHistory:
    return MaskedHistory(path, unmasked)


PLAIN = [
    "SELECT 1",
    "SELECT id, token FROM vercel.authentication.user_tokens WHERE name = 'ci' -- mine",
    "SELECT * FROM vercel.authentication.user_tokens WHERE tokenId = 'current'",
    "SELECT token.name FROM vercel.authentication.user_tokens WHERE token.origin = 'github'",
    "INSERT INTO vercel.authentication.user_tokens (name, teamId)\nSELECT 'ci', 'team_1'\n"
    "RETURNING bearerToken, token;",
    "DELETE FROM vercel.authentication.user_tokens WHERE id IN ('tok_1', 'tok_2') RETURNING name",
    "EXEC vercel.authentication.user_tokens.email_login @email = 'ada@example.com';",
    "EXEC vercel.authentication.user_tokens.email_login\n"
    '@@json = \'{"email": "{{ email }}", "tokenName": "laptop"}\';',
    "EXEC vercel.oauth.sign_in.authorize_url @client_id = 'cl_1', @redirect_uri = 'http://a/b'",
    "EXEC vercel.oauth.tokens.refresh_tokens @client_id = 'cl', @refresh_token = '{{ token }}'",
    "EXEC vercel.oauth.tokens.refresh_tokens @@json = '{{ everything }}'",
    "INSERT INTO vercel.oauth.tokens (client_id, refresh_token)\n"
    "SELECT '{{ client_id }}', '{{ refresh_token }}';",
    "SELECT active FROM vercel.oauth.introspection WHERE token = $token",
    "SELECT * FROM vercel.oauth.introspection i JOIN leaks l ON i.token = l.access_token",
    "SELECT * FROM errors WHERE code = 'E42' AND state = 'CA'",
    "SELECT strftime(created_at, '%Y') FROM vercel.audit.user_tokens WHERE prefix LIKE 'vcp_%'",
    "SET VARIABLE team = 'team_1'",
    "COPY (FROM vercel.audit.user_tokens) TO 'tokens.csv'",
    "SELEC * FORM vercel.authentication.user_tokens WHERE name = 'ci'",
    "SELECT 'not closed",
    ".mode markdown",
    ".read 'a file.sql'",
    "  ",
    ";;",
    "äöü 🦆 SELECT 'Straße' AS \"Ort\" -- Übergröße\n\n",
]


@pytest.mark.parametrize("text", PLAIN)
def test_what_holds_no_secret_comes_back_exactly(path: Path, text: str) -> None:
    MaskedHistory(path, unmasked).append_string(text)

    assert entries(MaskedHistory(path, unmasked)) == [text]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            "EXEC vercel.authentication.user_tokens.verify_token\n  @token = 'abc', -- it\n"
            "  @email = 'a@b.c';",
            "EXEC vercel.authentication.user_tokens.verify_token\n  @token = '[secret]',\n"
            "  @email = '[secret]';",
        ),
        (
            "EXEC vercel.oauth.tokens.refresh_tokens\n"
            '@@json = \'{"client_id" : "cl_1", "refresh_token":"a\\"bc"}\'',
            "EXEC vercel.oauth.tokens.refresh_tokens\n"
            '@@json = \'{"client_id": "[secret]", "refresh_token": "[secret]"}\'',
        ),
        (
            "INSERT INTO vercel.oauth.tokens (client_id, data__code) VALUES ('a', 'b'), ('c', 'd')",
            "INSERT INTO vercel.oauth.tokens (client_id, data__code) "
            "VALUES ('[secret]', '[secret]'), ('[secret]', '[secret]')",
        ),
        (
            "DELETE FROM vercel.oauth.tokens WHERE token = 'abc' AND client_id = 'cl_1'",
            "DELETE FROM vercel.oauth.tokens WHERE token = '[secret]' AND client_id = '[secret]'",
        ),
        (
            "CREATE SECRET s (TYPE s3, KEY_ID 'abc', SECRET 'def', REGION 'eu')",
            "CREATE SECRET s (TYPE s3, KEY_ID '[secret]', SECRET '[secret]', REGION '[secret]')",
        ),
        ("SET VARIABLE code = 'abc'; SELECT 'abc'", "SET VARIABLE code = '[secret]'; SELECT 'abc'"),
        (
            "INSERT INTO mine (name, api_key) VALUES ('a', 'b')",
            "INSERT INTO mine (name, api_key) VALUES ('[secret]', '[secret]')",
        ),
        (
            "ATTACH 'quack:localhost:9494' AS v (TOKEN 'abc')",
            "ATTACH '[secret]' AS v (TOKEN '[secret]')",
        ),
        (".account --token abc --name x", ".account --token [secret] --name x"),
    ],
)
def test_a_masked_entry_can_be_filled_in_and_run_again(text: str, kept: str) -> None:
    assert masked_statement(text) == kept
    assert masked_statement(kept) == kept


CORE = "Zq7Core"

# A secret as people write one; every part of it that could give it away has the core in it.
WRITTEN = [
    f"'{CORE}'",
    f"'it''s {CORE}'",
    f"e'{CORE}\\'{CORE}'",
    f"$${CORE}$$",
    f"$tag${CORE}'$$ {CORE}$tag$",
    f"'{CORE}'::VARCHAR",
    f"CAST('{CORE}' AS VARCHAR)",
    f"'{CORE}' || '{CORE}'",
    f"'{CORE}'\n'{CORE}'",
    f"concat('{CORE}', lower('{CORE}'))",
    f"('{CORE}')",
    f"/* {CORE} */ '{CORE}' -- {CORE}\n",
    f"-- it's {CORE}\n'{CORE}'",
    f"CASE WHEN true THEN '{CORE}' END",
    f"trim($${CORE}\n{CORE}$$)",
    f'"{CORE}"',
    f"(SELECT '{CORE}')",
    f"X'{CORE}'",
    f"'; {CORE}'",
    f"'--{CORE}'",
    f"'/*{CORE}'",
]

SECRET_PARAMETERS = [
    (method, parameter)
    for resource in vercel().resources()
    for method in resource.methods.values()
    for parameter in method.given
    if parameter.secret
]


def statements(method: Method, parameter: Parameter, value: str) -> list[str]:
    """The statements that could give a value to a parameter."""
    table = f"vercel.{method.resource}"
    service, resource = method.resource.split(".")
    name = parameter.name
    others = [p for p in method.given if p is not parameter]
    columns = ", ".join([*(p.name for p in others), name])
    values = ", ".join([*("'x'" for _ in others), value])
    arguments = "\n".join(f"@{p.name} = 'x'" for p in others)
    call = f"EXEC {table}.{method.name}"
    found = [
        f"{call} @{name} = {value}",
        f"{call}\n@{name.upper()} = {value}\n{arguments}",
        f"exec {table.upper()}.{method.name.upper()}\n{arguments}\n@{name} = {value};",
        f"EXEC {resource}.{method.name} @{name} = {value}",
        f"{call} @{name} = {value} @client_id = 'x'",
        f"EXCE {table}.{method.name} @{name} = {value}",
        f"{call}x @{name} = {value}",
        f"{call} @{name}x = {value}",
        f"{call} {name} = {value}",
        f"EXEC vercel.oauht.{resource}.{method.name} @{name} = {value}",
        f"SELECT * FROM vercel.{service}.{method.name}({name} := {value})",
        f"FROM vercel.{service}.{method.name}({name} => {value})",
        f"CALL vercel.{service}.{method.name}({values})",
        f"PREPARE p AS FROM {method.name}({value})",
        f"CREATE VIEW v AS FROM vercel.{service}.{method.name}({name} := {value})",
        f"SET VARIABLE {name} = {value}",
    ]
    if method.verb == "insert":
        found += [
            f"INSERT INTO {table} ({columns}) SELECT {values}",
            f"INSERT INTO {table} (data__{name}) VALUES ({value}), ({value}) RETURNING *",
            f'INSERT INTO "vercel"."{service}"."{resource}" AS t ("{name}") SELECT {value} AS x',
            f"INSERT INTO {table} BY NAME SELECT {value} AS {name}",
            f"INSERT INTO {table} SELECT {values}",
            f"INSERT INTO {table} ({columns}) SELECT {values} UNION ALL SELECT {values}",
            f"INSERT INTO {resource} ({name}) WITH c AS (SELECT {value} AS v) SELECT v FROM c",
            f"WITH c AS (SELECT {value} AS v) INSERT INTO {table} ({name}) SELECT v FROM c",
        ]
    if method.verb == "delete":
        found += [
            f"DELETE FROM {table} WHERE {name} = {value}",
            f"DELETE FROM {table} AS t WHERE t.{name} IN ({value}, {value})",
            f"DELETE FROM {table} USING (SELECT {value} AS v) u WHERE {name} = u.v",
            f"DELETE FROM {table} WHERE {value} = {name} RETURNING *",
        ]
    if method.verb == "select" and method.required:
        found += [
            f"SELECT * FROM {table} WHERE {name} = {value}",
            f"FROM {table} t WHERE lower(t.{name}) LIKE {value}",
            f"SELECT * FROM {table} WHERE {name} IN ({value}, 'x')",
            f"SELECT * FROM {table} JOIN (SELECT {value} AS v) ON {name} = v",
            f"COPY (FROM {table} WHERE {name} = {value}) TO 'x.csv'",
        ]
    return [*found, *(f"EXPLAIN {each}" for each in found)]


@pytest.mark.parametrize(
    ("method", "parameter"),
    SECRET_PARAMETERS,
    ids=[f"{method.resource}.{method.name}.{secret.name}" for method, secret in SECRET_PARAMETERS],
)
def test_a_secret_argument_is_never_on_disk(
    path: Path, history: MaskedHistory, method: Method, parameter: Parameter
) -> None:
    # Each form of statement with some ways to write the secret, and so each way with some forms.
    ways = itertools.cycle(WRITTEN)
    for text in statements(method, parameter, "VALUE") * 3:
        history.append_string(text.replace("VALUE", next(ways)))

    assert b"[secret]" in path.read_bytes()
    assert CORE.encode() not in b"".join(p.read_bytes() for p in path.parent.iterdir())
    assert not any(CORE in entry for entry in history.get_strings())


@pytest.mark.parametrize(
    "json",
    [
        '{"%s": "CORE"}',
        '{ "client_id":"x" ,\n\t"%s"\n:\n"a CORE"}',
        '{"%s": {"nested": ["CORE"]}}',
        '{"%s": "\\u0041CORE\\"CORE", "x": {{ y }}}',
        '{"%s": "{{ a }}CORE"}',
        '{"%s": "CORE"',
        '{"%s": CORE}',
        '{"%s": "CORE", "%s": "CORE"}',
        '{"client_id": {"%s": "CORE"}}',
        "{'%s': 'CORE'}",
        '["%s", "CORE"]',
    ],
)
@pytest.mark.parametrize("quote", ["'{}'", "$${}$$", "e'{}'", "'{}", "{}"])
def test_a_secret_in_json_is_masked(json: str, quote: str) -> None:
    for method, parameter in SECRET_PARAMETERS:
        text = json.replace("%s", parameter.name).replace("CORE", CORE)
        if quote.startswith("'"):
            text = text.replace("'", "''")
        statement = f"EXEC vercel.{method.resource}.{method.name} @@json = {quote.format(text)}"

        assert CORE not in masked_statement(statement), statement


@given(argument=st.sampled_from(SECRET_PARAMETERS), secret=st.text(min_size=1), data=st.data())
def test_any_text_is_masked(
    argument: tuple[Method, Parameter], secret: str, data: st.DataObject
) -> None:
    literal = "'" + f"{CORE}{secret}{CORE}".replace("'", "''") + "'"
    text = data.draw(st.sampled_from(statements(*argument, literal)))

    assert CORE not in masked_statement(text)


@pytest.mark.parametrize(
    "text",
    [
        f"EXEC vercel.oauth.tokens.revoke_token @token = {CORE}",
        f"EXEC vercel.oauth.tokens.revoke_token @token = {CORE}-{CORE}.x @client_id = 'a'",
        f"EXEC vercel.oauth.tokens.revoke_token @token = '{CORE}",
        f"EXEC vercel.oauth.tokens.revoke_token @token = $${CORE}",
        f"EXCE vercel.oauth.tokns.revoke_tokn @tokn = '{CORE}'",
        f"FROM vercel.oauth.introspction WHERE tokn = '{CORE}'",
        f"SELECT * FROM vercel.oauth.introspection WHERE '{CORE}' = token",
        f"-- EXEC vercel.oauth.tokens.revoke_token @token = '{CORE}'",
        f"SELECT 1 /* token: {CORE} */",
        f"FROM query('FROM vercel.oauth.introspection WHERE token = ''{CORE}''')",
        f"EXECUTE check_it('{CORE}')",
        f"SET VARIABLE my_token = '{CORE}'",
        f"SET VARIABLE code TO '{CORE}'",
        f"SET s3_secret_access_key = '{CORE}'",
        f"CREATE OR REPLACE PERSISTENT SECRET x IN local_file (TYPE quack, TOKEN '{CORE}')",
        f"CREATE SECRET (TYPE http, EXTRA_HTTP_HEADERS MAP {{'Authorization': 'Basic {CORE}'}})",
        f"CREATE SECRET (TYPE quack, TOKEN {CORE})",
        f"CREATE SECRET (TYPE quack, TOKEN '{CORE}'",
        f"ATTACH 'host=a password={CORE} user=b' AS pg (TYPE postgres)",
        f"ATTACH 'postgres://user:{CORE}@host/db' AS pg",
        f"SELECT '{CORE}' AS token",
        f"SELECT {{'token': '{CORE}'}}",
        f"CALL quack_serve('quack:localhost:1', token := '{CORE}')",
        f"SELECT 'vcp_{CORE}'",
        f"SELECT * FROM vca_{CORE}",
        f"SELECT 'eyJhbGciOi.{CORE}.{CORE}'",
        f"SELECT 'https://example.com/callback?code={CORE}&state={CORE}'",
        f".account --token {CORE}",
        f".account --token '{CORE}'",
        f".something token={CORE}",
        f".mode json\nEXEC vercel.oauth.tokens.revoke_token @token = '{CORE}'",
        f".read vcp_{CORE}",
        f"EXEC vercel.oauth.tokens.revoke_token @client_id = 'it's', @token = '{CORE}'",
        f"EXEC vercel.oauth.tokens.revoke_token @client_id = 'it's', @token = '{CORE}'s'",
        f"SELECT 'it's' FROM vercel.oauth.introspection WHERE token = '{CORE}', 'it's'",
        f"SELECT 1;\n.account --token {CORE}\nSELECT 2;",
        f"SELECT 1;\n.read it's\nDELETE FROM vercel.oauth.tokens WHERE token = '{CORE}';",
    ],
)
def test_what_else_looks_secret_is_masked(text: str) -> None:
    assert CORE not in masked_statement(text)


@given(st.text(alphabet="aZ@=(){}[],;:.'\"`$-/*\\ \n\r\t0Eé\u200b\ud800", max_size=40))
def test_any_text_is_taken_and_masked_once(text: str) -> None:
    masked = masked_statement(text)

    assert masked_statement(masked) == masked


def test_the_secrets_that_are_known_are_masked(path: Path) -> None:
    redactor = Redactor()
    redactor.add("horse-battery")
    MaskedHistory(path, redactor.mask).append_string("SELECT 'horse-battery', 'x'")

    assert entries(MaskedHistory(path, unmasked)) == ["SELECT '[secret]', 'x'"]


def test_stored_entries_are_masked_by_any_door(history: MaskedHistory, path: Path) -> None:
    history.store_string(f"SELECT '{CORE}' AS token")

    assert CORE.encode() not in path.read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_only_the_user_may_read_the_file(history: MaskedHistory, path: Path) -> None:
    history.append_string("SELECT 1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    path.chmod(0o644)
    history.append_string("SELECT 2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_made_before_the_first_entry(history: MaskedHistory, path: Path) -> None:
    assert entries(history) == []
    assert not path.parent.exists()


def test_without_a_place_to_write_the_session_still_has_its_history(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    history = MaskedHistory(tmp_path / "file" / "history", unmasked)
    assert entries(history) == []

    history.append_string("SELECT 1")

    assert history.get_strings() == ["SELECT 1"]


def test_a_file_that_is_no_history_is_no_error(history: MaskedHistory, path: Path) -> None:
    path.mkdir(parents=True)

    history.append_string("SELECT 1")

    assert entries(history) == []


def test_the_oldest_entries_are_dropped(history: MaskedHistory, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("".join(f"\n# 2026-01-01\n+SELECT {n};\n+# +--\n" for n in range(10_050)))

    found = entries(history)

    assert len(found) == 10_000
    assert found[0] == "SELECT 50;\n# +--"
    assert found[-1] == "SELECT 10049;\n# +--"
    assert path.read_bytes().count(b"\n# ") < 10_001
    assert entries(MaskedHistory(path, unmasked)) == found


def test_a_huge_paste_is_not_kept(history: MaskedHistory, path: Path) -> None:
    history.append_string("SELECT '" + "x" * 200_000 + "'")

    assert not path.exists()


APPENDING = """
import sys
from vercel_sql.cli.shell.prompt import MaskedHistory

path, name = sys.argv[1:]
history = MaskedHistory(path, str)
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    history.append_string(f"SELECT '{name}',\\n  {number};")
"""


def test_shells_that_share_a_file_do_not_disturb_each_other(path: Path) -> None:
    with ExitStack() as stack:
        shells = []
        for name in "abc":
            shell = subprocess.Popen(
                [sys.executable, "-c", APPENDING, str(path), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(shell.wait, 100)
            stack.callback(shell.kill)
            shells.append(shell)
        for shell in shells:
            assert shell.stdout is not None
            assert shell.stdout.readline() == "ready\n"
        for shell in shells:
            assert shell.stdin is not None
            shell.stdin.write("go\n")
            shell.stdin.flush()
        for shell in shells:
            shell.communicate(timeout=100)
            assert shell.returncode == 0

    found = entries(MaskedHistory(path, unmasked))
    for name in "abc":
        mine = [entry for entry in found if f"'{name}'" in entry]
        assert mine == [f"SELECT '{name}',\n  {number};" for number in range(50)]
    assert len(found) == 150
