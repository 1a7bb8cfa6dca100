"""Logins on disk: in the operating system's keyring, or in a file of mode 0600, one an API."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from vercel_sql.api.client_auth import Signing
from vercel_sql.api.logger import logger
from vercel_sql.api.system_keyring import KeyringError, with_keyring
from vercel_sql.errors import OperationalError
from vercel_sql.files import (
    READABLE,
    make_private,
    open_for_appending,
    open_private,
    permissions,
    remove,
    replace,
    sync_folder,
)
from vercel_sql.messages import SAID_AFTER
from vercel_sql.paths import own_folder

log = logger("api")

CONFIG_DIR_VARIABLE = "VERCEL_SQL_CONFIG_DIR"
_KEYRING_SERVICE = "vercel-sql"
# Longer than a refresh can take. After the first so many seconds it is said what is waited for.
_LOCK_SECONDS = 120.0
# More bytes than a login takes.
_LARGEST = 16_384


class SavedLogin(msgspec.Struct, frozen=True, forbid_unknown_fields=False, kw_only=True):
    """One login, as it is saved. ID tokens are no part of it; its repr shows no secret.

    Attributes:
        kind: ``token`` for an authentication token, ``oauth`` for a sign-in at the authorization
            server, whose tokens are renewed.
        access_token: what calls are made with, a secret.
        api_url: the API that the login was made for; it is never sent to another.
        oauth_url: the authorization server that it was made at.
        saved_at: when, in milliseconds since the epoch.
        refresh_token: what new tokens are had with, a secret.
        expires_at: when the access token stops working, in milliseconds since the epoch.
        client_id: the app that signed in.
        client_secret_file: the absolute path of the file with the app's secret or private key,
            where it has one.
        client_signing: how the app signs assertions with it; None where it sends the secret.
        scope: what was granted.
        token_id: the id of the authentication token.
        team_id: the team that an email login was for.
        renewal: ``begun`` before a refresh is sent, so that one that was cut off is never sent
            again; ``refused`` where the server did not take the refresh token.
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


class LoginStore:
    """Where the login for one API is kept.

    The file is looked in first, since that costs least; a login is only ever in one of the two.

    Args:
        api_url: the base URL of the API.
    """

    def __init__(self, api_url: str) -> None:
        name = hashlib.sha256(api_url.encode()).hexdigest()[:20]
        self.api_url = api_url
        self.path = config_dir() / f"login-{name}.json"
        self._unfinished = self.path.with_suffix(".new")
        self._lock_path = self.path.with_suffix(".lock")

    def __repr__(self) -> str:
        return f"<LoginStore for {self.api_url}>"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other threads and processes from changing the login meanwhile.

        Raises:
            OperationalError: another holds the lock for longer than anything takes, or there can
                be none.
        """
        from filelock import FileLock, Timeout

        self._make_folder()
        lock = FileLock(self._lock_path, timeout=_LOCK_SECONDS, mode=0o600)
        try:
            # The library opens whatever is there, and empties it.
            os.close(open_for_appending(self._lock_path, forbidden=READABLE))
            try:
                lock.acquire(SAID_AFTER)
            except Timeout:
                log.warning("waiting for another process, which has locked %s", self._lock_path)
                lock.acquire()
        except Timeout:
            raise OperationalError(
                f"the saved login is busy: another process has held {self._lock_path} for "
                f"{_LOCK_SECONDS:.0f} s"
            ) from None
        except OSError as error:
            raise self._unusable(error) from None
        try:
            yield
        finally:
            lock.release()

    def read(self) -> tuple[SavedLogin, str] | None:
        """The login and the place that it is in, in words; None where there is none.

        Raises:
            OperationalError: there is one, and it can't be read.
        """
        text = self._read_file()
        if text is not None:
            return self._decoded(text, str(self.path)), str(self.path)
        try:
            text = with_keyring(self._kept)
        except KeyringError as error:
            log.warning("the keyring can't be read, and is left out: %s", error)
            return None
        return None if text is None else (self._decoded(text, "the keyring"), "the keyring")

    def write(self, login: SavedLogin) -> str:
        """Saves a login in place of the one before, wholly or not at all; says where.

        Call it under `locked`.

        Raises:
            OperationalError: it can't be saved; the one before is still there.
        """
        text = msgspec.json.encode(login).decode()

        def keep(backend: Any) -> bool:
            backend.set_password(_KEYRING_SERVICE, self.api_url, text)
            return True

        try:
            if with_keyring(keep):
                self._remove_files()
                return "the keyring"
        except KeyringError as error:
            log.warning("the keyring takes no login, and a file does: %s", error)
        self._write_file(text)
        with contextlib.suppress(KeyringError):
            with_keyring(self._drop)
        return str(self.path)

    def require_writable(self) -> None:
        """Finds out whether a login can be saved now. Call it under `locked`.

        Raises:
            OperationalError: it can't.
        """
        try:
            try:
                self._write_beside(b" " * _LARGEST)
            finally:
                remove(self._unfinished)
        except OSError as error:
            raise self._unusable(error) from None

    def forget(self) -> None:
        """Removes the login from wherever it is. Call it under `locked`.

        Raises:
            OperationalError: it is still there.
        """
        self._remove_files()
        try:
            with_keyring(self._drop)
        except KeyringError as error:
            raise OperationalError(
                f"the keyring did not let go of the login, if it has one: {error}"
            ) from None

    def _kept(self, backend: Any) -> str | None:
        found: str | None = backend.get_password(_KEYRING_SERVICE, self.api_url)
        return found

    def _drop(self, backend: Any) -> None:
        if self._kept(backend) is not None:
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
        try:
            if not self.path.exists():  # then it does not matter whose folder it is
                return None
            with open(open_private(self.path, os.O_RDONLY, forbidden=READABLE), "rb") as file:
                mode = permissions(os.fstat(file.fileno()))
                content = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from None
        if mode & 0o077:
            log.warning(
                "others may read the saved login (mode %04o); run: chmod 600 %s", mode, self.path
            )
        return content.decode("utf-8-sig", "replace")

    def _write_file(self, text: str) -> None:
        """Writes beside the file and renames, so that the file is whole whenever this is killed."""
        self._make_folder()
        try:
            self._write_beside(text.encode())
            replace(self._unfinished, self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                remove(self._unfinished)
            raise self._unusable(error) from None

    def _write_beside(self, content: bytes) -> None:
        remove(self._unfinished)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(open_private(self._unfinished, flags), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _remove_files(self) -> None:
        try:
            remove(self.path)
            remove(self._unfinished)
        except OSError as error:
            raise self._unusable(error) from None

    def _make_folder(self) -> None:
        try:
            make_private(self.path.parent)
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> OperationalError:
        reason = error.strerror or "unknown error"
        return OperationalError(f"the saved login {self.path} can't be used: {reason}")


def config_dir() -> Path:
    """The folder of this package's own settings, as the platform has it.

    Raises:
        OperationalError: nobody can tell where it is.
    """
    import platformdirs

    try:
        return own_folder(CONFIG_DIR_VARIABLE, "XDG_CONFIG_HOME", platformdirs.user_config_path)
    except OSError as error:
        raise OperationalError(f"there is no directory for logins: {error.strerror}") from None
