"""What happens to the secrets of writes, and how arguments are spelled in errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from vercel_sql.errors import ParameterError

if TYPE_CHECKING:
    from vercel_sql.ledger.secrets_file import SecretsFile
    from vercel_sql.manifest import Method

OnOrphan: TypeAlias = Literal["report", "revoke"]


@dataclass(frozen=True)
class WritePolicy:
    """What happens to a write's secret, and to a row whose secret was lost.

    Attributes:
        secrets_file: where secrets that are shown once are saved first.
        on_orphan: what to do about a row that was made by a write whose answer was lost: name it
            in the error, or also revoke it, where it is proven whose it is.
        mark_names: whether new names end with a random mark, which is that proof (see `orphans`).
        is_shared: several callers share the credential of the calls, so that none of them may
            replace it.
    """

    secrets_file: SecretsFile | None = None
    on_orphan: OnOrphan = "report"
    mark_names: bool = False
    is_shared: bool = False

    def note(self, method: Method) -> str | None:
        """What a request of a method does not show before it is sent, for EXPLAIN."""
        trace = method.trace
        if not self.mark_names or trace is None or trace.mark is None:
            return None
        return f"{trace.mark} ends with a random mark"


def checked_on_orphan(on_orphan: str) -> OnOrphan:
    """The option ``on_orphan``, for callers that are not type-checked."""
    if on_orphan not in ("report", "revoke"):
        raise ParameterError(f"on_orphan is {on_orphan!r}; it must be 'report' or 'revoke'")
    return "report" if on_orphan == "report" else "revoke"


@dataclass(frozen=True)
class ArgumentSyntax:
    """How named arguments are written in a statement, for errors that say what to add.

    Attributes:
        sign: what stands before a name.
        equals: what stands between a name and its value.
        takes_null: whether NULL is a value, and not the same as leaving the argument out.
    """

    sign: str
    equals: str
    takes_null: bool

    def given(self, name: str, value: str = "…") -> str:
        return f"{self.sign}{name} {self.equals} {value}"

    def or_null(self, name: str, meaning: str) -> str:
        """The same argument as NULL, as an alternative; empty if NULL isn't a value."""
        return f", or {self.given(name, 'NULL')} {meaning}" if self.takes_null else ""


EXEC = ArgumentSyntax("@", "=", takes_null=True)
"""``EXEC … @name = value``."""

FUNCTION = ArgumentSyntax("", ":=", takes_null=False)
"""``FROM …(name := value)``; a macro passes NULL for what is left out."""
