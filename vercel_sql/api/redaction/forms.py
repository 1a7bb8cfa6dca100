"""The forms that a secret takes on its way: plain, encoded, quoted."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

MASK = "[secret]"
"""What stands where a secret stood."""

SHORTEST = 6
"""Characters: shorter values would mask ordinary words wherever they occur."""


def secret_forms(value: str) -> list[str]:
    """The forms in which a secret may occur in text, itself among them."""
    raw = value.encode("utf-8", "surrogatepass")  # a server may send half a character
    forms = [value, quote(raw, safe=""), quote_plus(raw), value.replace("'", "''")]
    forms += [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    forms += [repr(value)[1:-1]]
    forms += _base64_forms(raw)
    return [form for form in dict.fromkeys(forms) if len(form) >= SHORTEST]


def _base64_forms(raw: bytes) -> list[str]:
    """The part of the base64 text that depends on the secret alone, at each alignment."""
    forms = []
    for offset in range(3):
        padded = base64.b64encode(b"\0" * offset + raw).decode()
        start = (0, 2, 3)[offset]
        whole = (offset + len(raw)) // 3 * 4
        core = padded[start:whole] if offset else padded[:whole]
        if len(core) >= SHORTEST + 2:
            forms += [core, core.replace("+", "-").replace("/", "_")]
    return forms
