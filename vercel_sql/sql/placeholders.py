"""Placeholders: the places in a script where a parameter's value goes.

They are found on tokens and stand for a whole value: ``$name``, ``$1``, ``?``, ``:name`` (where a
value can stand), ``{{ name }}`` and ``'{{ name }}'``. Names match whatever their case, as those of
DuckDB's own ``$name`` do. In ``E'…'`` and ``$$…$$`` nothing is a placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vercel_sql.sql.tokens import Kind, Lexeme, word_set

_BRACES = re.compile(r"\{\{([^{}]*)\}\}")
_PATH = re.compile(r"[.$]*[^\W\d][\w.]*")
_ARGUMENT = re.compile(r"(?<=[\s(])[.$]+[^\W\d][\w.]*")

_TYPES = word_set("""
    DATE DATETIME INTERVAL JSON TIME TIMESTAMP TIMESTAMPTZ TIMESTAMP_MS TIMESTAMP_NS TIMESTAMP_S
    TIMETZ UUID
""")
"""Types that stand before a literal, as in ``DATE '2026-01-01'``; no parameter can stand there."""

_BEFORE_VALUE = word_set("""
    ALL AND BETWEEN BY CASE DISTINCT ELSE ESCAPE GLOB HAVING ILIKE IN INTERVAL LIKE LIMIT NOT
    OFFSET ON OR QUALIFY RETURNING SELECT THEN WHEN WHERE
""") | {"GROUP BY", "ORDER BY", "PARTITION BY", "SIMILAR TO"}
"""Keywords after which ``:name`` is a value, not the tail of an alias or a slice."""

_NOT_BEFORE_VALUE = frozenset(")]}.?$#;{") | {"::"}
"""Symbols after which ``:name`` is something else, such as the end of a slice."""


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
    def positional(self) -> bool:
        """Whether it asks for a value by position."""
        return self.name.isdecimal()

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
    """Finds the placeholders of a script, one statement after the other.

    The ``?`` are numbered through the whole script.
    """

    def __init__(self, lexemes: Sequence[Lexeme]) -> None:
        self._lexemes = lexemes
        self._marks = 0
        self.placeholders: list[Placeholder] = []
        self.templates: list[Template] = []

    def scan(self, first: int, stop: int, *, braces_only: bool = False) -> None:
        """Find the placeholders in the tokens from `first` up to `stop`."""
        index = first
        while index < stop:
            found = self._at(index, first, stop)
            if found and not (braces_only and "{{" not in found.written):
                self.placeholders.append(found)
                index = found.stop
                continue
            self.templates += self._templates(index, stop)
            index += 1

    def _templates(self, index: int, stop: int) -> Iterator[Template]:
        lexeme = self._lexemes[index]
        if lexeme.kind is Kind.STRING:
            text = lexeme.value
            for _, _, name in braces(text):
                yield Template(name.lower(), index, is_ours=True)
        elif lexeme.raw == "{" and index + 1 < stop and self._lexemes[index + 1].raw == "{":
            # DuckDB has no two braces in a row, so that this is an error in any case.
            inside = range(index, min(index + 20, stop))
            text = "".join(
                ("" if self._adjacent(each) else " ") + self._lexemes[each].raw for each in inside
            )
        else:
            return
        meant = other_template(text)
        if meant is not None:
            yield Template(meant.lower(), index, is_ours=False)

    def _at(self, index: int, first: int, stop: int) -> Placeholder | None:
        match self._lexemes[index].raw[0]:
            case "$":
                return self._dollar(index, stop)
            case "?":
                return self._mark(index, stop)
            case ":":
                return self._colon(index, first, stop)
            case "{":
                return self._braced(index, first, stop)
            case "'":
                return self._quoted(index, first, stop)
        return None

    def _adjacent(self, index: int) -> bool:
        """Whether nothing stands between this token and the one before it."""
        return self._lexemes[index].start == self._lexemes[index - 1].end

    def _make(self, name: str, first: int, stop: int, sql: str = "") -> Placeholder:
        written = self._lexemes[first].raw
        for index in range(first + 1, stop):
            # A comment may stand between; it isn't part of the placeholder and may hold anything.
            written += ("" if self._adjacent(index) else " ") + self._lexemes[index].raw
        name = name.lower()
        return Placeholder(name, written, first, stop, sql or f"${name}")

    def _dollar(self, index: int, stop: int) -> Placeholder | None:
        if self._lexemes[index].kind is not Kind.SYMBOL or index + 1 >= stop:
            return None
        name = self._lexemes[index + 1]
        # `$ a$b` is one to DuckDB, but can't be written without its blank, as `$a$` opens a string.
        is_name = name.kind is Kind.WORD and not set("$ ") & set(name.upper)
        if name.raw.isdecimal() or (is_name and not self._prefixes(index + 1, stop)):
            return self._numbered(name.raw, index)
        return None

    def _prefixes(self, index: int, stop: int) -> bool:
        """Whether a word is the prefix of a string, as in ``$x'00'``."""
        after = index + 1
        is_string = after < stop and self._lexemes[after].kind is Kind.PREFIXED
        return is_string and self._adjacent(after)

    def _mark(self, index: int, stop: int) -> Placeholder:
        if (
            index + 1 < stop
            and self._adjacent(index + 1)
            and self._lexemes[index + 1].raw.isdecimal()
        ):
            return self._numbered(self._lexemes[index + 1].raw, index)
        self._marks += 1
        return self._make(str(self._marks), index, index + 1)

    def _numbered(self, name: str, index: int) -> Placeholder:
        """``$name``, ``$1`` or ``?1``; a ``?`` after a number takes the next one."""
        if name.isdecimal():
            self._marks = max(self._marks, int(name))
        return self._make(name, index, index + 2)

    def _colon(self, index: int, first: int, stop: int) -> Placeholder | None:
        if self._lexemes[index].raw != ":" or index + 1 >= stop or not self._adjacent(index + 1):
            return None
        name = self._lexemes[index + 1]
        if name.kind is Kind.WORD and name.raw.isidentifier() and self._value_follows(index, first):
            return self._typed(name.raw, index, index + 2, first, stop)
        return None

    def _value_follows(self, index: int, first: int) -> bool:
        """Whether a value can stand at this token."""
        if index == first:
            return False
        before = self._lexemes[index - 1]
        if before.kind is Kind.WORD:
            # `{escape: …}` names a member so.
            is_member = index - 2 >= first and self._lexemes[index - 2].raw in ("{", ",")
            return before.upper in _BEFORE_VALUE and not (is_member and self._in_braces(index))
        if before.raw == "[":
            return not self._subscript(index - 1, first)
        if before.raw == "-" and index - 2 >= first and self._lexemes[index - 2].raw == ":":
            return False  # the open end in `a[1:-:2]`
        return before.kind is Kind.SYMBOL and before.raw not in _NOT_BEFORE_VALUE

    def _in_braces(self, index: int) -> bool:
        """Whether the innermost bracket that is open at this token is a brace."""
        depth = 0
        for each in reversed(self._lexemes[:index]):
            depth += (each.raw in (")", "]", "}")) - (each.raw in ("(", "[", "{"))
            if depth < 0:
                return each.raw == "{"
        return False

    def _subscript(self, index: int, first: int) -> bool:
        """Whether this bracket takes a part of a value, and is not a list's."""
        if index == first:
            return False
        before = self._lexemes[index - 1]
        if before.kind is Kind.WORD:
            return before.upper not in _BEFORE_VALUE
        return before.kind is not Kind.SYMBOL or before.raw in (")", "]", "}")

    def _braced(self, index: int, first: int, stop: int) -> Placeholder | None:
        """``{{ name }}``: two braces that touch, a name, two braces that touch."""
        parts = self._lexemes[index : min(index + 5, stop)]
        raws = [part.raw for part in parts]
        if raws[:2] + raws[3:] != ["{", "{", "}", "}"]:
            return None
        name = parts[2]
        touching = self._adjacent(index + 1) and self._adjacent(index + 4)
        if touching and name.kind is Kind.WORD and name.raw.isidentifier():
            return self._typed(name.raw, index, index + 5, first, stop)
        return None

    def _quoted(self, index: int, first: int, stop: int) -> Placeholder | None:
        """``'{{ name }}'``: a plain string that holds nothing else."""
        text = self._lexemes[index].value
        if self._lexemes[index].kind is not Kind.STRING:
            return None
        for start, end, name in braces(text):
            if (start, end) == (0, len(text)):
                return self._typed(name, index, index + 1, first, stop)
        return None

    def _typed(self, name: str, index: int, end: int, first: int, stop: int) -> Placeholder:
        """With the type before it: ``DATE '{{ day }}'`` runs as ``CAST($day AS DATE)``."""
        before = self._lexemes[index - 1].upper if index > first else ""
        if before not in _TYPES:
            return self._make(name, index, end)
        key = name.lower()
        if before == "INTERVAL" and end < stop and self._lexemes[end].kind is Kind.WORD:
            return self._make(name, index, end, f"(${key})")
        return self._make(name, index - 1, end, f"CAST(${key} AS {before})")
