"""The vocabulary of the manifest: services, resources, methods, parameters, columns.

The classes only describe. They say what the API has and what a value may be; the rooms above
decide what to do with it. Unknown keys are refused, so that a misspelt key can't be dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

import msgspec


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """A part of the manifest: immutable, and strict about keys."""


class Parameter(Entry, frozen=True, kw_only=True):
    """One parameter of a method.

    Attributes:
        name: its name in SQL and, unless ``wire_name`` says otherwise, on the wire.
        location: where its value goes. ``bearer`` replaces the connection's own token.
            ``basic_user`` and ``basic_password`` are HTTP Basic; a user without a password goes
            into the body, as OAuth has it for public clients. ``procedure`` is in no request as
            it is: a procedure of this package takes it.
        type: a DuckDB type.
        allowed: the values that it may have; empty means any.
        minimum: the smallest number that it may be, as `maximum` is the largest.
        min_length: the shortest text that it may be.
        moment: the number is a point in time in milliseconds since the epoch, and SQL may give
            it as a timestamp or date too. ``future`` refuses what has passed.
        secret: the value is never shown.
        constant: a value that is always sent, and that nobody gives.
        beside: a constant is sent only together with the parameter of this name.
        null: what a NULL that somebody wrote is: as if the parameter were ``absent``, or a
            ``value`` of its own, which only procedures take.
    """

    name: str
    location: Literal[
        "path", "query", "body", "bearer", "basic_user", "basic_password", "procedure"
    ]
    type: Literal["VARCHAR", "BIGINT", "BOOLEAN", "DOUBLE"]
    description: str = ""
    required: bool = False
    wire_name: str | None = None
    allowed: list[str] = []
    minimum: int | None = None
    maximum: int | None = None
    min_length: int = 0
    moment: Literal["any", "future"] | None = None
    secret: bool = False
    constant: str | None = None
    beside: str | None = None
    null: Literal["absent", "value"] = "absent"

    @property
    def key(self) -> str:
        return self.wire_name or self.name


class Echo(Entry, frozen=True, kw_only=True):
    """Where an answer repeats the value of a parameter, so that it shows what it answers.

    Attributes:
        path: the path in the answer; a list on the way is passed through, and one of it suffices.
        begins: only values that begin so are repeated.
    """

    path: list[str]
    begins: str = ""


class Hints(Entry, frozen=True, kw_only=True):
    """The columns of a credential's row that show the two ends of its secret."""

    begins: str
    ends: str


class Paging(Entry, frozen=True, kw_only=True):
    """How a listing goes on: the answer's cursor is sent back until it is null.

    Attributes:
        cursor: the path of the next cursor in the answer.
        count: the path of the number of rows in the page, to find pages that were cut.
        parameter: the query parameter that takes the cursor, as ``size_parameter`` takes the size.
        size: the largest page that the API gives.
        order: the column, in milliseconds since the epoch, that the rows are sorted by, the newest
            first; a cursor that is a number is a moment of it. None where that is not known.
    """

    cursor: list[str]
    count: list[str]
    parameter: str
    size_parameter: str
    size: int
    order: str | None = None


class Column(Entry, frozen=True, kw_only=True):
    """One column of a resource, or of what a method gives.

    Attributes:
        type: a DuckDB type.
        source: where its value comes from: the ``field`` of that name; the whole ``row`` as a
            struct; what was asked for (``request``, in a listing the key); the ``rest`` that the
            manifest does not know; ``self``, whether the row is the calling credential's;
            ``doubt``, which fields could not be decoded, and so are NULL; the server's ``clock``:
            by how many milliseconds it is ``ahead`` of this machine's, where that is certain, and
            its time when the row was ``read_at``; ``session``, which no manifest has: the
            connection that asks.
        hidden: not a column of the public table; readable views may use it.
        secret: the value is a credential that is shown once.
        stored: a secret may be saved to a file; an ID token, which is short-lived, may not.
        optional: a secret that an answer may lack.
        always: a field that every answer has, which tells it from those of other methods.
    """

    name: str
    type: str
    description: str
    source: Literal["field", "row", "request", "rest", "self", "doubt", "clock", "session"] = (
        "field"
    )
    hidden: bool = False
    secret: bool = False
    stored: bool = True
    optional: bool = False
    always: bool = False


class Limit(Entry, frozen=True, kw_only=True):
    """A documented rate limit: so many requests in a window of so many seconds.

    What the server says comes before it.
    """

    requests: int
    seconds: float


class RecoveryLookup(Entry, frozen=True, kw_only=True):
    """How to find the row that a method made if the answer was lost.

    Attributes:
        key: the path of the new row's key in the answer.
        matches: for each column of the new row that the caller chose, the parameter that it was
            given by.
        since: the column that says when the row was made, in milliseconds since the epoch.
        mark: the one of these parameters whose value may end with a random mark, if any.
    """

    key: list[str]
    matches: dict[str, str]
    since: str
    mark: str | None = None


class Step(Entry, frozen=True, kw_only=True):
    """One step of a procedure, in words.

    Attributes:
        method: the method that it calls: of the same resource, or ``resource.method`` of the same
            service. None where it calls none.
        request: what it requests where no method says so, in words.
    """

    description: str
    method: str | None = None
    request: str | None = None


class TokenScopeRule(Entry, frozen=True, kw_only=True):
    """The scope of a credential, and how one with the same scope is asked for.

    Attributes:
        column: the column with the scope, a list of structs.
        kind: the field of such an entry that tells the kinds of entries apart.
        whole: the kind that a new one has when nothing is asked for.
        narrow: for each other kind that can be asked for the parameter of the creator that does
            so; its value is the entry's field of that name.
        ends: the field, of entries and of rows, of the moment at which they end.
        settled_by: the parameters of which one is given, be it as NULL, by who decides it anew.
    """

    column: str
    kind: str
    whole: str
    narrow: dict[str, str]
    ends: str
    settled_by: list[str]


class Rotation(Entry, frozen=True, kw_only=True):
    """How a row that is a credential is replaced by a new one, of the same resource.

    Attributes:
        old: the parameter that names the old row.
        carried: for parameters of the creator the columns of the old row that they are taken from
            where they are not given.
        stated: for parameters of the creator the columns of the old row: where it has a value
            there, the parameter has to be given, be it as NULL.
        unseen: parameters of the creator with which the new row may not be asked for by its own
            credential: that this is refused, and not called dead, shows that it authenticates.
        token_scope: what keeps the new one from having a wider scope than the old one.
        gives: the columns of the answer that hold the key of the row that was ``made`` and of
            the one that was ``removed``, the file that the secret was ``saved`` to, and a
            ``notice`` of what is left to do.
    """

    old: str
    carried: dict[str, str]
    stated: dict[str, str]
    unseen: list[str] = []
    token_scope: TokenScopeRule | None = None
    gives: dict[Literal["made", "removed", "saved", "notice"], str]


class Method(Entry, frozen=True, kw_only=True):
    """One method of a resource.

    Attributes:
        name: its name, from its key in the file.
        resource: service and name of its resource, as in ``authentication.user_tokens``.
        verb: the SQL verb that it serves.
        path: the path, with ``{name}`` for path parameters.
        procedure: the name of a procedure of this package, which makes the answer in place of
            one request. ``http`` and ``path`` are then those of its main request.
        rotation: for the procedure ``rotate``, what it needs to know of the resource.
        server: which of the provider's servers it is sent to.
        endpoint: the field of the discovery document that names its address; ``server`` and
            ``path`` are its address where there is no such document, or no such field in it.
        effect: whether it only reads or changes anything. A GET may change something.
        retry: ``safe`` may be sent again after any failure that may pass; ``refused`` only where
            the request surely was not carried out: no connection, or refused by a rate limit.
        rows: the path in the answer of the row or of the list of rows; empty is the whole answer.
        missing_is_empty: a 404 means that there is no such row, and is not an error.
        refuses: parameters of its siblings that the API refuses here, and what to do instead.
        nothing: the path in the answer of a flag that is false where there is nothing to tell of.
        returns: the columns of the answer, where they are not those of the resource.
        collect: for a paged method called as a whole: its pages are joined into one answer.
        trace: what the row that it makes can be found by in a listing, if there is one.
        echoes: for parameters whose values the answer repeats, where it does.
        claims: for parameters, the claim of the answer's ``id_token`` that is the same: for a
            ``nonce``, that of the sign-in that the parameter belongs to.
        identity: the path in the answer of what identifies whom or what the credential stands for:
            it is the same for ever. With a self-reference, for its value alone.
    """

    name: str = ""
    resource: str = ""
    verb: Literal["select", "insert", "update", "delete", "exec"]
    http: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    procedure: str | None = None
    steps: list[Step] = []
    rotation: Rotation | None = None
    description: str
    effect: Literal["read", "write"]
    retry: Literal["safe", "refused"]
    server: str = "api"
    endpoint: str | None = None
    auth: bool = True
    body: Literal["json", "form"] = "json"
    rows: list[str] = []
    missing_is_empty: bool = False
    refuses: dict[str, str] = {}
    nothing: list[str] = []
    parameters: list[Parameter] = []
    paging: Paging | None = None
    returns: list[Column] = []
    collect: bool = False
    trace: RecoveryLookup | None = None
    echoes: dict[str, Echo] = {}
    claims: dict[str, str] = {}
    identity: list[str] = []
    limit: Limit | None = None

    @property
    def reads(self) -> bool:
        return self.effect == "read"

    @property
    def write_count(self) -> int:
        """How many requests that change something one call sends at most."""
        if self.reads:
            return 0
        return 1 if self.rotation is None else 2

    @cached_property
    def given(self) -> tuple[Parameter, ...]:
        """The parameters that a caller gives: all but the constants."""
        return tuple(p for p in self.parameters if p.constant is None)

    @cached_property
    def required(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.given if p.required)

    @cached_property
    def optional(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.given if not p.required)

    @cached_property
    def makes_secret(self) -> bool:
        """Whether it changes something and its answer shows a credential, this once."""
        return not self.reads and any(column.secret for column in self.returns)

    @cached_property
    def secrets(self) -> frozenset[str]:
        """The names of the parameters and columns whose values are never shown."""
        parameters = {p.name for p in self.parameters if p.secret}
        return frozenset(parameters | {c.name for c in self.returns if c.secret})

    def refused(self, name: str) -> str | None:
        """What to do in place of an argument that the API refuses here, or None."""
        folded = {key.casefold(): text for key, text in self.refuses.items()}
        return folded.get(name.replace("_", "").casefold())

    def parameter(self, name: str) -> Parameter | None:
        folded = name.casefold()
        return next((p for p in self.given if p.name.casefold() == folded), None)


class SelfReference(Entry, frozen=True, kw_only=True):
    """A value of a column, such as ``current``, that stands for the calling credential's row."""

    column: str
    value: str

    @property
    def condition(self) -> str:
        """SQL that is true for that row alone."""
        return f"{self.column} = '{self.value}'"


class Caution(Entry, frozen=True, kw_only=True):
    """Rows whose deletion does more than it seems to.

    Attributes:
        condition: SQL over the resource's fields that picks them.
        noun: what one of them is.
        effect: what their deletion does.
    """

    condition: str
    noun: str
    effect: str


class Resource(Entry, frozen=True, kw_only=True):
    """A table and the methods that serve it.

    Attributes:
        key: the column that tells one row from another.
        request_key: the column that holds what was asked for; it equals the key in a listing.
        hints: where a row shows the ends of its secret.
        gone: the column that says when a row was made void: one that has it counts as deleted.
        caution: the rows whose deletion is to be warned of.
        lookup_limit: how many single rows are fetched side by side before listing is cheaper.
        rows: the rows themselves, for a table that no request is needed for.
    """

    description: str
    key: str
    columns: list[Column]
    methods: dict[str, Method] = {}
    rows: list[dict[str, str | list[str]]] = []
    name: str = ""
    service: str = ""
    request_key: str | None = None
    self_reference: SelfReference | None = None
    hints: Hints | None = None
    gone: str | None = None
    caution: Caution | None = None
    lookup_limit: int = 20

    @property
    def full_name(self) -> str:
        """Service and resource, as in ``authentication.user_tokens``."""
        return f"{self.service}.{self.name}"

    @cached_property
    def public_columns(self) -> tuple[Column, ...]:
        return tuple(c for c in self.columns if not c.hidden)

    @cached_property
    def fields(self) -> tuple[Column, ...]:
        """The columns that are fields of a row in the answer."""
        return tuple(c for c in self.columns if c.source == "field")

    @cached_property
    def key_columns(self) -> tuple[str, ...]:
        """The columns that a row can be fetched by."""
        named = (self.key, self.request_key)
        return tuple(name for name in named if name is not None)

    @cached_property
    def asked_by(self) -> tuple[str, ...]:
        """The columns whose values have to be known to make a request: no listing has them."""
        if self.lister is None:
            return self.key_columns
        return (self.self_reference.column,) if self.self_reference is not None else ()

    def of_verb(self, verb: str) -> list[Method]:
        return [m for m in self.methods.values() if m.verb == verb]

    def is_gone(self, row: Mapping[str, Any]) -> bool:
        """Whether a row that the API still shows counts as deleted."""
        return self.gone is not None and row.get(self.gone) is not None

    @cached_property
    def lister(self) -> Method | None:
        """The method that lists the rows, or that gives the only one."""
        return next((m for m in self.of_verb("select") if not m.required), None)

    @cached_property
    def getter(self) -> Method | None:
        """The method that gives one row by its key."""
        return next((m for m in self.of_verb("select") if len(m.required) == 1), None)

    @cached_property
    def key_is_field(self) -> bool:
        """Whether the answer itself holds the key, and not only the request."""
        return any(field.name == self.key for field in self.fields)

    @cached_property
    def creator(self) -> Method | None:
        """The method of INSERT; where there are several, the first."""
        return next(iter(self.of_verb("insert")), None)

    def creator_for(self, names: Iterable[str]) -> Method | None:
        """The method of INSERT for some parameters: it takes most of them, and lacks fewest."""
        given = {name.casefold() for name in names}

        def fit(method: Method) -> tuple[int, int]:
            required = {p.name.casefold() for p in method.required}
            return len(given & {p.name.casefold() for p in method.given}), -len(required - given)

        return max(self.of_verb("insert"), key=fit, default=None)

    @cached_property
    def remover(self) -> Method | None:
        return next(iter(self.of_verb("delete")), None)

    def method(self, name: str) -> Method | None:
        folded = name.casefold()
        return next((m for m in self.methods.values() if m.name.casefold() == folded), None)


class View(Entry, frozen=True, kw_only=True):
    """A readable view over the tables of a service.

    Attributes:
        query: its SELECT. ``{table:name}`` stands for the full table, hidden columns included, of
            the resource ``name``, and ``{caution:name}`` for the condition of its caution.
    """

    description: str
    query: str
    comments: dict[str, str]
    schema: str = ""
    name: str = ""


class Service(Entry, frozen=True, kw_only=True):
    """One service: the content of one manifest file."""

    name: str
    description: str
    resources: dict[str, Resource]
    types: dict[str, str] = {}
    views: dict[str, dict[str, View]] = {}

    def called_by(self, resource: Resource, step: Step) -> Method | None:
        """The method that a step of a procedure of a resource calls, or None."""
        owner, _, name = (step.method or "").rpartition(".")
        found = self.resources.get(owner) if owner else resource
        return found.methods.get(name) if found is not None else None
