"""Saved logins: in the operating system's keyring, or in a file of mode 0600; one per API.

A keyring that is locked asks the person to unlock it, and without a screen, as over SSH, some wait
for that forever: each call of it has a time limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from vercel_sql.auth.credentials import Credential
from vercel_sql.errors import OperationalError
from vercel_sql.files import (
    READABLE,
    make_private,
    open_for_appending,
    open_private,
    own_folder,
    permissions,
    read_trusted,
    remove,
    replace,
    sync_folder,
)
from vercel_sql.http.client import Client
from vercel_sql.ledger.audit_log import AuditLog
from vercel_sql.logger import logger
from vercel_sql.manifest import Provider, vercel
from vercel_sql.runtime.scope import workers
from vercel_sql.text import SAID_AFTER

if TYPE_CHECKING:
    from filelock import FileLock

T = TypeVar("T")
log = logger("api")

Signing = Literal["client_secret_jwt", "private_key_jwt"]
SIGNING: tuple[Signing, ...] = ("client_secret_jwt", "private_key_jwt")
# Without openid there would be no ID token to check.
DEFAULT_SCOPE = "openid email profile offline_access"
KEYRING_VARIABLE = "VERCEL_SQL_KEYRING"
CONFIG_DIR_VARIABLE = "VERCEL_SQL_CONFIG_DIR"
_KEYRING_SERVICE = "vercel-sql"
_LOCK_SECONDS = 120.0  # longer than a refresh can take
_LARGEST = 16_384  # more bytes than a login takes
_RENEWAL_MARGIN_MS = 60_000  # how long before it expires a token is renewed
_KEYRING_SECONDS = 20.0
# For so many seconds a keyring that did not answer is not asked again.
_KEYRING_REST = 60.0
# Backends that store nothing, or store it unencrypted.
_NO_KEYRINGS = ("keyring.backends.fail", "keyring.backends.null", "keyrings.alt")
_keyring_rests_until = 0.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class App:
    """The app that signs in.

    Attributes:
        client_id: its id.
        client_secret_file: the absolute path of a file with its secret or private key, if it has
            one.
        scope: what it asks for, separated by spaces.
        signing: how it signs assertions with that; None if it sends the secret.
    """

    client_id: str
    client_secret_file: str | None = None
    scope: str = DEFAULT_SCOPE
    signing: Signing | None = None

    def credentials(self, client: Client) -> dict[str, str | None]:
        """The arguments that prove who it is, to be made anew for each call."""
        text = self._secret()
        if text is None or self.signing is None:
            return {"client_id": self.client_id or None, "client_secret": text}
        from vercel_sql.auth.jwt import signed_assertion

        method = vercel().method_for("sign_assertion")
        name = "private_key" if self.signing == "private_key_jwt" else "client_secret"
        assertion = signed_assertion(client, method, client_id=self.client_id, **{name: text})
        return {"client_id": self.client_id, "client_assertion": assertion}

    def _secret(self) -> str | None:
        path = self.client_secret_file
        if path is None:
            return None
        try:
            secret = read_trusted(Path(path))[0].decode("utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise OperationalError(
                f"the client secret's file {path} can't be read: {reason}"
            ) from None
        if not secret:
            raise OperationalError(f"the client secret's file {path} is empty")
        return secret


class SavedLogin(msgspec.Struct, frozen=True, forbid_unknown_fields=False, kw_only=True):
    """One login, as it is saved, without ID tokens; the repr shows no secret.

    Attributes:
        kind: ``token`` for an authentication token, ``oauth`` for a sign-in at the authorization
            server, whose tokens are renewed.
        access_token: what calls are made with, a secret.
        api_url: the API that the login was made for; it is never sent to another.
        oauth_url: the authorization server that it was made at.
        saved_at: when, in milliseconds since the epoch.
        refresh_token: what new tokens are requested with, a secret.
        expires_at: when the access token expires, in milliseconds since the epoch.
        client_id: the app that signed in.
        client_secret_file: the absolute path of the file with the app's secret or private key,
            if it has one.
        client_signing: how the app signs assertions with it; None if it sends the secret.
        scope: what was granted.
        token_id: the id of the authentication token.
        team_id: the team that an email login was for.
        renewal: ``begun`` before a refresh is sent, so that an interrupted one is never sent
            again; ``refused`` if the server did not accept the refresh token.
    """

    kind: Literal["token", "oauth"]
    access_token: str
    api_url: str
    oauth_url: str
    saved_at: int
    refresh_token: str | None = None
    expires_at: int | None = None
    client_id: str | None = None
    client_secret_file: str | None = None
    client_signing: Signing | None = None
    scope: str | None = None
    token_id: str | None = None
    team_id: str | None = None
    renewal: Literal["begun", "refused"] | None = None

    def __repr__(self) -> str:
        return f"<SavedLogin of kind {self.kind} for {self.api_url}>"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # msgspec's would show everything
        return [("kind", self.kind), ("api_url", self.api_url)]

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a SavedLogin holds secrets and is not pickled")

    @property
    def app(self) -> App:
        return App(self.client_id or "", self.client_secret_file, signing=self.client_signing)

    def is_fresh(self, margin_ms: int = _RENEWAL_MARGIN_MS) -> bool:
        """Whether the access token will still work after this time."""
        return self.expires_at is None or self.expires_at - margin_ms > now_ms()

    def with_tokens(self, answer: Mapping[str, Any]) -> SavedLogin:
        """The login with the tokens of an answer. A refresh token works once: the old is spent."""
        lifetime = answer.get("expires_in")
        is_known = isinstance(lifetime, int) and not isinstance(lifetime, bool)
        return msgspec.structs.replace(
            self,
            access_token=answer["access_token"],
            refresh_token=answer.get("refresh_token") or None,
            expires_at=now_ms() + lifetime * 1000 if is_known and lifetime is not None else None,
            scope=answer.get("scope") or self.scope,
            saved_at=now_ms(),
            renewal=None,
        )


def login_client(
    provider: Provider,
    login: SavedLogin,
    token: str | None,
    request_timeout: float,
    audit_log: AuditLog | None = None,
    max_wait: float | None = None,
) -> Client:
    """A client for the servers that a login was made at, and for no others."""
    client = Client(
        provider,
        Credential(token, "the saved login"),
        urls={"api": login.api_url, "oauth": login.oauth_url},
        request_timeout=request_timeout,
        audit_log=audit_log,
        max_wait=max_wait,
    )
    client.redactor.add(login.refresh_token)
    return client


class LoginStore:
    """Where the login for one API, given by its base URL, is saved.

    The file is read first, since that costs least; a login is only ever in one of the two.
    """

    def __init__(self, api_url: str) -> None:
        import platformdirs

        name = hashlib.sha256(api_url.encode()).hexdigest()[:20]
        try:
            folder = own_folder(
                CONFIG_DIR_VARIABLE, "XDG_CONFIG_HOME", platformdirs.user_config_path
            )
        except OSError as error:
            raise OperationalError(f"there is no directory for logins: {error.strerror}") from None
        self.api_url = api_url
        self.path = folder / f"login-{name}.json"
        self._unfinished = self.path.with_suffix(".new")
        self._lock_path = self.path.with_suffix(".lock")

    def __repr__(self) -> str:
        return f"<LoginStore for {self.api_url}>"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other threads and processes from changing the login."""
        from filelock import FileLock, Timeout

        lock = FileLock(self._lock_path, timeout=_LOCK_SECONDS, mode=0o600)
        with self._usable():
            make_private(self.path.parent)
            # The library opens whatever is there, and empties it.
            os.close(open_for_appending(self._lock_path, forbidden=READABLE))
            try:
                lock.acquire(SAID_AFTER)
            except Timeout:
                self._wait_for(lock)
        try:
            yield
        finally:
            lock.release()

    def _wait_for(self, lock: FileLock) -> None:
        log.warning("waiting for another process, which has locked %s", self._lock_path)
        try:
            lock.acquire()
        except TimeoutError:
            raise OperationalError(
                f"the saved login is busy: another process has held {self._lock_path} for "
                f"{_LOCK_SECONDS:.0f} s"
            ) from None

    def read(self) -> tuple[SavedLogin, str] | None:
        """The login and its place, for messages; `OperationalError` if it can't be read."""
        text = self._read_file()
        if text is not None:
            return self._decoded(text, str(self.path)), str(self.path)
        try:
            text = with_keyring(self._stored)
        except KeyringError as error:
            log.warning("the keyring can't be read, and is skipped: %s", error)
            return None
        return None if text is None else (self._decoded(text, "the keyring"), "the keyring")

    def write(self, login: SavedLogin) -> str:
        """Replaces the login, completely or not at all, and returns its place; under `locked`."""
        text = msgspec.json.encode(login).decode()

        def store(backend: Any) -> bool:
            backend.set_password(_KEYRING_SERVICE, self.api_url, text)
            return True

        try:
            if with_keyring(store):
                self._remove_files()
                return "the keyring"
        except KeyringError as error:
            log.warning("the keyring can't save the login, so a file is used: %s", error)
        # Written beside and renamed, so that the file is whole whenever this process is killed.
        with self._usable():
            make_private(self.path.parent)
            try:
                self._write_beside(text.encode())
                replace(self._unfinished, self.path)
                sync_folder(self.path.parent)
            except OSError:
                with contextlib.suppress(OSError):
                    remove(self._unfinished)
                raise
        with contextlib.suppress(KeyringError):
            with_keyring(self._drop)
        return str(self.path)

    def require_writable(self) -> None:
        """Raises `OperationalError` if a login can't be saved now; under `locked`."""
        with self._usable():
            try:
                self._write_beside(b" " * _LARGEST)
            finally:
                remove(self._unfinished)

    def forget(self) -> None:
        """Removes the login from wherever it is; under `locked`."""
        self._remove_files()
        try:
            with_keyring(self._drop)
        except KeyringError as error:
            raise OperationalError(
                f"the login, if the keyring has one, can't be removed from it: {error}"
            ) from None

    def _stored(self, backend: Any) -> str | None:
        found: str | None = backend.get_password(_KEYRING_SERVICE, self.api_url)
        return found

    def _drop(self, backend: Any) -> None:
        if self._stored(backend) is not None:
            backend.delete_password(_KEYRING_SERVICE, self.api_url)

    def _decoded(self, text: str, place: str) -> SavedLogin:
        try:
            login = msgspec.json.decode(text, type=SavedLogin)
        except (msgspec.DecodeError, UnicodeError):
            login = None
        if login is None or login.api_url != self.api_url:
            raise OperationalError(
                f"the saved login in {place} is damaged: vercel-sql logout removes it"
            )
        return login

    def _read_file(self) -> str | None:
        with self._usable():
            if not self.path.exists():  # then it does not matter whose folder it is
                return None
            try:
                handle = open_private(self.path, os.O_RDONLY, forbidden=READABLE)
            except FileNotFoundError:
                return None
            with open(handle, "rb") as file:
                mode = permissions(os.fstat(file.fileno()))
                content = file.read()
        if mode & 0o077:
            log.warning(
                "others may read the saved login (mode %04o); run: chmod 600 %s", mode, self.path
            )
        return content.decode("utf-8-sig", "replace")

    def _write_beside(self, content: bytes) -> None:
        remove(self._unfinished)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(open_private(self._unfinished, flags), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _remove_files(self) -> None:
        with self._usable():
            remove(self.path)
            remove(self._unfinished)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or "unknown error"
            raise OperationalError(f"the saved login {self.path} can't be used: {reason}") from None


class KeyringError(Exception):
    """The keyring failed, or did not answer in time; the message contains no secret."""


def with_keyring(act: Callable[[Any], T]) -> T | None:
    """What ``act`` returns for the keyring's backend, or None if there is no keyring."""
    if os.environ.get(KEYRING_VARIABLE, "").strip().lower() in ("off", "0", "no", "false"):
        return None
    if time.monotonic() < _keyring_rests_until:
        raise KeyringError("it did not answer before")

    def used() -> T | None:
        backend = _working_backend()
        return None if backend is None else act(backend)

    # A daemon thread, which the end of the process does not wait for either.
    using = workers.submit(used)
    _wait_for(using)
    error = using.exception()
    if error is not None:
        raise KeyringError(type(error).__name__) from None
    return using.result()


def _wait_for(using: Future[Any]) -> None:
    global _keyring_rests_until
    if wait([using], SAID_AFTER).not_done:
        log.warning(
            "waiting for the keyring, which may have to be unlocked, for %.0f s at most "
            "(%s=off does without it)",
            _KEYRING_SECONDS,
            KEYRING_VARIABLE,
        )
    if wait([using], _KEYRING_SECONDS - SAID_AFTER).not_done:
        _keyring_rests_until = time.monotonic() + _KEYRING_REST
        raise KeyringError(f"it did not answer within {_KEYRING_SECONDS:.0f} s")


def _working_backend() -> Any:
    try:
        # Imported here: it takes longer than everything else in a query without a login.
        import keyring

        chosen = keyring.get_keyring()
        backends: list[Any] = list(getattr(chosen, "backends", [chosen]))
    except Exception as error:  # whatever a backend raises when asked, the import too
        log.warning("no keyring is available: %s", type(error).__name__)
        return None
    return next((backend for backend in backends if _is_safe(backend)), None)


def _is_safe(backend: Any) -> bool:
    return backend.priority >= 1 and not type(backend).__module__.startswith(_NO_KEYRINGS)
