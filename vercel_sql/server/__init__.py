"""A Quack server: stock DuckDB shells and other clients attach the live tables of an account.

It is closed by default. What may be done is judged from a statement's syntax tree before it runs;
the HTTP client is read-only unless writes were asked for; and DuckDB itself is locked, without
access to files and other hosts. Each of the three holds without the other two where it can.
"""

from vercel_sql.server.quack import load_quack
from vercel_sql.server.serving import ALL_GUARDS, Guards, Server

__all__ = ["ALL_GUARDS", "Guards", "Server", "load_quack"]
