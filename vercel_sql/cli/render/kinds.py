"""What a table says of a type: its short name, and on which side its values stand."""

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
_NUMBERS = frozenset(_INTEGERS) | {"float", "double", "decimal", "bignum"}


def is_number(dtype: DuckDBPyType) -> bool:
    """Whether values of this type stand on the right."""
    return str(dtype.id) in _NUMBERS


def type_name(dtype: DuckDBPyType) -> str:
    """The type as DuckDB's own tables write it: `int64`, `varchar`, `struct(…)[]`."""
    name = _folded(str(dtype))
    base = name.rstrip("[]0123456789")
    short = _INTEGERS.get(base)
    return f"{short}{name[len(base) :]}" if short else name.strip('"')


def _folded(name: str) -> str:
    """The name in lower case; what a nested type is made of would only make its column wide."""
    head, parenthesis, rest = name.partition("(")
    if not parenthesis or head == "DECIMAL":
        return name.lower()
    return f"{head.lower()}(…){rest[rest.rindex(')') + 1 :]}"
