"""``vercel-sql login``: logs in by email, browser or another device, and saves the login."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec
import pyarrow as pa

from vercel_sql.api import Client, Credential
from vercel_sql.api.account import ask_account
from vercel_sql.api.calls import call
from vercel_sql.api.causes import caused_by
from vercel_sql.api.client_auth import SIGNING
from vercel_sql.api.login_store import LoginStore, SavedLogin
from vercel_sql.api.sign_in import (
    DEFAULT_SCOPE,
    App,
    DevicePrompt,
    by_browser,
    by_device,
    by_email,
)
from vercel_sql.cli.accounts import anonymous_client, guarded
from vercel_sql.cli.exit_codes import FAILED, FINE
from vercel_sql.cli.options import add_servers, seconds
from vercel_sql.cli.output import rescued
from vercel_sql.cli.waiting import waiting
from vercel_sql.errors import Error, OperationalError, ParameterError
from vercel_sql.ledger.journal_files import value_at
from vercel_sql.manifest import Provider, vercel
from vercel_sql.messages import say
from vercel_sql.paths import named_path

# Registered once with an app, it serves every login. It is in no range of ports that systems use.
_PORT = 8743
_SECRETS = frozenset(["access_token", "refresh_token"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to a parser."""
    add = parser.add_argument
    add(
        "--email",
        metavar="ADDRESS",
        help="log in by an email to this address, which Vercel retired in February 2026",
    )
    add("--token-name", metavar="NAME", help="with --email: the name of the new token")
    add("--oauth", action="store_true", help="sign in with a browser, as an app (--client-id)")
    add("--device", action="store_true", help="sign in with a browser on another device")
    add("--client-id", metavar="ID", help="the id of the app that signs in")
    add(
        "--client-secret-file",
        metavar="FILE",
        help="a file with the app's secret, or its private key (PEM or JWK) for private_key_jwt, "
        "where it has one; keep it, renewing reads it again",
    )
    add(
        "--client-signing",
        choices=SIGNING,
        metavar="METHOD",
        help="sign assertions with that file in place of sending the secret: "
        "client_secret_jwt or private_key_jwt",
    )
    add("--scope", metavar="SCOPES", default=DEFAULT_SCOPE, help=f"default: {DEFAULT_SCOPE}")
    add(
        "--port",
        type=_port,
        default=_PORT,
        metavar="N",
        help="the port of http://127.0.0.1:N/callback, where the browser comes back to; that "
        f"callback has to be registered with the app ({_PORT}; 0 is any free port)",
    )
    add(
        "--prompt",
        choices=("consent", "login"),
        metavar="WHAT",
        help="with --oauth: ask for the consent or the login again (consent or login)",
    )
    add("--no-browser", action="store_true", help="show the address instead of opening a browser")
    add(
        "--timeout",
        type=partial(seconds, most=86_400),
        default=600.0,
        metavar="SECONDS",
        help="how long to wait for you (600)",
    )
    add_servers(parser)


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Runs the command and gives its exit code."""
    problem = _problem(arguments)
    if problem:
        parser.error(problem)
    return guarded(lambda: _login(arguments))


def _problem(arguments: argparse.Namespace) -> str | None:
    is_app = arguments.oauth or arguments.device
    if bool(arguments.email) == is_app:
        return "either --email ADDRESS, or --oauth or --device with --client-id ID"
    if is_app and not arguments.client_id:
        return "--oauth and --device need --client-id ID, the id of the app that signs in"
    if arguments.client_signing and not arguments.client_secret_file:
        return "--client-signing needs --client-secret-file FILE, the secret or key to sign with"
    if is_app and "openid" not in arguments.scope.split():
        return "--scope has to hold openid: without it, who signed in can't be checked"
    return None


def _login(arguments: argparse.Namespace) -> int:
    client = anonymous_client(arguments)
    if not arguments.email:
        _refuse_mixed(client, arguments)
    _say_beforehand(client.provider, "email" if arguments.email else "app")
    try:
        store = LoginStore(client.urls["api"])
        with store.locked():  # found out now, rather than with a login in hand
            before = _before(store)
            store.require_writable()
        with caused_by("login"):
            login = _signed_in(client, arguments)
        with rescued(_secrets(login), _SECRETS, client.create_results), store.locked():
            place = store.write(login)
        client.create_results.release(f"saved in {place}")
    finally:
        client.close()
    who = _who(store, login, arguments.request_timeout)
    say(f"{'Logged in' if who is None else f'Logged in as {who}'}; saved in {place}.")
    if before is not None and before.access_token != login.access_token:
        say(
            "This replaces an earlier login, which was not revoked: log out first to end one, "
            "or delete its token."
        )
    environment = client.provider.token_environment
    if os.environ.get(environment, "").strip():
        say(f"{environment} is set, and comes before this login.")
    is_behind = client.auditor is not None and client.auditor.log.problem is not None
    return FAILED if is_behind else FINE


def _say_beforehand(provider: Provider, kind: str) -> None:
    """Says what the login will be good for, before anybody takes the trouble."""
    made = provider.token_kinds[kind]
    say(f"You will get a {made.title}.", f"{made.limits}.", f"{provider.token_advice}.")


def _refuse_mixed(client: Client, arguments: argparse.Namespace) -> None:
    """Refuses Vercel's own sign-in for another API, and another's for Vercel's own API.

    A token would be sent where it does not belong. Who names both servers means it.
    """
    given = {"api": arguments.api_url, "oauth": arguments.oauth_url}
    servers = client.provider.servers
    own = {client.urls[name] == servers[name].url for name in given}
    named = [given[name] or os.environ.get(servers[name].environment, "").strip() for name in given]
    if len(own) == 2 and not all(named):
        raise ParameterError(
            f"the API is {client.urls['api']}, and the authorization server {client.urls['oauth']}:"
            " a token of the one is not for the other. Give both --api-url and --oauth-url "
            "(VERCEL_API_URL and VERCEL_OAUTH_URL)"
        )


def _secrets(login: SavedLogin) -> pa.Table:
    return pa.table({name: [getattr(login, name)] for name in ("api_url", *sorted(_SECRETS))})


def _tell(*lines: str) -> None:
    """Tells the person what to do.

    Raises:
        OperationalError: nobody would see it.
    """
    try:
        say(*lines)
    except OSError as error:
        raise OperationalError(
            f"what to do can't be shown on standard error: {error.strerror}. Nothing was saved"
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
    app = App(
        arguments.client_id,
        _absolute(arguments.client_secret_file),
        arguments.scope,
        arguments.client_signing,
    )
    if arguments.device:
        with waiting(client.urls["oauth"]) as answered:
            return by_device(client, app, show=partial(_show_device, answered), seconds=seconds)
    with waiting(client.urls["oauth"]) as answered:
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
    _tell("On any device, open", "", f"    {prompt.address}", "")
    _tell("and enter the code", "", f"    {prompt.user_code}", "")
    if prompt.complete_address is not None:
        _tell(f"(or open {prompt.complete_address} and compare the code)")
    _tell("Waiting for you to allow it …")


def _show_address(
    answered: Callable[[], None], address: str, callback: str, *, no_browser: bool
) -> None:
    answered()
    # The address holds no secret of the app or the person, and is of no use without the verifier,
    # which stays here.
    _tell("Open this address in a browser on this machine:", "", f"    {address}", "")
    _tell(
        "The app's Authorization Callback URLs (team settings, Apps, Manage) have to include:",
        *("", f"    {callback}", ""),
    )
    if not no_browser:
        _open_browser(address)
        say("(A browser was asked to open it; if none does, copy the address.)")
    say("Waiting for the sign-in …")


def _open_browser(address: str) -> None:
    """Has the person's browser open an address, and waits for nothing.

    Some browsers run until they are closed, and some, such as w3m, take the terminal. So it is
    opened by a process of its own, without the terminal and its Ctrl-C.
    """
    command = [sys.executable, "-I", "-m", "webbrowser", address]
    quiet = subprocess.DEVNULL
    with suppress(OSError):
        subprocess.Popen(  # noqa: S603 - no shell reads the address
            command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        )


def _who(store: LoginStore, login: SavedLogin, request_timeout: float) -> str | None:
    """The name of who logged in, and the token's id into the store; neither is vital."""
    client = Client(
        vercel().provider,
        Credential(login.access_token, "the new login"),
        urls={"api": login.api_url, "oauth": login.oauth_url},
        request_timeout=request_timeout,
        max_wait=0,
    )
    try:
        with waiting(login.api_url):
            if login.kind == "token":
                _note_token(client, store, login)
            return ask_account(client).name
    except Error as error:
        say(f"(who it is could not be asked: {error})")
        return None
    finally:
        client.close()


def _note_token(client: Client, store: LoginStore, login: SavedLogin) -> None:
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


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return int(text)
