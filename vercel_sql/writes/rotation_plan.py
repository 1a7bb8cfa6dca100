"""What a rotation will send, known before its first write; the old row is read for it.

Apart from `rotation` for its length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import pyarrow as pa

from vercel_sql.catalog.pages import exact_fields
from vercel_sql.catalog.rows import TableShape, arrow_types
from vercel_sql.errors import (
    Error,
    InternalError,
    NotFoundError,
    NotSupportedError,
    OperationalError,
    ParameterError,
    StatementCancelledError,
)
from vercel_sql.http.arguments import check_arguments
from vercel_sql.http.client import Client
from vercel_sql.http.events import refused
from vercel_sql.http.requests import Request, build_request
from vercel_sql.manifest import Method, Resource, TokenScopeRule
from vercel_sql.writes.deletes import KeyedRow, keyed_row, own_request, own_row
from vercel_sql.writes.orphans import in_words, without_mark
from vercel_sql.writes.policy import EXEC, ArgumentSyntax, WritePolicy

T = TypeVar("T")


class RotationPlan:
    """The old row of a rotation, and the requests that replace it.

    Args:
        client: makes the calls; if the old row is its credential, it changes over to the new one.
        resource: the resource of both rows.
        method: the manifest's method, with its rules.
        arguments: the result of `check_arguments`.
        policy: where the secret goes; without a file, into one in the user's state directory.
        where: the statement in a few words, for errors.
        table: the name of the table in SQL, for statements in errors.
        syntax: how the caller writes arguments, for errors that say what to add.

    Attributes:
        rules: the method's rules.
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

    def __init__(
        self,
        client: Client,
        resource: Resource,
        method: Method,
        arguments: Mapping[str, Any],
        policy: WritePolicy,
        *,
        where: str,
        table: str,
        syntax: ArgumentSyntax = EXEC,
    ) -> None:
        self.client = client
        self.resource = resource
        self.method = method
        self.policy = policy
        self.rules = _required(method.rotation)
        self.where = where
        self.table = table
        self.place: str | None = None
        self._syntax = syntax
        self.old, self.is_own = self._read(str(arguments[self.rules.old]))
        if self.is_own:
            self._require_replaceable()
        self.create = self._creation(arguments)
        self.remove = self._removal()

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
                return self._own(), True
            row = self._found(asked, request)
            return row, self._own().key == row.key
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

    def _own(self) -> KeyedRow:
        return own_row(self.client, self.resource, self.question())

    def _require_replaceable(self) -> None:
        if self.policy.is_shared:
            raise NotSupportedError(
                f"{self.where}: this is the credential that the server makes everybody's calls "
                "with, and none of its clients replaces it. Nothing was changed. Replace it where "
                "the server gets it from, and start the server again"
            )
        self.client.credential.require_replaceable(self.where)
        self.place = self.client.credential.fixed_at

    def _creation(self, arguments: Mapping[str, Any]) -> Request:
        rules, row = self.rules, self.old.values
        given = {name: value for name, value in arguments.items() if name != rules.old}
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
        null = self._syntax.or_null(name, "for one without an end")
        return ParameterError(
            f"{self.where}: the old one has an end, {in_words(end)} ({end}), and no end was given "
            "for the new one. Nothing was changed. "
            f"Add {self._syntax.given(name)}{null}"
        )

    def _scope(self, rule: TokenScopeRule, given: Mapping[str, Any]) -> dict[str, str]:
        """The arguments that ask for what the old row reaches, and for no more.

        Raises `ParameterError` if no arguments give the same, so that the caller has to decide.
        """
        if any(name in given for name in rule.settled_by):
            return {}
        scope = _narrow_scope(rule, self.resource, self.old.values)
        if scope is None:
            raise self._unsettled(rule)
        self._refuse_doubts([rule.column, rule.ends])
        return scope

    def _unsettled(self, rule: TokenScopeRule) -> ParameterError:
        each = " or ".join(self._syntax.given(name, "'…'") for name in rule.settled_by)
        null = self._syntax.or_null(rule.settled_by[0], "for everything that the user reaches")
        return ParameterError(
            f"{self.where}: the scope of the old one ({rule.column}) can't be asked for as it is, "
            "and the replacement must not have a wider scope. Nothing was changed. Say what it "
            f"has to reach: {each}{null}"
        )

    def _removal(self) -> Request:
        remover = _required(self.resource.remover)
        arguments = {remover.required[0].name: self.old.key}
        return build_request(remover, check_arguments(remover, arguments, self.where))


def _narrow_scope(
    rule: TokenScopeRule, resource: Resource, row: Mapping[str, Any]
) -> dict[str, str] | None:
    """The arguments for the scope of a row; None if there are no such arguments."""
    entries = row.get(rule.column)
    known = _entry_fields(resource, rule.column)
    if not isinstance(entries, list) or not all(
        isinstance(each, dict) and known.issuperset(each) for each in entries
    ):
        return None
    ends = (None, row.get(rule.ends))
    lasting = [each for each in entries if each.get(rule.ends) in ends]
    if any(each.get(rule.kind) == rule.whole for each in lasting):
        return {}
    if len(lasting) == len(entries) == 1:
        name = rule.narrow.get(str(entries[0].get(rule.kind)))
        value = entries[0].get(name) if name is not None else None
        if name is not None and isinstance(value, str) and value:
            return {name: value}
    return None


def _entry_fields(resource: Resource, column: str) -> set[str]:
    """The fields of an entry that the manifest knows; what it does not know may be a limit."""
    (entries,) = arrow_types([c for c in resource.columns if c.name == column]).values()
    entry: pa.StructType = entries.value_type
    return {entry.field(i).name for i in range(entry.num_fields)}


def _required(part: T | None) -> T:
    """A part of the manifest that every resource with a rotation has, as was checked."""
    if part is None:
        raise InternalError("the manifest lacks what a rotation takes")
    return part
