"""What an answer may take of memory and time is bounded, whatever its encoding and its length."""

from __future__ import annotations

import base64
import gzip
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import pytest

from vercel_sql.errors import AnswerError, APIError, TransportError
from vercel_sql.http.connections import MOST_BYTES

MEMBER = gzip.compress(bytes(64 * 2**20), 9)
BOMB = MEMBER * 32  # 2 MiB that unpack to 2 GiB


@pytest.fixture
def answered(sim, make_client, read):
    """Sends a request whose answer has a body and an encoding of our choice."""

    def send(body: bytes, encoding: str | None = None, request=read, status=200):
        headers = {} if encoding is None else {"Content-Encoding": encoding}
        raw = base64.b64encode(body).decode()
        sim.faults(kind="body", status=status, raw=raw, headers=headers)
        return make_client(sim, attempts=1).send(request)

    return send


def refusal(answered, *given, **options):
    with pytest.raises(AnswerError, match="can't be used") as raised:
        answered(*given, **options)
    return str(raised.value)


# Encodings


@pytest.mark.parametrize("encoding", [None, "", "identity", "Identity"])
def test_a_plain_body(answered, encoding):
    assert answered(b'{"a":1}', encoding).json() == {"a": 1}


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_a_compressed_body(answered, encoding):
    assert answered(gzip.compress(b'{"a":1}'), encoding).json() == {"a": 1}


def test_a_body_compressed_in_several_parts_is_one(answered):
    parts = [gzip.compress(part) for part in (b'{"a"', b":1", b"", b"}")]
    assert answered(b"".join(parts), "gzip").json() == {"a": 1}


def test_an_empty_body_that_is_called_compressed(answered):
    assert answered(b"", "gzip").body == b""


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "compress", "gzip, gzip", "gzip,br"])
def test_an_encoding_that_was_not_asked_for(answered, encoding):
    twice = gzip.compress(gzip.compress(b"{}"))
    assert "its Content-Encoding was not asked for" in refusal(answered, twice, encoding)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"not compressed at all", "its compression is broken"),
        (gzip.compress(b"x" * 1000)[:20], "its compression ends in the middle"),
        (gzip.compress(b"x" * 1000)[:-4], "its compression ends in the middle"),
        (gzip.compress(b"{}")[:-8] + bytes(8), "its compression is broken"),
        (gzip.compress(b"{}") + b"and more", "its compression is broken"),
        (zlib.compress(b"{}"), "its compression is broken"),
    ],
    ids=["plain", "cut", "without its length", "wrong checksum", "something after it", "zlib"],
)
def test_a_broken_compression(answered, body, words):
    assert words in refusal(answered, body, "gzip")


def test_a_write_whose_answer_can_not_be_unpacked_may_have_been_carried_out(answered, write):
    with pytest.raises(AnswerError) as raised:
        answered(b"broken", "gzip", request=write)
    assert raised.value.outcome_unknown


def test_an_error_whose_body_can_not_be_unpacked_is_still_an_error(answered):
    with pytest.raises(APIError, match=r"not one of Vercel's errors \(GET [^ ]+, 400\)"):
        answered(b"broken", "gzip", status=400)


# Lengths


def test_a_bomb_is_refused(answered):
    assert "it is longer than 32 MiB" in refusal(answered, BOMB, "gzip")


@pytest.mark.parametrize("status", [400, 500])
def test_a_bomb_in_an_error_is_refused(answered, status):
    with pytest.raises(APIError, match=rf"not one of Vercel's errors \(GET [^ ]+, {status}\)"):
        answered(BOMB, "gzip", status=status)


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_bodies_at_the_limit(answered, encoding):
    whole = b"[" + b" " * (MOST_BYTES - 2) + b"]"
    packed = whole if encoding is None else gzip.compress(whole, 1)
    assert answered(packed, encoding).json() == []
    over = whole + b" "
    packed = over if encoding is None else gzip.compress(over, 1)
    assert "it is longer than 32 MiB" in refusal(answered, packed, encoding)


def endless(head: bytes, piece: bytes):
    """Sends a piece again and again, as long as the other end is there."""

    def act(connection):
        with suppress(OSError):
            connection.sendall(head)
            while True:
                connection.sendall(piece)

    return act


CHUNK = b"10000\r\n" + b" " * 65536 + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
ENDLESS = {
    "chunks": endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
    "until the connection closes": endless(OK + b"\r\n", b" " * 65536),
    "a length that lies": endless(OK + b"Content-Length: 99999999999\r\n\r\n", b" " * 65536),
    "gzip": endless(OK + b"Content-Encoding: gzip\r\n\r\n", MEMBER),
    "gzip of nothing": endless(
        OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10],
        b"\x00\x00\x00\xff\xff" * 10_000,
    ),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_body_without_end_is_refused(serve, make_client, read, kind):
    client = make_client(urls={"api": serve(ENDLESS[kind]).url}, attempts=1)
    with pytest.raises(AnswerError, match="it is longer than 32 MiB"):
        client.send(read)


@pytest.mark.parametrize(
    "head",
    [
        endless(OK, b"X-Y: " + b"z" * 1000 + b"\r\n"),
        endless(OK + b"X-Y: ", b"z" * 65536),
        endless(b"HTTP/1.1 200 ", b"z" * 65536),
    ],
    ids=["headers", "one header", "the first line"],
)
def test_a_head_without_end_is_refused(serve, make_client, read, head):
    client = make_client(urls={"api": serve(head).url}, attempts=1)
    with pytest.raises(TransportError, match="got no answer"):
        client.send(read)


def test_the_trailer_of_a_body_without_end_is_refused(serve, make_client, read):
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    server = serve(endless(head, b"X-Y: " + b"z" * 1000 + b"\r\n"))
    with pytest.raises(TransportError, match="got no answer"):
        make_client(urls={"api": server.url}, attempts=1).send(read)


# Memory

CHILD = """
import sys
from vercel_sql.http.client import Client
from vercel_sql.http.requests import build_request
from vercel_sql.auth import Credential
from vercel_sql.errors import Error
from vercel_sql.manifest import vercel
methods = vercel().service("authentication").resources["user_tokens"].methods
request = build_request(methods["get_auth_token"], {"tokenId": "current"})
token = Credential("vcp_ofTheChild0001", "test")
client = Client(vercel().provider, token, urls={"api": sys.argv[1]}, attempts=1)
try:
    client.send(request)
    said = "fine"
except Error as error:
    said = str(error)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(peak.split()[1], said)
"""


def peak(url: str) -> tuple[int, str]:
    """The most memory that a process took for one request, in KiB, and what came of it."""
    command = [sys.executable, "-c", CHILD, url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    kib, _, said = ended.stdout.partition(" ")
    return int(kib), said


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak")
def test_the_memory_that_a_body_takes_is_bounded(serve):
    floor, said = peak(serve(OK + b"Content-Length: 2\r\n\r\n{}").url)
    assert said.strip() == "fine"
    bomb = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB
    for act in (bomb, *ENDLESS.values()):
        kib, said = peak(serve(act).url)
        assert "longer than 32 MiB" in said
        assert kib < floor + 128 * 1024, "what is kept, once more while it grows, and some"
