"""Errors are wrapped at the terminal's width, and nothing in them that is copied is broken."""

from __future__ import annotations

import re
import subprocess

import pytest

from .conftest import PATIENCE, environment, popen
from .test_terminal import PROGRESS, on_a_terminal

TABLE = "vercel.authentication.user_tokens"
INSERT = f"INSERT INTO {TABLE} (name) SELECT 'a'"
WIDTHS = pytest.mark.parametrize("width", [80, 120])
MESSAGES = {
    "usage": ["-c", "SELECT 1", "--param", f"{'long' * 30}=1", "--param", f"{'long' * 30}=2"],
    "missing": ["-f", f"/nowhere/{'folder/' * 16}statements.sql"],
    "refused": ["--max-writes", "0", "-c", INSERT],
}


def on_a_wide_terminal(arguments, width, sim):
    """What stands on a terminal of this width, whose lines the terminal itself does not break."""
    code, screen, _ = on_a_terminal(arguments, width, sim, apart=True)
    assert code in (1, 2)
    return PROGRESS.sub("", screen).rstrip("\n")


@WIDTHS
@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_the_same_in_more_lines(sim, message, width):
    arguments = MESSAGES[message]
    with popen(arguments, environment(sim), stdout=-1, stderr=-1) as process:
        piped = process.communicate(timeout=PATIENCE)[1].decode().rstrip("\n")
    first, *more = on_a_wide_terminal(arguments, width, sim).split("\n")

    assert max(map(len, piped.split("\n"))) > width, "the message is too short to show anything"
    for line in (first, *more):
        assert len(line) <= width or " " not in line.strip()
    assert all(line.startswith("    ") for line in more if "--help lists" not in line)
    assert " ".join([first, *map(str.strip, more)]) == " ".join(piped.split())


@WIDTHS
def test_ids_urls_and_statements_to_paste_are_whole(simulate, width):
    sim = simulate(0)
    sim.faults({"kind": "drop_after", "method": "POST"})
    screen = on_a_wide_terminal(["-c", INSERT], width, sim)
    (made,) = [t["id"] for t in sim.state.tokens() if t["name"] == "a"]
    lines = screen.split("\n")

    assert f"DELETE FROM {TABLE} WHERE id = '{made}'" in map(str.strip, lines)
    assert any(f"{sim.url}/v3/user/tokens" in line for line in lines)
    assert any(re.search(rf"\b{made} \(", line) or line.endswith(made) for line in lines)


def test_a_url_that_is_longer_than_the_terminal_is_whole(sim):
    url = f"http://127.0.0.1:9/an/api/{'x' * 80}"
    assert f"{url}/v6/" in on_a_wide_terminal(["--api-url", url, "-c", f"FROM {TABLE}"], 80, sim)


@WIDTHS
def test_where_duckdb_points_at_stays_in_its_place(sim, width):
    sql = f"SELECT nope, {', '.join(map(str, range(60)))} FROM range(3)"
    *_, line, pointer = on_a_wide_terminal(["-c", sql], width, sim).split("\n")
    assert line[pointer.index("^") :].startswith("nope")


def test_what_is_piped_is_not_wrapped(sim):
    with popen(MESSAGES["refused"], environment(sim), stderr=subprocess.PIPE) as process:
        said = process.communicate(timeout=PATIENCE)[1].decode()
    assert said.count("\n") == 1
    assert len(said) > 120
