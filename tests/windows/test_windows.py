"""The doors on Windows' file calls, each in a process that refuses what Windows refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vercel_sql.cli.history import holder

TABLE = "vercel.authentication.user_tokens"
CREATE = f"INSERT INTO {TABLE} (name) SELECT 'made' RETURNING bearerToken, id"
QUERIES = Path(__file__).parents[2] / "queries"
PATIENCE = 100
_BEGIN = "import sys; sys.path.insert(0, {folder!r}); import emulation; emulation.install()\n"
_COMMAND = "from vercel_sql.cli.main import entry_point; entry_point()"


class Machine:
    """Runs the command, and programs, where the file calls are those of Windows."""

    def __init__(self, sim, folder):
        self.folder = folder
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "VERCEL_TOKEN": sim.token,
            "VERCEL_API_URL": sim.url,
            "VERCEL_OAUTH_URL": sim.url,
            "VERCEL_SQL_KEYRING": "off",
            "VERCEL_SQL_STATE_DIR": str(folder / "state"),
            "VERCEL_SQL_CONFIG_DIR": str(folder / "config"),
        }

    def start(self, program, *arguments):
        code = _BEGIN.format(folder=str(Path(__file__).parent)) + textwrap.dedent(program)
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self, process, stdin=None):
        try:
            out, err = process.communicate(stdin, timeout=PATIENCE)
        finally:
            process.kill()
        assert "internal error" not in err
        assert "Traceback" not in err, err
        return process.returncode, out, err

    def command(self, *arguments):
        return self.ended(self.start(_COMMAND, *arguments))

    def program(self, text):
        code, out, err = self.ended(self.start(text))
        assert (code, err) == (0, "")
        return out


@pytest.fixture
def machine(sim, tmp_path):
    return Machine(sim, tmp_path)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_token_is_made_saved_noted_and_rotated(machine, tmp_path, sim):
    options = ["--save-secrets", "s.jsonl", "--audit-log", "a.jsonl", "--log-file", "l.log"]
    for _ in range(2):
        code, out, err = machine.command("-o", "json", *options, "-c", CREATE)
        assert (code, err) == (0, "")
    id_ = json.loads(out)[0]["id"]
    rotate = f"EXEC {TABLE}.rotate_token @tokenId = '{id_}'"
    code, _, err = machine.command(*options, "-c", rotate)
    assert (code, err) == (0, "")
    assert len(lines(tmp_path / "s.jsonl")) == 3
    assert {line["method"] for line in lines(tmp_path / "a.jsonl")} >= {"create_auth_token"}
    assert sim.state.find_token(id_) is None
    # Nothing is left in the journal that nobody needs.
    assert not list((tmp_path / "state" / "journal").glob("*.alive"))
    assert not list((tmp_path / "state" / "journal").glob("*.new"))


def test_a_create_that_was_cut_off_is_recovered(machine, sim, tmp_path):
    code, out, err = machine.command("recover")  # without a journal, too
    assert (code, out) == (0, "")
    assert "Nothing was cut off" in err
    sim.faults(kind="drop_after", method="POST")
    program = f"""
        import os, vercel_sql
        from vercel_sql.ledger import journal
        con = vercel_sql.connect()
        journal.PendingCreate.unknown = lambda *_, **__: os._exit(9)  # as if it were killed
        con.execute("INSERT INTO {TABLE} (name) SELECT 'lost' RETURNING bearerToken")
    """
    code, _, err = machine.ended(machine.start(program))
    assert (code, err) == (9, "")
    assert len(list((tmp_path / "state" / "journal").glob("*.alive"))) == 1
    code, out, err = machine.command("recover", "-o", "json")
    assert code == 3
    assert "lost" in out + err


def test_a_create_that_goes_on_is_left_in_peace(machine, tmp_path):
    program = f"""
        import vercel_sql
        import vercel_sql.ledger.journal as journals
        original = journals.journal
        class Paused:
            def begin(self, **about):
                create = original().begin(**about)
                print("begun", flush=True)
                input()
                return create
        journals.journal = Paused
        con = vercel_sql.connect()
        con.execute("INSERT INTO {TABLE} (name) SELECT 'slow' RETURNING bearerToken").fetchall()
        con.close()
    """
    process = machine.start(program)
    assert process.stdout.readline() == "begun\n"
    code, out, _ = machine.command("recover", "-o", "json")
    assert (code, json.loads(out or "[]")) == (0, [])
    assert machine.ended(process, "\n")[0] == 0


def test_two_processes_share_a_secrets_file(machine, tmp_path):
    program = """
        from pathlib import Path
        from vercel_sql.ledger.secrets_file import SecretsFile
        from vercel_sql.ledger import secrets_file
        secrets_file.note_length = lambda *_: None  # the journal's files are another matter
        file = SecretsFile(Path("s.jsonl"))
        for number in range(100):
            file.append("r", "m", {"n": number, "padding": "x" * 500}, create="c")
    """
    processes = [machine.start(program) for _ in range(3)]
    for process in processes:
        assert machine.ended(process) == (0, "", "")
    assert len(lines(tmp_path / "s.jsonl")) == 300


@pytest.mark.parametrize("form", ["csv", "json", "parquet", "xlsx", "html"])
def test_reports_are_written_and_replaced(machine, tmp_path, form):
    arguments = ["run", str(QUERIES / "inventory.sql"), "-o", form, "--out", "reports"]
    for _ in range(2):
        assert machine.command(*arguments, "--quiet") == (0, "", "")
    (report,) = (tmp_path / "reports").iterdir()
    before = report.read_bytes()
    assert before
    with report.open("rb"):  # as a spreadsheet has it
        code, _, err = machine.command(*arguments)
        assert (code, report.read_bytes()) == (1, before)
        assert f"{report.name} can't be written: The process cannot access the file" in err
    assert list((tmp_path / "reports").iterdir()) == [report]


def test_a_history_takes_snapshots(machine):
    for number in ("1", "2"):
        code, _, err = machine.command("snapshot", "--to", "history.duckdb")
        assert code == 0, err
        assert f"run {number}" in err
    code, _, err = machine.command(
        "run", str(QUERIES / "changes.sql"), "--history", "history.duckdb"
    )
    assert (code, err) == (0, "")


def test_windows_says_otherwise_that_a_history_is_open():
    said = "The process cannot access the file because it is being used by another process."
    assert holder(f'IO Error: Cannot open file "h.duckdb": {said}') == "another process"
    where = "File is already open in \nC:\\Python\\python.exe (PID 4242)"
    assert holder(f'IO Error: Cannot open file "h.duckdb": {said}\n\n{where}') == "process 4242"


def test_a_login_is_saved_renewed_and_forgotten(machine):
    out = machine.program(
        """
        from vercel_sql.auth.login_store import LoginStore, SavedLogin
        store = LoginStore("https://api.example.com")
        login = dict(kind="token", saved_at=0, api_url=store.api_url, oauth_url="https://example.com")
        for token in ("vcp_one", "vcp_two"):
            with store.locked():
                store.require_writable()
                store.write(SavedLogin(access_token=token, **login))
        print(store.read()[0].access_token)
        with store.locked():
            store.forget()
        print(store.read())
        """
    )
    assert out == "vcp_two\nNone\n"


def test_a_reader_of_a_moment_does_not_hinder_a_write(machine):
    out = machine.program(
        """
        import threading, time
        from pathlib import Path
        from vercel_sql import files
        new, old = Path("new"), Path("old")
        for act in (lambda: files.replace(new, old), lambda: files.remove(old)):
            new.write_text("new")
            old.write_text("old")
            reader = open(old)
            threading.Timer(0.3, reader.close).start()
            act()
            print(old.exists() and old.read_text())
        old.write_text("old")
        reader = open(old)
        try:
            files.remove(old)
        except PermissionError:
            print("still open")
        """
    )
    assert out == "new\nFalse\nstill open\n"


def test_files_of_mode_0666_are_no_reproach(machine, tmp_path, sim):
    (tmp_path / "token").write_text(machine.environment.pop("VERCEL_TOKEN"))
    (tmp_path / "token").chmod(0o666)
    code, out, err = machine.command(
        "--token-file", "token", "-o", "csv", "-c", f"SELECT count(*) AS n FROM {TABLE}"
    )
    assert (code, out, err) == (0, "n\n31\n", "")
    out = machine.program(
        """
        from vercel_sql.files import read_trusted
        from pathlib import Path
        print(read_trusted(Path("token"), forbidden=0o077)[1])
        """
    )
    assert out == f"{0o600}\n"


def test_links_are_refused(machine, tmp_path):
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "second").hardlink_to(tmp_path / "real")
    for name, reason in [
        ("link", "it is a link"),
        ("second", "another name"),
        ("state", "irectory"),
    ]:
        (tmp_path / "state").mkdir(exist_ok=True)
        code, _, err = machine.command("--save-secrets", name, "-c", CREATE)
        assert code != 0
        assert reason in err


def test_the_shells_history_and_output(machine, tmp_path):
    out = machine.program(
        """
        from vercel_sql.cli.shell import prompt
        prompt._ENTRIES = 2
        kept = prompt.MaskedHistory("history", str)
        for text in ("SELECT 1", "SELECT 2", "SELECT 3"):
            kept.store_string(text)
        print(list(prompt.MaskedHistory("history", str).load_history_strings()))
        import pyarrow as pa
        from vercel_sql.cli.output import Output, Settings
        destination = Output(Settings(), on_terminal=False)
        destination.redirect("out.txt")
        destination.require_ready(has_secrets=True)
        destination.write(pa.table({"s": ["vcp_secret"]}), frozenset(["s"]))
        destination.reset()
        """
    )
    assert out == "['SELECT 3', 'SELECT 2']\n"
    assert "vcp_secret" in (tmp_path / "out.txt").read_text()


def test_a_server_says_that_it_does_not_run_there(machine):
    code, out, err = machine.command("serve")
    assert (code, out) == (2, "")
    assert "serve does not run on Windows" in err


def test_native_writes(machine, tmp_path):
    out = machine.program(
        """
        import duckdb, vercel_sql
        con = duckdb.connect()
        vercel_sql.attach(con, writes=True, secrets_file="s.jsonl", audit_log="a.jsonl")
        call = "vercel.authentication.create_auth_token('n', request_id := 'r')"
        query = f"SELECT bearerToken FROM {call}"
        print(len(con.execute(query).fetchall()))
        vercel_sql.detach(con)
        con.close()
        """
    )
    assert out == "1\n"
    assert len(lines(tmp_path / "s.jsonl")) == 1
