"""The ``vercel-sql`` command: Ctrl-C ends it with exit code 130 and no traceback, at any moment.

Only what Python has loaded anyway is imported here: the rest takes its time, and Ctrl-C may come
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


def entry_point() -> None:
    """What the installed command runs."""
    import signal

    # A shell has what it starts in the background ignore Ctrl-C.
    obeys = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if obeys:
        signal.signal(signal.SIGINT, _leave)
    import atexit

    if obeys:
        # Runs last. When Python takes itself apart, the exit code is known, and a Ctrl-C would
        # end the process without it.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    _prepare_streams()

    def ready() -> None:
        if obeys:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        code = main(sys.argv[1:], ready)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 2
    except KeyboardInterrupt:  # a second one, while the first was told of
        code = _INTERRUPTED
    if obeys:
        # What still goes on is waited for at the end, for some seconds at most.
        signal.signal(signal.SIGINT, _leave)
    sys.exit(_flushed(code))


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Ends the process at once: nothing is under way that could be lost."""
    try:
        os.write(2, b"vercel-sql: interrupted\n")
    finally:
        os._exit(_INTERRUPTED)


def _prepare_streams() -> None:
    """Makes the streams take any text: files are UTF-8, and a terminal may show less than that."""
    import io

    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - it lives as long as the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="backslashreplace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def _flushed(code: int) -> int:
    """The exit code, when all that was written has left this process."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # The reader is gone or the disk is full, which was said where it mattered. Python would
        # complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or 1
    return code


def main(argv: Sequence[str], ready: Callable[[], None] = lambda: None) -> int:
    """Runs the command and gives its exit code: 0 fine, 1 a statement failed, 2 wrong use.

    Args:
        argv: the arguments.
        ready: called when everything is imported and the command is about to begin.
    """
    from vercel_sql.cli.commands import prepared
    from vercel_sql.cli.exit_codes import FAILED, INTERRUPTED
    from vercel_sql.messages import complain

    try:
        run = prepared(argv)
        ready()
        return run()
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    except OSError as error:
        complain(error.strerror or type(error).__name__)
        return FAILED
    except Exception as error:
        import traceback

        # Neither the error's text nor its traceback: both may hold anything, secrets included.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(frame.filename)}:{frame.lineno}"
        complain(
            f"internal error: {type(error).__name__} at {where}. "
            "This is a defect of vercel-sql; please report it"
        )
        return FAILED
