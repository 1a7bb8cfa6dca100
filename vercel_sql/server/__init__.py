"""A Quack server: stock DuckDB shells and other clients attach the live tables of an account.

It is closed by default. What may be done is judged from a statement's syntax tree before it runs;
the HTTP client is read-only unless writes were asked for; and DuckDB itself is locked, without
access to files and other hosts. Each of the three holds without the other two where it can.

DuckDB runs in a process of its own, which is started again when it ends. Clients reach it through
the `Front` alone, which refuses what Quack can't be told to refuse. The process in front imports
neither DuckDB nor what needs it.
"""
