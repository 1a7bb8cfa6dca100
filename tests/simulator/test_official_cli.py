"""Vercel's own command line works against the simulated API.

This is what shows that the simulated API is not merely what our client expects.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

VERSION = "60.0.0"
NPM = shutil.which("npm")

pytestmark = [
    pytest.mark.timeout(420),
    pytest.mark.skipif(
        NPM is None and not os.environ.get("CI"), reason="npm is missing (CI has to have it)"
    ),
]


def cache() -> Path:
    """Say where the installed command line is kept between runs: outside of the project."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vercel-sql-tests"


@pytest.fixture(scope="session")
def vercel_bin() -> Path:
    """Install the command line, once for all runs; several workers may do it at once."""
    assert NPM is not None, "npm is missing"
    home = cache() / f"vercel-{VERSION}"
    if not home.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache()) as scratch:
            fresh = Path(scratch) / "install"
            fresh.mkdir()
            install = ["install", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(
                [NPM, *install, "--prefix", str(fresh), f"vercel@{VERSION}"],
                check=True,
                capture_output=True,
                timeout=360,
            )
            try:
                fresh.rename(home)  # whole or not at all
            except OSError:
                assert home.exists(), "another worker was faster, or the rename failed"
    return home / "node_modules" / ".bin" / "vercel"


@pytest.fixture
def vercel(vercel_bin, simulator, tmp_path):
    """Run the command line with a home of its own; give what it printed."""

    def run(*arguments: str, code: int = 0) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "VERCEL_TELEMETRY_DISABLED": "1",
            "NO_UPDATE_NOTIFIER": "1",
            "NO_COLOR": "1",
        }
        homes = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
        environment |= dict.fromkeys(homes, str(tmp_path))
        credentials = ["--api", simulator.url, "--token", simulator.token]
        done = subprocess.run(
            [str(vercel_bin), *credentials, *arguments],
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


def calls(simulator):
    assert all(record.token_id for record in simulator.requests())
    assert all(record.acted for record in simulator.requests())
    return [(record.method, record.path) for record in simulator.requests()]


def test_whoami(vercel, simulator):
    assert "ada-example" in vercel("whoami")
    team = simulator.state.find_team("acme")
    assert calls(simulator)[:1] == [("GET", "/v2/user")]
    assert set(calls(simulator)) <= {("GET", "/v2/user"), ("GET", f"/teams/{team.id}")}
    user_agent = simulator.requests()[0].headers["user-agent"]
    assert user_agent.startswith(f"vercel {VERSION} ")


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


def test_its_own_session_lists_and_revokes_and_creates_nothing(vercel, simulator):
    simulator.state.calling_token = simulator.state.find_bearer(simulator.bearer("cli"))
    doomed = simulator.state.add_token({"name": "doomed"})
    assert doomed.id in vercel("tokens", "ls")
    assert doomed.id in vercel("tokens", "rm", doomed.id)
    before = simulator.state.tokens()
    assert "classic personal access token" in vercel("tokens", "add", "x", code=1)
    assert simulator.state.tokens() == before


@pytest.mark.parametrize("kind", ["team", "limited"])
def test_it_explains_the_refusal_of_a_limited_token(vercel, simulator, kind):
    simulator.state.calling_token = simulator.state.find_bearer(simulator.bearer(kind))
    assert "ada-example" in vercel("whoami")
    printed = vercel("tokens", "add", "x", code=1)
    assert 'you must be authenticated to scope "ada-example"' in printed
    assert "full user (account) scope" in printed
