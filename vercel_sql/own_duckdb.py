"""A DuckDB for this package's own work, which needs no file, folder or setting of the machine."""

from __future__ import annotations

import duckdb


def own_duckdb() -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory, on one thread, that can't reach files or other hosts."""
    con = duckdb.connect(
        config={
            "threads": 1,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    # Not in the config, and without a place to spill to: DuckDB asks for the working directory
    # otherwise. Where that was deleted, 1.5 aborts the process and 2.0 fails.
    con.execute("SET temp_directory = ''")
    con.execute("SET enable_external_access = false")
    return con
