"""A good answer, and how to complain about one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vercel_sql.api.answers import not_json
from vercel_sql.api.decode import decode_json
from vercel_sql.api.foreign_pages import advice_about, page_of_others
from vercel_sql.api.redaction import Redactor
from vercel_sql.api.redaction.unpickled import HoldsSecrets
from vercel_sql.api.requests import Request
from vercel_sql.errors import AuditLogError


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
        """The decoded body, exactly.

        Raises:
            AnswerError: it is not JSON, or not JSON that can be held exactly.
        """
        try:
            return decode_json(self.body)
        except ValueError as error:
            raise self.unusable(str(error)) from None

    def unusable(self, reason: str) -> Exception:
        """The error for a body that is not what was promised."""
        mask, kind = self.redactor.mask, self.headers.get("content-type", "")
        page = page_of_others(self.status, self.headers, self.body)
        advice = advice_about(self.status, self.headers, self.host)
        foreign = f"it is {page}. {advice}" if page else ""
        path = mask(self.request.path)
        return not_json(self.request.method, path, mask(kind), mask(reason), mask(foreign))
