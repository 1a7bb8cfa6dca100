"""A cursor over the tokens of one statement."""

from __future__ import annotations

from collections.abc import Callable

from vercel_sql.errors import SQLSyntaxError
from vercel_sql.sql.dialect import Kind, Lexeme
from vercel_sql.sql.fragments import Fragment, Name

_DEPTH = {**dict.fromkeys("([{", 1), **dict.fromkeys(")]}", -1)}


class Reader:
    """Reads the tokens of a statement from first to last."""

    def __init__(self, statement: Fragment) -> None:
        self.statement = statement
        self.index = statement.first

    @property
    def at_end(self) -> bool:
        """Whether every token was read."""
        return self.index >= self.statement.stop

    def peek(self, ahead: int = 0) -> Lexeme | None:
        """The next token, or one after it; None where there is none."""
        index = self.index + ahead
        inside = self.statement.first <= index < self.statement.stop
        return self.statement.script.lexemes[index] if inside else None

    def word(self, ahead: int = 0) -> str:
        """The next token in upper case if it is a word, else nothing."""
        lexeme = self.peek(ahead)
        return lexeme.upper if lexeme else ""

    def symbol(self, ahead: int = 0) -> str:
        """The next token if it is a symbol, else nothing."""
        lexeme = self.peek(ahead)
        return lexeme.raw if lexeme and lexeme.kind is Kind.SYMBOL else ""

    def take(self, *words: str) -> bool:
        """Read these words if they are what comes next."""
        if any(self.word(ahead) != word for ahead, word in enumerate(words)):
            return False
        self.index += len(words)
        return True

    def take_symbol(self, symbol: str) -> bool:
        """Read this symbol if it is what comes next."""
        if self.symbol() != symbol:
            return False
        self.index += 1
        return True

    def identifier(self) -> str | None:
        """Read one part of a name; None, and nothing is read, if none comes next."""
        lexeme = self.peek()
        if lexeme is None or lexeme.kind not in (Kind.WORD, Kind.QUOTED) or " " in lexeme.upper:
            return None
        self.index += 1
        return lexeme.value

    def name(self) -> Name | None:
        """Read a name, qualified or not; None, and nothing is read, if none comes next."""
        start = self.index
        parts = [self.identifier()]
        while parts[-1] is not None and self.take_symbol("."):
            parts.append(self.identifier())
        found = tuple(part for part in parts if part is not None)
        if len(found) < len(parts):
            self.index = start
            return None
        return Name(found, self.since(start).text)

    def since(self, start: int) -> Fragment:
        """What was read since the token at an index."""
        return self.statement.slice(start, self.index)

    def until(self, stop: Callable[[Reader], bool]) -> Fragment | None:
        """Read up to where `stop` says so outside of brackets, or to the end.

        Returns:
            What was read, or None if nothing was.
        """
        start, depth = self.index, 0
        while not self.at_end and (depth > 0 or not stop(self)):
            depth += _DEPTH.get(self.symbol(), 0)
            self.index += 1
        return self.since(start) if self.index > start else None

    def rest(self) -> Fragment | None:
        """Read up to the end; None if nothing is left."""
        return self.until(lambda _: False)

    def brackets(self) -> bool:
        """Read a pair of parentheses and what is in them if it comes next."""
        if self.symbol() != "(":
            return False
        self.index += 1
        self.until(lambda reader: reader.symbol() == ")")
        return self.take_symbol(")")

    def clause(self, *words: str) -> bool:
        """Whether a clause of these words begins here, rather than that they name something."""
        if any(self.word(ahead) != word for ahead, word in enumerate(words)):
            return False
        return self.word(-1) != "AS" and self.symbol(-1) != "."

    def expected(self, what: str) -> SQLSyntaxError:
        """The error that something else was expected at the next token.

        The token itself is not shown: it may be a secret.
        """
        script = self.statement.script
        lexeme = self.peek()
        if lexeme is None:
            where = f"at the end of the statement, {script.position(self.statement.end)}"
        else:
            where = f"at {script.position(lexeme.start)}"
        return SQLSyntaxError(f"Expected {what} {where}.")
