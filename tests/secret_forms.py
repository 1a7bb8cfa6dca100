"""The forms that a secret may take, written anew here: a search must not share our own mistakes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

SHORTEST = 6
"""Characters: less than that is a part of many a word."""


def forms_of(secret: str) -> set[str]:
    """Every form that a secret takes on its way, as far as it depends on the secret alone."""
    raw = secret.encode()
    found = {secret, quote(secret, safe=""), quote_plus(secret), secret[::-1], raw.hex()}
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    found |= {repr(secret)[1:-1], secret.replace("'", "''"), secret.upper(), secret.lower()}
    found.add("".join(f"%{byte:02X}" for byte in raw))
    for before in range(3):
        # Only what depends on the secret alone.
        start, stop = -(-before * 4 // 3), (before + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * before + raw).decode().rstrip("=")
            found.add(text[start:stop])
    return {form for form in found if len(form) >= SHORTEST}


def leaks(secret: str, text: str) -> list[str]:
    """The forms in which a text holds a secret."""
    return sorted(form for form in forms_of(secret) if form in text)


def leaked(secrets: Iterable[str], places: Mapping[str, bytes]) -> list[str]:
    """Which secrets are in which places, in words that name the place and the form."""
    wanted = {form: secret for secret in secrets for form in forms_of(secret)}
    encoded = [(form.encode(), form) for form in wanted]
    return sorted(
        f"{place}: {form}"
        for place, content in places.items()
        for raw, form in encoded
        if raw in content
    )
