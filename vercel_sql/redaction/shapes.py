"""What looks like a secret wherever it stands, though nobody knows its value."""

from __future__ import annotations

import re
from functools import cache

from vercel_sql.redaction.known import MASK
from vercel_sql.redaction.names import NAME_ENDINGS

# A bounded beginning: a megabyte of letters is no name, and must not take forever.
_NAMED = rf"[\w-]{{0,60}}(?:{NAME_ENDINGS}|code_verifier|device_code)\d*"
_VALUE = r"""(?!["'\\]*(?:\{\{|\[secret\]))('(?:[^']|'')*'|"[^"]*"|[^\s,;)}&]+)"""
_ASSIGNED = re.compile(rf"(?i)((?<![\w-]){_NAMED}[\\\"']*\s*(?:=>|:=|==?|:)\s*){_VALUE}")
_OPTION = re.compile(rf"(?i)((?<!\S)-{_NAMED}\s+){_VALUE}")


@cache
def _everywhere() -> list[tuple[re.Pattern[str], str]]:
    """What is replaced wherever it stands, and by what."""
    from vercel_sql.manifest import vercel

    prefixes = "|".join(map(re.escape, vercel().provider.token_prefixes))
    return [
        (re.compile(rf"(?i)(?<![a-z0-9])(?:{prefixes})[a-z0-9_-]{{6,}}"), MASK),
        # What is signed: an ID token, which begins with {" in base64.
        (re.compile(r"eyJ[\w-]{6,}(?:\.[\w-]+)*"), MASK),
        (re.compile(r"(?i)(\bbearer\s+)(?=\S{20}|\S*\d)[\w.~+/=-]{6,}"), rf"\1{MASK}"),
        (re.compile(r"""(://[^\s/:@'"]*:)[^\s/@'"]+(?=@)"""), rf"\1{MASK}"),
        (
            re.compile(rf"""(?i)([?&](?:{_NAMED}|code|nonce|state)=)(?!\{{\{{)[^&\s'"#]+"""),
            rf"\1{MASK}",
        ),
    ]


def assigns_secret(text: str) -> bool:
    """Whether a text holds ``password=…``, ``"token": …`` or the like."""
    return _ASSIGNED.search(text) is not None


def masked_line(line: str) -> str:
    """A line that is no SQL, such as a dot command, with what it calls secret masked."""
    return _OPTION.sub(rf"\1{MASK}", _ASSIGNED.sub(rf"\1{MASK}", line))


def mask_shapes(text: str) -> str:
    """A text with what looks like a token masked, whatever it stands in."""
    for pattern, replacement in _everywhere():
        text = pattern.sub(replacement, text)
    return text
