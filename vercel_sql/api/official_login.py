"""The login of Vercel's own command line: its access token, which is only ever read.

It is never renewed from here, since that would log the command line out.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from vercel_sql.api.credentials import checked_token
from vercel_sql.errors import ParameterError
from vercel_sql.paths import why_unusable

_COMMAND_LINE = "the login of Vercel's own command line"
_FOLDER = "com.vercel.cli"
_FILE = "auth.json"
# Seconds since the epoch are below this, milliseconds above: the file has held both.
_SECONDS_BELOW = 100_000_000_000


@dataclass(frozen=True)
class OfficialLogin:
    """What was found of it.

    Attributes:
        token: the access token, or None where there is none that can be used.
        place: the place that was looked in, and why there is no token, in words.
    """

    token: str | None = field(repr=False)
    place: str


def official_login() -> OfficialLogin:
    """Looks in the places where the command line of this platform keeps its login."""
    reason = why_unusable("XDG_DATA_HOME")
    if reason is not None:
        return OfficialLogin(None, f"{_COMMAND_LINE} (there is no place for it: {reason})")
    paths = _paths()
    for path in paths:
        try:
            if path.is_fifo():  # nobody may ever write to it
                return OfficialLogin(None, f"{_named(path)}, which is a named pipe")
            content = json.loads(path.read_text("utf-8-sig"))  # as editors on Windows save it
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError):
            return OfficialLogin(None, f"{_named(path)}, which can't be read")
        return _read(content, path)
    # Its setting VERCEL_TOKEN_STORAGE may have put it there.
    return OfficialLogin(None, f"{_named(paths[0])}; one in the system's keyring is not read")


def _read(content: object, path: Path) -> OfficialLogin:
    token = content.get("token") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(token, str) or not token.strip():
        return OfficialLogin(None, f"{_named(path)}, which holds none")
    expires_at = content.get("expiresAt")
    if isinstance(expires_at, int | float) and _milliseconds(expires_at) <= time.time() * 1000:
        return OfficialLogin(
            None, f"{_named(path)}, which has expired (running vercel whoami renews it)"
        )
    try:
        return OfficialLogin(checked_token(token, str(path)), _named(path))
    except ParameterError:
        return OfficialLogin(None, f"{_named(path)}, which holds none that is whole")


def _milliseconds(moment: float) -> float:
    return moment * 1000 if moment < _SECONDS_BELOW else moment


def _named(path: Path) -> str:
    return f"{_COMMAND_LINE} ({path})"


def _paths() -> list[Path]:
    given = os.environ.get("XDG_DATA_HOME", "").strip()
    if given:
        return [Path(given) / _FOLDER / _FILE]
    home = Path.home()
    if sys.platform == "darwin":
        return [home / "Library" / "Application Support" / _FOLDER / _FILE]
    if sys.platform == "win32":
        roaming = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
        folder = roaming / _FOLDER
        return [folder / "Data" / _FILE, roaming / "xdg.data" / _FOLDER / _FILE, folder / _FILE]
    return [home / ".local" / "share" / _FOLDER / _FILE]
