"""A result without its secrets, as what a notebook shows and thus saves."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from vercel_sql.api.redaction import MASK
from vercel_sql.render.result import Result

Mask = Callable[[str], str]


def secrets_in(table: pa.Table, mask: Mask) -> frozenset[str]:
    """The columns in which a secret stands that is known."""
    places = [at for at, field in enumerate(table.schema) if _may_hold_text(field.type)]
    found: set[str] = set()
    if not places:
        return frozenset()
    with Result(table.select(places)) as result:
        for rows in result.texts():
            for at, texts in zip(places, zip(*rows, strict=True), strict=True):
                # As one text: a secret is looked for once, and not in each of a million values.
                joined = "\0".join(text for text in texts if text is not None)
                if mask(joined) != joined:
                    found.add(table.column_names[at])
    return frozenset(found)


def _may_hold_text(kind: pa.DataType) -> bool:
    return not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_temporal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def masked(table: pa.Table, secret_columns: frozenset[str], mask: Mask) -> pa.Table:
    """The table with every secret replaced, by column and wherever one is known.

    Args:
        table: rows to show.
        secret_columns: the columns that hold nothing else, in any case.
        mask: replaces the secrets that are known in a text.
    """
    wanted = {name.lower() for name in secret_columns}
    with Result(table) as result:
        rows = [row for some in result.texts() for row in some]
    for at, name in enumerate(table.column_names):
        texts = [row[at] for row in rows]
        if name.lower() in wanted:
            shown = [MASK if text else text for text in texts]
        else:
            shown = [None if text is None else mask(text) for text in texts]
        if shown != texts:
            table = table.set_column(at, name, pa.array(shown, pa.string()))
    return table
