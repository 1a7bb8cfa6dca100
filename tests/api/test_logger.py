"""The log shows no secret and forges no line, whoever listens to it."""

from __future__ import annotations

import ast
import io
import logging
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import vercel_sql
from vercel_sql.logger import also_masking, logger
from vercel_sql.redaction import MASK, KnownSecrets

SECRET = "s3cret-that-is-known"


@pytest.fixture
def known():
    secrets = KnownSecrets()
    secrets.add(SECRET)
    return secrets


@contextmanager
def heard(formatter: str = "%(message)s"):
    """What a handler of somebody else's writes, and the records that it was given."""
    out, records = io.StringIO(), []
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter(formatter))
    handler.addFilter(lambda record: records.append(record) or True)
    top = logging.getLogger("vercel_sql")
    before = top.level
    top.addHandler(handler)
    top.setLevel(logging.DEBUG)
    try:
        yield out, records
    finally:
        top.removeHandler(handler)
        top.setLevel(before)


@pytest.mark.parametrize("room", ["", "api", "of.any.name"])
def test_secrets_are_masked_in_message_and_arguments(known, room):
    with heard() as (out, records):
        logger(room).warning("one %s and %r", SECRET, {"a": [SECRET]})
    assert out.getvalue() == f"one {MASK} and {{'a': ['{MASK}']}}\n"
    assert SECRET not in repr(vars(records[0]))


def test_what_looks_like_a_token_is_masked():
    with heard() as (out, _):
        logger("api").info("no such token: vcp_aaaaBBBB11112222")
    assert out.getvalue() == f"no such token: {MASK}\n"


def test_names_forge_no_line_and_steer_no_terminal():
    name = "ci\n2026-01-01 INFO revoked all\r\x1b[2J\u202e"
    with heard() as (out, _):
        logger("api").info("made %s", name)
    assert out.getvalue() == "made ci\\n2026-01-01 INFO revoked all\\r\\x1b[2J\\u202e\n"


def raising(secret):
    local = [secret]
    raise ValueError(f"bad\nvalue {local[0]}")


def test_tracebacks_are_masked_and_kept_apart_from_lines(known):
    with heard("%(levelname)s %(message)s") as (out, records):
        try:
            raising(SECRET)
        except ValueError:
            logger("api").exception("it failed")
    first, *others = out.getvalue().splitlines()
    assert first == "ERROR it failed"
    assert others[0] == "    Traceback (most recent call last):"
    assert others[-1] == f"    value {MASK}"
    assert all(line.startswith("    ") for line in others)
    # No handler can look at the frames, whose variables hold it.
    assert records[0].exc_info is None


def test_the_stack_is_masked(known):
    with heard() as (out, _):
        logger("api").info("here", stack_info=True)
    assert "    Stack (most recent call last):" in out.getvalue()


def test_more_is_masked_for_a_while():
    with heard() as (out, _):
        with also_masking(lambda text: text.replace("hidden-here", "…")):
            logger("api").info("hidden-here")
        logger("api").info("hidden-here")
    assert out.getvalue().splitlines() == ["…", "hidden-here"]


def test_all_loggers_of_the_package_are_had_from_one_place():
    root = Path(vercel_sql.__file__).parent
    found = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "simulator" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "getLogger"
    ]
    # The other one is not ours: httpx's, which is kept from logging our URLs.
    assert sorted(found) == ["http/connections.py", "logger.py"]


def test_what_an_error_says_is_not_said_twice_in_plain_python(sim):
    """Without any handler, Python's last resort would write each warning to standard error."""
    sim.faults(kind="drop_after", method="POST")
    program = f"""
import vercel_sql
con = vercel_sql.connect({sim.token!r}, api_url={sim.url!r})
insert = "INSERT INTO vercel.authentication.user_tokens (name) VALUES ('a')"
try:
    con.execute(insert)
except vercel_sql.UnknownOutcomeError as error:
    print(error)
"""
    heard = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert b"may have been carried out" in heard.stdout
    assert heard.stderr == b""
    sim.faults(kind="drop_after", method="POST")
    # Who sets up logging hears it all the same.
    program = f"import logging; logging.basicConfig()\n{program}"
    heard = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert heard.stderr.startswith(b"WARNING:vercel_sql.writes:")
