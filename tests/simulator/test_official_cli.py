"""Vercel's own command line works against the simulated API.

This is what shows that the simulated API is not merely what our client expects.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import duckdb
import pytest

from vercel_sql.simulator import OAuthClient

from ..scale import SCALE

VERSIONS = {
    "60.0.0": {},
    "64.0.2": {"sandbox": "4.5.0"},  # it asks for one that npm does not have
}
"""The versions, each with what npm needs in place of what they ask for; the last is the newest."""

NEWEST = [*VERSIONS][-1]
of_the_newest = pytest.mark.parametrize(
    "version", VERSIONS if SCALE > 1 else [NEWEST], indirect=True, scope="session"
)
"""What starts the command line many times: the older versions do so in the long form."""

LEAD_HERE = Path(__file__).parent / "lead_here.cjs"
CLIENT_ID = "cl_HYyOPBNtFMfHhaUn9L4QPfTZz6TP47bp"
HOMES = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
NPM = shutil.which("npm")

pytestmark = [
    pytest.mark.timeout(420),
    pytest.mark.skipif(
        NPM is None and not os.environ.get("CI"), reason="npm is missing (CI has to have it)"
    ),
    pytest.mark.skipif(duckdb.__version__ < "2", reason="DuckDB has no part in it: once will do"),
]


def cache() -> Path:
    """Say where the installed command lines are kept between runs: outside of the project."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vercel-sql-tests"


@pytest.fixture(scope="session", params=VERSIONS)
def version(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def vercel_bin(version) -> Path:
    """Install the command line, once for all runs; several workers may do it at once."""
    assert NPM is not None, "npm is missing"
    home = cache() / f"vercel-{version}"
    if not home.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache()) as scratch:
            fresh = Path(scratch) / "install"
            fresh.mkdir()
            wanted = {"dependencies": {"vercel": version}, "overrides": VERSIONS[version]}
            (fresh / "package.json").write_text(json.dumps({"private": True, **wanted}))
            done = subprocess.run(
                [NPM, "install", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=fresh,
                check=False,
                capture_output=True,
                text=True,
                timeout=360,
            )
            if done.returncode:
                pytest.skip(f"npm can't install vercel@{version}: {done.stderr.strip()[-300:]}")
            try:
                fresh.rename(home)  # whole or not at all
            except OSError:
                assert home.exists(), "another worker was faster, or the rename failed"
    return home / "node_modules" / ".bin" / "vercel"


@pytest.fixture
def start_vercel(vercel_bin, simulator, tmp_path):
    """Start the command line with a home of its own, signed in or not."""
    variables = {
        "PATH": os.environ["PATH"],
        "VERCEL_TELEMETRY_DISABLED": "1",
        "NO_UPDATE_NOTIFIER": "1",
        "NO_COLOR": "1",
        "NODE_OPTIONS": f'--require "{LEAD_HERE}"',
        "SIMULATED_VERCEL": simulator.url,
        **dict.fromkeys(HOMES, str(tmp_path)),
    }

    def start(*arguments: str, token: str | None) -> subprocess.Popen[str]:
        credentials = ["--api", simulator.url, *(["--token", token] if token else [])]
        return subprocess.Popen(
            [str(vercel_bin), *credentials, *arguments],
            env=variables,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def vercel(start_vercel, simulator):
    """Run the command line, with the account's token or its own login; give what it printed."""

    def run(*arguments: str, is_signed_in: bool = False, fails: bool = False) -> str:
        with start_vercel(*arguments, token=None if is_signed_in else simulator.token) as process:
            try:
                printed, errors = process.communicate(timeout=60)
            finally:
                process.kill()
        assert (process.returncode != 0) is fails, errors
        assert "asked elsewhere" not in errors
        return printed + errors

    return run


def calls(simulator):
    assert all(record.token_id for record in simulator.requests())
    assert all(record.acted for record in simulator.requests())
    return [(record.method, record.path) for record in simulator.requests()]


def test_whoami(vercel, version, simulator):
    assert "ada-example" in vercel("whoami")
    team = simulator.state.find_team("acme")
    assert calls(simulator)[:1] == [("GET", "/v2/user")]
    assert set(calls(simulator)) <= {("GET", "/v2/user"), ("GET", f"/teams/{team.id}")}
    user_agent = simulator.requests()[0].headers["user-agent"]
    assert user_agent.startswith(f"vercel {version} ")


def test_teams_ls(vercel, simulator):
    printed = vercel("teams", "ls")
    for team in simulator.state.teams:
        plan = "" if team.limited_by else team.plan
        line = rf"{team.slug} +{team.name or ''} +{plan} *"
        assert re.search(line, printed), printed
    assert calls(simulator)[-1] == ("GET", "/v2/teams")


def test_api(vercel, simulator):
    printed = vercel("api", "/v2/user")
    assert json.loads(printed[printed.index("{") :]) == {"user": simulator.state.user}


@of_the_newest
def test_login_switch_and_logout(vercel, start_vercel, simulator):
    simulator.oauth.clients.add(OAuthClient("app", CLIENT_ID, "Vercel CLI", reads=True))
    simulator.oauth.devices.interval_seconds = 0.2
    with start_vercel("login", token=None) as process:
        try:
            for line in process.stderr:
                if (found := re.search(r"user_code=(\S+)", line)) is not None:
                    simulator.oauth.devices.answer(found[1], approve=True)
                    break
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    assert "You are now signed in" in errors
    token = next(each for each in simulator.state.tokens() if each["name"] == "Vercel CLI")
    assert token.bearer.startswith("vca_")
    assert "ada-example" in vercel("whoami", is_signed_in=True)
    assert "Bright Labs (bright-labs) is now active" in vercel(
        "switch", "bright-labs", is_signed_in=True
    )
    assert token.id in vercel("tokens", "ls", is_signed_in=True)
    assert "Logged out" in vercel("logout", is_signed_in=True)
    assert not simulator.state.holds(token)
    simulator.clear_requests()
    vercel("whoami", is_signed_in=True, fails=True)
    assert simulator.requests() == []


def test_tokens_ls(vercel, simulator):
    printed = vercel("tokens", "ls")
    page = simulator.state.tokens()[:20]
    for token in page:
        assert token.id in printed
        assert token["name"].strip() in printed
    assert simulator.state.tokens()[20].id not in printed
    assert calls(simulator)[-1] == ("GET", "/v6/user/tokens")


def test_tokens_ls_of_a_next_page(vercel, simulator, api):
    first = api.get("/v6/user/tokens", params={"limit": 12}).json()
    cursor = str(first["pagination"]["next"])
    printed = vercel("tokens", "ls", "--limit", "12", "--next", cursor)
    asked = dict(simulator.requests()[-1].query)
    assert asked == {"limit": "12", "until": cursor}
    listed = re.findall(r"\b[0-9a-f]{64}\b", printed)
    assert set(listed) == {token.id for token in simulator.state.token_page(12, cursor).rows}


def test_tokens_add(vercel, simulator, connect):
    printed = vercel("tokens", "add", "made by the cli")
    token = simulator.state.tokens()[0]
    assert token["name"] == "made by the cli"
    assert token.bearer in printed
    assert token.id in printed
    assert calls(simulator)[-1] == ("POST", "/v3/user/tokens")
    assert simulator.requests()[-1].body == {"name": "made by the cli"}
    assert connect(simulator, token.bearer).get("/v2/user").status_code == 200


def test_tokens_rm(vercel, simulator):
    token = simulator.state.add_token({"name": "doomed"})
    assert token.id in vercel("tokens", "rm", token.id)
    assert calls(simulator)[-1] == ("DELETE", f"/v3/user/tokens/{token.id}")
    assert simulator.state.find_token(token.id) is None


@of_the_newest
def test_its_own_session_lists_and_revokes_and_creates_nothing(vercel, simulator):
    simulator.state.calling_token = simulator.state.find_bearer(simulator.bearer("cli"))
    doomed = simulator.state.add_token({"name": "doomed"})
    assert doomed.id in vercel("tokens", "ls")
    assert doomed.id in vercel("tokens", "rm", doomed.id)
    before = simulator.state.tokens()
    assert "classic personal access token" in vercel("tokens", "add", "x", fails=True)
    assert simulator.state.tokens() == before


@of_the_newest
@pytest.mark.parametrize("kind", ["team", "limited"])
def test_it_explains_the_refusal_of_a_limited_token(vercel, simulator, kind):
    simulator.state.calling_token = simulator.state.find_bearer(simulator.bearer(kind))
    assert "ada-example" in vercel("whoami")
    printed = vercel("tokens", "add", "x", fails=True)
    assert 'you must be authenticated to scope "ada-example"' in printed
    assert "full user (account) scope" in printed
