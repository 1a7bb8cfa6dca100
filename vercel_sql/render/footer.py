"""What stands below a table: how many rows and columns there are, and are shown."""

from __future__ import annotations

from dataclasses import dataclass

from vercel_sql.render.large_numbers import readable
from vercel_sql.render.texts import padded

_COUNTED = 10  # from so many rows on, their number is said


@dataclass(frozen=True)
class Footer:
    """The counts below a table, in DuckDB's words.

    Attributes:
        rows: of the result.
        rows_shown: of them, in the table.
        columns: of the result.
        rounded: whether millions of rows are said in words, as DuckDB does in a terminal.
    """

    rows: int
    rows_shown: int
    columns: int
    rounded: bool

    @property
    def least(self) -> int:
        """How wide a table has to be for what must be said: 0 if that is nothing."""
        if self.rows_shown == self.rows and self.rows:
            return 0
        return self._room()

    def lines(self, box: int, columns_shown: int) -> list[str]:
        """The lines below a table.

        Args:
            box: how wide the table is.
            columns_shown: how many of the columns are in it.
        """
        hidden = columns_shown < self.columns
        said = self._said()
        columns = f"{self.columns} column{'s' if self.columns > 1 else ''}"
        columns += f" ({columns_shown} shown)" if hidden else ""
        both = (self._counted and self.columns > 1) or (hidden and self.rows)
        if both and box >= len(said) + len(columns) + 6:
            return self._with_columns(box, said, columns)
        lines: list[str] = []
        if self.least > box:
            lines = [f"  {text}" for text in (said, self._shown, self._exact) if text]
        elif self.rows == 0 or (self._counted and box >= self._room()):
            lines = self._rows_only(box, said)
        # In DuckDB's box, which is never narrow, there is always room for this.
        return [*lines, f"  {columns}"] if hidden and self.rows else lines

    @property
    def _counted(self) -> bool:
        return self.rows >= _COUNTED

    @property
    def _exact(self) -> str:
        return f"{self.rows} total" if self.rounded and readable(str(self.rows)) else ""

    @property
    def _shown(self) -> str:
        return f"{self.rows_shown} shown" if self.rows_shown < self.rows else ""

    def _said(self) -> str:
        return f"{(self.rounded and readable(str(self.rows))) or self.rows} rows"

    def _room(self) -> int:
        longest = max(len(self._said()), len(self._shown) + 2, len(self._exact) + 2)
        return longest + 4

    def _details(self, padding: int) -> tuple[str, list[str]]:
        """What can stand behind the number of rows, and what is left for further lines."""
        details = [text for text in (self._shown, self._exact) if text]
        inline = f" ({', '.join(details)})" if self._shown else ""
        return (inline, []) if inline and padding >= len(inline) else ("", details)

    def _with_columns(self, box: int, said: str, columns: str) -> list[str]:
        padding = box - len(said) - len(columns) - 4
        inline, details = self._details(padding)
        first = f"  {said}{inline}{' ' * (padding - len(inline))}{columns}"
        return [first, *self._further(box, details, "<")]

    def _rows_only(self, box: int, said: str) -> list[str]:
        padding = box - len(said) - 4
        inline, details = self._details(padding)
        left = (padding - len(inline)) // 2
        right = padding - len(inline) - left
        return [
            f"  {' ' * left}{said}{inline}{' ' * right}",
            *self._further(box, details, "^"),
        ]

    def _further(self, box: int, details: list[str], side: str) -> list[str]:
        if len(details) > 1 and sum(map(len, details)) + 4 <= box:
            return [f"  {details[0]}{details[1].rjust(box - 4 - len(details[0]))}"]
        return [f"  {padded(f'({text})', box - 4, side)} " for text in details]
