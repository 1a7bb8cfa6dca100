"""What clients of a server may do and take, and what they paste to attach it."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vercel_sql.errors import ParameterError

if TYPE_CHECKING:
    from vercel_sql.ledger.secrets_file import SecretsFile
    from vercel_sql.writes.policy import OnOrphan

MEBIBYTE = 1 << 20
OUT_OF_MEMORY = re.compile("Out of Memory|bad.alloc|Allocation failure")
"""In a DuckDB error."""
NEEDS_MORE = (
    "the statement needs more memory than there is; ask for less, or raise the server's "
    "--memory-limit"
)
HOST = "localhost"
_TOKEN_BYTES, _SHORTEST_TOKEN = 32, 22
"""Bytes of a random token, and characters of a given one: 128 bits in base64."""
# Address space that is counted and hardly used: the stacks of Quack's threads, 8 MiB each.
_STACKS = 1280
PLENTY, _FULL = 0.8, 0.95
"""Of its memory, what a process may take before it ends statements; and of its address space."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of a server; `vercel-sql serve` has an option for each.

    Attributes:
        statement_seconds: how long a statement may run.
        statements: how many statements run at the same time.
        rows: how many rows a statement may give.
        memory: mebibytes that the database process may take. DuckDB gets half of it, and the rest
            is for Python and for what DuckDB does not count.
        temp: mebibytes of temporary files.
        threads: threads that compute, beside one for each statement.
        connections: how many clients may be connected at the same time.
    """

    statement_seconds: float = 300.0
    statements: int = 32
    rows: int = 1_000_000
    memory: int = 2048
    temp: int = 1024
    threads: int = field(default_factory=lambda: max(1, (os.cpu_count() or 1) // 2))
    connections: int = 256


@dataclass(frozen=True)
class Settings:
    """What the clients of a server may do; `vercel-sql serve` has an option for each.

    Attributes:
        writes: whether they may change something at the API.
        secrets_file: where secrets that are shown once are saved first; required for writes.
        on_orphan: what to do about a token that a create may have made whose answer was lost.
        mark_names: whether the names of new tokens end with a random mark.
        max_writes: how many writes a statement may send; None does not limit it.
        max_wait: how many seconds a write may wait for rate limits; None does not limit it.
        extensions: extension files to load in place of the installed extension.
        bounds: what a statement may take.
    """

    writes: bool = False
    secrets_file: SecretsFile | None = None
    on_orphan: OnOrphan = "report"
    mark_names: bool = False
    max_writes: int | None = 100
    max_wait: float | None = None
    extensions: tuple[Path, ...] = ()
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def longest_wait(self) -> float:
        """How long a write may wait: one that would wait beyond its time is refused at once."""
        seconds = self.bounds.statement_seconds
        return seconds if self.max_wait is None else min(seconds, self.max_wait)


def resident(*processes: int | str) -> int:
    """The resident memory of processes in bytes, shared pages counted once; 0 if unknown."""
    pages = [_pages(process) for process in processes]
    shared = max((each[2] for each in pages), default=0)
    return (shared + sum(each[1] - each[2] for each in pages)) * os.sysconf("SC_PAGE_SIZE")


def is_full(process: int | str, bounds: Bounds) -> bool:
    """Whether a process has little room left under `limit_memory`, which counts freed room too."""
    return _pages(process)[5] * os.sysconf("SC_PAGE_SIZE") > _FULL * _most_data(bounds)


def is_short(process: int | str, bounds: Bounds) -> bool:
    """Whether a process has taken nearly all the memory that it may."""
    is_large = resident(process) > PLENTY * bounds.memory * MEBIBYTE
    return is_large or is_full(process, bounds)


def _pages(process: int | str) -> list[int]:
    """Of a process in pages: the address space, what is resident, shared, code, 0 and data."""
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{process}/statm").read_text().split()]
    return [0] * 7


def _most_data(bounds: Bounds) -> int:
    return (bounds.memory + _STACKS) * MEBIBYTE


def limit_memory(bounds: Bounds) -> None:
    """Has this process's allocations fail before the machine runs short.

    No core file is written: it would have secrets in it.
    """
    with suppress(ImportError, ValueError, OSError):
        import resource

        most = _most_data(bounds)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def most_open_files() -> int:
    """How many files and connections this process may have open; a guess if nothing says so."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most != resource.RLIM_INFINITY:
            return most
    return 1024


def uri_of(port: int) -> str:
    return f"quack:{HOST}:{port}"


def lines_to_paste(port: int, token: str) -> list[str]:
    """Three lines for a DuckDB shell, which will give the token to this server and to no other."""
    uri, shown = uri_of(port), token.replace("'", "''")
    return [
        "INSTALL quack; LOAD quack;",
        f"CREATE OR REPLACE SECRET vercel_{port} (TYPE quack, TOKEN '{shown}', SCOPE '{uri}');",
        f"ATTACH OR REPLACE '{uri}' AS vercel;",
    ]


def acceptable_token(token: str | None) -> str:
    """The token that clients need: the given one, else a random one of 256 bits."""
    if token is None:
        import secrets

        return secrets.token_urlsafe(_TOKEN_BYTES)
    if len(token) < _SHORTEST_TOKEN or not token.isprintable() or not token.isascii():
        raise ParameterError(
            f"the server's token needs at least {_SHORTEST_TOKEN} printable ASCII characters "
            "(128 bits): openssl rand -base64 24 makes one"
        )
    return token
