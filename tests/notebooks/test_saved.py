"""The notebooks as they are committed: whole, small, without secrets, and true."""

from __future__ import annotations

import ast
import base64
import io
import re
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import duckdb
import matplotlib.image
import nbformat
import pytest

from vercel_sql.simulator import Simulator

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
LOUD = (0xD5, 0x5E, 0x00)
DAY = 86_400_000


@pytest.fixture
def account() -> Simulator:
    """The account of the first two notebooks, which are callers that have made a call."""
    simulator = Simulator(tokens=250, seed=7)
    simulator.state.touch(simulator.state.calling_token)
    return simulator


@pytest.fixture
def in_force(account):
    """The tokens that can be used, with the days since they were made and used; no sessions."""
    now = account.state.clock.now_ms()
    return [
        (token, (now - token["createdAt"]) // DAY, (now - token["activeAt"]) // DAY)
        for token in account.state.tokens()
        if token.is_alive(now) and token["type"] != "token"
    ]


def test_there_are_three():
    assert NAMES == ["1_token_audit", "2_who_must_act", "3_safe_rotation"]


@pytest.mark.parametrize("name", NAMES)
def test_it_was_run_from_top_to_bottom_and_nothing_failed(saved, name):
    notebook = saved(name)
    nbformat.validate(nbformat.reads(notebook.text, as_version=4))
    assert [cell.execution_count for cell in notebook.code] == [
        number for number, _ in enumerate(notebook.code, start=1)
    ]
    outputs = [output for cell in notebook.code for output in cell.outputs]
    assert outputs
    for output in outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
    assert notebook.code[-1].source.endswith("simulator.stop()")


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_nothing_of_the_machine_and_the_time(saved, name):
    notebook = saved(name)
    assert nbformat.reads(notebook.text, as_version=4).metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(cell.metadata == {} for cell in notebook.cells)
    pictures = re.compile(r'"image/png": "[^"]*"')
    assert not re.search(
        r"/tmp|/home|/Users|/root|/work|127\.0\.0\.1|localhost| at 0x|[0-9]T[0-9]{2}:",
        pictures.sub("", notebook.text),
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_no_secret(saved, name, account):
    text = saved(name).text
    assert not re.search(r"\b(vcp|vca|vcr)_\w", text)
    assert not [token for token in account.state.tokens() if token.bearer in text]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_small(saved, name):
    notebook = saved(name)
    assert len(notebook.text.encode()) < 300_000
    for cell in notebook.code:
        for output in cell.outputs:
            text = output.get("text") or output.data["text/plain"]
            assert len(text.splitlines()) < 30, cell.id


@pytest.mark.parametrize("name", NAMES)
def test_what_it_links_to_is_there(saved, name):
    prose = "\n".join(cell.source for cell in saved(name).cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        assert (FOLDER / target).exists(), target


@pytest.mark.parametrize("name", NAMES)
def test_what_it_says_to_install_is_all_that_it_needs(saved, name):
    cells = saved(name).cells
    (command,) = re.findall(r"`pip install (.+?)`", "\n".join(cell.source for cell in cells))
    package = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["project"]
    extra, *others = command.split()
    assert extra == '".[notebook]"'
    required = [*package["dependencies"], *package["optional-dependencies"]["notebook"]]
    installed = {re.match(r"[\w-]+", each)[0] for each in required} | {*others, "vercel_sql"}
    needed = set().union(*(imported_by(cell.source) for cell in saved(name).code))
    assert needed - sys.stdlib_module_names <= installed


def imported_by(source):
    """The packages that a cell needs; its magics are left out."""
    lines = source.splitlines()
    if lines[0].startswith("%%"):
        return set()
    plain = "\n".join("pass" if re.match(r"(\w+ = )?%", line) else line for line in lines)
    found = set()
    for node in ast.walk(ast.parse(plain)):
        match node:
            case ast.Import(names):
                found |= {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(str(module)):
                found.add(module.partition(".")[0])
            case ast.Attribute(attr="df"):
                found.add("pandas")
    return found


@pytest.mark.parametrize("cell", ["idle-plot", "reach-plot", "expiry-plot"])
def test_the_plots_are_drawn(saved, cell):
    (output,) = saved("1_token_audit").outputs(cell)
    picture = base64.b64decode(output.data["image/png"])
    assert 5_000 < len(picture) < 60_000
    pixels = (matplotlib.image.imread(io.BytesIO(picture)) * 255).round().astype(int)
    height, width, _ = pixels.shape
    assert 600 < width < 1000
    assert 250 < height < 600
    # Opaque white paper, so that it can be read in a dark notebook too, and the finding on it.
    assert tuple(pixels[0, 0]) == (255, 255, 255, 255)
    assert ((pixels[:, :, :3] == LOUD).all(axis=2)).sum() > 300


def test_the_audit_counts_what_the_account_holds(saved, account, in_force):
    now = account.state.clock.now_ms()
    assert saved("1_token_audit").table("counts") == [
        {
            "tokens": str(sum(token["type"] != "token" for token in account.state.tokens())),
            "in_force": str(len(in_force)),
            "leaked": str(sum(token.get("leakedAt") is not None for token, _, _ in in_force)),
            "never_used": str(sum(t["activeAt"] <= t["createdAt"] for t, _, _ in in_force)),
            "idle_for_90_days": str(sum(idle > 90 for _, _, idle in in_force)),
            "never_expire": str(sum(t.get("expiresAt") is None for t, _, _ in in_force)),
        }
    ]
    assert any((token.get("expiresAt") or now) < now for token in account.state.tokens())


def test_the_audit_says_what_the_account_holds(saved, in_force):
    notebook = saved("1_token_audit")
    assert "Three tokens" in notebook.prose("counts-say")
    assert sum(token.get("leakedAt") is not None for token, _, _ in in_force) == 3
    stale = [token for token, age, idle in in_force if age > 365 and idle > 90]
    assert "nearly half" in notebook.prose("idle-say")
    assert 0.45 < len(stale) / len(in_force) < 0.5
    worst = notebook.table("worst")
    assert len(worst) == 10
    chosen = [
        (idle, token)
        for token, age, idle in in_force
        if token in stale
        and token.get("expiresAt") is None
        and any(scope["type"] == "user" for scope in token["scopes"])
    ]
    longest = sorted((idle for idle, _ in chosen), reverse=True)[:10]
    assert [int(row["idle_days"]) for row in worst] == longest
    assert {row["id"] for row in worst} <= {token.id[:8] for _, token in chosen}


def test_who_must_act_has_every_token_once_with_its_owner(saved, account, in_force):
    notebook = saved("2_who_must_act")
    (check,) = notebook.table("check")
    assert set(check.values()) == {str(len(in_force) - 1)}  # but the calling one
    with duckdb.connect() as con:
        patterns = con.execute(
            "SELECT token_name, owner FROM read_csv($1)", [str(FOLDER / "data" / "owners.csv")]
        ).fetchall()
    expected: dict[str, int] = {}
    for token, _, _ in in_force:
        if token is not account.state.calling_token:
            owners = [who for pattern, who in patterns if fnmatchcase(token["name"], pattern)]
            assert len(owners) < 2
            (owner,) = owners or ["(nobody)"]
            expected[owner] = expected.get(owner, 0) + 1
    who = notebook.table("who")
    assert {row["owner"]: int(row["tokens"]) for row in who} == expected
    assert who[0]["owner"] == "(nobody)"
    assert "A third of the tokens" in notebook.prose("who-say")
    assert 0.3 < expected["(nobody)"] / sum(expected.values()) < 0.37


def test_who_must_act_names_those_who_have_left(saved):
    notebook = saved("2_who_must_act")
    lines = notebook.table("list")
    assert [row["todo"] for row in lines[:3]] == ["rotate today", "revoke today", "revoke today"]
    assert {row["todo"] for row in lines[3:]} == {"rotate"}
    for person in ("Ines", "Tomás", "Grace"):
        assert person in notebook.prose("nobody-say")
        assert [row for row in notebook.table("nobody") if row["name"].startswith(person)]
        (line,) = [row for row in lines if row["token"].startswith(person)]
        assert line["send_to"] == "(find an owner)"
        assert int(line["deployments"]) > 0
    requests = notebook.printed("explain-shown").splitlines()
    assert ["current" in line for line in requests] == [True, False, False]
    assert "/v2/teams" in requests[2]


def test_the_rotation_ends_with_the_new_token_alone(saved):
    notebook = saved("3_safe_rotation")
    (old,) = notebook.table("find")
    planned = [line.split()[1] for line in notebook.printed("preview").splitlines()]
    assert planned == ["GET", "GET", "POST", "GET", "DELETE"]
    assert "Masked: bearerToken" in notebook.printed("make")
    assert notebook.printed("vault").startswith("mode 0600, with the keys ['at', 'bearerToken'")
    (left,) = notebook.table("after")
    assert left["name"] == "ci deploys, rotated"
    assert left["id"] != old["id"][:8]
    assert left["never_expires"] == "false"


def test_the_calling_token_is_rotated_and_the_connection_goes_on(saved):
    notebook = saved("3_safe_rotation")
    assert "VERCEL_TOKEN" in notebook.printed("own")
    (own,) = notebook.table("own-after")
    assert own["is_current"] == "true"


def test_the_rotation_that_fails_keeps_the_old_token(saved):
    notebook = saved("3_safe_rotation")
    said = notebook.printed("sabotage")
    assert "it was not proven to work" in said
    assert "is as it was" in said
    new, old = notebook.table("sabotaged")
    assert (new["age_days"], old["age_days"]) == ("0", "401")
    assert f"There is a new one, {new['id']}" in said
    (left,) = notebook.table("again-after")
    assert left["age_days"] == "0"


def test_a_step_of_ones_own_comes_before_the_last(saved):
    notebook = saved("3_safe_rotation")
    assert notebook.printed("installed").endswith(": ['TOKEN']\n")
    (left,) = notebook.table("installed-after")
    assert left["name"] == "nightly report, rotated"
