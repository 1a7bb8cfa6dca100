"""The statements that a script is made of, read but not run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from vercel_sql.errors import ParameterError, SQLSyntaxError
from vercel_sql.sql import syntax_tree
from vercel_sql.sql.fragments import Fragment, Name
from vercel_sql.sql.json_arguments import JSONArgument
from vercel_sql.sql.parameters import NO_PARAMETERS, Parameters
from vercel_sql.sql.placeholders import Template
from vercel_sql.sql.syntax_tree import ConstantMatch, LiteralNulls
from vercel_sql.sql.tokens import Kind


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

    def templates(self) -> Sequence[Template]:
        """What looks like a placeholder in it but isn't one."""
        return self.fragment.templates

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

    @property
    def unreadable(self) -> bool:
        """Whether the text could not be read into tokens."""
        return self.fragment.first == self.fragment.stop


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Write(Statement):
    """A statement that writes to a table, which may be an API resource.

    Attributes:
        target: the table.
        malformed: the error in it, which counts only if the target is an API resource: DuckDB
            understands more of such statements than this parser.
    """

    target: Name
    malformed: str | None = None

    def require_well_formed(self) -> None:
        """Refuse what this parser could not read; for a target that is an API resource."""
        if self.malformed is not None:
            raise SQLSyntaxError(self.malformed)
        for template in self.templates():
            raise self.not_filled_in(template)


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
        if self.source is None:
            return None
        return syntax_tree.literal_nulls(self.source.query, self.source.known_values(parameters))


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

    def json_value(
        self, parameters: Parameters = NO_PARAMETERS
    ) -> tuple[dict[str, object], dict[str, str]]:
        """What `JSONArgument.resolve` gives; without ``@@json``, nothing."""
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

    def templates(self) -> Sequence[Template]:
        """As for any statement, but in JSON a placeholder may stand beside other text."""
        return () if self.json else self.fragment.templates


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

    def templates(self) -> Sequence[Template]:
        """Those of the explained statement."""
        return self.inner.templates()


def _needs(fragment: Fragment) -> Iterator[Need]:
    return (Need(each.name, each.label) for each in fragment.placeholders)
