"""The lists of what clients may name."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

import duckdb
import pytest

from vercel_sql.server.judge import builtin, lower

DATA = tomllib.loads(files("vercel_sql.server").joinpath("allowed.toml").read_text("utf-8"))
GROUPS = ("functions", "table_functions", "types")
IS_2 = duckdb.__version__ >= "2"

# DuckDB 1.5 has no comparisons among its functions.
FUNCTIONS_OF_2 = {
    "!=", "<", "<=", "=", ">", ">=", "assert_true", "binom", "if", "json_insert", "json_remove",
    "json_replace", "json_set", "json_strip_nulls", "overlay",
}  # fmt: skip
ONLY_IN_2 = {
    "functions": FUNCTIONS_OF_2,
    "table_functions": set(),
    "types": {"timestamptz_ns", "tuple"},
}
# Whatever of these stands in the lists was read by somebody, and is harmless all the same.
SUSPECT = [
    "read", "write", "scan", "copy", "query", "execute", "secret", "setting", "variable", "log",
    "sleep", "env", "file", "path", "http", "attach", "load", "install", "checkpoint",
    "nextval", "currval", "setseed", "current_", "pragma", "quack", "python", "serialize",
    "prepared", "connection",
]  # fmt: skip
READ = {
    "current_date", "current_localtime", "current_localtimestamp", "get_current_time",
    "get_current_timestamp", "log", "log10", "log2", "parse_dirpath", "parse_filename",
    "parse_path", "json_extract_path", "json_extract_path_text",
}  # fmt: skip


OUTSIDE = [
    "from_json", "json_contains", "json_group_structure", "json_merge_patch", "json_pretty",
    "json_structure", "json_transform", "json_tree", "levenshtein",
    "arrow_scan", "current_setting", "duckdb_databases", "duckdb_extensions", "duckdb_logs",
    "duckdb_memory", "duckdb_prepared_statements", "duckdb_secrets", "duckdb_settings",
    "duckdb_variables", "getenv", "getvariable", "glob", "json_deserialize_sql",
    "json_execute_serialized_sql", "json_serialize_plan", "json_serialize_sql", "nextval",
    "pandas_scan", "pg_sleep", "python_map_function", "query", "query_table", "read_blob",
    "read_csv", "read_csv_auto", "read_duckdb", "read_json", "read_ndjson", "read_parquet",
    "read_text", "sleep_ms", "sniff_csv", "which_secret", "write_log", "quack_serve",
    "quack_stop", "run",
]  # fmt: skip


def names(group: str) -> list[str]:
    return [name for each in DATA[group].values() for name in each]


@pytest.fixture(scope="module")
def existing() -> dict[str, set[str]]:
    with duckdb.connect() as con:

        def column(query: str) -> set[str]:
            return {name for (name,) in con.execute(query).fetchall()}

        functions = "SELECT function_name FROM duckdb_functions() WHERE function_type"
        return {
            "functions": column(f"{functions} NOT IN ('table', 'pragma', 'table_macro')")
            | {"unnest"},
            "table_functions": column(f"{functions} IN ('table', 'table_macro')"),
            "types": {lower(n) for n in column("SELECT type_name FROM duckdb_types()")},
        }


@pytest.mark.parametrize("group", GROUPS)
def test_every_name_is_duckdbs(existing: dict[str, set[str]], group: str) -> None:
    missing = set(names(group)) - existing[group]
    assert missing == (set() if IS_2 else ONLY_IN_2[group])


@pytest.mark.parametrize("group", GROUPS)
def test_no_name_is_there_twice(group: str) -> None:
    assert len(names(group)) == len(set(names(group)))


def test_what_sounds_like_more_than_a_computation_was_read() -> None:
    suspect = {n for n in names("functions") if any(word in n for word in SUSPECT)}
    assert suspect == READ


def test_table_functions_give_rows_or_the_catalog() -> None:
    assert set(DATA["table_functions"]) == {"rows", "catalog"}
    assert all(name.startswith("duckdb_") for name in DATA["table_functions"]["catalog"])


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_reaches_out_of_the_query_is_in_no_list(name: str) -> None:
    allowed = builtin()
    assert name not in allowed.functions
    assert not any(name == each for _, each in allowed.table_functions)


def test_a_computation_depends_on_no_name_in_a_string_that_is_not_an_aggregate() -> None:
    """`list_aggregate` takes a function's name as text: only aggregates, which change nothing."""
    with duckdb.connect() as con:
        for name in ("getenv", "read_text", "current_setting", "query", "upper", "write_log"):
            with pytest.raises(duckdb.Error, match=r"(?i)aggregate"):
                con.execute(f"SELECT list_aggregate(['a'], '{name}')")


@pytest.mark.parametrize(("name", "folded"), [("ABC", "abc"), ("\u212a", "\u212a"), ("ẞ", "ẞ")])
def test_only_the_letters_a_to_z_have_two_cases(name: str, folded: str) -> None:
    assert lower(name) == folded


def test_duckdb_takes_no_other_letters_for_the_same(tmp_path: Any) -> None:
    with duckdb.connect() as con, pytest.raises(duckdb.CatalogException):
        con.execute('WITH "\u212a" AS (SELECT 1) FROM k')
