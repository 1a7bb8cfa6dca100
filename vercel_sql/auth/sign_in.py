"""The ways to log in: by email, by browser, and by a browser on another device; and to log out.

Each way returns a login that is complete and verified, and saves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from vercel_sql.auth.calls import call, find_method
from vercel_sql.auth.client_auth import App
from vercel_sql.auth.id_tokens import verify_id_token
from vercel_sql.auth.login_store import LoginStore, SavedLogin, login_client, now_ms
from vercel_sql.auth.loopback import RedirectReceiver
from vercel_sql.errors import (
    AnswerError,
    APIError,
    BadRequestError,
    Error,
    NotSupportedError,
    OperationalError,
    RequestError,
    TransportError,
    WaitTooLongError,
)
from vercel_sql.http.arguments import check_arguments
from vercel_sql.http.client import Client
from vercel_sql.http.requests import build_request
from vercel_sql.ledger.audit_log import AuditLog
from vercel_sql.ledger.journal import JournalHandle, PendingCreate, is_unsent
from vercel_sql.logger import logger
from vercel_sql.manifest import Provider, vercel

log = logger("api")
_Failure: TypeAlias = APIError | RequestError | WaitTooLongError

# How often Vercel is asked whether the email was confirmed, in seconds.
_EMAIL_INTERVAL = 2.0
# RFC 8628: the interval if the server names none, and how many seconds the answers that tell a
# device to wait add to it.
_DEVICE_INTERVAL = 5.0
_LONGER = {"authorization_pending": 0.0, "slow_down": 5.0}
# A server that doesn't answer is asked ever less often, down to once in so many seconds.
_LONGEST_INTERVAL = 60.0


@dataclass(frozen=True)
class DevicePrompt:
    """What a person needs to sign in a device; the complete address has the code in it."""

    user_code: str
    address: str
    complete_address: str | None


def by_email(
    client: Client,
    email: str,
    *,
    token_name: str | None,
    show_code: Callable[[str], None],
    seconds: float,
) -> SavedLogin:
    """Logs in by an email that the person confirms, after comparing a security code.

    ``token_name`` is the name of the new token, or None for Vercel's default.
    """
    arguments = {"email": email, "tokenName": token_name}
    begun = call(client, *vercel().named("email_begin"), arguments)
    if not isinstance(begun.get("securityCode"), str):
        raise OperationalError("the answer to email_login holds no security code to compare")
    show_code(begun["securityCode"])
    client.create_results.release("shown")
    arguments |= {"token": begun["token"]}
    poll = _Poll(client, *vercel().named("email_tokens"), lambda: arguments)
    made = poll.until_allowed(
        _EMAIL_INTERVAL,
        lambda error: 0.0 if isinstance(error, BadRequestError) else None,
        seconds,
        "nobody confirmed the login",
    )
    return SavedLogin(
        kind="token",
        access_token=made["token"],
        api_url=client.urls["api"],
        oauth_url=client.urls["oauth"],
        saved_at=now_ms(),
        team_id=made.get("teamId") if isinstance(made.get("teamId"), str) else None,
    )


def by_browser(
    client: Client,
    app: App,
    *,
    port: int,
    show: Callable[[str, str], None],
    seconds: float,
    prompt: str | None = None,
) -> SavedLogin:
    """Signs in with a browser on this machine (authorization code, PKCE, loopback redirect).

    Args:
        client: makes the calls.
        app: who signs in.
        port: where the redirect is received; 0 is any free port.
        show: opens or shows its first argument, an address, in a browser; the second is where the
            browser comes back to, which must be registered with the app.
        seconds: how long to wait for the person.
        prompt: what the person is asked again: ``consent``, ``login``, or nothing.
    """
    app.credentials(client)  # fails now rather than with the person at the browser
    with RedirectReceiver(port) as receiver:
        arguments = {
            "client_id": app.client_id,
            "redirect_uri": receiver.redirect_uri,
            "scope": app.scope,
            "prompt": prompt,
        }
        begun = call(client, *vercel().named("browser_begin"), arguments)
        receiver.expect(begun["state"])
        show(begun["url"], receiver.redirect_uri)
        code = receiver.wait(seconds)
        redirect_uri = receiver.redirect_uri
    exchange = {
        **app.credentials(client),
        "code": code,
        "code_verifier": begun["code_verifier"],
        "redirect_uri": redirect_uri,
    }
    tokens = call(client, *vercel().named("browser_tokens"), exchange)
    return _checked(client, app, tokens, nonce=begun["nonce"])


def by_device(
    client: Client, app: App, *, show: Callable[[DevicePrompt], None], seconds: float
) -> SavedLogin:
    """Signs in with a browser on another device (RFC 8628)."""
    begun = _authorize_device(client, {**app.credentials(client), "scope": app.scope})
    prompt = _prompt(begun)
    show(prompt)
    lifetime = _number(begun.get("expires_in"), seconds)
    interval = _number(begun.get("interval"), _DEVICE_INTERVAL)

    def exchange() -> dict[str, Any]:
        return {**app.credentials(client), "device_code": begun["device_code"]}

    poll = _Poll(client, *vercel().named("device_tokens"), exchange)
    tokens = poll.until_allowed(
        interval,
        lambda error: _LONGER.get(error.code),
        min(seconds, lifetime),
        "nobody allowed the device",
    )
    return _checked(client, app, tokens, nonce=None)


class _Poll:
    """Asks one question until the person has agreed.

    A question that gets no answer, or that of a failing server, is asked again, ever less often
    (RFC 8628, section 3.5). The code in it works once: an answer that was lost can't be fetched
    again, but a login that comes later shows that none was.
    """

    def __init__(
        self, client: Client, resource: str, method: str, arguments: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._ask: Callable[[JournalHandle], dict[str, Any]] = lambda handle: call(
            client, resource, method, arguments(), handle
        )
        self._failure: Error | None = None
        self._lost: list[PendingCreate] = []

    def until_allowed(
        self,
        interval: float,
        longer: Callable[[APIError], float | None],
        seconds: float,
        nobody: str,
    ) -> dict[str, Any]:
        """The answer once the person has agreed.

        Args:
            interval: seconds between two questions.
            longer: how many seconds an error that only says to wait adds to the interval; None for
                any other error.
            seconds: how long to wait for the person.
            nobody: who did not do what, for the error.
        """
        deadline, pause = time.monotonic() + seconds, interval
        while True:
            handle, failed = JournalHandle(), False
            try:
                answer = self._ask(handle)
            except (APIError, RequestError, WaitTooLongError) as error:
                added = longer(error) if isinstance(error, APIError) else None
                failed = added is None
                if added is None:
                    self._remember(error, handle)
                    pause = max(interval, min(pause * 2, _LONGEST_INTERVAL))
                else:
                    # Of the answers that say to wait, RFC 8628's show that no login was lost.
                    if not self._lost or getattr(error, "code", "") in _LONGER:
                        self._none_lost()
                    pause = interval = interval + added
            else:
                self._none_lost()
                return answer
            if time.monotonic() + pause > deadline:
                raise self._too_late(nobody)
            if failed:
                log.warning("%s; asking again in %.0f s", _in_short(self._failure), pause)
            time.sleep(pause)

    def _none_lost(self) -> None:
        self._failure = None
        while self._lost:
            self._lost.pop().unsent("a later answer showed that no login resulted from it")

    def _remember(self, error: _Failure, handle: JournalHandle) -> None:
        """Remembers a failure that may pass; raises any other."""
        if not _may_pass(error):
            if self._lost and getattr(error, "code", "") != "access_denied":
                raise OperationalError(
                    f"the login may have been lost on its way: {_in_short(self._failure)} before, "
                    "and a login is given once. Nothing was saved here; begin the sign-in again. "
                    f"The server now says: {error}"
                ) from None
            raise error
        self._failure = error
        if handle.create is not None and not is_unsent(error):
            self._lost.append(handle.create)

    def _too_late(self, nobody: str) -> OperationalError:
        if self._failure is None:
            return OperationalError(f"{nobody} in time, and nothing was saved")
        return OperationalError(
            "no login came in time, and nothing was saved. The last question that failed: "
            f"{self._failure}"
        )


def _may_pass(error: _Failure) -> bool:
    if isinstance(error, APIError):
        return error.status >= 500 or error.status in (408, 429)
    return not (isinstance(error, TransportError) and error.lasting)


def _in_short(error: Error | None) -> str:
    if isinstance(error, APIError):
        return f"the server answered with status {error.status}"
    if isinstance(error, AnswerError):
        return "the server's answer can't be used"
    if isinstance(error, WaitTooLongError):
        return "the server's rate limit is spent"
    return "the server did not answer"


def _authorize_device(client: Client, arguments: Mapping[str, Any]) -> dict[str, Any]:
    method = find_method(*vercel().named("device_begin"))
    document = client.servers.discovery(method.server).document(client)
    if document is not None and document.get(method.endpoint or "") is None:
        raise NotSupportedError(
            f"the authorization server {client.urls[method.server]} does not offer to sign in "
            "devices; without --device, a browser on this machine is used"
        )
    checked = check_arguments(method, arguments, "vercel.oauth.sign_in: authorize_device")
    handle = JournalHandle()
    answer = client.send(build_request(method, checked), handle)
    content = answer.json()
    if not isinstance(content, dict) or not isinstance(content.get("device_code"), str):
        handle.lost("it names no device code")
        raise answer.unusable("it names no device code")
    client.redactor.add(content["device_code"])
    if handle.create is not None:
        # Useless before the person allows it, and valid for minutes only.
        handle.create.settled("asked")
    return content


def _prompt(begun: Mapping[str, Any]) -> DevicePrompt:
    code, address = begun.get("user_code"), begun.get("verification_uri")
    complete = begun.get("verification_uri_complete")
    if not isinstance(code, str) or not _is_web_address(address):
        raise OperationalError("the authorization server names no code or no address for a person")
    return DevicePrompt(code, str(address), str(complete) if _is_web_address(complete) else None)


def _is_web_address(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://"))


def _checked(
    client: Client, app: App, tokens: Mapping[str, Any], *, nonce: str | None
) -> SavedLogin:
    """The login of new tokens whose ID token holds; if it does not, they are revoked."""
    issuer, id_token = client.urls["oauth"], tokens.get("id_token")
    try:
        if not isinstance(id_token, str):
            raise OperationalError(
                "the authorization server sent no ID token: the sign-in can't be verified, and "
                "nothing was saved"
            )
        verify_id_token(client, id_token, audience=app.client_id, nonce=nonce, issuer=issuer)
    except Error:
        with suppress(Error):
            revoked = {**app.credentials(client), "token": tokens["access_token"]}
            call(client, *vercel().named("revoke"), revoked)
            client.create_results.release("revoked")
        raise
    login = SavedLogin(
        kind="oauth",
        access_token=tokens["access_token"],
        api_url=client.urls["api"],
        oauth_url=issuer,
        saved_at=now_ms(),
        client_id=app.client_id,
        client_secret_file=app.client_secret_file,
        client_signing=app.signing,
    )
    return login.with_tokens(tokens)


def _number(value: object, otherwise: float) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return otherwise
    return number if 0 < number < 86_400 else otherwise


@dataclass(frozen=True)
class SignedOut:
    """How a logout ended.

    Attributes:
        place: where the login was, for messages; None if there was none.
        failure: why it could not be revoked; None if it was, or was dead already.
    """

    place: str | None
    failure: str | None = None


def sign_out(
    provider: Provider,
    store: LoginStore,
    request_timeout: float,
    audit_log: AuditLog | None = None,
) -> SignedOut:
    """Revokes the saved login and forgets it, even if revoking fails."""
    with store.locked():
        try:
            found = store.read()
        except Error as error:
            store.forget()
            return SignedOut(str(store.path), str(error))
        if found is None:
            return SignedOut(None)
        login, place = found
        try:
            failure = _revoke(provider, login, request_timeout, audit_log)
        finally:
            store.forget()
    return SignedOut(place, failure)


def _revoke(
    provider: Provider, login: SavedLogin, request_timeout: float, audit_log: AuditLog | None
) -> str | None:
    """Why the login could not be revoked, or None."""
    client = login_client(provider, login, login.access_token, request_timeout, audit_log)
    try:
        if login.kind == "token":
            remover, own = vercel().tokens().remover, vercel().tokens().self_reference
            assert remover is not None and own is not None  # noqa: S101, PT018
            answer = call(client, remover.resource, remover.name, {own.column: own.value})
            if login.token_id is not None and answer.get(own.column) != login.token_id:
                return "the answer is about another token: a proxy mixes answers up"
            return None
        # A token that still works, and with it the session of both. The answer, an empty object
        # (RFC 7009), doesn't show which revocation it belongs to.
        works = login.is_fresh(margin_ms=0)
        token = login.access_token if works else login.refresh_token or login.access_token
        arguments = {**login.app.credentials(client), "token": token}
        call(client, *vercel().named("revoke"), arguments)
    except APIError as error:
        # The credential itself was asked again about its own row.
        is_gone = error.status == 404 or error.extra.get("invalidToken") is True
        return None if is_gone and login.kind == "token" else str(error)
    except Error as error:
        return client.redactor.mask(str(error))
    finally:
        client.close()
    return None
