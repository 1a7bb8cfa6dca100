"""How an argument is written where a method is called, for errors that say what to add."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spelling:
    """The way that one of the doors writes named arguments.

    Attributes:
        sign: what stands before a name.
        equals: what stands between a name and its value.
        takes_null: whether NULL is a value, and not the same as leaving the argument out.
    """

    sign: str
    equals: str
    takes_null: bool

    def given(self, name: str, value: str = "…") -> str:
        """An argument with a value."""
        return f"{self.sign}{name} {self.equals} {value}"

    def or_null(self, name: str, meaning: str) -> str:
        """The same argument as NULL, as another thing that may be said; empty if it can't be."""
        return f", or {self.given(name, 'NULL')} {meaning}" if self.takes_null else ""


EXEC = Spelling("@", "=", takes_null=True)
"""``EXEC … @name = value``."""

FUNCTION = Spelling("", ":=", takes_null=False)
"""``FROM …(name := value)``; a macro passes NULL for what is left out."""
