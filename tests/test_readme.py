"""Every example in the README and in docs/ runs, as it stands there."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import vercel_sql
from vercel_sql.simulator import Simulator

from .absent_tools import without_tools

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def blocks(language: str, pages: list[Path] = PAGES) -> list[str]:
    """The fenced blocks of a language, in order, each once."""
    found: dict[str, None] = {}
    for page in pages:
        lines = iter(page.read_text("utf-8").splitlines())
        for line in lines:
            if line == f"```{language}":
                found["\n".join(iter(lines.__next__, "```"))] = None
    return list(found)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch):
    with Simulator(tokens=60, seed=7) as simulator:
        monkeypatch.setenv("VERCEL_API_URL", simulator.url)
        monkeypatch.setenv("VERCEL_OAUTH_URL", simulator.url)
        monkeypatch.setenv("VERCEL_MARKETPLACE_URL", simulator.marketplace_url)
        monkeypatch.setenv("VERCEL_TOKEN", simulator.token)
        yield simulator


def inserted(table: str, values: dict[str, str]) -> dict[str, str]:
    """The row that an exchange gives."""
    places = ", ".join(f"${name}" for name in values)
    statement = f"INSERT INTO {table} ({', '.join(values)}) SELECT {places}"
    with vercel_sql.connect() as con:
        rows = con.execute(statement, values).arrow().to_pylist()
    return rows[0]


def signed_in(account: Simulator, app: Any, *, exchanged: bool) -> dict[str, str]:
    """What a person's sign-in to an app gives: before the exchange, or after it."""
    asked = {"client_id": app.client_id, "redirect_uri": app.redirect_uris[0]}
    call = "FROM vercel.oauth.authorize_url(client_id := $client_id, redirect_uri := $redirect_uri)"
    with vercel_sql.connect() as con:
        begun = con.execute(call, asked).arrow().to_pylist()[0]
    brought = parse_qs(urlsplit(account.oauth.authorize(begun["url"])).query)
    given = {**asked, "code": brought["code"][0], "code_verifier": begun["code_verifier"]}
    if app.client_secret:
        given["client_secret"] = app.client_secret
    if not exchanged:
        return given
    return {**given, "nonce": begun["nonce"], **inserted("vercel.oauth.tokens", given)}


def installed(account: Simulator, kind: str, scope: str | None = None) -> dict[str, str]:
    """What Vercel sends to an integration, and what the integration knows."""
    app = getattr(account.oauth.clients, kind)
    code = account.oauth.mint_code(kind, scope=scope)
    secret = {"client_id": app.client_id, "client_secret": app.client_secret}
    return {**secret, "code": code.code, "redirect_uri": app.redirect_uris[0]}


def values_for(account: Simulator, sql: str) -> dict[str, str] | None:
    """A value for each placeholder of an example."""
    names = set(re.findall(r"\{\{ (\w+) \}\}", sql))
    calling = account.state.calling_token
    other = next(token for token in account.state.tokens() if token is not calling)
    known = {"email": "ada@example.com", "token_id": other.id}
    if "sso_id_token" in names:
        known = installed(account, "sso")
        known["sso_id_token"] = inserted("vercel.integrations.sso_tokens", known)["id_token"]
        known["issuer"] = account.marketplace_url
    elif "vercel.oauth" in sql:
        clients = account.oauth.clients
        app = clients.confidential if "client_secret" in names else clients.public
        known = signed_in(account, app, exchanged="code" not in names)
    elif "vercel.integrations" in sql:
        known = installed(
            account, "sso" if "sso" in sql else "integration", "openid offline_access"
        )
        if "refresh_token" in names:
            del known["redirect_uri"]
            known |= inserted("vercel.integrations.sso_tokens", known)
    return {name: known[name] for name in names} or None


@pytest.mark.parametrize("sql", blocks("sql"))
def test_sql(account: Simulator, sql: str) -> None:
    given = values_for(account, sql)
    with vercel_sql.connect() as con:
        cursor = con.execute(sql, given)
        assert cursor.fetchall() if cursor.description else cursor.rowcount > 0


@pytest.mark.parametrize("source", blocks("python"))
def test_python(
    account: Simulator,
    source: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(source, "an example", "exec"), {"given": installed(account, "integration")})
    assert capsys.readouterr().out


def commands() -> list[list[str]]:
    """The words of each `vercel-sql` command, without comments and redirections; each once."""
    found: dict[tuple[str, ...], None] = {}
    for line in (line for block in blocks("sh") for line in block.splitlines()):
        words = shlex.split(line.removeprefix("uvx "), comments=True)
        if words[:1] == ["vercel-sql"]:
            found[tuple(words[1 : words.index(">") if ">" in words else None])] = None
    return [list(words) for words in found]


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-c", "from vercel_sql.cli.main import entry_point as e; e()"]
    return subprocess.run(
        [*start, *words],
        cwd=folder,
        env=os.environ | without_tools(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_commands(account: Simulator, tmp_path: Path) -> None:
    (tmp_path / "review.sql").write_text("SELECT 1 AS one; SELECT 2 AS two;")
    # These are started in tests/login, tests/cli/shell and tests/server.
    elsewhere = ([], ["login"], ["logout"], ["shell"], ["serve"], ["run"], ["snapshot"])
    plain = [words for words in commands() if words[:1] not in elsewhere]
    assert sorted(words[0] for words in plain) == ["-c", "-f", "demo", "recover", "whoami"]
    for words in plain:
        done = run(words, tmp_path)
        assert done.returncode == 0
        if words == ["recover"]:
            assert done.stderr == "Nothing was cut off: all creates at this API have ended.\n"
        else:
            assert done.stdout
            assert not done.stderr


def test_reports(account: Simulator, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "queries", tmp_path / "queries")
    reports = [words for words in commands() if words[:1] in (["run"], ["snapshot"])]
    assert len(reports) == 5
    first = next(words for words in reports if words[0] == "snapshot")
    for words in [first, *reports]:
        done = run(words, tmp_path)
        # The simulated account has leaked tokens, which the command makes a failure.
        assert done.returncode == (3 if "--fail-if-rows" in words else 0), done.stderr
    assert sorted(file.name for file in (tmp_path / "reports").iterdir()) == [
        "expiring.html",
        "stale.html",
    ]


def test_the_options_of_login_exist(tmp_path: Path) -> None:
    # That they log in and out is shown in tests/login, where somebody confirms.
    known = run(["login", "--help"], tmp_path).stdout
    options = [w for words in commands() for w in words if words[:1] == ["login"] and w[:2] == "--"]
    assert options == ["--oauth", "--client-id", "--email"]
    assert all(option in known for option in [*options, "--device"])


def test_the_two_commands_are_those_of_ci() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    both = [block for block in blocks("sh", [README]) if block in script]
    assert [block.rpartition(" ")[2] for block in both] == ["demo", "tests/run.py"]


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 180


def links(page: Path) -> list[str]:
    """Where a page links to."""
    return re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


LINKING = [*PAGES, ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_each_link_into_the_repository_leads_somewhere(page: Path) -> None:
    repository = PROJECT["urls"]["Repository"]
    raw = repository.replace("//github.com/", "//raw.githubusercontent.com/") + "/main/"
    for link in links(page):
        path, _, anchor = link.partition("#")
        for start in (f"{repository}/blob/main/", f"{repository}/tree/main/", raw):
            if path.startswith(start):
                target = ROOT / path.removeprefix(start)
                break
        else:
            if "://" in path:
                continue
            # PyPI shows the README, and knows nothing that is relative to it.
            assert page != README, link
            target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_urls_of_the_project_are_of_its_repository() -> None:
    assert all(url.startswith(PROJECT["urls"]["Repository"]) for url in PROJECT["urls"].values())


def test_each_page_is_linked_from_the_readme() -> None:
    linked = {link.rpartition("/")[2] for link in links(README)}
    assert {page.name for page in PAGES if page != README} <= linked


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:tests|docs|queries|vercel_sql)/[\w./-]*)`", page.read_text("utf-8"))
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_the_reference_is_that_of_the_manifest() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "reference.py"))["document"]()
    page = (ROOT / "docs" / "reference.md").read_text("utf-8")
    assert page == written, "python docs/reference.py writes it anew"
