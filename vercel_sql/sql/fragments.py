"""Parts of a script, as they are written, with the placeholders that stand in them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vercel_sql.sql.placeholders import Placeholder, Template
from vercel_sql.sql.tokens import Lexeme

if TYPE_CHECKING:
    from vercel_sql.sql.parameters import Parameters


_APART = frozenset(" \t\r\n,;()[]{}=<>+-*/%|&^~!.:")
"""Characters that are never one token with a parameter next to them."""


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
    lexemes: Sequence[Lexeme]
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
        stop: the index after its last token; never the same as `first`, but for a text that
            cannot be read into tokens.
    """

    script: Script
    first: int
    stop: int

    def __repr__(self) -> str:
        # No text: a literal may be a secret.
        return f"<Fragment at {self.position}>"

    @property
    def lexemes(self) -> Sequence[Lexeme]:
        """Its tokens."""
        return self.script.lexemes[self.first : self.stop]

    @property
    def start(self) -> int:
        """The offset of its first character in the script."""
        return self.script.lexemes[self.first].start if self.first < self.stop else 0

    @property
    def end(self) -> int:
        """The offset after its last character in the script."""
        if self.first < self.stop:
            return self.script.lexemes[self.stop - 1].end
        return len(self.script.source)

    @property
    def position(self) -> str:
        """Where it starts, as ``line:column``."""
        return self.script.position(self.start)

    @property
    def text(self) -> str:
        """Its text, exactly as it is written."""
        return self.script.source[self.start : self.end]

    @property
    def placeholders(self) -> Sequence[Placeholder]:
        """The placeholders in it, in order; the type before one may stand outside."""
        found = self.script.placeholders
        begin = bisect_right(found, self.first, key=lambda each: each.stop)
        end = bisect_right(found, self.stop, key=lambda each: each.stop)
        return found[begin:end]

    @property
    def templates(self) -> Sequence[Template]:
        """What looks like a placeholder in it but isn't one, in order."""
        found = self.script.templates
        begin = bisect_left(found, self.first, key=lambda each: each.index)
        end = bisect_left(found, self.stop, key=lambda each: each.index)
        return found[begin:end]

    @property
    def sole(self) -> Placeholder | None:
        """The placeholder that is all there is in it, or None."""
        for found in self.placeholders[:1]:
            whole = (found.first, found.stop) == (self.first, self.stop)
            if whole and found.sql == f"${found.name}":
                return found
        return None

    @property
    def sole_placeholder(self) -> str | None:
        """The name of the placeholder that is all there is in it, or None."""
        return self.sole.name if self.sole else None

    def slice(self, first: int, stop: int) -> Fragment:
        """A part of it, by token indices of the script."""
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
    """Texts and parameters in turn, apart where they would read as one token: `IN?` as `IN$p1`."""
    text = pieces[0]
    for piece in pieces[1:]:
        touch = text and piece and not (text[-1] in _APART or piece[0] in _APART)
        text += f" {piece}" if touch else piece
    return text


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
        """The name as SQL, every part in quotes."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in self.parts)
