"""What fuzzing starts from: the statements of tests and documents, and the simulator's answers."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path
from urllib.request import Request, urlopen

from vercel_sql.manifest import vercel
from vercel_sql.simulator import Simulator
from vercel_sql.sql.fragments import BEFORE_VALUE, TYPES
from vercel_sql.sql.parser import _QUERIES, _READERS

from .doors import STATUSES
from .oracles import SECRET

ROOT = Path(__file__).resolve().parent.parent.parent
_BEGINS_STATEMENT = re.compile(
    r"\s*(?:--.*\n\s*)*(?:{})\b".format("|".join([*_READERS, *_QUERIES, "EXPLAIN", "PREPARE"])),
    re.IGNORECASE,
)
_LONGEST = 3000


def statements() -> Iterator[bytes]:
    """Each SQL text of the tests, the documentation and the queries."""
    found: set[str] = set()
    for path in sorted((ROOT / "tests").rglob("*.py")):
        found.update(_texts_of(path))
    pages = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for path in (*pages, *sorted((ROOT / "queries").rglob("*.sql"))):
        text = path.read_text("utf-8")
        blocks = (
            re.findall(r"```sql\n(.*?)```", text, re.DOTALL) if path.suffix == ".md" else [text]
        )
        found.update(blocks)
    yield from _parts()
    for text in sorted(found):
        if _BEGINS_STATEMENT.match(text) and len(text) <= _LONGEST:
            yield text.encode("utf-8", "surrogatepass")


def _parts() -> Iterator[bytes]:
    """Parts of statements, each for the form that it goes into."""
    for text in (
        '{"a": "{{ x }}", "b": [1.5, null, "c{{ y }}d"], "e": {"f": {{ z }}}}',
        '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": "\\ud800"}', "[1]", '{"a": 1e999}', "{{ all }}",
        '{"a": 12345678901234567890.123, "b": 9007199254740993}', "[[[[]]]]", '{"{{ k }}": 1}',
    ):  # fmt: skip
        yield b"\xfe" + text.encode()
    for text in (
        "id = 'a'", "t.id IN ('a', $b)", "(tokenId = {{ x }})", "'a' = id AND \"name\" == 'b'",
        "id = 'a' OR true", "NOT id = 'a'", "id IN ('a', NULL)", "id = $$a$$", "id = E'a'",
    ):  # fmt: skip
        yield b"\xfd" + text.encode()
    for text in (
        "NULL, 1), (2, $x",
        "CAST(NULL AS INT), (NULL)::DATE::TEXT",
        "NULL IS NULL, -NULL",
    ):
        yield b"\xfc" + text.encode()
    for text in (
        "@a = 'b', @c = $d",
        "@a = 1\n@b = @ -1",
        "@@json = $j",
        "@a = {{ a }} || '@b = 1'",
    ):
        yield b"\xfb" + text.encode()


def _texts_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "user_tokens"
                for part in node.values
            )


def answers() -> Iterator[bytes]:
    """Real answers, each for the doors that take it, and the JSON texts of the tests."""
    with Simulator(3) as sim:
        create = _fetch(sim, "/v3/user/tokens", {"name": "new", "expiresAt": 4_102_444_800_000})
        id_ = json.loads(create)["token"]["id"]
        get = _fetch(sim, f"/v5/user/tokens/{id_}")
        pages = [_fetch(sim, "/v6/user/tokens"), _fetch(sim, "/v6/user/tokens?limit=2")]
        teams = [_fetch(sim, "/v2/teams"), _fetch(sim, "/v2/teams?limit=1")]
        user = _fetch(sim, "/v2/user")
        discovery = _fetch(sim, "/.well-known/openid-configuration").replace(
            sim.url.encode(), b"https://vercel.com"
        )
        keys = _fetch(sim, "/.well-known/jwks")
        error = _fetch(sim, "/v5/user/tokens/none")
    yield from (door + page for page in pages for door in (b"j", b"l", b"p", b"x", b"y"))
    yield from (door + b"\0".join(pages) for door in (b"p", b"x", b"y"))
    yield from (door + page for page in teams for door in (b"m", b"q"))
    yield from (door + create for door in (b"j", b"c", b"f", b"h", b"s", b"t", b"a", b"w", b"r"))
    yield from (door + get for door in (b"g", b"k"))
    yield from (door + user for door in (b"u", b"o", b"i"))
    yield from (b"d" + discovery, b"v" + discovery + b"\0" + keys + b"\0" + _TOKEN)
    yield from (b"e" + bytes([n]) + error for n in range(10))
    yield from _small()
    yield b"e\x05Wed, 21 Oct 2026 07:28:00 GMT\n" + error
    yield b'e\x05{"error":{"code":"rate_limited","limit":{"reset":1,"resetMs":2}}}'
    yield b'e\x00{"error":"invalid_grant","error_description":"no"}'
    for text in sorted(set(_texts_of(ROOT / "tests" / "tables" / "test_decoding.py"))):
        if text.startswith("{") and len(text) <= _LONGEST:
            row = text.encode()
            yield from (
                b"l" + row,
                b'l{"tokens":[%s],"pagination":{"count":1,"next":null}}' % row,
                b'g{"token":%s}' % row,
                b'c{"bearerToken":"vcp_x","token":%s}' % row,
            )


def _small() -> Iterator[bytes]:
    """What is small enough that a change of a byte or two makes it another kind of answer."""
    row = b'{"id":"a","name":"b","createdAt":1,"scopes":[{"type":"user"}],"new":[1.5]}'
    page = b'{"%s":[%s],"pagination":{"count":1,"next":%s}}'
    yield from (door + page % (b"tokens", row, b"null") for door in (b"l", b"p", b"x", b"y"))
    yield from (door + page % (b"teams", row, b"null") for door in (b"m", b"q"))
    pages = [page % (b"tokens", b'{"id":"%d"}' % n, b"%d" % n) for n in range(3)]
    yield from (
        door + b"\0".join([*pages, page % (b"tokens", b"", b"null")]) for door in (b"p", b"x")
    )
    yield from (door + b'{"token":%s}' % row for door in (b"g", b"k"))
    yield from (
        b'k{"token":[]}',
        b"k{}",
        b'g{"token":[]}',
        b'u{"user":{"id":"u"}}',
        b'o{"sub":"s"}',
    )
    yield from (b'i{"active":true,"exp":1}', b'd{"issuer":"https://vercel.com"}')
    for door, name in (
        (b"c", b"bearerToken"),
        (b"f", b"token"),
        (b"h", b"token"),
        (b"s", b"id_token"),
    ):
        yield door + b'{"%s":"vcp_abcdefg","token":%s}' % (name, row)
        yield door + b'{"%s":"vcp_abcdefg",]' % name
    keys = b'{"keys":[{"kty":"RSA","kid":"k","n":"AQAB","e":"AQAB"}]}'
    description = b'{"issuer":"https://vercel.com","jwks_uri":"https://vercel.com/k"}'
    yield b"v" + description + b"\0" + keys + b"\0" + _TOKEN
    yield b'n{"token":"vcp_abcdefg","securityCode":"Quiet Otter"}'
    for status in range(len(STATUSES)):
        yield b'e%c{"error":{"code":"c","message":"m","limit":{"resetMs":5},"a":[[1]]}}' % status
        yield b"e%c12\n{" % status


_TOKEN = b"eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJodHRwczovL3ZlcmNlbC5jb20ifQ.c2ln"


def _fetch(sim: Simulator, path: str, body: object = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {sim.token}", "Content-Type": "application/json"}
    try:
        with urlopen(Request(sim.url + path, data, headers)) as answer:
            return answer.read()
    except OSError as error:
        return error.read()  # an HTTPError is an answer, too


def sql_words() -> Iterator[str]:
    """What statements are made of."""
    yield from chain(_READERS, _QUERIES, BEFORE_VALUE, TYPES)
    yield from (
        "RETURNING", "INTO", "VALUES", "USING", "FROM", "EXPLAIN", "ANALYZE", "PREPARE", "NULL",
        "CAST(", "AS", "BY NAME", "ON CONFLICT", "DEFAULT VALUES", "OR REPLACE", "MATERIALIZED",
        "SERVICES IN", "RESOURCES IN", "METHODS IN", "EXTENDED", "METHOD", "RECURSIVE",
        "@@json = '{", "@@json = $$", "@name = ", "{{ n }}", "'{{ n }}'", "$n", "$1", "?", ":n",
        "/*", "*/", "--", "$$", "$a$", "E'", "X'", "U&'", "::", ";", "''", '""', "\\", "\n",
        "vercel.authentication.user_tokens", "tokenId", "id = 'a'", "IN ('a', 'b')", "NaN",
        f"'{SECRET}'", "\u017f", "\u2028", "\u200b", "\ufeff", "\u00a0", "\u0663", "\x00",
    )  # fmt: skip


def json_words() -> Iterator[str]:
    """What answers are made of."""
    for service in map(vercel().service, vercel().provider.services):
        for resource in service.resources.values():
            yield from (f'"{column.name}":' for column in resource.columns)
            for method in resource.methods.values():
                yield from (f'"{column.name}":' for column in method.returns)
                paging = [*method.paging.cursor, *method.paging.count] if method.paging else []
                yield from (f'"{name}":' for name in [*method.rows, *paging])
    yield from (
        '"error":', '"code":', '"message":', '"limit":', '"resetMs":', '"reset":', '"extra":1',
        '"invalidToken":true', "null", "true", "NaN", "-Infinity", "1e999", "1.5", "-0.0",
        "9223372036854775808", "1E400", "1e99999999999999999999", "\\ud800", "\\udc00", "\\u0069d",
        "\\u0000", "[[[[", "{}", "[]", '{"":', f'"{SECRET}"', "é", "\u2028", "\x00", "},{", "\x1b[",
        '"scopes":[{"type":"user","sudo":{"origin":"totp"}}]',
    )  # fmt: skip


SUBJECTS = {
    "sql_parser": (statements, sql_words),
    "answer_decoder": (answers, json_words),
}


def write(target: str, corpus: Path, dictionary: Path) -> int:
    """Writes a target's seeds and its dictionary; gives the number of seeds."""
    make, words = SUBJECTS[target]
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = list(chain(make(), _kept(target)))
    for seed in seeds:
        (corpus / sha256(seed).hexdigest()[:40]).write_bytes(seed)
    dictionary.write_text("".join(_entries(words())), "ascii")
    return len(seeds)


def _kept(target: str) -> list[bytes]:
    folder = Path(__file__).parent / "cases" / target
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def _entries(words: Iterable[str]) -> Iterator[str]:
    """The words as libFuzzer reads a dictionary."""
    for word in dict.fromkeys(words):
        spelt = "".join(
            chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}"
            for byte in word.encode()
        )
        yield f'"{spelt}"\n'
