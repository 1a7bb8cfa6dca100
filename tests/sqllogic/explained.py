"""Why a statement gives something else through `connect()`: what is meant to be so."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LISTS = re.compile(
    r"duckdb_\w+|information_schema|pg_|sqlite_master|\b(show|describe)\b|database_list|"
    r"database_size|oid",
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
    return bool(re.search(r"[*?][^'/]*\.\w+'", text)) and sorted(plain) == sorted(ours)


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
    ("files with random names are read in any order", _shuffled),
    ("what may be a secret is masked in errors", _masked),
    ("a placeholder of ours has no value", _placeholder),
    ("a schema called vercel is not the catalog vercel", _ambiguous),
    ("a value that Python can't hold is a DataError", _python),
)
