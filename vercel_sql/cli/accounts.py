"""What the commands around logins share: options, the client, and how their errors are told."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from vercel_sql.api import Client
from vercel_sql.auth import Credential
from vercel_sql.cli.exit_codes import FAILED, WRONG_USE
from vercel_sql.errors import Error, ParameterError
from vercel_sql.ledger.audit_log import chosen_log
from vercel_sql.manifest import vercel
from vercel_sql.messages import complain

# How many seconds one request of a sign-in may wait for a rate limit.
_MOST_WAIT = 120.0


def anonymous_client(arguments: argparse.Namespace) -> Client:
    """A client without a token, for the servers of the options.

    Raises:
        ParameterError: a URL is not acceptable.
        OperationalError: the audit log can't be used.
    """
    given = {"api": arguments.api_url, "oauth": arguments.oauth_url}
    urls = {name: url for name, url in given.items() if url}
    return Client(
        vercel().provider,
        Credential(None, "nowhere"),
        urls=urls,
        max_wait=_MOST_WAIT,
        request_timeout=arguments.request_timeout,
        audit_log=chosen_log(arguments.audit_log),
    )


def guarded(run: Callable[[], int]) -> int:
    """The exit code of what runs; an error is told on standard error, and is 1 or 2."""
    try:
        return run()
    except ParameterError as error:
        complain(str(error))
        return WRONG_USE
    except Error as error:
        complain(str(error))
        return FAILED
