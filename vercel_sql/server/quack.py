"""Loads the Quack extension into a DuckDB connection, with errors that say where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from vercel_sql.errors import OperationalError


def load_quack(con: duckdb.DuckDBPyConnection, files: Sequence[Path] = ()) -> None:
    """Loads Quack: from files that were named, else the way DuckDB has extensions.

    Args:
        con: the connection; with files, one that allows unsigned extensions.
        files: extension files, in the order in which they are loaded (httpfs before quack).

    Raises:
        OperationalError: it can't be had.
    """
    for file in files:
        try:
            con.execute(f"LOAD '{str(file).replace(chr(39), chr(39) * 2)}'")
        except duckdb.Error as error:
            raise OperationalError(
                f"the extension file {file} can't be loaded: {_first_line(error)}. It has to be "
                f"made for DuckDB {duckdb.__version__}, and httpfs comes before quack"
            ) from None
    if files:
        return
    try:
        con.execute("INSTALL quack")
        con.execute("LOAD quack")
    except duckdb.Error as error:
        raise OperationalError(
            "the DuckDB extension quack can't be had. DuckDB downloads it once from its own "
            "extension repository, and keeps it; this machine did not get it "
            f"({_first_line(error)}). Run INSTALL quack where there is a network, in the same "
            "user's DuckDB, or name the extension's files: --extension httpfs.duckdb_extension "
            "--extension quack.duckdb_extension (for DuckDB 1.5.5 the PyPI packages "
            "duckdb-extension-httpfs and duckdb-extension-quack have them)"
        ) from None


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
