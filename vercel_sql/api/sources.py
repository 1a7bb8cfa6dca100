"""Where the bearer token comes from, in one place.

In this order: the argument, the token file, the environment variable, the saved login, and the
login of Vercel's own command line. The last two are looked at when a request first needs a token.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from vercel_sql.api.credentials import Credential, TokenSource, checked_token, given_credential
from vercel_sql.api.logger import logger
from vercel_sql.api.transport import base_url
from vercel_sql.errors import OperationalError
from vercel_sql.files import read_trusted
from vercel_sql.ledger.audit_log import AuditLog
from vercel_sql.manifest import Provider
from vercel_sql.paths import named_path

log = logger("api")


def find_credential(
    provider: Provider,
    token: str | None = None,
    token_file: str | os.PathLike[str] | None = None,
    *,
    urls: Mapping[str, str] | None = None,
    request_timeout: float = 30.0,
    audit_log: AuditLog | None = None,
) -> TokenSource:
    """The token of the argument, of a file, of the environment variable, else of a login.

    Args:
        provider: the manifest's provider.
        token: the argument.
        token_file: a file that holds a token and nothing else.
        urls: base URLs by the server's name, as for `Client`: a login is only used for the API
            that it was made for.
        request_timeout: seconds for each wait for bytes, where a login is renewed.
        audit_log: where each renewal of a login is noted, if anywhere.

    Raises:
        ParameterError: the token has characters that a token can't have, or is empty.
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
    sought = ("the argument token", "a token file", f"the environment variable {environment}")
    api_url = base_url(provider.servers["api"], (urls or {}).get("api"))
    from vercel_sql.api.saved_credential import SavedCredential

    is_own = api_url == provider.servers["api"].url
    return SavedCredential(
        provider,
        api_url,
        sought,
        official=is_own,
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
