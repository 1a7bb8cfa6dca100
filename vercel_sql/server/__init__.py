"""A Quack server: stock DuckDB shells and other clients attach the live tables of an account.

It is closed by default. What may be done is judged from a statement's syntax tree before it runs;
the HTTP client is read-only unless writes were asked for; and DuckDB itself is locked, without
access to files and other hosts. Each of the three holds without the other two where it can.

DuckDB runs in a process of its own, which is started again when it ends. Clients reach it through
the `Front` alone, which refuses what Quack can't be told to refuse.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vercel_sql.server.database import load_quack
    from vercel_sql.server.server import ALL_GUARDS, Guards, Server

__all__ = ["ALL_GUARDS", "Guards", "Server", "load_quack"]


def __getattr__(name: str) -> Any:
    # The process in front needs no DuckDB.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "database" if name == "load_quack" else "server"
    return getattr(import_module(f"{__name__}.{module}"), name)
