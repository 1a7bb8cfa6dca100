"""Replaces a credential: a new one is made, saved and proven before the old one is revoked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import pyarrow as pa

from vercel_sql.auth.credentials import Successor
from vercel_sql.catalog.ddl import literal
from vercel_sql.catalog.pages import exact_fields
from vercel_sql.catalog.results import result_schema
from vercel_sql.catalog.rows import TableShape, arrow_types
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
from vercel_sql.http.arguments import check_arguments
from vercel_sql.http.client import Client
from vercel_sql.http.events import refused
from vercel_sql.http.requests import Request, build_request
from vercel_sql.manifest import Method, Resource, TokenScopeRule
from vercel_sql.runtime.scope import CancelScope
from vercel_sql.writes.creates import carried_out, saving, write_and_keep
from vercel_sql.writes.deletes import (
    LOOK_SECONDS,
    KeyedRow,
    delete_row,
    is_there,
    keyed_row,
    own_key,
    own_request,
    own_row,
)
from vercel_sql.writes.orphans import in_words, without_mark
from vercel_sql.writes.policy import EXEC, ArgumentSyntax, WritePolicy

T = TypeVar("T")


@dataclass(eq=False, repr=False)
class RotationPlan:
    """The old row of a rotation, and the requests that replace it.

    Attributes:
        client: makes the calls; if the old row is its credential, it changes over to the new one.
        arguments: the result of `check_arguments`.
        policy: where the secret goes; without a file, into one in the user's state directory.
        where: the statement in a few words, for errors.
        table: the name of the table in SQL, for statements in errors.
        syntax: how the caller writes arguments, for errors that say what to add.
        old: the old row.
        is_own: whether that is the credential of the calls.
        place: where the old secret stands and can't be changed from here, such as an environment
            variable; None if the new one takes its place there too.
        create: makes the new row.
        remove: removes the old one.

    Raises:
        NotFoundError: there is no such row.
        NotSupportedError: the credential of the calls can't be replaced from here.
        ParameterError: the caller has to say what the new row is to reach, or until when.
        DataError: a value of the old row can't be taken over.
        Error: the old row could not be read.
    """

    client: Client
    resource: Resource
    method: Method
    arguments: Mapping[str, Any]
    policy: WritePolicy
    where: str
    table: str
    syntax: ArgumentSyntax = EXEC

    def __post_init__(self) -> None:
        self.rules, remover = _required(self.method.rotation), _required(self.resource.remover)
        self.old, self.is_own = self._read(str(self.arguments[self.rules.old]))
        self.place = self._fixed_place() if self.is_own else None
        self.create = self._creation()
        key = {remover.required[0].name: self.old.key}
        self.remove = build_request(remover, check_arguments(remover, key, self.where))

    def question(self, bearer: str | None = None) -> Request:
        """The request for the row of a bearer, the client's own if None."""
        return _required(own_request(self.resource, bearer))

    def _read(self, asked: str) -> tuple[KeyedRow, bool]:
        """The old row, and whether it is the credential of the calls."""
        getter = _required(self.resource.getter)
        request: Request | None = None
        if asked != _required(self.resource.self_reference).value:
            arguments = check_arguments(getter, {getter.required[0].name: asked}, self.where)
            request = build_request(getter, arguments)
        try:
            if request is None:
                return own_row(self.client, self.resource, self.question()), True
            row = self._found(asked, request)
            return row, own_key(self.client, self.resource) == row.key
        except Error as error:
            reason = str(error).removesuffix(".")
            error.args = (f"{self.where}: {reason}. Nothing was changed",)
            if isinstance(error, StatementCancelledError):
                error.nothing_changed = True
            raise

    def _found(self, asked: str, request: Request) -> KeyedRow:
        try:
            answer = self.client.send(request)
        except NotFoundError as error:
            name = request.method.required[0].name
            raise NotFoundError(f"there is no {name} {asked!r}", error.detail) from None
        row = keyed_row(self.resource, request.method, answer)
        if self.resource.is_gone(row.values):
            raise OperationalError(f"{asked} was revoked before; INSERT a new one in its place")
        return row

    def _fixed_place(self) -> str | None:
        """Where the secret of the calls stands; raises where it can't be replaced at all."""
        if self.policy.is_shared:
            raise NotSupportedError(
                f"{self.where}: this is the credential that the server makes everybody's calls "
                "with, and none of its clients replaces it. Nothing was changed. Replace it where "
                "the server gets it from, and start the server again"
            )
        self.client.credential.require_replaceable(self.where)
        return self.client.credential.fixed_at

    def _creation(self) -> Request:
        rules, row = self.rules, self.old.values
        given = {name: value for name, value in self.arguments.items() if name != rules.old}
        self._refuse_doubts([column for name, column in rules.stated.items() if name not in given])
        for name, column in rules.stated.items():
            if row.get(column) is not None and name not in given:
                raise self._endless(name, row[column])
        scope = {} if rules.token_scope is None else self._scope(rules.token_scope, given)
        creator = _required(self.resource.creator)
        carried = {name: row.get(column) for name, column in rules.carried.items()}
        everything = {**without_mark(creator.trace, carried), **scope, **given}
        clock = self.client.clock(creator.server)
        return build_request(creator, check_arguments(creator, everything, self.where, clock))

    def _refuse_doubts(self, columns: list[str]) -> None:
        """Raises `DataError` if the new row depends on an unreadable value of the old one."""
        row, shape = self.old, TableShape(self.resource)
        with refused(self.client.doubts, self.where):
            fields = exact_fields(shape, row.answer, [row.values], columns, want_rest=False)
            self.client.doubts.tell(fields.doubts)

    def _endless(self, name: str, end: int) -> ParameterError:
        """The error if the old row has an end, and no end was given for the new one."""
        null = self.syntax.or_null(name, "for one without an end")
        return ParameterError(
            f"{self.where}: the old one has an end, {in_words(end)} ({end}), and no end was given "
            f"for the new one. Nothing was changed. Add {self.syntax.given(name)}{null}"
        )

    def _scope(self, rule: TokenScopeRule, given: Mapping[str, Any]) -> dict[str, str]:
        """The arguments that ask for what the old row reaches, and for no more."""
        if any(name in given for name in rule.settled_by):
            return {}
        scope = _narrow_scope(rule, self.resource, self.old.values)
        if scope is not None:
            self._refuse_doubts([rule.column, rule.ends])
            return scope
        each = " or ".join(self.syntax.given(name, "'…'") for name in rule.settled_by)
        null = self.syntax.or_null(rule.settled_by[0], "for everything that the user reaches")
        raise ParameterError(
            f"{self.where}: the scope of the old one ({rule.column}) can't be asked for as it is, "
            "and the replacement must not have a wider scope. Nothing was changed. Say what it "
            f"has to reach: {each}{null}"
        )


def _narrow_scope(
    rule: TokenScopeRule, resource: Resource, row: Mapping[str, Any]
) -> dict[str, str] | None:
    """The arguments for the scope of a row; None if there are no such arguments."""
    entries = row.get(rule.column)
    # What the manifest does not know of an entry may be a limit.
    (column,) = arrow_types([c for c in resource.columns if c.name == rule.column]).values()
    known = {field.name for field in column.value_type}
    if not isinstance(entries, list) or not all(
        isinstance(each, dict) and known.issuperset(each) for each in entries
    ):
        return None
    ends = (None, row.get(rule.ends))
    lasting = [each for each in entries if each.get(rule.ends) in ends]
    if any(each.get(rule.kind) == rule.whole for each in lasting):
        return {}
    if len(lasting) == len(entries) == 1:
        name = rule.narrow.get(str(entries[0].get(rule.kind)), "")
        value = entries[0].get(name)
        if name and isinstance(value, str) and value:
            return {name: value}
    return None


def _required(part: T | None) -> T:
    """A part of the manifest that every resource with a rotation has, as was checked."""
    if part is None:
        raise InternalError("the manifest lacks what a rotation takes")
    return part


class Rotation:
    """One rotation, carried out once: all that it will send is known before the first write.

    At every moment its caller has a secret that works: the old one is revoked when the new one is
    on disk and has proven that it works.

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
        proof = "with the new secret, to see that it works"
        self.notes: Sequence[str | None] = (plan.policy.note(plan.create.method), proof, None)

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
                self._state.take(error.table)
            raise
        self._state.take(made)
        file = self._policy.secrets_file
        self._state.saved_to = None if file is None else str(file.path)
        return made

    def _prove(self) -> None:
        """Asks with the new secret for its row, which has to be the new one."""
        question = self._plan.question(self._state.bearer)
        for _ in range(2):  # since nothing in a refusal shows which request it answers
            try:
                row = own_row(self._client, self._resource, question)
            except ForbiddenError as error:
                self._require_unseen(error)
                continue
            if self._resource.is_gone(row.values):
                raise OperationalError("the new one has been revoked already")
            break
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
        client, state, create = self._client, self._state, self._plan.create
        client.current_scope.check()
        self._old_question = self._plan.question(client.credential.token)
        ends = [p.key for p in create.method.given if p.moment == "future"]
        end = next((value for name, value in (create.body or {}).items() if name in ends), None)
        successor = Successor(_required(state.bearer), _required(state.new), end)
        client.adopt(client.credential.replaced(successor))
        state.has_taken_over = True

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
        """Finds out whether the old row is gone after a removal without an answer, or a 404."""
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

    def take(self, made: pa.Table) -> None:
        secret = next(c.name for c in self.plan.create.method.returns if c.secret)
        self.made = made
        self.new = made.column(self.plan.resource.key)[0].as_py()
        self.bearer = made.column(secret)[0].as_py()

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
        name = self.new or f"whose {self.plan.resource.key} is not known"
        saved = f", with its secret in {self.saved_to}" if self.saved_to else ""
        proof = "it works" if self.is_proven else "it was not proven to work"
        return f"There is a new one, {name}{saved}: {proof}. {self._about_old()}. {self._next()}"

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
        plan, old = self.plan, self.plan.old.key
        removal = f"run DELETE FROM {plan.table} WHERE {plan.resource.key} ="
        finish = f"{removal} {literal(old)}"
        # What is run next may begin with the old secret again.
        first = f"put the new secret where the old one came from ({plan.place}), then "
        first = first if plan.place is not None and self.has_taken_over else ""
        if self.removal == "unknown":
            key, table = plan.resource.key, plan.table
            query = f"SELECT {key} FROM {table} WHERE {key} = {literal(old)}"
            return f"To find out, {first}run {query}; where it gives a row, {finish}"
        if self.has_taken_over:
            return f"To finish, {first}{finish}"
        if plan.is_own:
            finish = f"connect with the new secret and {finish}"
        if self.new is not None:
            back = f"{removal} {literal(self.new)}"
        else:
            where = _required(plan.resource.self_reference).condition
            back = f"connect with its secret and run DELETE FROM {plan.table} WHERE {where}"
        if self.is_proven:
            return f"To finish, {finish}; to go back, {back}"
        return f"To go back, {back}; to finish, once the new one works, {finish}"
