"""The vocabulary of the manifest for what all services share: servers, tokens, errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from vercel_sql.manifest.model import Entry

Use: TypeAlias = Literal[
    "email_begin",
    "email_tokens",
    "browser_begin",
    "device_begin",
    "browser_tokens",
    "device_tokens",
    "refresh",
    "revoke",
    "sign_assertion",
    "discovery",
]
"""What this package itself calls a method for."""


class Server(Entry, frozen=True, kw_only=True):
    """A base URL that methods are sent to.

    Attributes:
        url: scheme and host, without a path.
        environment: the environment variable that overrides it.
        keys: the path of the keys that its ID tokens are signed with, if it issues any; a
            discovery document comes before it.
        endpoints: the other servers on which its discovery document may name endpoints.
    """

    url: str
    environment: str
    keys: str | None = None
    endpoints: Sequence[str] = ()


class AccountRules(Entry, frozen=True, kw_only=True):
    """How to find out whom a credential stands for.

    Attributes:
        resource: service and resource of the method.
        method: what is called, without arguments; its answer has one row.
        key: the field that identifies the account.
        labels: the fields that people know it by, the best first.
        markers: what the bearers begin with that are asked about so; empty is any.
    """

    resource: str
    method: str
    key: str
    labels: list[str]
    markers: Sequence[str] = ()


class Role(Entry, frozen=True, kw_only=True):
    """A table that this package itself reads.

    Attributes:
        resource: service and resource.
        columns: for what this package calls a value, the column that has it.
    """

    resource: str
    columns: dict[str, str]

    def query(self, catalog: str, *more: str) -> str:
        """SQL that selects these values under their names here, and more expressions."""
        columns = [f'"{column}" AS "{name}"' for name, column in self.columns.items()]
        return f"SELECT {', '.join([*columns, *more])} FROM {catalog}.{self.resource}"


class TokenKind(Entry, frozen=True, kw_only=True):
    """A kind of bearer token, in words.

    Attributes:
        title: what it is, in a few words.
        limits: what it can and can't do, as a sentence without its full stop.
        marker: what its bearers begin with, where that tells it from all other kinds.
    """

    title: str
    limits: str
    marker: str | None = None


class Explanation(Entry, frozen=True, kw_only=True):
    """What an error of the API means, and what to do about it.

    It is shown if all that it names fits: what Vercel said, and what is known of the bearer.

    Attributes:
        text: what it means, as a sentence without its full stop.
        advice: whether the provider's advice about tokens follows.
        status: the statuses of the answer; empty is any, as below.
        code: the error's code.
        flag: a field of the error that is true.
        messages: what the error's message begins with, one of them.
        markers: what the bearer begins with, one of them.
        methods: the methods, as ``service.resource.method``.
    """

    text: str
    advice: bool = False
    status: Sequence[int] = ()
    code: str | None = None
    flag: str | None = None
    messages: Sequence[str] = ()
    markers: Sequence[str] = ()
    methods: Sequence[str] = ()
    auth: bool | None = None


class Provider(Entry, frozen=True, kw_only=True):
    """The top of the manifest: the catalog's name, its servers and its services.

    Attributes:
        name: the name that the catalog has in SQL.
        token_environment: the environment variable that holds the bearer token.
        token_prefixes: what bearer tokens of the newer kinds begin with.
        answer_id: the header that tells one answer from all others, where there is one.
        accounts: how to find out whom a credential stands for; the next is asked where one is
            refused.
        roles: the tables that this package itself reads: the ``user`` whose token it is, as the
            session of an app may see them (``app_user``), their ``teams`` and ``tokens``.
        methods: the methods that this package itself calls, as ``service.resource.method``.
        token_advice: which token may do everything, where it is made and how it is given.
        token_kinds: the kinds of bearer tokens: those with a ``marker``; the saved logins ``app``
            and ``email``; that of Vercel's ``command_line``; and as the API shows them, ``full``,
            ``limited`` and ``hidden``.
        explanations: what errors mean; the first that fits is shown.
        servers: the servers by the name that methods use.
        services: for each service the names of its resources, so that a name can be resolved
            without reading the service's own file.
        views: for each schema of readable views the service files that define them.
    """

    name: str
    title: str
    token_environment: str
    token_prefixes: Sequence[str] = ()
    answer_id: str | None = None
    accounts: list[AccountRules]
    roles: Mapping[Literal["user", "app_user", "teams", "tokens"], Role] = {}
    methods: Mapping[Use, str] = {}
    token_advice: str = ""
    token_kinds: Mapping[str, TokenKind] = {}
    explanations: Sequence[Explanation] = ()
    servers: dict[str, Server]
    services: dict[str, list[str]]
    views: Mapping[str, list[str]] = {}
