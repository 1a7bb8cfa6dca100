"""The statements that a script is made of, read but not run.

What only DuckDB needs to understand is `Native`, and goes to it as it is written. The others are
ours, or may be: whether the target of a write is an API resource is for the executor to find out,
and where it is not, DuckDB gets the statement's text like any other's.

No repr shows a statement's text, which may hold secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from vercel_sql.errors import SQLSyntaxError
from vercel_sql.sql.exec_json import JSONArgument
from vercel_sql.sql.fragments import Fragment, Name
from vercel_sql.sql.matches import (
    ConstantMatch,
    constant_equalities,
    constant_match,
    qualifiers,
)
from vercel_sql.sql.nulls import LiteralNulls, literal_nulls
from vercel_sql.sql.parameters import NO_PARAMETERS, Parameters
from vercel_sql.sql.placeholders import Embedded


@dataclass(frozen=True, slots=True)
class Need:
    """What a statement asks of the parameters in one place.

    Attributes:
        name: the parameter's name, in lower case; digits for a positional one.
        written: the placeholder as the script has it; a bare ``?`` with its number.
        optional: whether the statement can run, as far as the parser can tell, without a value.
    """

    name: str
    written: str
    optional: bool = False


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Statement:
    """One statement of a script.

    Attributes:
        fragment: all of it, without the semicolon.
    """

    fragment: Fragment

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.fragment.position}>"

    @property
    def text(self) -> str:
        """The statement exactly as it is written, without the semicolon."""
        return self.fragment.text

    def needs(self) -> Iterator[Need]:
        """What it asks of the parameters."""
        yield from _needs(self.fragment)

    def embedded(self) -> Sequence[Embedded]:
        """Its strings that hold ``{{ name }}`` beside other text."""
        return self.fragment.embedded


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Native(Statement):
    """A statement that is DuckDB's alone.

    Attributes:
        first_keyword: its first word in upper case; empty if it begins with none, and for a text
            that can't be read into tokens, which DuckDB shall refuse in its own words.
    """

    first_keyword: str

    @property
    def unreadable(self) -> bool:
        """Whether the text could not be read into tokens."""
        return self.fragment.first == self.fragment.stop


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Write(Statement):
    """A statement that writes to a table, which may be an API resource.

    Attributes:
        target: the table.
        malformed: what is wrong with it, if the target is ours: what DuckDB alone understands of
            such statements is no concern of this parser, so it is no error yet.
    """

    target: Name
    malformed: str | None = None

    def require_well_formed(self) -> None:
        """Refuse what this parser could not read; for a target that is an API resource.

        Raises:
            SQLSyntaxError: it could not.
        """
        if self.malformed is not None:
            raise SQLSyntaxError(self.malformed)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Insert(Write):
    """INSERT.

    Attributes:
        alias: the target's alias.
        columns: the columns in their order, without quotes; None if none are given.
        by_name: whether the source's columns are matched BY NAME.
        source: the query whose rows are inserted; None for DEFAULT VALUES.
        with_clause: ``WITH …`` before the INSERT, which the source may refer to.
        returning: what stands after RETURNING.
        or_action: ``REPLACE`` or ``IGNORE`` for INSERT OR ….
        on_conflict: whether there is an ON CONFLICT clause.
        default_values: whether it is INSERT … DEFAULT VALUES.
    """

    alias: str | None = None
    columns: tuple[str, ...] | None = None
    by_name: bool = False
    source: Fragment | None = None
    with_clause: Fragment | None = None
    returning: Fragment | None = None
    or_action: Literal["REPLACE", "IGNORE"] | None = None
    on_conflict: bool = False
    default_values: bool = False

    def literal_nulls(self, parameters: Parameters = NO_PARAMETERS) -> LiteralNulls | None:
        """Which columns of the source are written as NULL; None if its text doesn't tell."""
        return literal_nulls(self.source, parameters) if self.source else None


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Delete(Write):
    """DELETE.

    Attributes:
        alias: the target's alias.
        using: what stands after USING.
        where: the predicate; None if there is no WHERE.
        with_clause: ``WITH …`` before the DELETE.
        returning: what stands after RETURNING.
    """

    alias: str | None = None
    using: Fragment | None = None
    where: Fragment | None = None
    with_clause: Fragment | None = None
    returning: Fragment | None = None

    def constant_match(self, parameters: Parameters = NO_PARAMETERS) -> ConstantMatch | None:
        """The column and strings, if WHERE is just ``column = 'a'`` or ``column IN ('a')``."""
        if self.where is None or self.using is not None:
            return None
        return constant_match(self.where, qualifiers(self.target, self.alias), parameters)

    def constant_equalities(self, parameters: Parameters = NO_PARAMETERS) -> dict[str, str] | None:
        """The strings by column, if WHERE is just ``a = 'x' AND b = 'y' …``; else None."""
        if self.where is None or self.using is not None:
            return None
        return constant_equalities(self.where, qualifiers(self.target, self.alias), parameters)


class Update(Write):
    """UPDATE."""


class Merge(Write):
    """MERGE INTO."""


class Truncate(Write):
    """TRUNCATE."""


class CopyFrom(Write):
    """COPY … FROM a file into a table."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of EXEC.

    Attributes:
        name: the name after ``@``, as it is written.
        value: a DuckDB expression.
    """

    name: str
    value: Fragment


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Exec(Statement):
    """EXEC of a method.

    Attributes:
        name: the method, such as ``vercel.authentication.user_tokens.email_login``.
        arguments: what is given by name.
        json: what is given as ``@@json``.
    """

    name: Name
    arguments: tuple[Argument, ...] = ()
    json: JSONArgument | None = None

    def json_value(
        self, parameters: Parameters = NO_PARAMETERS
    ) -> tuple[dict[str, object], dict[str, str]]:
        """The object that ``@@json`` gives, and the members that are left out.

        A member whose whole value is a placeholder without a value is left out; the second part
        gives the placeholder as it is written, by the path of the member (``scope.teamId``).
        Strings that come from the command line are `TextValue`. Without ``@@json``, both are empty.

        Raises:
            ParameterError: a placeholder elsewhere has no value, or a value does not fit.
        """
        return self.json.resolve(parameters) if self.json else ({}, {})

    def needs(self) -> Iterator[Need]:
        """What it asks of the parameters: an argument that is all placeholder may be left out."""
        for argument in self.arguments:
            if sole := argument.value.sole:
                yield Need(sole.name, sole.label, optional=True)
            else:
                yield from _needs(argument.value)
        if self.json:
            yield from (Need(s.name, s.written, s.optional) for s in self.json.slots)

    def embedded(self) -> Sequence[Embedded]:
        """As for any statement, but in JSON a placeholder beside other text is none of these."""
        return () if self.json else self.fragment.embedded


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Show(Statement):
    """SHOW SERVICES, RESOURCES or METHODS IN a name, or SHOW INSERT INTO a name.

    Attributes:
        kind: what is shown.
        name: where.
        extended: whether EXTENDED is said.
    """

    kind: Literal["services", "resources", "methods", "insert_into"]
    name: Name
    extended: bool = False


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Describe(Statement):
    """DESCRIBE of a name, which may be a resource, or of a METHOD.

    Attributes:
        name: what is described.
        extended: whether EXTENDED is said, which DuckDB does not know.
        method: whether it is DESCRIBE METHOD, which DuckDB does not know either.
    """

    name: Name
    extended: bool = False
    method: bool = False


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Explain(Statement):
    """EXPLAIN of another statement.

    Attributes:
        inner: the statement that is explained.
        options_text: the options in their parentheses, as they are written; else empty.
        analyze: whether ANALYZE is said, in the options or outside.
    """

    inner: Statement
    options_text: str = ""
    analyze: bool = False

    def needs(self) -> Iterator[Need]:
        """What the options and the explained statement ask of the parameters."""
        inner = self.inner.fragment
        yield from _needs(self.fragment.slice(self.fragment.first, inner.first))
        yield from self.inner.needs()

    def embedded(self) -> Sequence[Embedded]:
        """The strings of the explained statement."""
        return self.inner.embedded()


def _needs(fragment: Fragment) -> Iterator[Need]:
    return (Need(each.name, each.label) for each in fragment.placeholders)
