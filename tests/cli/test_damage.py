"""Files of ours that a crash or a bad disk damaged: never the all-clear, and never deleted.

Each file is cut, blanked, emptied, or has a bit of it turned, at many places; then the command
that depends on it runs. It fails, or what it gives is what it gave before the damage.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vercel_sql.auth.login_store import LoginStore, SavedLogin
from vercel_sql.ledger.journal_files import journal_folder

from ..scale import scaled

INSERT = "INSERT INTO vercel.authentication.user_tokens (name) VALUES ('ci')"
CHANGES = str(Path(__file__).parents[2] / "queries" / "changes.sql")
PLACES = scaled(12, 200)


def damages(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The same file, damaged in many ways."""
    chance = random.Random(len(content))
    yield "emptied", b""
    yield "zeros", bytes(len(content))
    for number in range(PLACES):
        length = len(content) * number // PLACES
        yield f"cut at {length}", content[:length]
        yield f"zeros from {length}", content[:length] + bytes(len(content) - length)
        turned = bytearray(content)
        at = chance.randrange(len(content))
        turned[at] ^= 1 << chance.randrange(8)
        yield f"a bit at {at}", bytes(turned)


def check(file: Path, run: Callable[[], tuple[int, str]], fails: tuple[int, ...]) -> int:
    """Damages a file in each way; gives how often the command failed."""
    content, (code, out) = file.read_bytes(), run()
    assert code == 0, out
    failed = 0
    for what, damaged in damages(content):
        file.write_bytes(damaged)
        found = run()
        kept = list(file.parent.glob(f"{file.name}*"))
        assert damaged in [each.read_bytes() for each in kept if each.is_file()], what
        assert found[0] in fails or found == (code, out), (what, found)
        failed += found[0] in fails
        for each in kept:
            if each != file and each.is_file():
                each.unlink()
        file.write_bytes(content)
    return failed


def test_the_journal(here, sim, monkeypatch):
    """What it tells is over; damage makes it open, or unreadable."""
    monkeypatch.setattr("vercel_sql.ledger.journal.tidy", lambda _folder: None)
    monkeypatch.setattr("vercel_sql.ledger.journal._KEPT_SECONDS", 1e9)
    assert here("-c", INSERT, sim=sim).code == 0
    (file,) = journal_folder().glob("*.create")

    def recover() -> tuple[int, str]:
        ended = here("recover", "-o", "json", sim=sim)
        for each in journal_folder().glob("*.damaged"):
            each.rename(each.with_name(f"{file.name}.seen"))
        return ended.code, ended.out

    assert check(file, recover, (3,)) > PLACES


def test_secrets(here, sim, tmp_path):
    file = tmp_path / "secrets"
    for _ in range(3):
        assert here("--save-secrets", str(file), "-c", INSERT, sim=sim).code == 0

    def recover() -> tuple[int, str]:
        ended = here("recover", "-o", "json", sim=sim)
        return ended.code, ended.out

    # Whatever is gone from it or turned in it is seen.
    assert check(file, recover, (3,)) == 2 + 3 * PLACES


@pytest.mark.parametrize("command", ["changes", "snapshot"])
def test_a_history(here, sim, tmp_path, command):
    file = tmp_path / "history.duckdb"
    for _ in range(2):
        assert here("snapshot", "--to", str(file), "--quiet", sim=sim).code == 0
        sim.state.tokens()[3].set("name", "renamed")

    def run() -> tuple[int, str]:
        if command == "changes":
            ended = here("run", CHANGES, "--history", str(file), "-o", "csv", sim=sim)
            return ended.code, ended.out
        copy = tmp_path / "copy.duckdb"
        copy.write_bytes(file.read_bytes())
        copy.chmod(0o600)
        ended = here("snapshot", "--to", str(copy), sim=sim)
        if ended.code:
            assert copy.read_bytes() == file.read_bytes()
        copy.unlink()
        copy.with_name("copy.duckdb.wal").unlink(missing_ok=True)
        return ended.code, ended.out

    assert check(file, run, (1, 2)) > PLACES


def test_a_login(here, sim, tmp_path, monkeypatch):
    """A damaged login is an error, and no other account takes its place in silence."""
    monkeypatch.delenv("VERCEL_TOKEN", raising=False)
    store = LoginStore(sim.url)
    with store.locked():
        urls = {"api_url": sim.url, "oauth_url": sim.url}
        store.write(SavedLogin(kind="token", access_token=sim.token, saved_at=0, **urls))

    def whoami() -> tuple[int, str]:
        ended = here("whoami", "-o", "json", "--api-url", sim.url)
        return ended.code, ended.out

    assert check(store.path, whoami, (1,)) > PLACES
