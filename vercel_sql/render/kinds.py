"""What the modes know of a type: its short name, and whether its values are numbers."""

from __future__ import annotations

from duckdb.sqltypes import DuckDBPyType

_INTEGERS = {
    "tinyint": "int8",
    "smallint": "int16",
    "integer": "int32",
    "bigint": "int64",
    "hugeint": "int128",
    "utinyint": "uint8",
    "usmallint": "uint16",
    "uinteger": "uint32",
    "ubigint": "uint64",
    "uhugeint": "uint128",
}
_NUMBERS = frozenset(_INTEGERS) | {"float", "double", "decimal"}
_LONG = 40  # a nested type's name of more characters would only make its column wide


def is_number(dtype: DuckDBPyType) -> bool:
    """Whether values of this type stand on the right; as in DuckDB, BIGNUM does not."""
    return str(dtype.id) in _NUMBERS


def type_name(dtype: DuckDBPyType) -> str:
    """The type as DuckDB's own tables write it: `int64`, `varchar`, `struct(a integer)[]`."""
    name = str(dtype)
    if len(name) > _LONG and "(" in name:
        head, _, rest = name.partition("(")
        name = f"{head}(…){rest[rest.rindex(')') + 1 :]}"
    name = name.lower()
    base = name.removesuffix("[]")
    while base.endswith("[]"):
        base = base.removesuffix("[]")
    short = _INTEGERS.get(base)
    return f"{short}{name[len(base) :]}" if short else name.strip('"')
