"""The ``vercel-sql`` command. At any moment, Ctrl-C ends it with exit code 130 and no traceback.

Only modules that Python has loaded anyway are imported here: others take time, and Ctrl-C may come
meanwhile. Modules written in C may turn a KeyboardInterrupt into a traceback of their own, so none
is raised while they are imported.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

_INTERRUPTED = 130


class _Unneeded:
    """Has libraries count as not installed that others import where they are, and never use here.

    pyarrow and DuckDB import pandas, and httpcore trio, which takes longer than most commands.
    """

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name in ("pandas", "trio"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def entry_point() -> None:
    import gc
    import signal

    gc.disable()  # nothing that imports make is garbage
    from vercel_sql.cli.terminal import discard, flushed, prepare_streams

    # A shell has what it starts in the background ignore Ctrl-C.
    obeys = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if obeys:
        signal.signal(signal.SIGINT, _leave)
    sys.meta_path.insert(0, _Unneeded)
    # numpy, which DuckDB and pyarrow import, starts threads that nothing here has a use for.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import atexit

    if obeys:
        # Runs last. The exit code is known by then, and Ctrl-C would end the process without it.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    prepare_streams()

    def ready() -> None:
        gc.freeze()
        gc.enable()
        if obeys:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        code = main(sys.argv[1:], ready)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 2
    except KeyboardInterrupt:  # a second one, while the first was reported
        code = _INTERRUPTED
    if obeys:
        # Background work is waited for at exit, for some seconds at most.
        signal.signal(signal.SIGINT, _leave)
    if code == _INTERRUPTED:
        discard(1)  # its reader may have stopped reading
    failure = flushed(sys.stdout, 1)
    if failure is not None and code == 0:
        code = _unwritable(failure)
    flushed(sys.stderr, 2)
    sys.exit(code)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End the process at once: there is nothing to lose."""
    try:
        os.write(2, b"vercel-sql: interrupted\n")
    finally:
        os._exit(_INTERRUPTED)


def _unwritable(error: OSError) -> int:
    """Report which file or stream failed, and return the exit code."""
    from vercel_sql.cli.terminal import complain

    if not isinstance(error, BrokenPipeError):  # the reader has read enough
        where = f"{error.filename} can't be used: " if error.filename else ""
        complain(f"{where}{error.strerror or type(error).__name__}")
    return 1


def main(argv: Sequence[str], ready: Callable[[], None] = lambda: None) -> int:
    """Run the command, and return its exit code; call `ready` when everything is imported."""
    from vercel_sql.cli import FAILED, INTERRUPTED
    from vercel_sql.cli.commands import prepared
    from vercel_sql.cli.terminal import OutputError, complain

    try:
        run = prepared(argv)
        ready()
        return run()
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except OutputError as error:
        complain(str(error))
        return FAILED
    except OSError as error:
        return _unwritable(error)
    except Exception as error:
        import traceback

        # Neither the error's text nor its traceback: both may contain secrets.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(frame.filename)}:{frame.lineno}"
        complain(
            f"internal error: {type(error).__name__} at {where}. "
            "This is a bug in vercel-sql; please report it"
        )
        return FAILED
