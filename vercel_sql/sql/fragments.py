"""Parts of a script, as they are written, and the placeholders in them.

A placeholder stands for a whole value: ``$name``, ``$1``, ``?``, ``:name`` (where a value can
stand), ``{{ name }}`` and ``'{{ name }}'``. Names match whatever their case, as those of DuckDB's
own ``$name`` do. In ``E'…'`` and ``$$…$$`` nothing is a placeholder.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from vercel_sql.redaction.names import word_set
from vercel_sql.sql.tokens import Kind, Lexeme, in_brackets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vercel_sql.sql.parameters import Parameters

_APART = frozenset(" \t\r\n,;()[]{}=<>+-*/%|&^~!.:")
"""Characters that are never one token with a parameter next to them."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a statement asks of the parameters in one place.

    Attributes:
        name: the parameter's name, in lower case; digits for a positional one.
        written: the placeholder as the script has it; a bare ``?`` with its number.
        optional: whether the statement can run, as far as the parser can tell, without a value.
    """

    name: str
    written: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One place where a value goes.

    Attributes:
        name: the parameter, in lower case; digits for a positional one.
        written: the placeholder as the script has it, for messages.
        first: the index of its first token.
        stop: the index after its last token.
        sql: what stands in its place when the statement runs.
    """

    name: str
    written: str
    first: int
    stop: int
    sql: str

    @property
    def label(self) -> str:
        """The placeholder as messages have it: a bare ``?`` with its number."""
        return f"? (number {self.name})" if self.written == "?" else self.written


@dataclass(frozen=True, slots=True)
class Template:
    """What looks like a placeholder but isn't one: ``'a {{ name }}'``, ``'{{ .name }}'``.

    Attributes:
        name: the name that was meant, in lower case.
        index: the index of the token that it stands in.
        is_ours: whether it is written ``{{ name }}``, so that only the text beside it is wrong.
    """

    name: str
    index: int
    is_ours: bool


@dataclass(frozen=True, eq=False, repr=False)
class Script:
    """A text that was read into tokens; every fragment of it refers to it.

    Attributes:
        source: the whole text.
        lexemes: its tokens.
        placeholders: its placeholders, in order.
        templates: what looks like a placeholder but isn't one, in order.
    """

    source: str
    lexemes: Sequence[Lexeme] = ()
    placeholders: Sequence[Placeholder] = ()
    templates: Sequence[Template] = ()

    def position(self, offset: int) -> str:
        """``line:column`` of an offset, both counted from 1."""
        line = self.source.count("\n", 0, offset) + 1
        return f"{line}:{offset - self.source.rfind(chr(10), 0, offset)}"


@dataclass(frozen=True, eq=False, repr=False)
class Fragment:
    """Some tokens of a script that follow one another, and the text that they stand in.

    Attributes:
        script: the script that it is a part of.
        first: the index of its first token.
        stop: the index after its last token; the same as `first` only for a text that was not, or
            can't be, read into tokens.
    """

    script: Script
    first: int = 0
    stop: int = 0

    def __repr__(self) -> str:
        # No text: a literal may be a secret.
        return f"<Fragment at {self.position}>"

    @property
    def lexemes(self) -> Sequence[Lexeme]:
        return self.script.lexemes[self.first : self.stop]

    @property
    def start(self) -> int:
        return self.script.lexemes[self.first].start if self.first < self.stop else 0

    @property
    def end(self) -> int:
        if self.first < self.stop:
            return self.script.lexemes[self.stop - 1].end
        return len(self.script.source)

    @property
    def position(self) -> str:
        return self.script.position(self.start)

    @property
    def text(self) -> str:
        return self.script.source[self.start : self.end]

    @property
    def placeholders(self) -> Sequence[Placeholder]:
        """The placeholders in it, in order; the type before one may stand outside."""
        found = self.script.placeholders
        begin = bisect_right(found, self.first, key=lambda each: each.stop)
        return found[begin : bisect_right(found, self.stop, key=lambda each: each.stop)]

    @property
    def templates(self) -> Sequence[Template]:
        """What looks like a placeholder in it but isn't one, in order."""
        found = self.script.templates
        begin = bisect_left(found, self.first, key=lambda each: each.index)
        return found[begin : bisect_left(found, self.stop, key=lambda each: each.index)]

    @property
    def sole(self) -> Placeholder | None:
        """The placeholder that is all there is in it, or None."""
        for found in self.placeholders[:1]:
            whole = (found.first, found.stop) == (self.first, self.stop)
            if whole and found.sql == f"${found.name}":
                return found
        return None

    def needs(self) -> Iterator[Need]:
        return (Need(each.name, each.label) for each in self.placeholders)

    def slice(self, first: int, stop: int) -> Fragment:
        return Fragment(self.script, first, stop)

    @property
    def query(self) -> str:
        """Its text with DuckDB's named parameters for its placeholders."""
        pieces: list[str] = []
        written = self.start
        for placeholder in self.placeholders:
            start = self.script.lexemes[max(placeholder.first, self.first)].start
            # What stands before the fragment only looks like a type: `INTO date '{{ d }}'`.
            is_whole = placeholder.first >= self.first
            sql = placeholder.sql if is_whole else f"${placeholder.name}"
            pieces += [self.script.source[written:start], sql]
            written = self.script.lexemes[placeholder.stop - 1].end
        return _joined([*pieces, self.script.source[written : self.end]])

    def bind(self, parameters: Parameters) -> tuple[str, dict[str, object]]:
        """Its query, and the values of those parameters that it uses: DuckDB refuses others."""
        return self.query, {each.name: parameters.value(each) for each in self.placeholders}

    def known_values(self, parameters: Parameters) -> dict[str, object]:
        """The values of its placeholders, as far as there are any."""
        found = [each for each in self.placeholders if each.name in parameters]
        return {each.name: parameters.value(each) for each in found}


def _joined(pieces: Sequence[str]) -> str:
    """Texts and parameters in turn, apart where they would read as one token: `IN?` as `IN $p1`."""
    written = [piece for piece in pieces if piece]
    apart = written[:1]
    for before, piece in pairwise(written):
        touch = not (before[-1] in _APART or piece[0] in _APART)
        apart.append(f" {piece}" if touch else piece)
    return "".join(apart)


@dataclass(frozen=True, slots=True)
class Name:
    """A name, possibly qualified, such as ``vercel.authentication.user_tokens``.

    Attributes:
        parts: the parts without their quotes, case as written.
        text: the name as it is written.
    """

    parts: tuple[str, ...]
    text: str

    def quoted(self) -> str:
        return ".".join('"' + part.replace('"', '""') + '"' for part in self.parts)


_BRACES = re.compile(r"\{\{([^{}]*)\}\}")
_PATH = re.compile(r"[.$]*[^\W\d][\w.]*")
_ARGUMENT = re.compile(r"(?<=[\s(])[.$]+[^\W\d][\w.]*")
TYPES = word_set("""
    DATE DATETIME INTERVAL JSON TIME TIMESTAMP TIMESTAMPTZ TIMESTAMP_MS TIMESTAMP_NS TIMESTAMP_S
    TIMETZ UUID
""")
"""Types that stand before a literal, as in ``DATE '2026-01-01'``; no parameter can stand there."""
BEFORE_VALUE = word_set("""
    ALL AND BETWEEN BY CASE DISTINCT ELSE ESCAPE GLOB HAVING ILIKE IN INTERVAL LIKE LIMIT NOT
    OFFSET ON OR QUALIFY RETURNING SELECT THEN WHEN WHERE
""") | {"GROUP BY", "ORDER BY", "PARTITION BY", "SIMILAR TO"}
"""Keywords after which ``:name`` is a value, not the tail of an alias or a slice."""
_NOT_BEFORE_VALUE = frozenset(")]}.?$#;{") | {"::"}
"""Symbols after which ``:name`` is something else, such as the end of a slice."""
_EDGE = Lexeme(Kind.SYMBOL, ";", ";", "", -1, -1)
"""Stands before the first and after the last token of a script."""


def braces(text: str) -> Iterator[tuple[int, int, str]]:
    """Each ``{{ name }}`` in a text: where it starts, where it ends, and the name as written."""
    start = text.find("{{")
    while start >= 0:
        end = text.find("}}", start)
        if end < 0:
            return
        # Of three braces in a row the innermost two are the placeholder's.
        start = text.rfind("{{", start, end)
        name = text[start + 2 : end].strip()
        if name.isidentifier():
            yield start, end + 2, name
            start = text.find("{{", end + 2)
        else:
            start = text.find("{{", start + 2)


def sole_name(text: str) -> str | None:
    """The name of the ``{{ name }}`` that a text is and nothing else, or None."""
    return next((name for start, end, name in braces(text) if end - start == len(text)), None)


def other_template(text: str) -> str | None:
    """The name that the first template of another tool's in a text means; None if it has none.

    Such are ``{{ .values.name }}``, ``{{.name}}``, ``{{ name | quote }}``, ``{{ quote .name }}``
    and ``{{- name -}}``: so Go and Jinja write them, and StackQL's help after them.
    """
    for inner in _BRACES.findall(text):
        bare = inner.strip("- \t\r\n")
        path = _ARGUMENT.search(bare) or _PATH.match(bare)
        if path is None:
            continue
        is_trimmed = bare != inner.strip()
        is_piped = bare[path.end() :].lstrip().startswith("|")
        if is_trimmed or is_piped or not path.group().isidentifier():
            return path.group().strip(".$").rpartition(".")[2]
    return None


class Finder:
    """Finds the placeholders of a script; its ``?`` are numbered through the whole of it."""

    def __init__(self, lexemes: Sequence[Lexeme]) -> None:
        self._lexemes = lexemes
        self._marks = 0
        self.placeholders: list[Placeholder] = []
        self.templates: list[Template] = []

    def scan(self, first: int, stop: int, *, braces_only: bool = False) -> None:
        """Find the placeholders in a statement, the tokens from `first` up to `stop`."""
        index = first
        while index < stop:
            found = self._found(index)
            if found and not (braces_only and "{{" not in found.written):
                self.placeholders.append(found)
                index = found.stop
                continue
            self.templates += self._templates(index)
            index += 1

    def _at(self, index: int) -> Lexeme:
        return self._lexemes[index] if 0 <= index < len(self._lexemes) else _EDGE

    def _adjacent(self, index: int) -> bool:
        """Whether nothing stands between this token and the one before it."""
        return self._at(index).start == self._at(index - 1).end

    def _templates(self, index: int) -> Iterator[Template]:
        lexeme = self._lexemes[index]
        text = lexeme.value if lexeme.kind is Kind.STRING else ""
        for _, _, name in braces(text):
            yield Template(name.lower(), index, is_ours=True)
        if lexeme.raw == "{" and self._at(index + 1).raw == "{":
            # DuckDB has no two braces in a row, so that this is an error in any case.
            inside = takewhile(lambda at: self._at(at).raw != ";", range(index, index + 20))
            text = self._written(inside)
        if (meant := other_template(text)) is not None:
            yield Template(meant.lower(), index, is_ours=False)

    def _written(self, indices: Iterator[int]) -> str:
        """Tokens as they are written, but for comments, which may hold anything."""
        pieces = (("" if self._adjacent(at) else " ") + self._lexemes[at].raw for at in indices)
        return "".join(pieces).lstrip(" ")

    def _found(self, index: int) -> Placeholder | None:
        lexeme = self._lexemes[index]
        match lexeme.raw[0]:
            case "$":
                return self._dollar(index)
            case "?":
                return self._mark(index)
            case ":":
                return self._colon(index)
            case "{":
                return self._braced(index)
            case "'" if lexeme.kind is Kind.STRING:
                name = sole_name(lexeme.value)
                return None if name is None else self._typed(name, index, index + 1)
        return None

    def _make(self, name: str, first: int, stop: int, sql: str = "") -> Placeholder:
        name, written = name.lower(), self._written(iter(range(first, stop)))
        return Placeholder(name, written, first, stop, sql or f"${name}")

    def _dollar(self, index: int) -> Placeholder | None:
        if self._lexemes[index].kind is not Kind.SYMBOL:
            return None
        name = self._at(index + 1)
        # `$ a$b` is one to DuckDB, but can't be written without its blank, as `$a$` opens a string.
        is_name = name.kind is Kind.WORD and not set("$ ") & set(name.upper)
        is_prefix = self._at(index + 2).kind is Kind.PREFIXED and self._adjacent(index + 2)
        if name.raw.isdecimal() or (is_name and not is_prefix):
            return self._numbered(name.raw, index)
        return None

    def _mark(self, index: int) -> Placeholder:
        if self._adjacent(index + 1) and self._at(index + 1).raw.isdecimal():
            return self._numbered(self._lexemes[index + 1].raw, index)
        self._marks += 1
        return self._make(str(self._marks), index, index + 1)

    def _numbered(self, name: str, index: int) -> Placeholder:
        """``$name``, ``$1`` or ``?1``; a ``?`` after a number takes the next one."""
        if name.isdecimal():
            self._marks = max(self._marks, int(name))
        return self._make(name, index, index + 2)

    def _colon(self, index: int) -> Placeholder | None:
        name = self._at(index + 1)
        is_name = name.kind is Kind.WORD and name.raw.isidentifier() and self._adjacent(index + 1)
        if self._lexemes[index].raw == ":" and is_name and self._value_follows(index):
            return self._typed(name.raw, index, index + 2)
        return None

    def _value_follows(self, index: int) -> bool:
        before, earlier = self._at(index - 1), self._at(index - 2)
        if before.kind is Kind.WORD:
            # `{escape: …}` names a member so.
            is_member = earlier.raw in ("{", ",") and in_brackets(self._lexemes[:index]) == "{"
            return before.upper in BEFORE_VALUE and not is_member
        if before.raw == "[":
            return not self._subscripts(earlier)
        if before.raw == "-" and earlier.raw == ":":
            return False  # the open end in `a[1:-:2]`
        return before.kind is Kind.SYMBOL and before.raw not in _NOT_BEFORE_VALUE

    def _subscripts(self, before: Lexeme) -> bool:
        """Whether a bracket after this token takes a part of a value, and is not a list's."""
        if before.kind is Kind.WORD:
            return before.upper not in BEFORE_VALUE
        return before.kind is not Kind.SYMBOL or before.raw in (")", "]", "}")

    def _braced(self, index: int) -> Placeholder | None:
        """``{{ name }}``: two braces that touch, a name, two braces that touch."""
        raws = [self._at(at).raw for at in range(index, index + 5)]
        name = self._at(index + 2)
        is_name = name.kind is Kind.WORD and name.raw.isidentifier()
        touching = self._adjacent(index + 1) and self._adjacent(index + 4)
        if raws[:2] + raws[3:] == ["{", "{", "}", "}"] and touching and is_name:
            return self._typed(name.raw, index, index + 5)
        return None

    def _typed(self, name: str, index: int, end: int) -> Placeholder:
        """With the type before it: ``DATE '{{ day }}'`` runs as ``CAST($day AS DATE)``."""
        before = self._at(index - 1).upper
        if before not in TYPES:
            return self._make(name, index, end)
        if before == "INTERVAL" and self._at(end).kind is Kind.WORD:
            return self._make(name, index, end, f"(${name.lower()})")
        return self._make(name, index - 1, end, f"CAST(${name.lower()} AS {before})")
