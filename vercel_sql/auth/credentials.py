"""The bearer token of a client's calls, and where it comes from.

In this order: the argument, the token file, the environment variable, the saved login, and the
login of Vercel's own command line. The last two are read when a request first needs a token.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vercel_sql.errors import MissingTokenError, OperationalError, ParameterError
from vercel_sql.files import read_trusted
from vercel_sql.http.transport import base_url
from vercel_sql.ledger.audit_log import AuditLog
from vercel_sql.logger import logger
from vercel_sql.manifest import Provider, vercel
from vercel_sql.paths import named_path, why_unusable
from vercel_sql.redaction.hidden import NotPicklable

log = logger("api")

# The characters of a bearer token (RFC 6750, section 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_OFFICIAL = "the login of Vercel's own command line"
_FOLDER, _FILE = "com.vercel.cli", "auth.json"
# Seconds since the epoch are below this, milliseconds above: the file has held both.
_SECONDS_BELOW = 100_000_000_000


@dataclass(frozen=True)
class Successor:
    """The token that replaces a credential's own.

    Attributes:
        token: the secret.
        key: what identifies the token.
        expires_at: when it expires, in milliseconds since the epoch, or None.
    """

    token: str = field(repr=False)
    key: str
    expires_at: int | None = None


@dataclass(frozen=True, eq=False)
class Credential(NotPicklable):
    """A bearer token that stays the same; threads may share it, and its repr shows no secret.

    Attributes:
        token: the secret, if it is known without reading or requesting anything.
        source: where it came from, for messages.
        team_id: the team that every call must name, for an integration installed on a team.
        predecessor: the token that it replaced; calls begun with that one continue with this.
    """

    token: str | None = field(repr=False)
    source: str
    team_id: str | None = None
    predecessor: str | None = field(default=None, repr=False)

    @property
    def origin(self) -> str | None:
        """The kind of token, by the manifest's name, if its place tells."""
        return None if self.team_id is None else "integration"

    @property
    def fresh(self) -> str | None:
        """What `bearer` would return without waiting, or None."""
        return self.token

    def require(self, needed_by: str) -> None:
        """Raises `MissingTokenError` if there is no token at all."""
        if self.token is None:
            raise MissingTokenError(missing_token(needed_by, ()))

    def bearer(self, needed_by: str) -> str:
        """The token for the next call, renewed if it is about to expire."""
        self.require(needed_by)
        return self.token or ""

    def renew(self, dead: str) -> str | None:
        """Another token in place of one that the API calls dead, or None."""
        return self.token if dead == self.predecessor else None

    @property
    def fixed_at(self) -> str | None:
        """The place of a token that is never changed from here, for messages; else None."""
        return self.source

    def require_replaceable(self, needed_by: str) -> None:
        """Raises `NotSupportedError` if no other token can replace this one."""

    def replaced(self, successor: Successor) -> Credential:
        """The credential with another token, saved wherever this one was."""
        source = f"the rotation of the token from {self.source}"
        return Credential(successor.token, source, self.team_id, predecessor=self.token)


def given_credential(
    token: str, source: str = "argument", team_id: str | None = None
) -> Credential:
    """The credential of a token that a caller passed.

    Raises:
        ParameterError: the token is empty, or has characters that no token has.
    """
    return Credential(checked_token(token, "argument token"), source, team_id)


def missing_token(needed_by: str, sought: tuple[str, ...]) -> str:
    where = f" and none was found in {', then '.join(sought)}" if sought else " and there is none"
    return (
        f"{needed_by} needs a Vercel token,{where}. "
        f"{vercel().provider.token_advice}. To read only, a login may be enough: vercel login "
        "(Vercel's own command line) or vercel-sql login."
    )


def checked_token(token: str, source: str) -> str:
    """The token without surrounding white space; else `ParameterError`."""
    # Anything else would end up in an HTTP header, and in httpx's error about it.
    stripped = token.strip()
    if not stripped:
        raise ParameterError(f"the token from {source} is empty")
    if stripped[0] in "\"'`":
        raise ParameterError(
            f"the token from {source} is in quotes: remove them (docker's --env-file keeps them)"
        )
    if _TOKEN.fullmatch(stripped) is None:
        raise ParameterError(
            f"the token from {source} has characters that no token has "
            "(a line break, a space, or a name in place of a value?)"
        )
    return stripped


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

    Args:
        provider: the manifest's provider.
        token: the argument.
        token_file: a file that holds a token and nothing else.
        urls: base URLs by the server's name, as for `Client`: a login is only used for the API
            that it was made for.
        request_timeout: seconds for each wait for bytes when a login is renewed.
        audit_log: where each renewal of a login is recorded, if anywhere.

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
