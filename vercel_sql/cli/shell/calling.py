"""What may stand in EXEC, and in the statements that say what there is to call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from vercel_sql.cli.shell.context import Context, name_at
from vercel_sql.cli.shell.places import Catalog, folded
from vercel_sql.cli.shell.suggestions import (
    Candidate,
    all_methods,
    all_resources,
    begins,
    dotted,
    keywords,
)
from vercel_sql.cli.shell.vocabulary import Words
from vercel_sql.manifest import Method, Parameter
from vercel_sql.sql.tokens import Kind, Lexeme

_SHOWS = ["SERVICES IN", "RESOURCES IN", "METHODS IN", "INSERT INTO", "EXTENDED"]
_SHOWS_OF_DUCKDB = ["TABLES", "ALL TABLES", "DATABASES"]


def methods(context: Context, catalog: Catalog, words: Words) -> Iterator[Candidate]:
    """The methods, by their full names or what is left of them."""
    found = ((path, method.description) for path, method in all_methods())
    return dotted(found, context, catalog, words)


def resources(context: Context, catalog: Catalog, words: Words) -> Iterator[Candidate]:
    """The resources, by their full names or what is left of them."""
    found = ((path, resource.description) for path, resource in all_resources())
    return dotted(found, context, catalog, words)


def services(context: Context, catalog: Catalog, words: Words) -> Iterator[Candidate]:
    """The services, by their full names or what is left of them."""
    found = dict.fromkeys(path[:2] for path, _ in all_resources())
    return dotted(((path, "service") for path in found), context, catalog, words)


def show(context: Context, catalog: Catalog, words: Words) -> Iterator[Candidate]:
    """What may stand after SHOW."""
    said = [word for word in context.statement[1:] if word != "EXTENDED"]
    if not said:
        yield from keywords([*_SHOWS, *_SHOWS_OF_DUCKDB], context.typed)
    elif said == ["INSERT"]:
        yield from keywords(["INTO"], context.typed)
    elif said in (["SERVICES"], ["RESOURCES"], ["METHODS"]):
        yield from keywords(["IN"], context.typed)
    elif said == ["SERVICES", "IN"]:
        found = dict.fromkeys(path[:1] for path, _ in all_resources())
        yield from dotted(((path, "catalog") for path in found), context, catalog, words)
    elif said == ["RESOURCES", "IN"]:
        yield from services(context, catalog, words)
    elif said in (["METHODS", "IN"], ["INSERT", "INTO"]):
        yield from resources(context, catalog, words)


def call(context: Context, catalog: Catalog, words: Words) -> Iterator[Candidate]:
    """What may stand after EXEC: a method, then its arguments."""
    start = next(at for at, each in enumerate(context.before) if each.upper == "EXEC") + 1
    if start == len(context.before):
        yield from methods(context, catalog, words)
        return
    parts, _ = name_at(context.before, start)
    method = _find(parts, catalog)
    if method is None or context.qualifiers:
        return
    if context.word() == "@":
        is_json = context.word(2) == "@"
        found = ["json"] if is_json else [each.name for each in _left(method, context)]
        about = {each.name: _about(each) for each in method.given}
        for name in found:
            if begins(name, context.typed):
                yield Candidate(name, about.get(name, "all arguments as one JSON object"))
    elif context.word() == "=":
        yield from _values(method.parameter(context.before[-2].value), context.typed)
    elif not context.typed:
        for parameter in _left(method, context):
            yield Candidate(f"@{parameter.name}", _about(parameter))


def _find(parts: Sequence[str], catalog: Catalog) -> Method | None:
    """The method of a name, which may leave out what the search path says."""
    wanted = folded(parts)
    search = {folded(place) for place in catalog.search}
    for path, method in all_methods():
        short = [path[1:]] if path[:1] in {place[:1] for place in search} else []
        short += [path[2:]] if folded(path[:2]) in search else []
        if wanted in [folded(each) for each in (path, *short)]:
            return method
    return None


def _left(method: Method, context: Context) -> list[Parameter]:
    """The parameters that no argument gives yet, the required ones first."""
    # What is being typed is itself no argument yet.
    after = context.whole[len(context.before) + bool(context.typed) :]
    given = _arguments(context.before) | _arguments(after)
    return [p for p in (*method.required, *method.optional) if p.name.casefold() not in given]


def _arguments(lexemes: Sequence[Lexeme]) -> set[str]:
    return {
        name.value.casefold()
        for sign, name in pairwise(lexemes)
        if sign.raw == "@" and name.kind in (Kind.WORD, Kind.QUOTED)
    }


def _values(parameter: Parameter | None, typed: str) -> Iterator[Candidate]:
    if parameter is None:
        return
    found = [f"'{value}'" for value in parameter.allowed]
    found += ["true", "false"] if parameter.type == "BOOLEAN" else []
    for value in found:
        if begins(value, typed) or begins(value.strip("'"), typed):
            yield Candidate(value, parameter.description)


def _about(parameter: Parameter) -> str:
    needed = "required " if parameter.required else ""
    return f"{needed}{parameter.type}: {parameter.description}"


def columns_to_insert(
    creators: Sequence[Method], given: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """The parameters of INSERT that are not given yet, with what they are; required ones first."""
    parameters = [p for method in creators for p in method.required]
    parameters += [p for method in creators for p in method.optional]
    for parameter in parameters:
        if given.isdisjoint(folded([parameter.name, f"data__{parameter.name}"])):
            yield parameter.name, _about(parameter)
