"""No escape sequence that a server sends reaches the terminal of a shell."""

from __future__ import annotations

import pytest

TABLE = "vercel.authentication.user_tokens"

SEQUENCES = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x1b]52;c;cm0gLXJm\x1b\\",
    "\x1bP+q544e\x1b\\",
    "\x9b32m",
    "\x9d0;c\x9c",
    "\x85",
    "\u2028",
    "\u202e",
    "\u2066",
]
"""What the shell itself has no use for."""
ALL = " ".join(["odd", *SEQUENCES])


@pytest.fixture
def hostile(simulate):
    sim = simulate([{"name": ALL, "origin": ALL}, {"name": "to delete"}])
    sim.state.add_token({"id": f"tok_{ALL}", "name": "odd key", "future": {ALL: [ALL]}})
    user = dict.fromkeys(("name", "username", "email"), ALL)
    sim.faults(kind="patch", path="/v2/user", patch={"user": user}, times=None)
    return sim


@pytest.fixture
def shell(open_terminal, hostile):
    terminal = open_terminal(sim=hostile, columns=120)
    terminal.wait_for("simulated odd")
    terminal.wait_for_prompt()
    yield terminal
    found = [sequence for sequence in SEQUENCES if sequence in terminal.raw]
    assert found == []
    assert "Traceback" not in terminal.raw


def test_rows_in_every_mode(shell):
    shell.enter(f"SELECT name, origin, additional_fields FROM {TABLE};")
    for mode in (
        "line",
        "csv",
        "tabs",
        "list",
        "json",
        "insert t",
        "html",
        "latex",
        "box",
        "quote",
    ):
        shell.enter(f".mode {mode}", f"SELECT * FROM {TABLE} WHERE name LIKE 'odd%';")
    assert shell.shows("tok_odd")


def test_questions_and_errors(shell, hostile):
    shell.type(f"DELETE FROM {TABLE} WHERE name LIKE 'odd%' AND id LIKE 'tok%';")
    shell.press("\r")
    shell.wait_for("Go on? [y/N]")
    shell.press("y\r")
    shell.wait_for_prompt()
    hostile.faults(kind="status", path="/v6/user/tokens", status=403, code=ALL, message=ALL)
    shell.enter(f"SELECT * FROM {TABLE};")
    assert shell.shows("403 odd")
    shell.enter(f"EXPLAIN DELETE FROM {TABLE} WHERE origin LIKE 'odd%';")


def test_names_in_completion_and_in_the_catalog(shell):
    shell.enter(
        f"CREATE TABLE made AS PIVOT (SELECT name FROM {TABLE}) ON name USING count(*);",
        ".tables",
        ".schema",
    )
    shell.type("SELECT o")
    shell.press("\t")
    shell.wait_for("odd")
    shell.press("\x03")
    shell.wait_for_prompt()
