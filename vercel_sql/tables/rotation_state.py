"""How far a rotation has come, and what exists now, in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from vercel_sql.manifest import Resource
from vercel_sql.tables.catalog import literal


@dataclass
class RotationState:
    """How far a rotation has come.

    Attributes:
        table: the name of the table in SQL.
        resource: the resource behind it.
        old: the key of the row that is replaced.
        is_own: whether that is what the calls were made with when it began.
        place: where its secret stands and is not changed from here, such as an environment
            variable; None where the new one takes its place there too.
        made: the new row, as the answer to the creation gave it.
        new: the key of the new row.
        bearer: the new secret.
        saved_to: the file that has it.
        is_proven: whether it is known to authenticate.
        has_taken_over: whether the calls are made with it.
        removal: what is known of the old row: nobody tried to remove it, it is gone, it was still
            ``there`` after its removal got no answer, or nobody knows.
    """

    table: str
    resource: Resource
    old: str
    is_own: bool
    place: str | None = None
    made: pa.Table | None = field(default=None, repr=False)
    new: str | None = None
    bearer: str | None = field(default=None, repr=False)
    saved_to: str | None = None
    is_proven: bool = False
    has_taken_over: bool = False
    removal: Literal["not begun", "done", "there", "unknown"] = "not begun"

    def in_words(self) -> str:
        """What exists now, and what to run next; no secret is in it."""
        if self.made is None:
            return f"The old one, {self.old}, is as it was"
        parts = [self._about_new(), self._about_old(), self._next()]
        return ". ".join(parts)

    def _about_new(self) -> str:
        name = self.new or f"whose {self.resource.key} is not known"
        saved = f", with its secret in {self.saved_to}" if self.saved_to else ""
        proof = "it works" if self.is_proven else "it was not proven to work"
        return f"There is a new one, {name}{saved}: {proof}"

    def _about_old(self) -> str:
        if self.removal == "unknown":
            text = f"Whether the old one, {self.old}, was revoked is not known"
        elif self.removal == "there":
            text = f"The old one, {self.old}, was still there just now"
        else:
            text = f"The old one, {self.old}, is as it was"
        if self.has_taken_over:
            return f"{text}; this connection goes on with the new one"
        return f"{text}, and this connection goes on with it" if self.is_own else text

    def _next(self) -> str:
        if self.removal == "unknown":
            key = self.resource.key
            query = f"SELECT {key} FROM {self.table} WHERE {key} = {literal(self.old)}"
            look = f"{self._first()}run {query}"
            return f"To find out, {look}; where it gives a row, run {self._removing(self.old)}"
        finish = f"run {self._removing(self.old)}"
        if self.has_taken_over:
            return f"To finish, {self._first()}{finish}"
        if self.is_own:
            finish = f"connect with the new secret and {finish}"
        if self.is_proven:
            return f"To finish, {finish}; to go back, {self._going_back()}"
        return f"To go back, {self._going_back()}; to finish, once the new one works, {finish}"

    def _first(self) -> str:
        """What to do before anything else is run, which may begin with the old secret again."""
        if self.place is None or not self.has_taken_over:
            return ""
        return f"put the new secret where the old one came from ({self.place}), then "

    def _going_back(self) -> str:
        if self.new is not None:
            return f"run {self._removing(self.new)}"
        reference = self.resource.self_reference
        assert reference is not None  # noqa: S101 - the manifest's check
        condition = f"{reference.column} = {literal(reference.value)}"
        return f"connect with its secret and run DELETE FROM {self.table} WHERE {condition}"

    def _removing(self, key: str) -> str:
        return f"DELETE FROM {self.table} WHERE {self.resource.key} = {literal(key)}"
