"""The rule for answers to writes: a secret that is shown once is never lost."""

from __future__ import annotations

import json

from vercel_sql.errors import AnswerError
from vercel_sql.writes.creates import salvage
from vercel_sql.writes.deletes import require_answer

from . import reference
from .doors import answer, found
from .oracles import SECRET, attempt, require
from .reference import NotExact


def written(resource: str, method: str, body: bytes) -> None:
    """The answer to a write."""
    owner, called = found(resource, method)
    given = answer(resource, method, body)
    attempt(lambda: require_answer(called, given), (AnswerError,))
    outcome, _ = attempt(lambda: salvage(owner, called, given), (AnswerError,))
    table, error = outcome or (None, None)
    if error is not None:
        require(SECRET not in str(error) + repr(error), "the secret is in an error")
    for name in (column.name for column in called.returns if column.secret):
        kept = None if table is None else table.column(name).to_pylist()
        _require_kept(body, name, kept)


def _require_kept(body: bytes, name: str, kept: list[str | None] | None) -> None:
    try:
        sent = _texts(body, name)
    except NotExact:
        # No JSON: what looks like the secret may be kept, and nothing else.
        spelt = (
            [json.dumps(kept[0], ensure_ascii=a).encode() for a in (True, False)] if kept else []
        )
        is_there = b"\\" in body or any(text in body for text in spelt)
        require(kept in (None, [None]) or is_there, f"{name} came from nowhere")
        return
    if sent:
        require(kept is not None and kept[0] in sent, f"{name} was lost")
    elif kept is not None:
        require(kept == [None], f"{name} came from nowhere")


def _texts(body: bytes, name: str) -> list[str]:
    """The texts that an object holds under a name."""
    content = reference.load(body)
    members = content if isinstance(content, reference.Object) else []
    return [
        value
        for key, value in members
        if key == name and type(value) is str and reference.is_plain(value)
    ]
