"""What becomes of the secrets of writes, and of rows whose secret was lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vercel_sql.api import SecretsFile
from vercel_sql.errors import ParameterError, PartialWriteError
from vercel_sql.manifest import Method

if TYPE_CHECKING:
    import pyarrow as pa

OnOrphan: TypeAlias = Literal["report", "revoke"]


@dataclass(frozen=True)
class Keeping:
    """What becomes of a write's secret, and of a row whose secret was lost.

    Attributes:
        secrets_file: where secrets that are shown once are saved first.
        on_orphan: what to do about a row that a write made whose answer was lost: name it in the
            error, or also revoke it, where it is proven whose it is.
        mark_names: whether new names end with a random mark, which is that proof (see `orphans`).
        is_shared: several callers share the credential of the calls, so that none of them may put
            another in its place.
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
    """What to do about lost rows, where somebody who is not type-checked said it.

    Raises:
        ParameterError: it is none of what can be done.
    """
    if on_orphan not in ("report", "revoke"):
        raise ParameterError(f"on_orphan is {on_orphan!r}, and takes 'report' or 'revoke'")
    return "report" if on_orphan == "report" else "revoke"


def kept_rows(text: str, cause: BaseException, table: pa.Table | None) -> PartialWriteError:
    """The error that carries the rows of what was carried out before something failed."""
    if table is None:
        return PartialWriteError(text, cause=cause)
    names, rows = table.column_names, rows_of(table)
    return PartialWriteError(text, cause=cause, columns=names, rows=rows, table=table)


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    """The rows of a table as PEP 249 has them."""
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
