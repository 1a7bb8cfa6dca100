"""``vercel-sql logout``: revokes the saved login and forgets it."""

from __future__ import annotations

import argparse
import os

from vercel_sql.api.causes import caused_by
from vercel_sql.auth.login_store import LoginStore
from vercel_sql.auth.sign_in import sign_out
from vercel_sql.cli.accounts import anonymous_client, guarded
from vercel_sql.cli.exit_codes import FAILED, FINE
from vercel_sql.cli.options import add_servers
from vercel_sql.cli.waiting import waiting
from vercel_sql.manifest import vercel
from vercel_sql.messages import complain, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to a parser."""
    add_servers(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and gives its exit code: 1 where the login could not be revoked."""
    return guarded(lambda: _logout(arguments))


def _logout(arguments: argparse.Namespace) -> int:
    client = anonymous_client(arguments)
    client.close()
    provider = vercel().provider
    audit_log = client.auditor.log if client.auditor is not None else None
    with caused_by("logout"), waiting("the server that revokes the login"):
        ended = sign_out(
            provider, LoginStore(client.urls["api"]), arguments.request_timeout, audit_log
        )
    if os.environ.get(provider.token_environment, "").strip():
        say(f"{provider.token_environment} is set, and is still used.")
    if ended.place is None:
        say("Nobody was logged in: nothing to do.")
        return FINE
    if ended.failure is not None:
        complain(
            f"the login is forgotten here ({ended.place}), but could not be revoked, and may still "
            f"work for whoever has it: {ended.failure}"
        )
        return FAILED
    say("Logged out: the login is revoked and forgotten.")
    return FINE
