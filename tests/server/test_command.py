"""``vercel-sql serve``, as a person starts it."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from vercel_sql.errors import OperationalError
from vercel_sql.server.database import load_quack

from ..cli.conftest import COMMAND, PATIENCE


@contextmanager
def _serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The running command and the three lines that it printed."""
    process = subprocess.Popen(
        [*COMMAND, "serve", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, _lines(process, 3)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def _lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    text, deadline = b"", time.monotonic() + PATIENCE
    while text.count(b"\n") < count:
        left = max(0, deadline - time.monotonic())
        assert select.select([process.stdout], [], [], left)[0], text
        chunk = os.read(process.stdout.fileno(), 4096)
        assert chunk, process.communicate(timeout=PATIENCE)
        text += chunk
    return text.decode().splitlines()


def _ended(*options: str) -> tuple[int, str]:
    ended = subprocess.run(
        [*COMMAND, "serve", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


def _pasted(lines: list[str], files: list[Path], script: str) -> subprocess.CompletedProcess[str]:
    """The lines pasted into a stock shell, with the files in place of the download."""
    assert lines[0] == "INSTALL quack; LOAD quack;"
    load = " ".join(f"LOAD '{file}';" for file in files)
    program = Path(sys.executable).with_name("duckdb")
    return subprocess.run(
        [str(program), "-unsigned", "-no-init", "-csv", "-noheader"],
        input="\n".join([load, *lines[1:], script]),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def options(quack_files: list[Path]) -> list[str]:
    """A free port, and the extension files."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = ["--port", str(port)]
    for file in quack_files:
        given += ["--extension", str(file)]
    return given


def test_the_three_lines_attach_a_stock_shell(options: list[str], quack_files: list[Path]) -> None:
    query = "SELECT count(*) FROM vercel.authentication.user_tokens;"
    with _serving("--demo", *options) as (_, lines):
        ended = _pasted(lines, quack_files, query)
    assert (ended.stdout.splitlines()[-1], ended.stderr) == ("251", "")


def test_the_token_is_random_and_of_256_bits(options: list[str]) -> None:
    tokens = set()
    for _ in range(2):
        with _serving("--demo", *options) as (_, lines):
            found = re.search(r"TOKEN '([\w-]{43})'", lines[1])
            assert found, lines
            tokens.add(found[1])
    assert len(tokens) == 2


def test_a_token_of_a_file_is_not_shown(
    options: list[str], quack_files: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text("a-token-of-at-least-128-bits\n")
    with _serving("--demo", "--server-token-file", str(file), *options) as (_, lines):
        assert str(file) in lines[1]
        lines[1] = lines[1].replace(f"the token in {file}", file.read_text().strip())
        ended = _pasted(lines, quack_files, "SELECT count(*) FROM vercel.teams.teams;")
        wrong = _pasted(
            [lines[0], lines[1].replace(file.read_text().strip(), "another-one"), lines[2]],
            quack_files,
            "",
        )
    assert ended.stderr == ""
    assert "Authentication failed" in wrong.stderr


def test_it_listens_on_loopback_alone(options: list[str]) -> None:
    port = f"{int(options[1]):04X}"
    with _serving("--demo", *options):
        tables = [Path("/proc/net/tcp").read_text(), Path("/proc/net/tcp6").read_text()]
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port}")}
    assert listening <= {f"0100007F:{port}", f"00000000000000000000000001000000:{port}"}
    assert listening


def test_what_is_refused_is_said_at_the_server(options: list[str], quack_files: list[Path]) -> None:
    script = "FROM vercel.query('FROM read_text(''/etc/hostname'')');"
    with _serving("--demo", *options) as (process, lines):
        ended = _pasted(lines, quack_files, script)
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE)
    assert "Authorization failed" in ended.stderr
    assert "refused: the function 'read_text' is not open to clients" in said
    assert "/etc/hostname" not in said


def test_wrong_use_is_said_before_anything_is_served(tmp_path: Path) -> None:
    open_file, short, empty = (tmp_path / name for name in ("open", "short", "empty"))
    for file, text in ((open_file, "a-token-of-at-least-128-bits"), (short, "abc"), (empty, "")):
        file.touch(mode=0o600)
        file.write_text(text)
    open_file.chmod(0o644)
    cases = [
        (["--allow-writes"], 2, "--allow-writes needs --save-secrets"),
        (["--save-secrets", str(tmp_path / "s")], 2, "--save-secrets is for --allow-writes"),
        (["--port", "70000"], 2, "must be an integer from 1 to 65535"),
        (["--nonsense"], 2, "unknown option --nonsense"),
        (["--server-token-file", str(tmp_path / "none")], 1, "can't be read"),
        (["--server-token-file", str(open_file)], 1, "chmod 600"),
        (["--server-token-file", str(short)], 1, "at least 22"),
        (["--server-token-file", str(empty)], 1, "is empty"),
        (["--extension", str(tmp_path / "none.duckdb_extension")], 1, "can't be loaded"),
    ]
    for options, code, message in cases:
        demo = [] if code == 2 else ["--demo"]
        ended, said = _ended(*demo, *options)
        assert ended == code, said
        assert message in said
        assert "Traceback" not in said


def test_without_an_account_there_is_nothing_to_serve() -> None:
    code, said = _ended()
    assert code == 1
    assert "VERCEL_TOKEN" in said


def test_offline_the_message_says_where_the_extension_comes_from(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "custom_extension_repository": "http://127.0.0.1:9",
        "extension_directory": str(tmp_path),
    }
    with (
        duckdb.connect(config=settings) as con,
        pytest.raises(OperationalError, match="--extension quack") as caught,
    ):
        load_quack(con)
    assert "INSTALL quack where there is a network" in str(caught.value)
