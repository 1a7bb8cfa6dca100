"""Replaces a credential: a new one is made, saved and proven before the old one is revoked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from vercel_sql.api import CancelScope, Client, Request, build_request, check_arguments
from vercel_sql.api.doubts import refused
from vercel_sql.auth.credentials import Successor
from vercel_sql.errors import (
    APIError,
    Error,
    ForbiddenError,
    InternalError,
    NotFoundError,
    NotSupportedError,
    OperationalError,
    ParameterError,
    PartialWriteError,
    RequestError,
    RotationError,
    StatementCancelledError,
    UnauthorizedError,
    UnknownOutcomeError,
)
from vercel_sql.manifest import Method, Resource, SelfReference
from vercel_sql.manifest import Rotation as Rules
from vercel_sql.tables import orphans
from vercel_sql.tables.calls import (
    KeyedRow,
    keyed_row,
    own_request,
    own_row,
    require_answer,
    result_schema,
    row_doubts,
    send_or_missing,
)
from vercel_sql.tables.deleting import is_there
from vercel_sql.tables.keeping import Keeping, rows_of
from vercel_sql.tables.orphans import without_mark
from vercel_sql.tables.reach import reach_arguments
from vercel_sql.tables.rotation_state import RotationState
from vercel_sql.tables.spelling import EXEC, Spelling
from vercel_sql.tables.writing import carried_out, saving, write_and_keep

# How many seconds it may take to find out what became of a revocation whose answer was lost.
_LOOK_SECONDS = 10.0
T = TypeVar("T")


class Rotation:
    """One rotation whose old row was read: all that it will send is known before the first write.

    It is carried out once. At no moment is there no secret that works and that its caller has: the
    old one is revoked when the new one is on disk and has answered for itself.

    Args:
        client: makes the calls; where the old row is what it calls with, it goes over to the new.
        resource: the resource of both rows.
        method: the manifest's method, with its rules.
        arguments: what `check_arguments` has passed.
        keeping: where the secret goes; without a file, into one in the user's state directory.
        where: what errors are to name.
        table: the name of the table in SQL, for what errors tell to run.
        spelling: how the caller writes arguments, for what errors tell to add.

    Attributes:
        old: the row that is to be replaced.
        requests: what is sent: it makes the new row, proves it, and removes the old one.

    Raises:
        NotFoundError: there is no such row.
        NotSupportedError: the credential of the calls can't be replaced from here.
        ParameterError: the caller has to say what the new row is to reach, or until when.
        DataError: a value of the old row can't be taken over.
        Error: the old row could not be read.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        method: Method,
        arguments: Mapping[str, Any],
        keeping: Keeping,
        *,
        where: str,
        table: str,
        spelling: Spelling = EXEC,
    ) -> None:
        self._client = client
        self._resource = resource
        self._method = method
        self._keeping = keeping
        self._where = where
        self._spelling = spelling
        self._place: str | None = None
        self._doubt: Request | None = None
        self.old, is_own = self._read(str(arguments[self._rules.old]))
        if is_own:
            self._require_replaceable()
        self.requests = (
            self._creation(arguments),
            self._question(),
            self._removal(),
        )
        self._state = RotationState(table, resource, self.old.key, is_own, self._place)

    def run(self) -> pa.Table:
        """Carries it out; gives the method's answer, one row.

        Raises:
            OperationalError: the secret could not be saved; found out before anything is sent.
            RotationError: it stopped halfway; the text says what exists now, the rows have the
                new secret.
            UnknownOutcomeError: it is not known whether a new row was made; the old is as it was.
            Error: no new row was made; the old is as it was.
        """
        self._client.refuse_if_read_only(self._method)
        self._keeping = saving(self._keeping)
        try:
            self._make()
            self._prove()
            self._take_over()
            self._revoke()
        except (Exception, KeyboardInterrupt) as error:
            raise self._stopped(error) from None
        return self._result()

    # Before the first write

    def _read(self, asked: str) -> tuple[KeyedRow, bool]:
        """The old row, and whether it is what the calls are made with."""
        request: Request | None = None
        if asked != self._reference.value:
            name = self._getter.required[0].name
            arguments = check_arguments(self._getter, {name: asked}, self._where)
            request = build_request(self._getter, arguments)
        try:
            if request is None:
                return self._own(), True
            row = self._found(asked, request)
            return row, self._own().key == row.key
        except Error as error:
            reason = str(error).removesuffix(".")
            error.args = (f"{self._where}: {reason}. Nothing was changed",)
            if isinstance(error, StatementCancelledError):
                error.nothing_changed = True
            raise

    def _found(self, asked: str, request: Request) -> KeyedRow:
        try:
            answer = self._client.send(request)
        except NotFoundError as error:
            name = self._getter.required[0].name
            raise NotFoundError(f"there is no {name} {asked!r}", error.detail) from None
        row = keyed_row(self._resource, self._getter, answer)
        if self._resource.is_gone(row.values):
            raise OperationalError(f"{asked} was revoked before; INSERT a new one in its place")
        return row

    def _own(self) -> KeyedRow:
        return own_row(self._client, self._resource, self._question())

    def _question(self, bearer: str | None = None) -> Request:
        """The request for the row of a bearer, else of what the calls are made with."""
        return _required(own_request(self._resource, bearer))

    def _require_replaceable(self) -> None:
        if self._keeping.is_shared:
            raise NotSupportedError(
                f"{self._where}: this is the credential that the server makes everybody's calls "
                "with, and none of its clients replaces it. Nothing was changed. Replace it where "
                "the server gets it from, and start the server again"
            )
        self._client.credential.require_replaceable(self._where)
        self._place = self._client.credential.fixed_at

    def _refuse_doubts(self, columns: list[str]) -> None:
        """Stops where a value of the old row can't be read that the new one depends on.

        Raises:
            DataError: it is so.
        """
        with refused(self._client.doubts, self._where):
            self._client.doubts.tell(row_doubts(self._resource, self.old, columns))

    def _creation(self, arguments: Mapping[str, Any]) -> Request:
        rules, row = self._rules, self.old.values
        given = {name: value for name, value in arguments.items() if name != rules.old}
        self._refuse_doubts([column for name, column in rules.stated.items() if name not in given])
        for name, column in rules.stated.items():
            if row.get(column) is not None and name not in given:
                raise self._endless(name, row[column])
        reach: Mapping[str, str] = {}
        if rules.reach is not None:
            reach = reach_arguments(
                rules.reach, self._resource, row, given, self._where, self._spelling
            )
            if not any(name in given for name in rules.reach.settled_by):
                self._refuse_doubts([rules.reach.column, rules.reach.ends])
        creator = _required(self._resource.creator)
        carried = {name: row.get(column) for name, column in rules.carried.items()}
        carried = without_mark(creator.trace, carried)
        everything = {**carried, **reach, **given}
        clock = self._client.clock(creator.server)
        return build_request(creator, check_arguments(creator, everything, self._where, clock))

    def _endless(self, name: str, end: int) -> ParameterError:
        """The error where nobody said when the new row is to end, and the old one has an end."""
        null = self._spelling.or_null(name, "for one without an end")
        return ParameterError(
            f"{self._where}: the old one has an end, {orphans.in_words(end)} ({end}), and it was "
            "not said when the new one is to end. Nothing was changed. "
            f"Add {self._spelling.given(name)}{null}"
        )

    def _removal(self) -> Request:
        remover = _required(self._resource.remover)
        arguments = {remover.required[0].name: self.old.key}
        return build_request(remover, check_arguments(remover, arguments, self._where))

    # The steps

    def _make(self) -> None:
        client, request = self._client, self.requests[0]
        try:
            self._note(
                carried_out(
                    client,
                    lambda: write_and_keep(
                        client, self._resource, request, self._keeping, (self.old.key,)
                    ),
                    request.method,
                )
            )
        except PartialWriteError as error:
            if isinstance(error.cause, UnknownOutcomeError):
                raise error.cause from None  # there may be a row, and nobody has its secret
            if error.table is not None:
                self._note(error.table)
            raise
        file = self._keeping.secrets_file
        self._state.saved_to = None if file is None else str(file.path)

    def _note(self, made: pa.Table) -> None:
        secret = next(c.name for c in self.requests[0].method.returns if c.secret)
        self._state.made = made
        self._state.new = made.column(self._resource.key)[0].as_py()
        self._state.bearer = made.column(secret)[0].as_py()

    def _prove(self) -> None:
        """Asks with the new secret for its row, which has to be the new one."""
        question = self._question(self._state.bearer)
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
        may_see = not any(name in self.requests[0].given for name in self._rules.unseen)
        if may_see or error.is_dead or error.code != "forbidden":
            raise error

    def _take_over(self) -> None:
        """Makes the calls with the new secret from now on, where they were made with the old."""
        if not self._state.is_own:
            return
        client, state = self._client, self._state
        client.current_scope.check()
        assert state.bearer is not None  # noqa: S101 - it was proven
        assert state.new is not None  # noqa: S101
        self._doubt = self._question(client.credential.token)
        successor = Successor(state.bearer, state.new, self._end())
        client.adopt(client.credential.replaced(successor))
        state.has_taken_over = True

    def _end(self) -> int | None:
        """When the new secret stops working, in milliseconds since the epoch."""
        creator = self.requests[0].method
        ends = [p.key for p in creator.given if p.moment == "future"]
        body = self.requests[0].body or {}
        return next((body[name] for name in ends if name in body), None)

    def _revoke(self) -> None:
        try:
            is_answered = carried_out(self._client, self._send_removal)
        except (Exception, KeyboardInterrupt) as error:
            if _surely_not_done(error):
                raise
            self._look(error)
        else:
            if not is_answered:
                self._look(None)
        self._state.removal = "done"

    def _send_removal(self) -> bool:
        """Whether the old row was removed; not, where it was gone already."""
        request = self.requests[-1]
        answer = send_or_missing(self._client, request)
        if answer is not None:
            # A proxy's page with status 200 must not pass for a removal.
            require_answer(request.method, answer)
        return answer is not None

    def _look(self, failure: BaseException | None) -> None:
        """Finds out whether the old row is gone after a removal that had no answer, or a 404.

        Raises:
            BaseException: it is not gone, or nobody knows; the failure itself, where there is one.
        """
        self._state.removal = "unknown"
        missing = OperationalError("the old one was not there to be removed")
        if self._client.current_scope.is_over:
            raise failure or missing
        found = self._is_there()
        if found:
            self._state.removal = "there"
        if found is not False:
            raise failure or missing

    def _is_there(self) -> bool | None:
        """Whether there still is the old row; None where that can't be found out now."""
        if self._doubt is None:
            return is_there(self._client, self._resource, self.old.key)
        # The new secret may be one that does not see the old row; the old one itself tells. It is
        # asked twice, since a refusal does not show whose it is.
        try:
            with self._client.apart(CancelScope(_LOOK_SECONDS)):
                return not (self._is_dead(self._doubt) and self._is_dead(self._doubt))
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

    # The end

    def _result(self) -> pa.Table:
        assert self._state.made is not None  # noqa: S101 - it ran to its end
        return self._rows(self._state.made)

    def _rows(self, made: pa.Table) -> pa.Table:
        """The method's answer: what the creation gave, and what is told of the rotation itself."""
        state, gives = self._state, self._rules.gives
        told = {
            gives["made"]: state.new,
            gives["removed"]: state.old if state.removal == "done" else None,
            gives["saved"]: state.saved_to,
            gives["notice"]: self._notice,
        }
        schema = result_schema(self._resource, self._method)
        arrays = [
            pa.array([told[each.name]], each.type) if each.name in told else made.column(each.name)
            for each in schema
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _stopped(self, error: BaseException) -> BaseException:
        """What to raise for a failure, with what exists now."""
        state, interruption = self._state, self._client.current_scope.interruption
        reason = f"{self._where}: {str(error) or 'it was interrupted'}".removesuffix(".")
        text = f"{reason}. {state.in_words()}"
        if state.made is not None:
            rows = self._rows(state.made)
            return RotationError(
                text,
                cause=interruption or getattr(error, "cause", None) or error,
                old=state.old,
                new=state.new,
                is_proven=state.is_proven,
                saved_to=state.saved_to,
                columns=rows.column_names,
                rows=rows_of(rows),
                table=rows,
            )
        if isinstance(error, Error):
            error.args = (text,)
        if isinstance(error, StatementCancelledError):
            error.nothing_changed = True
        if interruption is not None and not isinstance(error, UnknownOutcomeError):
            return interruption
        return error

    @property
    def _notice(self) -> str | None:
        """What is left to do by hand once the calls are made with the new secret."""
        place = self._place
        if place is None or not self._state.has_taken_over:
            return None
        return f"The old secret still stands where it came from ({place}): replace it"

    @property
    def notes(self) -> Sequence[str | None]:
        """What a request itself does not show, for each of them."""
        creator = _required(self._resource.creator)
        return (self._keeping.note(creator), "with the new secret, to see that it works", None)

    @property
    def _rules(self) -> Rules:
        return _required(self._method.rotation)

    @property
    def _getter(self) -> Method:
        return _required(self._resource.getter)

    @property
    def _reference(self) -> SelfReference:
        return _required(self._resource.self_reference)


def _required(part: T | None) -> T:
    """A part of the manifest that every resource with a rotation has, as was checked."""
    if part is None:
        raise InternalError("the manifest lacks what a rotation takes")
    return part


def _surely_not_done(error: BaseException) -> bool:
    """Whether a removal that failed so was surely not carried out; a refusal may be another's."""
    if isinstance(error, RequestError):
        return not error.outcome_unknown
    return isinstance(error, Error) and not isinstance(error, APIError | UnknownOutcomeError)
