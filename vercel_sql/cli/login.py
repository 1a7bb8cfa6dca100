"""``vercel-sql login`` and ``logout``: saves a login, made by email or browser, and revokes it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from vercel_sql.auth.calls import call
from vercel_sql.auth.login_store import App, LoginStore, SavedLogin, login_client
from vercel_sql.auth.saved_credential import sign_out
from vercel_sql.auth.sign_in import DevicePrompt, by_browser, by_device, by_email
from vercel_sql.cli import FAILED, FINE
from vercel_sql.cli.accounts import anonymous_client
from vercel_sql.cli.output import rescued
from vercel_sql.cli.terminal import complain, waiting
from vercel_sql.errors import Error, OperationalError, ParameterError
from vercel_sql.files import named_path
from vercel_sql.http.account import ask_account
from vercel_sql.http.events import caused_by
from vercel_sql.ledger.journal_files import value_at
from vercel_sql.manifest import vercel
from vercel_sql.text import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from vercel_sql.http.client import Client

_MAX_WAIT = 120.0  # seconds that one request may wait for a rate limit
_SECRETS = frozenset(["access_token", "refresh_token"])


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    problem = _problem(arguments)
    if problem:
        parser.error(problem)
    client = anonymous_client(arguments, _MAX_WAIT)
    if not arguments.email:
        _refuse_mixed(client, arguments)
    made = client.provider.token_kinds["email" if arguments.email else "app"]
    say(f"You will get a {made.title}.", f"{made.limits}.", f"{client.provider.token_advice}.")
    try:
        store = LoginStore(client.urls["api"])
        with store.locked():  # fails now rather than with a login in hand
            before = _before(store)
            store.require_writable()
        with caused_by("login"):
            login = _signed_in(client, arguments)
        names = ("api_url", *sorted(_SECRETS))
        table = pa.table({name: [getattr(login, name)] for name in names})
        with rescued(table, _SECRETS, client.create_results), store.locked():
            place = store.write(login)
        client.create_results.release(f"saved in {place}")
    finally:
        client.close()
    who = _who(store, login, arguments.request_timeout)
    say(f"Logged in{f' as {who}' if who else ''}; saved in {place}.")
    if before is not None and before.access_token != login.access_token:
        say(
            "This replaces an earlier login, which was not revoked: to revoke one, log out first "
            "or delete its token."
        )
    environment = client.provider.token_environment
    if os.environ.get(environment, "").strip():
        say(f"{environment} is set, and takes precedence over this login.")
    is_behind = client.auditor is not None and client.auditor.log.problem is not None
    return FAILED if is_behind else FINE


def _problem(arguments: argparse.Namespace) -> str | None:
    is_app = arguments.oauth or arguments.device
    if bool(arguments.email) == is_app:
        return "either --email ADDRESS, or --oauth or --device with --client-id ID"
    if is_app and not arguments.client_id:
        return "--oauth and --device need --client-id ID, the id of the app that signs in"
    if arguments.client_signing and not arguments.client_secret_file:
        return "--client-signing needs --client-secret-file FILE, the secret or key to sign with"
    if is_app and "openid" not in arguments.scope.split():
        return "--scope must include openid: without it, the user can't be verified"
    return None


def _refuse_mixed(client: Client, arguments: argparse.Namespace) -> None:
    """Refuse Vercel's own sign-in for another API, and the reverse, unless both are named.

    A token would be sent where it does not belong.
    """
    given = {"api": arguments.api_url, "oauth": arguments.oauth_url}
    servers = client.provider.servers
    own = {client.urls[name] == servers[name].url for name in given}
    named = [given[name] or os.environ.get(servers[name].environment, "").strip() for name in given]
    if len(own) == 2 and not all(named):
        raise ParameterError(
            f"the API is {client.urls['api']}, but the authorization server "
            f"{client.urls['oauth']}: their tokens don't belong together. Give both "
            "--api-url and --oauth-url (VERCEL_API_URL and VERCEL_OAUTH_URL)"
        )


def _tell(*lines: str) -> None:
    """Say what to do; fail if nobody would see it."""
    try:
        say(*lines, out=sys.stderr)
    except OSError as error:
        raise OperationalError(
            f"instructions can't be shown on standard error: {error.strerror}. Nothing was saved"
        ) from None


def _before(store: LoginStore) -> SavedLogin | None:
    try:
        found = store.read()
    except Error:
        return None  # damaged, and about to be replaced
    return None if found is None else found[0]


def _signed_in(client: Client, arguments: argparse.Namespace) -> SavedLogin:
    seconds = arguments.timeout
    if arguments.email:
        with waiting(client.urls["api"]) as answered:
            return by_email(
                client,
                arguments.email,
                token_name=arguments.token_name,
                show_code=partial(_show_code, answered, arguments.email),
                seconds=seconds,
            )
    secret_file = _absolute(arguments.client_secret_file)
    app = App(arguments.client_id, secret_file, arguments.scope, arguments.client_signing)
    with waiting(client.urls["oauth"]) as answered:
        if arguments.device:
            return by_device(client, app, show=partial(_show_device, answered), seconds=seconds)
        show = partial(_show_address, answered, no_browser=arguments.no_browser)
        return by_browser(
            client, app, port=arguments.port, show=show, seconds=seconds, prompt=arguments.prompt
        )


def _show_code(answered: Callable[[], None], email: str, code: str) -> None:
    answered()
    _tell(
        f"An email was sent to {email}. Confirm the login there, if it shows this security code:",
        *("", f"    {code}", "", "Waiting for the confirmation …"),
    )


def _show_device(answered: Callable[[], None], prompt: DevicePrompt) -> None:
    answered()
    lines = ["On any device, open", "", f"    {prompt.address}", ""]
    lines += ["and enter the code", "", f"    {prompt.user_code}", ""]
    if prompt.complete_address is not None:
        lines.append(f"(or open {prompt.complete_address} and compare the code)")
    _tell(*lines, "Waiting for your approval …")


def _show_address(
    answered: Callable[[], None], address: str, callback: str, *, no_browser: bool
) -> None:
    answered()
    # The address contains no secret, and is useless without the verifier, which stays here.
    _tell(
        *("Open this address in a browser on this machine:", "", f"    {address}", ""),
        "The app's Authorization Callback URLs (team settings, Apps, Manage) must include:",
        *("", f"    {callback}", ""),
    )
    if not no_browser:
        _open_browser(address)
        say("(It should open on its own; if it doesn't, copy the address.)")
    say("Waiting for the sign-in …")


def _open_browser(address: str) -> None:
    """Open an address in the browser, without waiting.

    Some browsers run until they are closed, and some, such as w3m, use the terminal. So a process
    of its own opens it, without the terminal and its Ctrl-C.
    """
    command = [sys.executable, "-I", "-m", "webbrowser", address]
    quiet = subprocess.DEVNULL
    with suppress(OSError):
        subprocess.Popen(  # noqa: S603 - no shell reads the address
            command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        )


def _who(store: LoginStore, login: SavedLogin, request_timeout: float) -> str | None:
    """The user's name, or None. Also stores the token's id. Neither is vital."""
    provider = vercel().provider
    client = login_client(provider, login, login.access_token, request_timeout, max_wait=0)
    try:
        with waiting(login.api_url):
            if login.kind == "token":
                _store_token_id(client, store, login)
            return ask_account(client).name
    except Error as error:
        say(f"(the user's name is not available: {error})")
        return None
    finally:
        client.close()


def _store_token_id(client: Client, store: LoginStore, login: SavedLogin) -> None:
    resource, columns = vercel().tokens(), vercel().provider.roles["tokens"].columns
    getter, own = resource.getter, resource.self_reference
    assert getter is not None  # noqa: S101 - tokens have both
    assert own is not None  # noqa: S101
    name = getter.required[0].name
    answer = call(client, resource.full_name, getter.name, {name: own.value})
    token = value_at(answer, getter.rows)
    if not isinstance(token, dict):
        return
    expires_at, token_id = token.get(columns["expiresAt"]), token.get(columns["id"])
    noted = msgspec.structs.replace(
        login,
        token_id=token_id if isinstance(token_id, str) else None,
        expires_at=expires_at if isinstance(expires_at, int) else None,
    )
    with store.locked():
        found = store.read()
        if found is not None and found[0].access_token == login.access_token:
            store.write(noted)


def _absolute(path: str | None) -> str | None:
    try:
        return None if path is None else str(named_path(path).absolute())
    except OSError as error:
        raise ParameterError(f"--client-secret-file {path}: {error.strerror}") from None


def log_out(arguments: argparse.Namespace, _parser: argparse.ArgumentParser) -> int:
    """Log out; the exit code is 1 if the login could not be revoked."""
    client = anonymous_client(arguments)
    client.close()
    provider = vercel().provider
    audit_log = client.auditor.log if client.auditor is not None else None
    store = LoginStore(client.urls["api"])
    with caused_by("logout"), waiting("the server that revokes the login"):
        ended = sign_out(provider, store, arguments.request_timeout, audit_log)
    if os.environ.get(provider.token_environment, "").strip():
        say(f"{provider.token_environment} is set, and still in use.")
    if ended.place is None:
        say("You are not logged in; nothing to do.")
        return FINE
    if ended.failure is not None:
        complain(
            "the login could not be revoked, and may still work for whoever has it: "
            f"{ended.failure}. It is forgotten here ({ended.place})"
        )
        return FAILED
    say("Logged out: the login is revoked and forgotten.")
    return FINE
