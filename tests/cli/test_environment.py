"""Every environment variable that we or our libraries read, in every state that it may be in.

A cell is a variable in a state, and a command. It ends as if the variable had another value or
none, or with one error that names it, and never with an internal error, a library's, or a hang.
Where a variable does not apply, nothing comes of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest

from ..scale import sampled

pytestmark = pytest.mark.skipif(os.name != "posix", reason="cells are forks")

WHO = ("whoami",)
TIMES = (
    "-o",
    "csv",
    "-c",
    "SELECT min(created_at) > '2000-01-01' AS whole FROM vercel.audit.user_tokens",
)
MAKE = ("-o", "csv", "-c", "INSERT INTO vercel.authentication.user_tokens (name) SELECT 'x'")
LOCAL = ("-o", "csv", "-c", "SELECT 42 AS whole")
REMOTE = {"VERCEL_API_URL": "https://api.vercel.invalid"}
LOGGED_OUT = {"VERCEL_TOKEN": None}
WEIRD = (
    "",
    " ",
    "nonsense",
    "-1",
    "0",
    "99999999999999999999",
    "/nowhere",
    "a\tb",
    "é\u2028",
    "%s{}$(x)",
)


@dataclass(frozen=True)
class Cell:
    """A variable in a state: all is well, or an error says `said`."""

    value: str | None
    command: tuple[str, ...] = WHO
    said: tuple[str, ...] = ()
    more: dict[str, str | None] = field(default_factory=dict)
    code: int | None = None
    nobody: bool = False


def all_well(values, *commands, more=None):
    """Cells in which nothing comes of a variable."""
    return [Cell(v, command, more=more or {}) for v in values for command in commands or (WHO,)]


def refused(values, command, *said, more=None, code=1, nobody=False):
    """Cells in which an error names what is wrong."""
    return [Cell(v, command, said, more or {}, code, nobody) for v in values]


SOCKS = ("socks5://127.0.0.1:9", "socks5h://127.0.0.1:9")
BROKEN = ("http://[::", "http://127.0.0.1:port", "ftp://127.0.0.1", "gopher://x", "http://")
GONE = ("http://127.0.0.1:9", "127.0.0.1:9")
FOLDERS = ("VERCEL_SQL_CONFIG_DIR", "VERCEL_SQL_STATE_DIR")


def proxied(name):
    """A proxy's variable: it counts for what is far away alone."""
    return [
        *all_well((*SOCKS, *BROKEN, *GONE, *WEIRD[:4]), WHO),
        *refused(SOCKS, WHO, name, "SOCKS", "socksio", more=REMOTE),
        *refused(BROKEN, WHO, name, "not the URL of a proxy", more=REMOTE),
        *refused(("http://ada:hunter22@[::",), WHO, name, "'[::'", more=REMOTE),
        *refused(GONE, WHO, name, "is set", "refused the connection", more=REMOTE),
        *refused(("", " "), WHO, "can't be resolved", more=REMOTE),
    ]


def certified(name):
    """A variable about certificates: it counts for TLS alone."""
    return all_well(("/nowhere", "", *WEIRD, "/dev/null"), WHO)


VARIABLES = {
    "VERCEL_TOKEN": [
        *refused((None, "", "  "), WHO, "VERCEL_TOKEN", "none was found"),
        *refused(
            ('"{token}"', "'{token}'", '"{token}', "`{token}`"),
            WHO,
            "VERCEL_TOKEN",
            "in quotes",
            code=2,
        ),
        *refused(
            (
                "a b",
                "Bearer {token}",
                "a\nb",
                "tökén",
                "<token>",
                "${{TOKEN}}",
                "%TOKEN%",
                "“{token}”",
            ),
            WHO,
            "VERCEL_TOKEN",
            "no token has",
            code=2,
        ),
        *refused(("vcp_000000000000000000000000",), WHO, "403", "revoked, or it expired"),
        *refused(("x" * 70_000,), WHO, ", 4"),
        *all_well((" {token}\n", "{token}"), WHO),
        *all_well(
            ('"', "a b"), ("--token-file", "{file}", "-c", "SELECT username FROM vercel.user.user")
        ),
        *all_well((None, "", "vcp_000000000000000000000000"), LOCAL),
    ],
    "VERCEL_API_URL": [
        *refused(
            (
                "nonsense",
                "ftp://x",
                "https://",
                "https://a:port",
                "http://api.vercel.com",
                "https://u:hunter22@x",
                "https://x?a=hunter22",
            ),
            WHO,
            "VERCEL_API_URL",
            code=2,
        ),
        *refused(("http://127.0.0.1:9",), WHO, "127.0.0.1:9 refused the connection", "--api-url"),
        *all_well(("nonsense", "http://127.0.0.1:9"), (*WHO, "--api-url", "{url}")),
        *all_well((None, "", "http://127.0.0.1:9"), LOCAL),
    ],
    "VERCEL_OAUTH_URL": [
        *refused(
            ("nonsense", "http://vercel.com", "https://u:hunter22@x"),
            WHO,
            "VERCEL_OAUTH_URL",
            code=2,
        ),
        *all_well(("", None, "http://127.0.0.1:9", " {url} "), WHO),
    ],
    "VERCEL_MARKETPLACE_URL": [
        *refused(
            ("nonsense", "http://vercel.com", "https://u:hunter22@x"),
            WHO,
            "VERCEL_MARKETPLACE_URL",
            code=2,
        ),
        *all_well(("", None, "http://127.0.0.1:9", " {url}/marketplace "), WHO),
    ],
    "VERCEL_SQL_AUDIT_LOG": [
        *all_well((None, "", " ", "relative.jsonl"), WHO),
        *refused(
            ("/", "/dev/null", "/nowhere/x", "/dev/full", "~nobody_there/x"), WHO, "the audit log"
        ),
    ],
    "VERCEL_SQL_KEYRING": all_well(("off", "0", "no", "FALSE", " off ")),
    "VERCEL_SQL_CONFIG_DIR": [
        *all_well((*WEIRD, "/dev/null", "~nobody_there"), WHO, LOCAL),
        *refused(
            ("~nobody_there/x",),
            WHO,
            "VERCEL_SQL_CONFIG_DIR is ~nobody_there/x",
            "home",
            more=LOGGED_OUT,
        ),
        *refused(("/nowhere", "/dev/null/x"), WHO, "none was found", more=LOGGED_OUT),
        *refused(("/dev/null",), ("logout",), "/dev/null", "can't be used", code=1),
    ],
    "VERCEL_SQL_STATE_DIR": [
        *all_well((*WEIRD, "/dev/null", "~nobody_there"), WHO, LOCAL),
        *refused(("~nobody_there/x",), MAKE, "VERCEL_SQL_STATE_DIR is ~nobody_there/x", "home"),
        *refused(
            ("/dev/null", "/dev/null/x", "/proc/x"),
            MAKE,
            "VERCEL_SQL_STATE_DIR",
            "nothing was sent",
        ),
        *refused(("/dev/null",), ("recover",), "/dev/null"),
    ],
    "HOME": [
        *all_well((None, "", "relative", "/nowhere", "/dev/null"), WHO, LOCAL, TIMES),
        *refused(
            (None,),
            WHO,
            "no home directory",
            "HOME is not set",
            nobody=True,
            more=LOGGED_OUT | {"VERCEL_SQL_CONFIG_DIR": None},
        ),
        *refused(
            (None,),
            MAKE,
            "no home directory",
            "VERCEL_SQL_STATE_DIR",
            nobody=True,
            more={"VERCEL_SQL_STATE_DIR": None},
        ),
        *refused(
            (None,),
            ("recover",),
            "no home directory",
            "VERCEL_SQL_STATE_DIR",
            nobody=True,
            more={"VERCEL_SQL_STATE_DIR": None},
        ),
        *refused(
            (None,),
            ("login", "--email", "a@b.c"),
            "no home directory",
            nobody=True,
            more={"VERCEL_SQL_CONFIG_DIR": None},
        ),
        *refused(
            (None,),
            ("logout",),
            "no home directory",
            nobody=True,
            more={"VERCEL_SQL_CONFIG_DIR": None},
        ),
        *refused(("", "relative"), MAKE, "HOME is", more={"VERCEL_SQL_STATE_DIR": None}),
        *refused(
            ("", "relative"), WHO, "HOME is", more=LOGGED_OUT | {"VERCEL_SQL_CONFIG_DIR": None}
        ),
        *refused((None,), ("-f", "~/x.sql"), "~/x.sql", "home directory", nobody=True, code=2),
        *refused(
            (None,), ("--save-secrets", "~/x", *MAKE), "~/x", "home directory", nobody=True, code=2
        ),
        *refused(
            (None,), ("--log-file", "~/x", *MAKE), "~/x", "home directory", nobody=True, code=2
        ),
        *refused(
            (None,), ("--audit-log", "~/x", *MAKE), "~/x", "home directory", nobody=True, code=2
        ),
        *refused((None,), (*WHO, "--token-file", "~/x"), "~/x", "home directory", nobody=True),
        *refused(
            (None,), ("snapshot", "--to", "~/x"), "~/x", "home directory", nobody=True, code=2
        ),
        *refused(
            (None,), ("serve", "--server-token-file", "~/x"), "~/x", "home directory", nobody=True
        ),
        *[Cell(None, command, nobody=True) for command in (WHO, LOCAL, TIMES)],
    ],
    "XDG_STATE_HOME": [
        *all_well(("relative", "~/x", "/nowhere", ""), WHO),
        *refused(
            ("relative", "~/x"),
            MAKE,
            "XDG_STATE_HOME is",
            "not a full path",
            more={"VERCEL_SQL_STATE_DIR": None},
        ),
        *refused(
            ("/dev/null",),
            MAKE,
            "/dev/null",
            "nothing was sent",
            more={"VERCEL_SQL_STATE_DIR": None},
        ),
        *all_well(("relative",), MAKE),
    ],
    "XDG_CONFIG_HOME": [
        *all_well(("relative", "/nowhere", ""), WHO),
        *refused(
            ("relative",),
            WHO,
            "XDG_CONFIG_HOME is relative",
            more=LOGGED_OUT | {"VERCEL_SQL_CONFIG_DIR": None},
        ),
        *refused(
            ("/dev/null",), WHO, "none was found", more=LOGGED_OUT | {"VERCEL_SQL_CONFIG_DIR": None}
        ),
    ],
    "XDG_DATA_HOME": [
        *all_well(WEIRD, WHO),
        *refused(
            ("relative",),
            WHO,
            "XDG_DATA_HOME is relative",
            more=LOGGED_OUT | {"VERCEL_API_URL": None},
        ),
        *refused(
            ("/dev/null", "/nowhere"),
            WHO,
            "none was found",
            more=LOGGED_OUT | {"VERCEL_API_URL": None},
        ),
    ],
    "HTTPS_PROXY": proxied("HTTPS_PROXY"),
    "https_proxy": proxied("https_proxy"),
    "ALL_PROXY": proxied("ALL_PROXY"),
    "HTTP_PROXY": [
        *all_well((*SOCKS, *BROKEN, *GONE, *WEIRD), WHO),
        *refused((*SOCKS, *BROKEN), WHO, "can't be resolved", more=REMOTE),
    ],
    "NO_PROXY": [
        *all_well(("[::", "*", "http://[", "a,,b", *WEIRD), WHO),
        *refused(
            ("*", "vercel.invalid", ".vercel.invalid"),
            WHO,
            "can't be resolved",
            more=REMOTE | {"HTTPS_PROXY": "socks5://x"},
        ),
        *refused(
            ("[::", "", "other.invalid", "http://["),
            WHO,
            "SOCKS",
            more=REMOTE | {"HTTPS_PROXY": "socks5://x"},
        ),
    ],
    "SSL_CERT_FILE": [
        *certified("SSL_CERT_FILE"),
        *refused(("/nowhere", "relative"), WHO, "SSL_CERT_FILE is", "No such file", more=REMOTE),
        *refused(
            ("/dev/null", "{file}"), WHO, "SSL_CERT_FILE is", "no certificate in it", more=REMOTE
        ),
        *refused(("/",), WHO, "SSL_CERT_FILE is /", more=REMOTE),
        *refused(("{pipe}",), WHO, "SSL_CERT_FILE is", "which is a named pipe", more=REMOTE),
        *refused(("", " "), WHO, "can't be resolved", more=REMOTE),
    ],
    "SSL_CERT_DIR": [
        *certified("SSL_CERT_DIR"),
        *refused(
            ("/nowhere", "relative", "/dev/null"),
            WHO,
            "SSL_CERT_DIR is",
            "not a directory",
            more=REMOTE,
        ),
        *refused(("", "/", "/nowhere:/"), WHO, "can't be resolved", more=REMOTE),
    ],
    "SSLKEYLOGFILE": [
        *certified("SSLKEYLOGFILE"),
        *refused(("/nowhere/x", "/"), WHO, "SSLKEYLOGFILE is", more=REMOTE),
        *refused(("{pipe}",), WHO, "SSLKEYLOGFILE is", "which is a named pipe", more=REMOTE),
        *refused(("",), WHO, "can't be resolved", more=REMOTE),
    ],
    "REQUESTS_CA_BUNDLE": certified("REQUESTS_CA_BUNDLE"),
    "PYTHON_KEYRING_BACKEND": [
        Cell(v, WHO, ("none was found",), LOGGED_OUT | {"VERCEL_SQL_KEYRING": None}, 1)
        for v in (
            "",
            "nope",
            "nope.nope.Nope",
            "keyring.backends.null.Keyring",
            "keyring.backends.fail.Keyring",
            "os.path",
        )
    ],
    "DBUS_SESSION_BUS_ADDRESS": [
        Cell(v, WHO, ("none was found",), LOGGED_OUT | {"VERCEL_SQL_KEYRING": None}, 1)
        for v in (
            "",
            "nonsense",
            "unix:path=/nowhere",
            "unix:path=/dev/null",
            "tcp:host=127.0.0.1,port=9",
        )
    ],
    "TZ": all_well(
        (
            None,
            "",
            ":",
            "UTC",
            ":UTC",
            "Nowhere/Foo",
            "Etc/Unknown",
            "PST8PDT",
            "EST5EDT,M3.2.0,M11.1.0",
            "/nowhere",
            "<+03>-3",
            *WEIRD,
        ),
        TIMES,
    ),
    "COLUMNS": all_well((None, *WEIRD), ("-c", "SELECT 42 AS whole"), ("demo",)[:0] or LOCAL),
    "LINES": all_well(WEIRD, LOCAL),
    "TERM": all_well((None, "dumb", *WEIRD), LOCAL),
    "NO_COLOR": all_well(("1", *WEIRD), LOCAL),
    "LC_ALL": all_well(("C", "xx_YY", "tr_TR.UTF-8", *WEIRD), TIMES),
    "TMPDIR": [
        *all_well(
            (None, "", "relative", "/nowhere", "/dev/null", "/proc"), LOCAL, TIMES, ("demo",)
        ),
        *all_well(("/nowhere",), ("snapshot", "--quiet", "--to", "{folder}/{number}.duckdb")),
    ],
    "BROWSER": [
        Cell(
            v,
            ("login", "--oauth", "--client-id", "cl_x", "--port", "0", "--timeout", "1"),
            ("nobody signed in within 1 s",),
            {"VERCEL_OAUTH_URL": "{url}"},
            1,
        )
        for v in ("", "/nowhere", "nonsense %s", "%s", "'")
    ],
    "PATH": [
        Cell(
            v,
            ("login", "--oauth", "--client-id", "cl_x", "--port", "0", "--timeout", "1"),
            ("nobody signed in within 1 s",),
            {"VERCEL_OAUTH_URL": "{url}"},
            1,
        )
        for v in (None, "", "/nowhere")
    ],
    "WEB_CONCURRENCY": all_well(("", "abc", "0"), ("demo",)),
    "FORWARDED_ALLOW_IPS": all_well(("", ":::", "abc"), ("demo",)),
    **{
        name: all_well(("1", "", "false", *WEIRD[3:6]), LOCAL)
        for name in ("CI", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")
    },
}
CELLS = [(name, cell) for name, cells in VARIABLES.items() for cell in cells]


@pytest.fixture(scope="module")
def account():
    from vercel_sql.simulator import Simulator

    with Simulator(3) as sim:
        yield sim


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_in_every_state(forge, account, tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("cells")
    file = folder / "token"
    file.write_text(account.token)
    file.chmod(0o600)
    os.mkfifo(folder / "pipe")
    folder.chmod(0o755)
    for number, cell in enumerate(sampled(VARIABLES[name], 3, name)):
        known = {
            "token": account.token,
            "url": account.url,
            "file": file,
            "folder": folder,
            "pipe": folder / "pipe",
            "number": number,
        }

        def fill(text, known=known):
            for key, value in known.items():
                text = text.replace(f"{{{key}}}", str(value))
            return text

        variables = {name: cell.value, **cell.more}
        given = {key: fill(v) if v is not None else None for key, v in variables.items()}
        ended = forge(*map(fill, cell.command), sim=account, env=given, nobody=cell.nobody)
        told = (name, cell, ended)
        assert "internal error" not in ended.err, told
        assert "Traceback" not in ended.err, told
        assert "hunter22" not in ended.err + ended.out, told
        assert ended.code == (cell.code or 0), told
        if cell.code:
            last = ended.err.splitlines()[-1]
            assert last.startswith("vercel-sql"), told
            assert all(fill(said) in ended.err for said in cell.said), told
        elif cell.command in (TIMES, LOCAL):
            assert ended.out in ("whole\ntrue\n", "whole\n42\n"), told
        else:
            assert ended.out or "--quiet" in cell.command or "--to" in cell.command, told
        if cell.command in (MAKE,) and cell.code:
            assert not [r for r in account.requests() if r.method == "POST"], told
        account.clear_requests()
