"""The shell on a terminal: what is typed and shown, its history, and its log."""

from __future__ import annotations

from .conftest import PLANTED, T

LINES = [
    f"SELECT nix FROM vercel.oauth.introspection WHERE token = '{PLANTED}';",
    f"EXEC {T}.verify_token @token = '{PLANTED}';",
    "EXEC vercel.oauth.tokens.refresh_tokens @@json = "
    f'\'{{"client_id": "cl", "refresh_token": "{PLANTED}"}}\';',
    f"EXPLAIN ANALYZE SELECT 1 FROM vercel.oauth.introspection WHERE token = '{PLANTED}';",
]


def test_what_a_shell_leaves_behind(machine, open_terminal):
    """The person sees what they type, and a new secret once; no file has either."""
    sim = machine.sim
    saved = machine.file("secrets.jsonl")
    arguments = ["shell", "--yes", *machine.options, "--save-secrets", str(saved)]
    env = {**machine.env, "VERCEL_OAUTH_URL": sim.url}
    terminal = open_terminal(*arguments, sim=sim, columns=200, **env)
    terminal.wait_for_prompt()
    for line in LINES:
        terminal.enter(line)
    assert "bearerToken" in terminal.enter(f"INSERT INTO {T} (name) SELECT 'typed';")
    sim.faults(kind="status", status=403, times=None)
    assert "403" in terminal.enter(f"SELECT count(*) FROM {T} WHERE name = 'x';")
    terminal.enter(".requests")
    terminal.press(".exit\r")
    assert terminal.wait_for_end() == 0
    (made,) = [event.bearer for event in sim.history() if event.name == "typed"]
    assert made in saved.read_text()
    assert "[secret]" in (machine.folder("state") / "history").read_text()
    machine.search()
