"""Whom the simulated API answers: callers of this machine, and no page of the web.

A page may have the name of its own server lead to this machine (DNS rebinding); the browser then
sends its requests here, but says in them who they are for, and which page they are from.
"""

from urllib.parse import urlsplit

from starlette.types import Scope

_NAMES = ("localhost", "127.0.0.1", "::1")


def refusal(scope: Scope) -> str | None:
    """Say why a request is not answered; None where it is from here, and meant for here."""
    headers = scope["headers"]
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    # HTTP/1.0 knows no host, and no browser speaks it.
    if len(hosts) > 1 or not all(_is_here(f"//{host}") for host in hosts):
        return "The simulated API answers at localhost, 127.0.0.1 and [::1] only"
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    if not all(_is_here(origin) for origin in origins):
        return "The simulated API does not answer pages of other origins"
    return None


def _is_here(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_whole = parts.port != 0 and parts.username is None
    except ValueError:  # brackets without an address, a port that is not a number
        return False
    return is_whole and parts.hostname in _NAMES
