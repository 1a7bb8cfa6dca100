"""The statements that a script is made of, read but not run, and held against its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from vercel_sql.errors import ParameterError, SQLSyntaxError
from vercel_sql.sql import syntax_tree
from vercel_sql.sql.fragments import Fragment, Name, Need, Template
from vercel_sql.sql.parameters import NO_PARAMETERS, JSONArgument, Parameters
from vercel_sql.sql.tokens import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vercel_sql.sql.syntax_tree import ConstantMatch, LiteralNulls

_NAMED = 8
"""How many placeholders a message names at most."""


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
        return self.fragment.text

    @property
    def unreadable(self) -> bool:
        """Whether its text was not, or could not be, read into tokens."""
        return self.fragment.first == self.fragment.stop

    def needs(self) -> Iterator[Need]:
        return self.fragment.needs()

    def unfilled(self, parameters: Parameters) -> Iterator[Template]:
        """The templates that must not stay in it as they are written.

        Any text may hold ``{{ name }}`` as long as no value is given for it, but for those that are
        sent to the API.
        """
        for template in self.fragment.templates:
            if not template.is_ours or template.name in parameters:
                yield template

    def not_filled_in(self, template: Template) -> ParameterError:
        """The error about a template that would be taken as it is written."""
        script = self.fragment.script
        lexeme = script.lexemes[template.index]
        where, ours = script.position(lexeme.start), f"{{{{ {template.name} }}}}"
        if template.is_ours:
            message = (
                f"The string at {where} holds {ours} beside other text, but a placeholder stands "
                f"for the whole of a plain string. Join the two with ||, as in '…' || '{ours}'"
            )
        else:
            message = f"The template at {where} is not filled in. Write {ours} instead"
        literal = "; for the braces themselves, write the string as E'…'"
        return ParameterError(f"{message}{literal if lexeme.kind is Kind.STRING else ''}.")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Native(Statement):
    """A statement that is DuckDB's alone.

    Attributes:
        first_keyword: its first word in upper case; empty if it begins with none, and for a text
            that can't be read into tokens, which DuckDB shall refuse in its own words.
    """

    first_keyword: str


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Write(Statement):
    """A statement that writes to a table, which may be an API resource.

    Attributes:
        target: the table.
        malformed: the error in it, which counts only if the target is an API resource: DuckDB
            understands more of such statements than this parser.
        alias: the target's alias.
        with_clause: ``WITH …`` before the statement.
        returning: what stands after RETURNING.
    """

    target: Name
    malformed: str | None = None
    alias: str | None = None
    with_clause: Fragment | None = None
    returning: Fragment | None = None

    def require_well_formed(self) -> None:
        """Refuse what this parser could not read; for a target that is an API resource."""
        if self.malformed is not None:
            raise SQLSyntaxError(self.malformed)
        for template in self.fragment.templates:
            raise self.not_filled_in(template)

    def with_bound(
        self, query: str, values: Mapping[str, object], parameters: Parameters
    ) -> tuple[str, dict[str, object]]:
        """A query after the statement's WITH, and the values of the parameters of both."""
        if self.with_clause is None:
            return query, dict(values)
        clause, more = self.with_clause.bind(parameters)
        return f"{clause}\n{query}", {**more, **values}


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Insert(Write):
    """INSERT.

    Attributes:
        columns: the columns in their order, without quotes; None if none are given.
        by_name: whether the source's columns are matched BY NAME.
        source: the query whose rows are inserted; None for DEFAULT VALUES.
        or_action: ``REPLACE`` or ``IGNORE`` for INSERT OR ….
        on_conflict: whether there is an ON CONFLICT clause.
    """

    columns: tuple[str, ...] | None = None
    by_name: bool = False
    source: Fragment | None = None
    or_action: Literal["REPLACE", "IGNORE"] | None = None
    on_conflict: bool = False

    def literal_nulls(self, parameters: Parameters = NO_PARAMETERS) -> LiteralNulls | None:
        """Which columns of the source are written as NULL; None if its text doesn't tell."""
        if self.source is None:
            return None
        return syntax_tree.literal_nulls(self.source.query, self.source.known_values(parameters))


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Delete(Write):
    """DELETE.

    Attributes:
        using: what stands after USING.
        where: the predicate; None if there is no WHERE.
    """

    using: Fragment | None = None
    where: Fragment | None = None

    def constant_match(self, parameters: Parameters = NO_PARAMETERS) -> ConstantMatch | None:
        """The column and strings, if WHERE is just ``column = 'a'`` or ``column IN ('a')``."""
        matches = self._matches(parameters)
        return matches[0] if len(matches) == 1 else None

    def constant_equalities(self, parameters: Parameters = NO_PARAMETERS) -> dict[str, str] | None:
        """The strings by column, if WHERE is just ``a = 'x' AND b = 'y' …``; else None."""
        matches = self._matches(parameters)
        found = {match.column: match.values[0] for match in matches if match.equality}
        return found if found and len(found) == len(matches) else None

    def _matches(self, parameters: Parameters) -> list[ConstantMatch]:
        if self.where is None or self.using is not None:
            return []
        parts = [part.lower() for part in self.target.parts]
        # An alias hides the name of the target.
        names = [[self.alias.lower()]] if self.alias else [parts[at:] for at in range(len(parts))]
        known = self.where.known_values(parameters)
        return syntax_tree.matches(self.where.query, names, known) or []


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

    def needs(self) -> Iterator[Need]:
        """What it asks of the parameters: an argument that is all placeholder may be left out."""
        for argument in self.arguments:
            if sole := argument.value.sole:
                yield Need(sole.name, sole.label, optional=True)
            else:
                yield from argument.value.needs()
        if self.json:
            yield from self.json.needs()

    def unfilled(self, parameters: Parameters) -> Iterator[Template]:  # noqa: ARG002
        """All of them; but in JSON a placeholder may stand beside other text."""
        return iter(() if self.json else self.fragment.templates)


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
        yield from self.fragment.slice(self.fragment.first, self.inner.fragment.first).needs()
        yield from self.inner.needs()

    def unfilled(self, parameters: Parameters) -> Iterator[Template]:
        return self.inner.unfilled(parameters)


def check(statements: Sequence[Statement], parameters: Parameters) -> None:
    """Refuse a script whose placeholders and parameters do not fit together.

    An argument of EXEC, or a member of ``@@json``, that is all placeholder needs no value here:
    whether it may be left out is for the method to say.
    """
    if any(statement.unreadable for statement in statements):
        # DuckDB refuses the script, and its error comes before any about parameters.
        return
    needs = [need for statement in statements for need in statement.needs()]
    _refuse_mixture(needs)
    for statement in statements:
        for template in statement.unfilled(parameters):
            raise statement.not_filled_in(template)
    _refuse_missing(needs, parameters)
    _refuse_unused(needs, parameters)


def _refuse_mixture(needs: Sequence[Need]) -> None:
    by_position = next((need for need in needs if need.name.isdecimal()), None)
    by_name = next((need for need in needs if not need.name.isdecimal()), None)
    if by_position and by_name:
        raise ParameterError(
            f"A script takes its parameters by position or by name, not both: it has "
            f"{by_position.written} and {by_name.written}."
        )


def _refuse_missing(needs: Sequence[Need], parameters: Parameters) -> None:
    found = (need for need in needs if not need.optional and need.name not in parameters)
    missing = list(dict.fromkeys(need.written for need in found))
    if not missing:
        return
    if parameters.positional:
        raise ParameterError(
            f"The script asks for more values by position than the {len(parameters)} that "
            "were given."
        )
    what = "placeholder {} has" if len(missing) == 1 else "placeholders {} have"
    named = ", ".join(missing[:_NAMED])
    if len(missing) > _NAMED:
        named += f" and {len(missing) - _NAMED} more"
    raise ParameterError(f"The {what.format(named)} no value.")


def _refuse_unused(needs: Sequence[Need], parameters: Parameters) -> None:
    used = {need.name: need.written for need in needs}
    unused = next((each for each in parameters if each.lower() not in used), None)
    if unused is None:
        return
    if parameters.positional:
        raise ParameterError(
            f"Value {unused} of the {len(parameters)} that were given is used by no placeholder."
        )
    near = get_close_matches(unused.lower(), used, n=1)
    hint = f" Did you mean {used[near[0]]}?" if near else ""
    raise ParameterError(f"No placeholder uses the parameter {unused}.{hint}")
