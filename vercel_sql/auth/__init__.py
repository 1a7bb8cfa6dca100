"""Credentials: where the bearer token comes from, how logins are saved and renewed, how to sign in.

The token is looked for in this order: the argument, the token file, the environment variable, the
saved login, and the login of Vercel's own command line. The last two are read when a request first
needs a token.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from vercel_sql.auth.credentials import Credential, checked_token, given_credential
from vercel_sql.errors import OperationalError, ParameterError
from vercel_sql.files import named_path, read_trusted, why_unusable
from vercel_sql.http.connections import base_url
from vercel_sql.ledger.audit_log import AuditLog
from vercel_sql.logger import logger
from vercel_sql.manifest import Provider

__all__ = ["Credential", "find_credential", "given_credential", "official_login"]

log = logger("api")

_OFFICIAL = "the login of Vercel's own command line"
_FOLDER, _FILE = "com.vercel.cli", "auth.json"
# Seconds since the epoch are below this, milliseconds above: the file has held both.
_SECONDS_BELOW = 100_000_000_000


def find_credential(
    provider: Provider,
    token: str | None = None,
    token_file: str | os.PathLike[str] | None = None,
    *,
    urls: Mapping[str, str] | None = None,
    request_timeout: float = 30.0,
    audit_log: AuditLog | None = None,
) -> Credential:
    """The token of the argument, of a file, of the environment variable, else of a login.

    ``urls`` are base URLs by the server's name: a login is only used for the API that it was made
    for. Its renewals are recorded in the audit log.

    Raises:
        ParameterError: the token is empty, or has characters that no token has.
        OperationalError: the file can't be read, or belongs to somebody else.
    """
    if token is not None:
        return given_credential(token)
    if token_file is not None:
        return Credential(checked_token(_read(token_file), f"file {token_file}"), "token file")
    environment = provider.token_environment
    value = os.environ.get(environment, "").strip()
    if value:
        return Credential(checked_token(value, environment), environment)
    # Imported here: the usual token is in the environment, and needs none of this.
    from vercel_sql.auth.saved_credential import SavedCredential

    api_url = base_url(provider.servers["api"], (urls or {}).get("api"))
    is_own = api_url == provider.servers["api"].url
    return SavedCredential(
        provider,
        api_url,
        ("the argument token", "a token file", f"the environment variable {environment}"),
        official=official_login if is_own else None,
        request_timeout=request_timeout,
        audit_log=audit_log,
    )


def _read(path: str | os.PathLike[str]) -> str:
    try:
        file = named_path(path)
        content, mode = read_trusted(file)
        text = content.decode("utf-8-sig")
        is_open = mode & 0o004 and all(f.stat().st_mode & 0o001 for f in file.resolve().parents)
    except OSError as error:
        raise OperationalError(
            f"the token file {path} can't be read: {error.strerror or 'unknown error'}"
        ) from None
    except UnicodeDecodeError:
        raise OperationalError(f"the token file {path} is not text") from None
    if is_open:
        log.warning("others may read the token file (mode %04o); run: chmod 600 %s", mode, file)
    return text


def official_login() -> Credential:
    """The login of Vercel's own command line, which is only ever read.

    It is never renewed from here, since that would log the command line out. Without a usable
    token, the credential's source says where it was looked for and why there is none.
    """
    reason = why_unusable("XDG_DATA_HOME")
    if reason is not None:
        return Credential(None, f"{_OFFICIAL} (there is no place for it: {reason})")
    paths = _official_paths()
    for path in paths:
        try:
            if path.is_fifo():  # nobody may ever write to it
                return Credential(None, f"{_named(path)}, which is a named pipe")
            content = json.loads(path.read_text("utf-8-sig"))  # as editors on Windows save it
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError):
            return Credential(None, f"{_named(path)}, which can't be read")
        return _official_token(content, path)
    # Its setting VERCEL_TOKEN_STORAGE may have put it there.
    return Credential(None, f"{_named(paths[0])}; one in the system's keyring is not read")


def _official_token(content: object, path: Path) -> Credential:
    token = content.get("token") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(token, str) or not token.strip():
        return Credential(None, f"{_named(path)}, which holds no token")
    expiry = content.get("expiresAt")
    if isinstance(expiry, int | float):
        seconds = expiry if expiry < _SECONDS_BELOW else expiry / 1000
        if seconds <= time.time():
            return Credential(
                None, f"{_named(path)}, which has expired (running vercel whoami renews it)"
            )
    try:
        return Credential(checked_token(token, str(path)), _named(path))
    except ParameterError:
        return Credential(None, f"{_named(path)}, whose token is damaged")


def _named(path: Path) -> str:
    return f"{_OFFICIAL} ({path})"


def _official_paths() -> list[Path]:
    data_home = os.environ.get("XDG_DATA_HOME", "").strip()
    if data_home:
        return [Path(data_home) / _FOLDER / _FILE]
    home = Path.home()
    if sys.platform == "darwin":
        return [home / "Library" / "Application Support" / _FOLDER / _FILE]
    if sys.platform == "win32":
        roaming = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
        folder = roaming / _FOLDER
        return [folder / "Data" / _FILE, roaming / "xdg.data" / _FOLDER / _FILE, folder / _FILE]
    return [home / ".local" / "share" / _FOLDER / _FILE]
