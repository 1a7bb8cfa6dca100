"""What a credential reaches, as the arguments that make another one reach no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from vercel_sql.errors import ParameterError
from vercel_sql.manifest import Reach, Resource
from vercel_sql.tables.shape import arrow_types
from vercel_sql.tables.spelling import Spelling


def reach_arguments(
    reach: Reach,
    resource: Resource,
    row: Mapping[str, Any],
    given: Mapping[str, Any],
    where: str,
    spelling: Spelling,
) -> dict[str, str]:
    """The arguments of the creator that ask for what an old row reaches, and for no more.

    Args:
        reach: what the manifest says about it.
        resource: the resource.
        row: the old row, decoded.
        given: the caller's arguments; they may settle the matter.
        where: what an error is to name.
        spelling: how the caller writes arguments.

    Raises:
        ParameterError: no arguments give the same; the caller has to say what is wanted.
    """
    if any(name in given for name in reach.settled_by):
        return {}
    entries = row.get(reach.column)
    known = _entry_fields(resource, reach.column)
    if isinstance(entries, list) and all(
        isinstance(each, dict) and known.issuperset(each) for each in entries
    ):
        ends = (None, row.get(reach.ends))
        lasting = [each for each in entries if each.get(reach.ends) in ends]
        if any(each.get(reach.kind) == reach.whole for each in lasting):
            return {}
        if len(lasting) == len(entries) == 1:
            (entry,) = entries
            name = reach.narrow.get(str(entry.get(reach.kind)))
            value = entry.get(name) if name is not None else None
            if name is not None and isinstance(value, str) and value:
                return {name: value}
    raise _unsettled(reach, where, spelling)


def _entry_fields(resource: Resource, column: str) -> set[str]:
    """The fields of an entry that the manifest knows; what it does not know may be a limit."""
    (entries,) = arrow_types([c for c in resource.columns if c.name == column]).values()
    entry: pa.StructType = entries.value_type
    return {entry.field(i).name for i in range(entry.num_fields)}


def _unsettled(reach: Reach, where: str, spelling: Spelling) -> ParameterError:
    each = " or ".join(spelling.given(name, "'…'") for name in reach.settled_by)
    null = spelling.or_null(reach.settled_by[0], "for everything that the user reaches")
    return ParameterError(
        f"{where}: what the old one reaches ({reach.column}) can't be asked for as it is, and the "
        "new one must not reach more by accident. Nothing was changed. Say what it has to reach: "
        f"{each}{null}"
    )
