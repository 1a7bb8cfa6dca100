"""The command that serves the simulated API until it is ended."""

import argparse
import signal
import sys
import threading
from types import FrameType

from vercel_sql.simulator.limits import LIMITS, RateLimit
from vercel_sql.simulator.models import KINDS
from vercel_sql.simulator.server import Simulator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    parser.add_argument(
        "--port", type=_port, default=0, help="where to listen on loopback (default: any free port)"
    )
    parser.add_argument(
        "--tokens", type=_count, default=250, metavar="N", help="how many tokens to make (250)"
    )
    parser.add_argument(
        "--seed", type=int, default=7, metavar="N", help="what the made data depends on (7)"
    )
    parser.add_argument(
        "--as",
        dest="kind",
        choices=[kind for kind in KINDS if kind != "integration"],
        default="full",
        help="which kind of token to print: of the full account, a team or a project, of an app's "
        "or the Vercel CLI's session, or of a few permissions (full)",
    )
    parser.add_argument(
        "--latency-ms", type=_count, default=0, metavar="N", help="how long every request takes (0)"
    )
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument(
        "--limits",
        choices=LIMITS,
        default="vercel",
        help="the rate limits: Vercel's own, such as 50 deletions in 5 minutes, or none (vercel)",
    )
    limits.add_argument(
        "--rate-limit",
        type=_rate_limit,
        default=None,
        metavar="N/SECONDS",
        help="in place of these, how many requests each endpoint takes in so many seconds",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, after four lines with the addresses and the token.

    Call it from the main thread. Gives the exit code: 0, or 1 if the port is taken.
    """
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    simulator = Simulator(
        arguments.tokens,
        seed=arguments.seed,
        latency_ms=arguments.latency_ms,
        limits=arguments.limits,
        rate_limit=arguments.rate_limit,
        port=arguments.port,
    )
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        simulator.start()
    except OSError as error:
        sys.stderr.write(f"cannot serve on port {arguments.port}: {error.strerror or error}\n")
        return 1
    else:
        sys.stdout.write(
            f"VERCEL_API_URL={simulator.url}\n"
            f"VERCEL_TOKEN={simulator.bearer(arguments.kind)}\n"
            f"VERCEL_OAUTH_URL={simulator.url}\nVERCEL_MARKETPLACE_URL={simulator.marketplace_url}\n"
        )
        sys.stdout.flush()
        ended.wait()
    finally:
        simulator.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return value


def _rate_limit(text: str) -> RateLimit:
    try:
        return RateLimit.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
