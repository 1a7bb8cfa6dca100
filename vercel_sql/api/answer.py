"""A good answer, and how to complain about one that is not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from vercel_sql.api.answers import not_its_own, not_json
from vercel_sql.api.decode import DEEPEST, decode_json, decode_tolerantly
from vercel_sql.api.foreign_pages import advice_about, page_of_others
from vercel_sql.api.redaction import Redactor
from vercel_sql.api.redaction.unpickled import HoldsSecrets
from vercel_sql.api.requests import Request
from vercel_sql.errors import AnswerMismatchError, AuditLogError


@dataclass(frozen=True)
class Answer(HoldsSecrets):
    """The body of an answer with status 2xx, and what is needed to complain about it.

    Attributes:
        unnoted: why the write that it answers is not in the audit log, where it was to be.
    """

    request: Request = field(repr=False)
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    redactor: Redactor = field(default_factory=Redactor, repr=False)
    host: str = "Vercel"
    unnoted: AuditLogError | None = None

    def json(self) -> Any:
        """The decoded body, exactly."""
        try:
            return decode_json(self.body)
        except ValueError as error:
            raise self.unusable(str(error)) from None

    def content(self) -> Any:
        """The decoded body; what can't be held exactly stands in it as `Inexact`."""
        method = self.request.method
        row_level = len(method.rows) + (2 if method.paging is not None else 1)
        try:
            return decode_json(self.body, deepest=row_level + DEEPEST)
        except ValueError:
            pass
        try:
            return decode_tolerantly(self.body, row_level)
        except ValueError as error:
            raise self.unusable(str(error)) from None

    def secrets(self) -> dict[str, str]:
        """The secrets of an answer by their columns, also of one that is no good otherwise."""
        names = [column.name for column in self.request.method.returns if column.secret]
        try:
            # Not as exact as we are elsewhere: a key that stands twice does no harm here.
            content = json.loads(self.body, object_pairs_hook=_first_texts)
        except (ValueError, RecursionError):
            content = _texts_after(names, self.body)
        found = content if isinstance(content, dict) else {}
        return {name: found[name] for name in names if name in found}

    def mismatched(self, reason: str) -> AnswerMismatchError:
        """The error for a body that belongs to another request."""
        mask = self.redactor.mask
        return not_its_own(self.request.method, mask(self.request.path), mask(reason))

    def unusable(self, reason: str) -> Exception:
        """The error for a body that is not what was promised."""
        mask, kind = self.redactor.mask, self.headers.get("content-type", "")
        page = page_of_others(self.status, self.headers, self.body)
        advice = advice_about(self.status, self.headers, self.host)
        foreign = f"it is {page}. {advice}" if page else ""
        path = mask(self.request.path)
        return not_json(self.request.method, path, mask(kind), mask(reason), mask(foreign))


def _first_texts(members: list[tuple[str, Any]]) -> dict[str, str]:
    return {name: value for name, value in reversed(members) if _is_text(value)}


def _texts_after(names: list[str], body: bytes) -> dict[str, str]:
    """The texts that stand behind these names, in what is no JSON as a whole."""
    found: dict[str, str] = {}
    for name in names:
        spelt = re.search(rb'"%s"\s*:\s*("(?:[^"\\]|\\.)*")' % name.encode(), body)
        with suppress(ValueError):
            value: Any = json.loads(spelt[1]) if spelt else None
            if _is_text(value):
                found[name] = value
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)
