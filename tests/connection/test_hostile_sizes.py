"""The memory that an answer can make us take is bounded, however it is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vercel_sql.simulator import Simulator

TABLE = "vercel.authentication.user_tokens"
MIB = 1024  # KiB, which /proc counts in
PATIENCE = 100

CHILD = """
import sys, vercel_sql
url, token, sql = sys.argv[1:]
with vercel_sql.connect(token, api_url=url) as con:
    try:
        rows = con.execute(sql).fetchall()
        said = f"{len(rows)} rows, {rows[0][0]}"
    except vercel_sql.Error as error:
        said = str(error)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(peak.split()[1], said)
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak of the memory is Linux's to tell"
)


def page(*rows: bytes) -> bytes:
    body = b'{"tokens":[%s],"pagination":{"count":%d,"next":null}}'
    return body % (b",".join(rows), len(rows))


@pytest.fixture(scope="module")
def peak():
    """The most memory that a process took for a statement, in KiB, and what came of it."""
    with Simulator(0) as sim:

        def measure(body: bytes, sql: str = f"SELECT * FROM {TABLE}"):
            sim.clear_faults()
            sim.faults(kind="body", body=body, path="/v6/user/tokens", times=None)
            command = [sys.executable, "-c", CHILD, sim.url, sim.token, sql]
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=PATIENCE, check=True
            )
            kib, _, said = ended.stdout.partition(" ")
            return int(kib), said.strip()

        yield measure


@pytest.fixture(scope="module")
def floor(peak):
    """What a small page takes, in the same run."""
    kib, said = peak(page(*(b'{"id":"tok_%d"}' % n for n in range(100))))
    assert said == "100 rows, tok_0"
    return kib


@pytest.mark.parametrize("rest", [b"", b',"new":[1,{"a":1.5}]'], ids=["known", "unknown fields"])
def test_a_page_of_100_000_rows_is_read(peak, floor, rest):
    rows = [b'{"id":"tok_%d","createdAt":%d%s}' % (n, n, rest) for n in range(100_000)]
    kib, said = peak(page(*rows))
    assert said == "100000 rows, tok_0"
    assert kib < floor + 400 * MIB
    kib, said = peak(page(*rows), f"SELECT count(*), max(createdAt) FROM {TABLE}")
    assert said == "1 rows, 100000"
    assert kib < floor + 150 * MIB


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"[" + b",".join([b"[]"] * 8_000_000) + b"]", "holds more than 4,000,000 values"),
        (b"[" + b",".join([b"1.5"] * 6_000_000) + b"]", "holds more than 4,000,000 values"),
        (b"[" * 12_000_000 + b"]" * 12_000_000, "holds more than 4,000,000 values"),
        (b"9" * 20_000_000, "1 rows, a"),  # the one value that can't be held hides no other
        (b'"' + b"x" * 40_000_000 + b'"', "longer than 32 MiB"),
    ],
    ids=["lists", "numbers", "nesting", "digits", "text"],
)
def test_an_answer_that_unfolds_takes_little_memory(peak, floor, value, words):
    kib, said = peak(page(b'{"id":"a","new":%s}' % value))
    assert words in said
    assert kib < floor + 400 * MIB


def test_a_text_of_25_mib_is_exact(peak, floor):
    text = b"x" * (25 * 2**20)
    sql = f"SELECT length(name) FROM {TABLE} WHERE name <> ''"
    kib, said = peak(page(b'{"id":"a","name":"%s"}' % text), sql)
    assert said == f"1 rows, {len(text)}"
    assert kib < floor + 500 * MIB
