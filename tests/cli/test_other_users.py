"""Two users on one machine: what one of them plants, nothing of the other's is written into.

Whoever runs the tests is the victim. The other user is played by changing owners, which takes
root; without it, only what a user can do to themselves is tried.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pytest

from vercel_sql.auth.login_store import LoginStore
from vercel_sql.files import READABLE, make_private, open_private, read_trusted

from ..scale import SCALE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have no owners there")

IS_ROOT = sys.platform != "win32" and os.geteuid() == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root can play another user")
OTHER = 65534
TABLE = "vercel.authentication.user_tokens"
CREATE = f"INSERT INTO {TABLE} (name) SELECT 'new' RETURNING bearerToken, id"
RENEW = f"EXEC {TABLE}.rotate_token @tokenId = '{{}}', @expiresAt = NULL"
SECRET = "the other's own text\n"


@contextmanager
def other_user(act: Callable[[], None]) -> Iterator[None]:
    """The other user does something meanwhile, in a process of their own, and does not fail."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(OTHER)
            os.setuid(OTHER)
            act()
            code = 0
        finally:
            os._exit(code)
    try:
        yield
    finally:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder in the system's own for temporary files, to which the other user has a way."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder as /tmp is: everybody may put things into it, and take away their own."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.fixture
def plant(tmp_path: Path) -> Callable[[str, Path], Path]:
    """Puts something of the other user's in a place, and gives what must not be written into."""
    mine = tmp_path / "mine"
    mine.write_text(SECRET)
    mine.chmod(0o600)

    def planted(kind: str, place: Path) -> Path:
        if kind == "file":
            place.write_text(SECRET)
            place.chmod(0o600)
            os.chown(place, OTHER, OTHER)
            return place
        if kind == "pipe":
            os.mkfifo(place, 0o600)
        elif kind == "link":
            place.symlink_to(mine)
        elif kind == "dangling link":
            place.symlink_to(tmp_path / "made by following")
        elif kind == "hard link":
            os.link(mine, place)
            return mine
        os.lchown(place, OTHER, OTHER)
        return mine

    return planted


FILES = ["file", "pipe", "link", "dangling link", "hard link"]
OPTIONS = {
    "secrets": lambda path: ["--save-secrets", path, "-c", CREATE],
    "audit log": lambda path: ["--audit-log", path, "-c", CREATE],
    "log": lambda path: ["--log-file", path, "-c", CREATE],
    "history": lambda path: ["snapshot", "--to", path],
}


def untouched(place: Path, tmp_path: Path) -> None:
    if place.is_file():
        assert place.read_text() == SECRET
    assert not (tmp_path / "made by following").exists()


@as_root
@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("option", OPTIONS)
def test_planted_files_are_refused_by_name_and_owner(
    here, sim, tmp_path, shared, plant, option, kind
):
    """In a folder that all may write to, nothing is written into what another has put there."""
    planted = plant(kind, shared / "x.duckdb")
    ended = here(*OPTIONS[option](str(shared / "x.duckdb")), sim=sim)
    assert ended.code in (1, 2), ended
    assert str(shared) in ended.err
    if option != "history":  # which no such folder is safe for, whoever owns the file
        if kind != "hard link":
            assert "nobody" in ended.err or "uid 65534" in ended.err
        assert str(shared / "x.duckdb") in ended.err
    assert ended.err.count("\n") == 1
    assert "Traceback" not in ended.err
    assert [r for r in sim.requests() if r.method == "POST"] == []
    untouched(planted, tmp_path)


@as_root
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", ["folder", "above", "linked", "link in shared", "open"])
def test_planted_folders_are_refused_by_name_and_owner(here, sim, tmp_path, shared, option, kind):
    folder = shared / "folder"
    if kind == "open":
        folder.mkdir()
        folder.chmod(0o777)
    elif kind in ("linked", "link in shared"):
        (tmp_path / "real").mkdir()
        folder.symlink_to(tmp_path / "real")
        if kind == "linked":
            os.lchown(folder, OTHER, OTHER)
    else:
        (folder / "below").mkdir(parents=True)
        os.chown(folder, OTHER, OTHER)
    place = folder / "below" / "x.duckdb" if kind == "above" else folder / "x.duckdb"
    ended = here(*OPTIONS[option](str(place)), sim=sim)
    assert ended.code in (1, 2), ended
    assert str(folder) in ended.err
    whose = "root (uid 0)" if kind in ("open", "link in shared") else "uid 65534"
    assert whose in ended.err
    assert [r for r in sim.requests() if r.method == "POST"] == []
    assert not place.exists()


@as_root
@pytest.mark.parametrize("what", ["state", "journal", "above", "open", "link", "secrets"])
def test_a_state_folder_of_another_is_refused(here, sim, tmp_path, shared, monkeypatch, what):
    """Nothing that makes a secret is sent, and nothing is read of what was planted there."""
    state = shared / "ours" / "state" if what == "above" else shared / "state"
    state.mkdir(parents=True, mode=0o700)
    for folder in {"above": [state.parent], "state": [state]}.get(what, []):
        os.chown(folder, OTHER, OTHER)
    if what == "journal":
        (state / "journal").mkdir(mode=0o700)
        os.chown(state / "journal", OTHER, OTHER)
    elif what == "open":
        state.chmod(0o777)
    elif what == "link":
        state.rename(tmp_path / "elsewhere")
        state.symlink_to(tmp_path / "elsewhere")
        os.lchown(state, OTHER, OTHER)
    elif what == "secrets":
        (state / "secrets.jsonl").touch(0o600)
        os.chown(state / "secrets.jsonl", OTHER, OTHER)
    (old,) = [t.id for t in sim.state.tokens()][-1:]
    statement = RENEW.format(old) if what == "secrets" else CREATE
    monkeypatch.setenv("VERCEL_SQL_STATE_DIR", str(state))
    ended = here("-c", statement, sim=sim)
    assert ended.code == 1, ended
    assert "uid 65534" in ended.err or what == "open"
    assert str(shared) in ended.err
    assert [r for r in sim.requests() if r.method == "POST"] == []
    if what != "secrets":
        recovered = here("recover", sim=sim)
        assert recovered.code == 1, recovered
        assert "uid 65534" in recovered.err or what == "open"
    assert [each for each in state.rglob("*") if each.is_file() and each.stat().st_size] == []


@as_root
@pytest.mark.parametrize("what", ["folder", "login", "lock"])
def test_a_config_folder_of_another_is_refused(here, sim, tmp_path, shared, monkeypatch, what):
    """No login is read from there, none is written there, and no lock empties a file."""
    config = shared / "config"
    monkeypatch.setenv("VERCEL_SQL_CONFIG_DIR", str(config))
    monkeypatch.setenv("VERCEL_API_URL", sim.url)
    path = LoginStore(sim.url).path
    config.mkdir(mode=0o700)
    mine = tmp_path / "mine"
    mine.write_text(SECRET)
    if what == "lock":
        path.with_suffix(".lock").symlink_to(mine)
    else:
        path.write_text("{}")
        path.chmod(0o600)
        os.chown(config if what == "folder" else path, OTHER, OTHER)
    ended = here("logout" if what == "lock" else "whoami")
    assert ended.code == 1, ended
    assert str(config) in ended.err
    assert "it is a link" in ended.err if what == "lock" else "uid 65534" in ended.err
    assert sim.requests() == []
    assert mine.read_text() == SECRET


@as_root
def test_reports_are_not_written_into_what_is_another_s(here, sim, tmp_path, shared):
    query = Path(__file__).parents[2] / "queries" / "never_used.sql"
    (shared / "out").mkdir()
    os.chown(shared / "out", OTHER, OTHER)
    ended = here("run", str(query), "-o", "csv", "--out", str(shared / "out"), sim=sim)
    assert ended.code == 2
    assert f"{shared / 'out'} belongs to" in ended.err
    (shared / "never_used.csv").write_text(SECRET)
    os.chown(shared / "never_used.csv", OTHER, OTHER)
    ended = here("run", str(query), "-o", "csv", "--out", str(shared), sim=sim)
    assert ended.code == 1
    assert "uid 65534" in ended.err
    assert (shared / "never_used.csv").read_text() == SECRET
    assert list((shared / "out").iterdir()) == []
    ended = here("run", str(query), "-o", "json", "--out", str(shared), sim=sim)
    assert ended.code == 0, ended
    assert stat.S_IMODE((shared / "never_used.json").stat().st_mode) == 0o600


@as_root
@pytest.mark.parametrize("kind", FILES)
def test_output_of_the_shell_spares_what_was_planted(tmp_path, shared, plant, kind):
    from vercel_sql.cli.output import Output, Settings

    planted = plant(kind, shared / "out")
    with pytest.raises(OSError, match=r"uid 65534|hard link"):
        Output(Settings(), on_terminal=False).redirect(str(shared / "out"))
    untouched(planted, tmp_path)


@as_root
@pytest.mark.parametrize("kind", ["file", "link", "pipe"])
def test_the_history_of_the_shell_is_neither_read_nor_written(tmp_path, plant, kind):
    from vercel_sql.cli.shell.prompt import MaskedHistory

    (tmp_path / "state").mkdir(mode=0o700)
    planted = plant(kind, tmp_path / "state" / "history")
    history = MaskedHistory(tmp_path / "state" / "history", lambda text: text)
    history.append_string("SELECT 1")
    assert list(history.load_history_strings()) == []
    untouched(planted, tmp_path)


@as_root
@pytest.mark.parametrize("option", ["--token-file", "--server-token-file"])
def test_a_token_that_another_has_put_there_is_not_used(here, sim, shared, option):
    (shared / "token").write_text("vcp_" + "a" * 40)
    (shared / "token").chmod(0o600)
    os.chown(shared / "token", OTHER, OTHER)
    start = {"--token-file": ["-c", f"FROM {TABLE}"], "--server-token-file": ["serve"]}[option]
    ended = here(*start, option, str(shared / "token"), sim=sim)
    assert ended.code in (1, 2)
    assert "uid 65534" in ended.err
    assert str(shared / "token") in ended.err
    assert sim.requests() == []


@as_root
def test_another_user_is_kept_out_of_what_is_made(here, sim, reachable):
    """The other one can read nothing, and has no way to swap it."""
    secrets = reachable / "made" / "secrets"
    make_private(secrets.parent)
    assert here("--save-secrets", str(secrets), "-c", CREATE, sim=sim).code == 0
    assert json.loads(secrets.read_text())["bearerToken"]

    def attack() -> None:
        for act in (
            secrets.read_text,
            lambda: secrets.parent.rename(reachable / "swapped"),
            lambda: os.listdir(secrets.parent),
        ):
            with pytest.raises(PermissionError):
                act()

    with other_user(attack):
        pass


@as_root
def test_what_is_swapped_between_the_look_and_the_use_is_not_written_into(reachable):
    """The other user puts a link or a file of theirs in the place, over and over."""
    mine, place, done = reachable / "mine", reachable / "place", reachable / "done"
    mine.write_text(SECRET)
    mine.chmod(0o600)

    def attack() -> None:
        for count in range(10_000_000):
            if count % 100 == 0 and done.exists():
                return
            with suppress(OSError):
                if count % 2:
                    place.symlink_to(mine)
                else:
                    os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                place.unlink()

    refused = 0
    with other_user(attack):
        for _ in range(2000 * SCALE):
            try:
                handle = open_private(place, os.O_WRONLY | os.O_CREAT)
            except OSError:
                refused += 1
                continue
            assert os.fstat(handle).st_uid == os.geteuid()
            os.write(handle, b"x")
            os.close(handle)
            place.unlink(missing_ok=True)
        done.touch()
    assert refused
    assert mine.read_text() == SECRET


# What is harmless, and goes on working


def test_links_that_are_the_user_s_own_are_followed_on_the_way(tmp_path):
    """A home on another disk, and /tmp of macOS: nobody else can have put or swapped them."""
    (tmp_path / "disk" / "home").mkdir(parents=True)
    (tmp_path / "home").symlink_to("disk/home")
    (tmp_path / "again").symlink_to(tmp_path / "home")
    for way in ("home", "again", "disk/../home", "./again/../home"):
        os.close(open_private(tmp_path / way / "x", os.O_WRONLY | os.O_CREAT))
        make_private(tmp_path / way / "made" / "below")
    made = tmp_path / "disk" / "home"
    assert stat.S_IMODE((made / "x").stat().st_mode) == 0o600
    assert stat.S_IMODE((made / "made" / "below").stat().st_mode) == 0o700


def test_links_in_a_ring_are_an_error(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="too many links"):
        open_private(tmp_path / "a" / "x", os.O_WRONLY | os.O_CREAT)


def test_a_folder_that_others_may_write_to_is_refused_but_a_sticky_one_takes_files(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(OSError, match=r"mode 0777\); run chmod go-w"):
        open_private(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    tmp_path.chmod(0o1777)
    os.close(open_private(tmp_path / "x", os.O_WRONLY | os.O_CREAT))
    with pytest.raises(OSError, match=r"mode 1777\)"):
        make_private(tmp_path)
    tmp_path.chmod(0o700)


@as_root
def test_a_group_of_the_user_alone_is_nobody_else(tmp_path):
    """Many systems give each user such a group, and a umask that lets it write."""
    tmp_path.chmod(0o775)
    os.close(open_private(tmp_path / "x", os.O_WRONLY | os.O_CREAT))
    (tmp_path / "x").chmod(0o664)
    os.close(open_private(tmp_path / "x", os.O_WRONLY, forbidden=READABLE))
    os.chown(tmp_path / "x", 0, OTHER)
    with pytest.raises(OSError, match="mode 0664"):
        open_private(tmp_path / "x", os.O_WRONLY, forbidden=READABLE)
    os.chown(tmp_path, 0, OTHER)
    with pytest.raises(OSError, match="mode 0775"):
        open_private(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    tmp_path.chmod(0o700)


def test_a_token_may_come_by_a_link_and_from_the_shell(command, here, sim, tmp_path):
    """As Kubernetes makes them, and as bash's <(…)."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "token").write_text(sim.token)
    (tmp_path / "token").symlink_to("data/token")
    assert read_trusted(tmp_path / "token")[0] == sim.token.encode()
    query = ["-o", "csv", "-c", f"SELECT count(*) > 0 AS some FROM {TABLE}"]
    ended = here("--token-file", str(tmp_path / "token"), *query, sim=sim)
    assert (ended.code, ended.out, ended.err) == (0, "some\ntrue\n", "")
    stdin, env = sim.token.encode(), {"VERCEL_API_URL": sim.url}
    given = command("--token-file", "/dev/stdin", *query, stdin=stdin, env=env)
    assert (given.code, given.out, given.err) == (0, "some\ntrue\n", "")


def test_a_token_that_others_can_read_is_used_with_a_warning(here, sim, reachable):
    (reachable / "token").write_text(sim.token)
    (reachable / "token").chmod(0o644)
    ended = here("--token-file", str(reachable / "token"), "-c", "SELECT 1", sim=sim)
    assert ended.code == 0
    assert "others may read the token file (mode 0644); run: chmod 600" in ended.err
    (reachable / "token").chmod(0o622)
    ended = here("--token-file", str(reachable / "token"), "-c", "SELECT 1", sim=sim)
    assert ended.code == 2
    assert "others may write it (mode 0622); run chmod go-w on it" in ended.err


def test_a_snapshot_s_folder_is_its_owner_s_alone(here, sim, shared, tmp_path):
    """DuckDB opens the file by its name, and reads a log of changes that it finds beside it."""
    ended = here("snapshot", "--to", str(shared / "h.duckdb"), sim=sim)
    assert ended.code == 1
    assert "others may write to the folder" in ended.err
    assert here("snapshot", "--to", str(tmp_path / "h.duckdb"), sim=sim).code == 0
    with duckdb.connect(str(tmp_path / "h.duckdb"), read_only=True) as con:
        assert con.sql("SELECT count(*) FROM runs").fetchall() == [(1,)]
