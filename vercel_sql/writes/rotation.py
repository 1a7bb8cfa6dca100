"""Replaces a credential: a new one is made, saved and proven before the old one is revoked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from vercel_sql.auth.credentials import Successor
from vercel_sql.catalog.ddl import literal
from vercel_sql.catalog.results import result_schema
from vercel_sql.errors import (
    APIError,
    Error,
    ForbiddenError,
    OperationalError,
    PartialWriteError,
    RequestError,
    RotationError,
    StatementCancelledError,
    UnauthorizedError,
    UnknownOutcomeError,
)
from vercel_sql.http.requests import Request
from vercel_sql.runtime.scope import CancelScope
from vercel_sql.writes.creates import carried_out, saving, write_and_keep
from vercel_sql.writes.deletes import LOOK_SECONDS, delete_row, is_there, own_row
from vercel_sql.writes.rotation_plan import RotationPlan


class Rotation:
    """One rotation whose old row was read: all that it will send is known before the first write.

    It is carried out once. At every moment its caller has a secret that works: the old one is
    revoked when the new one is on disk and has proven that it works.

    Attributes:
        old: the row that is to be replaced.
        requests: what is sent: it makes the new row, proves it, and removes the old one.
        notes: what a request itself does not show, for each of them.
    """

    def __init__(self, plan: RotationPlan) -> None:
        self._plan, self._client, self._resource = plan, plan.client, plan.resource
        self._policy = plan.policy
        self._old_question: Request | None = None
        self._state = _State(plan)
        self.old = plan.old
        self.requests: Sequence[Request] = (plan.create, plan.question(), plan.remove)
        self.notes: Sequence[str | None] = (
            plan.policy.note(plan.create.method),
            "with the new secret, to see that it works",
            None,
        )

    def run(self) -> pa.Table:
        """Carries it out; returns the method's answer, one row.

        Raises:
            RotationError: it stopped halfway; the text says what exists now, the rows have the
                new secret.
            UnknownOutcomeError: it is not known whether a new row was made; the old is as it was.
            Error: no new row was made; the old is as it was.
        """
        self._client.refuse_if_read_only(self._plan.method)
        self._policy = saving(self._policy)
        try:
            made = self._make()
            self._prove()
            self._take_over()
            self._revoke()
        except (Exception, KeyboardInterrupt) as error:
            raise self._stopped(error) from None
        return self._rows(made)

    def _make(self) -> pa.Table:
        client, plan = self._client, self._plan

        def send() -> pa.Table:
            there = (plan.old.key,)
            return write_and_keep(client, self._resource, plan.create, self._policy, there)

        try:
            made = carried_out(client, send, plan.create.method)
        except PartialWriteError as error:
            if isinstance(error.cause, UnknownOutcomeError):
                raise error.cause from None  # there may be a row, and nobody has its secret
            if error.table is not None:
                self._note(error.table)
            raise
        self._note(made)
        file = self._policy.secrets_file
        self._state.saved_to = None if file is None else str(file.path)
        return made

    def _note(self, made: pa.Table) -> None:
        secret = next(c.name for c in self._plan.create.method.returns if c.secret)
        self._state.made = made
        self._state.new = made.column(self._resource.key)[0].as_py()
        self._state.bearer = made.column(secret)[0].as_py()

    def _prove(self) -> None:
        """Asks with the new secret for its row, which has to be the new one."""
        question = self._plan.question(self._state.bearer)
        try:
            row = own_row(self._client, self._resource, question)
        except ForbiddenError as error:
            self._require_unseen(error)
            try:  # once more, since nothing in an error shows which request it answers
                row = own_row(self._client, self._resource, question)
            except ForbiddenError as again:
                self._require_unseen(again)
                self._state.is_proven = True
                return
        if self._resource.is_gone(row.values):
            raise OperationalError("the new one has been revoked already")
        self._state.is_proven = True

    def _require_unseen(self, error: ForbiddenError) -> None:
        """Raises a refusal, unless it is that of a secret that works and may not see its row."""
        may_see = not any(name in self._plan.create.given for name in self._plan.rules.unseen)
        if may_see or error.is_dead or error.code != "forbidden":
            raise error

    def _take_over(self) -> None:
        """Makes the calls with the new secret from now on, if they were made with the old."""
        if not self._plan.is_own:
            return
        client, state = self._client, self._state
        client.current_scope.check()
        assert state.bearer is not None  # noqa: S101 - it was proven
        assert state.new is not None  # noqa: S101
        self._old_question = self._plan.question(client.credential.token)
        successor = Successor(state.bearer, state.new, self._end())
        client.adopt(client.credential.replaced(successor))
        state.has_taken_over = True

    def _end(self) -> int | None:
        """When the new secret stops working, in milliseconds since the epoch."""
        create = self._plan.create
        ends = [p.key for p in create.method.given if p.moment == "future"]
        body = create.body or {}
        return next((body[name] for name in ends if name in body), None)

    def _revoke(self) -> None:
        try:
            was_there = carried_out(
                self._client, lambda: delete_row(self._client, self._plan.remove)
            )
        except (Exception, KeyboardInterrupt) as error:
            if _surely_not_done(error):
                raise
            self._look(error)
        else:
            if not was_there:
                self._look(OperationalError("the old one was not there to be removed"))
        self._state.removal = "done"

    def _look(self, failure: BaseException) -> None:
        """Finds out whether the old row is gone after a removal without an answer, or a 404.

        Raises the failure if it is not gone, or that can't be found out.
        """
        self._state.removal = "unknown"
        if self._client.current_scope.is_over:
            raise failure
        found = self._is_there()
        if found:
            self._state.removal = "there"
        if found is not False:
            raise failure

    def _is_there(self) -> bool | None:
        """Whether there still is the old row; None if that can't be found out now."""
        question = self._old_question
        if question is None:
            return is_there(self._client, self._resource, self.old.key)
        # The new secret may be one that does not see the old row, so the old one itself is asked:
        # twice, since a refusal does not show which request it answers.
        try:
            with self._client.scoped(CancelScope(LOOK_SECONDS)):
                return not (self._is_dead(question) and self._is_dead(question))
        except Error:
            return None

    def _is_dead(self, question: Request) -> bool:
        try:
            row = own_row(self._client, self._resource, question)
        except (UnauthorizedError, ForbiddenError) as error:
            return error.is_dead
        if row.key != self.old.key:
            raise row.answer.mismatched(f"it is about {row.key}")
        return self._resource.is_gone(row.values)

    def _rows(self, made: pa.Table) -> pa.Table:
        """The method's answer: what the creation returned, and what happened in the rotation."""
        state, gives = self._state, self._plan.rules.gives
        values = {
            gives["made"]: state.new,
            gives["removed"]: self.old.key if state.removal == "done" else None,
            gives["saved"]: state.saved_to,
            gives["notice"]: state.notice,
        }
        schema = result_schema(self._resource, self._plan.method)
        arrays = [
            pa.array([values[each.name]], each.type)
            if each.name in values
            else made.column(each.name)
            for each in schema
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _stopped(self, error: BaseException) -> BaseException:
        """What to raise for a failure, with what exists now."""
        state, interruption = self._state, self._client.current_scope.interruption
        reason = f"{self._plan.where}: {str(error) or 'it was interrupted'}".removesuffix(".")
        text = f"{reason}. {state.in_words()}"
        if state.made is not None:
            return RotationError(
                text,
                cause=interruption or getattr(error, "cause", None) or error,
                old=self.old.key,
                new=state.new,
                is_proven=state.is_proven,
                saved_to=state.saved_to,
                table=self._rows(state.made),
            )
        if isinstance(error, Error):
            error.args = (text,)
        if isinstance(error, StatementCancelledError):
            error.nothing_changed = True
        if interruption is not None and not isinstance(error, UnknownOutcomeError):
            return interruption
        return error


def _surely_not_done(error: BaseException) -> bool:
    """Whether a removal that failed was surely not carried out; a refusal may be another's."""
    if isinstance(error, RequestError):
        return not error.outcome_unknown
    return isinstance(error, Error) and not isinstance(error, APIError | UnknownOutcomeError)


@dataclass
class _State:
    """How far a rotation has come.

    Attributes:
        plan: what it is to do.
        made: the new row, from the answer to its creation.
        new: the key of the new row.
        bearer: the new secret.
        saved_to: the file that has it.
        is_proven: whether it is known to authenticate.
        has_taken_over: whether the calls are made with it.
        removal: what is known of the old row's removal: it was not tried, it is done, the row was
            still ``there`` after its removal got no answer, or the outcome is unknown.
    """

    plan: RotationPlan
    made: pa.Table | None = field(default=None, repr=False)
    new: str | None = None
    bearer: str | None = field(default=None, repr=False)
    saved_to: str | None = None
    is_proven: bool = False
    has_taken_over: bool = False
    removal: Literal["not begun", "done", "there", "unknown"] = "not begun"

    @property
    def notice(self) -> str | None:
        """What is left to do by hand once the calls are made with the new secret."""
        place = self.plan.place
        if place is None or not self.has_taken_over:
            return None
        return f"The old secret still stands where it came from ({place}): replace it"

    def in_words(self) -> str:
        """What exists now, and what to run next; no secret is in it."""
        if self.made is None:
            return f"The old one, {self.plan.old.key}, is as it was"
        return ". ".join([self._about_new(), self._about_old(), self._next()])

    def _about_new(self) -> str:
        name = self.new or f"whose {self.plan.resource.key} is not known"
        saved = f", with its secret in {self.saved_to}" if self.saved_to else ""
        proof = "it works" if self.is_proven else "it was not proven to work"
        return f"There is a new one, {name}{saved}: {proof}"

    def _about_old(self) -> str:
        old = self.plan.old.key
        if self.removal == "unknown":
            text = f"Whether the old one, {old}, was revoked is not known"
        elif self.removal == "there":
            text = f"The old one, {old}, was still there just now"
        else:
            text = f"The old one, {old}, is as it was"
        if self.has_taken_over:
            return f"{text}; this connection goes on with the new one"
        return f"{text}, and this connection goes on with it" if self.plan.is_own else text

    def _next(self) -> str:
        finish = f"run {self._removing(self.plan.old.key)}"
        if self.removal == "unknown":
            key, table = self.plan.resource.key, self.plan.table
            query = f"SELECT {key} FROM {table} WHERE {key} = {literal(self.plan.old.key)}"
            return f"To find out, {self._first()}run {query}; where it gives a row, {finish}"
        if self.has_taken_over:
            return f"To finish, {self._first()}{finish}"
        if self.plan.is_own:
            finish = f"connect with the new secret and {finish}"
        if self.is_proven:
            return f"To finish, {finish}; to go back, {self._going_back()}"
        return f"To go back, {self._going_back()}; to finish, once the new one works, {finish}"

    def _first(self) -> str:
        """What to do before anything else is run, which may begin with the old secret again."""
        if self.plan.place is None or not self.has_taken_over:
            return ""
        return f"put the new secret where the old one came from ({self.plan.place}), then "

    def _going_back(self) -> str:
        if self.new is not None:
            return f"run {self._removing(self.new)}"
        reference = self.plan.resource.self_reference
        assert reference is not None  # noqa: S101 - the manifest's check
        where = reference.condition
        return f"connect with its secret and run DELETE FROM {self.plan.table} WHERE {where}"

    def _removing(self, key: str) -> str:
        return f"DELETE FROM {self.plan.table} WHERE {self.plan.resource.key} = {literal(key)}"
