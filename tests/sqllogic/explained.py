"""Why a statement gives something else through `connect()`: what is meant to be so."""

from __future__ import annotations

import re

LONGEST = 4_000
"""Characters of a result that are kept where it differs."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LISTS = re.compile(
    r"duckdb_\w+|information_schema|pg_|sqlite_master|\b(show|describe)\b|database_list|"
    r"database_size|pragma functions|oid",
    re.IGNORECASE,
)


def explained(text: str, plain: str, ours: str) -> str | None:
    """The reason for a difference, or None where there is none that is meant."""
    for reason, holds in _REASONS:
        if holds(text, plain, ours):
            return reason
    return None


def _escaped(text: str, plain: str, ours: str) -> bool:
    return plain != ours and _letters(plain) == _letters(ours)


def _letters(text: str) -> str:
    """A text without blanks and control characters, written out or not."""
    return re.sub(r"\\+(x[0-9a-f]{2}|u[0-9a-f]{4}|[nrt0])|\s", "", _CONTROL.sub("", text))


def _reordered(text: str, plain: str, ours: str) -> bool:
    return text.lower().startswith("explain") and sorted(plain) == sorted(ours)


def _shuffled(text: str, plain: str, ours: str) -> bool:
    return "order by" not in text.lower() and sorted(plain) == sorted(ours)


def _random(text: str, plain: str, ours: str) -> bool:
    return bool(re.search(r"reservoir|sample|random|txid_current", text, re.IGNORECASE))


def _suggested(text: str, plain: str, ours: str) -> bool:
    return "Did you mean" in plain and "vercel." in ours


def _end(text: str, plain: str, ours: str) -> bool:
    return 'at or near ";"' in plain and "at end of input" in ours


def _long(text: str, plain: str, ours: str) -> bool:
    return len(plain) == len(ours) == LONGEST and plain == ours


def _optimizer(text: str, plain: str, ours: str) -> bool:
    return "JOIN_FILTER_PUSHDOWN" in plain and "JOIN_FILTER_PUSHDOWN" not in ours


def _catalog(text: str, plain: str, ours: str) -> bool:
    return bool(_LISTS.search(text)) and plain[:1] == ours[:1] == "["


def _analyzed(text: str, plain: str, ours: str) -> bool:
    return bool(re.match(r"\s*explain\s+(\(\s*)?analy[zs]e", text, re.IGNORECASE))


def _removed(text: str, plain: str, ours: str) -> bool:
    return "No files found that match" in ours and "No files found" not in plain


def _masked(text: str, plain: str, ours: str) -> bool:
    return "[secret]" in ours and not plain.startswith("[")


def _placeholder(text: str, plain: str, ours: str) -> bool:
    return ours.startswith("ParameterError: ")


def _ambiguous(text: str, plain: str, ours: str) -> bool:
    return 'catalog or schema "vercel"' in ours


def _python(text: str, plain: str, ours: str) -> bool:
    return plain == "not in Python" and ours.startswith("DataError: the rows can't be given")


_REASONS = (
    ("control characters are written out in errors", _escaped),
    ("the catalog vercel is listed and counted too", _catalog),
    ("what a COPY that failed has written is removed", _removed),
    ("EXPLAIN ANALYZE tells how long it took", _analyzed),
    ("a plan's conditions come in any order", _reordered),
    ("rows come in any order", _shuffled),
    ("it is random, or counts what the database did", _random),
    ("what is like a missing name is suggested from the catalog vercel too", _suggested),
    ("a statement has no semicolon", _end),
    ("an error is very long, and differs at its end", _long),
    ("connect() turns an optimizer off", _optimizer),
    ("what may be a secret is masked in errors", _masked),
    ("a placeholder of ours has no value", _placeholder),
    ("a schema called vercel is not the catalog vercel", _ambiguous),
    ("a value that Python can't hold is a DataError", _python),
)
