"""Where a history is kept: a file of DuckDB's own, or whatever else DuckDB can attach."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import duckdb

from vercel_sql.catalog.ddl import literal
from vercel_sql.cli.exit_codes import FAILED
from vercel_sql.cli.history.schema import CATALOG
from vercel_sql.cli.history.turns import BusyError, holder
from vercel_sql.cli.waiting import in_time
from vercel_sql.errors import OperationalError, ParameterError
from vercel_sql.files import READABLE, require_private, require_replaceable
from vercel_sql.paths import named_path

# Both DuckDB versions open such a file. A file that is there keeps the version that it has.
_STORAGE = "STORAGE_VERSION 'v1.5.0'"
# One letter is a drive of Windows.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+._-]+(?=:)")
_PASSWORD = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)
_USERINFO = re.compile(r"(:/+)[^\s\"']+@")  # DuckDB 1.5 drops one of two slashes
_LACKING = re.compile(
    r"(?:download extension \"|required extension '|Extension \"(?:[^\"]*/)?)(\w+)"
    r"(?=[\"':]|\.duckdb_extension\" not found)"
)
# How systems say that a file system has no hard links.
_NO_LINKS = {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class Target:
    """What ``--to`` or ``--history`` names.

    Args:
        text: a file's name, or what DuckDB's ATTACH takes, such as ``ducklake:history.ducklake``.
        option: the option's name.

    Raises:
        ParameterError: it names nothing.
    """

    def __init__(self, text: str, option: str = "--to") -> None:
        if not text.strip() or "\0" in text:
            raise ParameterError(
                f"{option} needs the name of a file, or what DuckDB's ATTACH takes"
            )
        if ":memory:" in text.lower():
            raise ParameterError(f"{option} {text} would be gone with the command: name a file")
        scheme = _SCHEME.match(text)
        self._text = text
        try:
            self._path = None if scheme else named_path(text).absolute()
        except OSError as error:  # no working directory, or no home directory
            raise ParameterError(f"{option} {text} can't be found: {error.strerror}") from None
        # What follows the scheme may hold a password.
        self._shown = f"{scheme[0]}:…" if scheme else text

    def __repr__(self) -> str:
        return f"<Target {self._shown}>"

    @property
    def is_file(self) -> bool:
        """Whether it is a file of DuckDB's own, and nothing far away."""
        return self._path is not None

    def waited_for(self, seconds: float, failure: str) -> AbstractContextManager[None]:
        """Ends the command where what is far away is silent for longer; says what is waited for.

        Args:
            seconds: how long all that is done with it meanwhile may take.
            failure: what is said then, before its name.
        """
        if self.is_file:
            return nullcontext()
        return in_time(self._shown, FAILED, f"{failure} {self._shown}", seconds)

    @contextmanager
    def looked_at(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """A connection with what is there attached, to be read; None where nothing is there yet.

        Raises:
            BusyError: another process has it open.
            OperationalError: it can't be attached, or a file can't be made there.
        """
        with self._explained(), _owner_only():  # some targets are made when they are attached
            file = self._file()
            if file is None:
                with _attached(self._text) as con:
                    yield con
            elif file.exists():
                with _attached(str(file), "(READ_ONLY)") as con:
                    yield con
            else:
                yield None

    @contextmanager
    def written(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with the target attached, to write one transaction.

        A file that is missing is made beside its place and put there when all of it is written.
        Only its owner may read what is made.

        Raises:
            BusyError: another process has it open, or has just made it.
            OperationalError: it can't be attached or written.
        """
        with self._explained(), _owner_only():
            file = self._file()
            if file is None or file.exists():
                with _attached(str(file or self._text)) as con:
                    yield con
            else:
                with (
                    _made_whole(file) as made,
                    _attached(str(made), f"({_STORAGE})") as con,
                ):
                    yield con
                    # Now, since its log does not move with the file.
                    con.execute(f"CHECKPOINT {CATALOG}")

    def _file(self) -> Path | None:
        """The file, where it is one; DuckDB opens it by its name, and another file beside it.

        So nobody else may put anything into its folder. A link that is there is the user's own.

        Raises:
            OSError: somebody else could read, change or swap it.
        """
        if self._path is None:
            return None
        file = self._path.resolve()
        _check_folder(file.parent)
        for folder in (self._path.parent, file.parent):
            require_private(folder)
        require_replaceable(file, forbidden=READABLE)
        return file

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raises what a person can use in place of what DuckDB or the system says."""
        try:
            yield
        except duckdb.Error as error:
            if (other := holder(str(error))) is not None:
                raise BusyError(f"{other} has {self._shown} open") from None
            # What DuckDB says may repeat the whole target, and so may its traceback.
            raise self._error(self.reason(str(error))) from None
        except OSError as error:
            raise self._error(error.strerror or type(error).__name__) from None
        except BusyError:
            raise
        except OperationalError as error:
            raise self._error(str(error)) from None

    def _error(self, reason: str) -> OperationalError:
        return OperationalError(f"no snapshot was added to {self._shown}: {reason}")

    def reason(self, said: str) -> str:
        """What a person can use of an error of DuckDB's, without the password that it may cite."""
        if (found := _LACKING.search(said)) and self._path is None:
            return (
                f"DuckDB {duckdb.__version__} needs its extension {found[1]} for that, and it is "
                f"neither installed nor to be had; run INSTALL {found[1]} in DuckDB where there "
                "is a network"
            )
        return self._masked(said.splitlines()[0])

    def _masked(self, said: str) -> str:
        if self._path is not None:
            return said
        for text in (self._text, self._text.partition(":")[2]):
            said = said.replace(text, "…")
        return _USERINFO.sub(r"\1…@", _PASSWORD.sub(r"\1…", said))


@contextmanager
def _attached(place: str, options: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET enable_progress_bar = false")
        con.execute(f"ATTACH {literal(place)} AS {CATALOG} {options}")
        yield con


@contextmanager
def _made_whole(path: Path) -> Iterator[Path]:
    """A place for a new file, which is moved to its own when the context ends without an error.

    Raises:
        BusyError: somebody else has made the file meanwhile.
        OSError: it can't be made.
    """
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        made = Path(folder) / path.name
        yield made
        try:
            os.link(made, path)
        except OSError as error:
            has_no_links = error.errno in _NO_LINKS
            if isinstance(error, FileExistsError) or (has_no_links and path.exists()):
                raise BusyError(f"another snapshot has made {path} meanwhile") from None
            if not has_no_links:
                raise
            made.rename(path)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise OperationalError(f"there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OperationalError(f"the folder {folder} can't be written")


@contextmanager
def _owner_only() -> Iterator[None]:
    """Whatever is made while the context lasts, the log of a transaction too, has mode 0600."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
