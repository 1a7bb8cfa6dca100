"""What may stand at a place in a statement, the likeliest first."""

from __future__ import annotations

from collections.abc import Iterator

from vercel_sql.cli.shell.calling import call, columns_to_insert, methods, show
from vercel_sql.cli.shell.context import Context, Mention, is_operand_next
from vercel_sql.cli.shell.places import Catalog, Named, Place, folded
from vercel_sql.cli.shell.suggestions import Candidate, keywords, names, resource_at
from vercel_sql.cli.shell.vocabulary import Words

_STARTS = [
    *("SELECT", "FROM", "WITH", "INSERT INTO", "DELETE FROM", "UPDATE", "EXEC", "EXPLAIN"),
    *("SHOW", "DESCRIBE", "SUMMARIZE", "USE", "SET", "RESET", "PRAGMA", "CALL", "COPY"),
    *("CREATE", "ALTER", "DROP", "ATTACH", "DETACH", "BEGIN", "COMMIT", "ROLLBACK", "VALUES"),
    *("PIVOT", "UNPIVOT", "PREPARE", "EXECUTE", "LOAD", "INSTALL", "VACUUM", "CHECKPOINT"),
    *("EXPORT", "IMPORT", "MERGE INTO", "TRUNCATE", "ANALYZE", "COMMENT ON", "DEALLOCATE"),
]
_PHRASES = ["GROUP BY", "ORDER BY", "PARTITION BY"]
_SYSTEM = frozenset(["information_schema", "pg_catalog"])


def candidates(context: Context, catalog: Catalog, words: Words) -> Iterator[Candidate]:
    """What may stand where the cursor is."""
    statement = context.statement
    first = statement[0] if statement else ""
    if not statement:
        explained = bool(context.before)
        yield from keywords([*_STARTS, *(["ANALYZE"] if explained else [])], context.typed)
    elif first == "EXEC":
        yield from call(context, catalog, words)
        if context.word() not in ("@", "EXEC") and not context.qualifiers:
            yield from _functions(context, words)
    elif first == "SHOW":
        yield from show(context, catalog, words)
    elif first == "USE":
        yield from _schemas(context, catalog, words)
    elif first in ("DESC", "DESCRIBE") and len(statement) <= 2:
        yield from _describe(context, catalog, words)
    elif first in ("SET", "RESET", "PRAGMA"):
        yield from _settings(context, words)
    else:
        yield from _in_query(context, catalog, words)


def _in_query(context: Context, catalog: Catalog, words: Words) -> Iterator[Candidate]:
    if context.names_table():
        yield from _tables(context, catalog, words)
    elif target := context.insert_target():
        yield from _columns_to_insert(*target, context, catalog, words)
    elif context.word() == "::":
        yield from keywords(words.types, context.typed, "type")
    elif context.qualifiers:
        yield from _qualified(context, catalog, words)
    elif is_operand_next(context, words.reserved):
        yield from names(_columns(context, catalog), context.typed, words)
        aliases = (Named(each.alias, "table") for each in context.mentions())
        yield from names(aliases, context.typed, words)
        yield from _functions(context, words)
        if context.typed:
            yield from keywords([*words.keywords, *_PHRASES], context.typed)
    elif context.typed:
        yield from keywords([*words.keywords, *_PHRASES], context.typed)


def _functions(context: Context, words: Words) -> Iterator[Candidate]:
    """The functions of values, once there is something to choose among so many."""
    if context.typed and not context.is_quoted:
        yield from names(words.functions, context.typed, words)


def _describe(context: Context, catalog: Catalog, words: Words) -> Iterator[Candidate]:
    if context.word() == "METHOD":
        yield from methods(context, catalog, words)
        return
    yield from _tables(context, catalog, words)
    if context.word() != "EXTENDED" and not context.qualifiers:
        yield from keywords(["EXTENDED", "METHOD"], context.typed)


def _settings(context: Context, words: Words) -> Iterator[Candidate]:
    first, *said = context.statement
    if context.qualifiers or said not in ([], ["GLOBAL"], ["SESSION"], ["LOCAL"]):
        return
    if not said and first != "PRAGMA":
        yield from keywords(["VARIABLE", "GLOBAL", "SESSION"], context.typed)
    yield from names(words.settings, context.typed, words)
    if first == "PRAGMA":
        yield from names(words.pragmas, context.typed, words)


def _schemas(context: Context, catalog: Catalog, words: Words) -> Iterator[Candidate]:
    if len(context.statement) > 1:
        return
    if not context.qualifiers:
        found = [Named(name, "database") for name in catalog.databases]
        yield from names(found, context.typed, words)
    yield from names(_schemas_of(context.qualifiers, catalog), context.typed, words)


def _schemas_of(qualifiers: tuple[str, ...], catalog: Catalog) -> list[Named]:
    """The schemas of a database; without one, of those that names are looked for in."""
    if len(qualifiers) > 1:
        return []
    searched = {database.casefold() for database, _ in catalog.search}
    wanted = set(folded(qualifiers)) or searched
    return [Named(s, "schema") for database, s in catalog.schemas if database.casefold() in wanted]


def _tables(context: Context, catalog: Catalog, words: Words) -> Iterator[Candidate]:
    """Tables, what is in front of their names, and where these may stand functions."""
    functions = context.word() in ("FROM", "JOIN", ",") and context.word(2) != "DELETE"
    found = _in_place(catalog.tables, context.qualifiers, catalog)
    if functions:
        found += _in_place(catalog.functions, context.qualifiers, catalog)
    if not context.qualifiers:
        found += [Named(name, "WITH") for name in context.common_tables()]
    # What begins with an underscore is seldom what is looked for.
    found.sort(key=lambda each: (each.name.startswith("_"), each.name.casefold()))
    yield from names(found, context.typed, words)
    if not context.qualifiers:
        databases = [Named(name, "database") for name in catalog.databases]
        yield from names(databases, context.typed, words)
    schemas = _schemas_of(context.qualifiers, catalog)
    yield from names([s for s in schemas if s.name not in _SYSTEM], context.typed, words)
    if functions and context.typed and not context.qualifiers:
        yield from names(words.table_functions, context.typed, words)


def _in_place(
    there: dict[tuple[str, ...], Place], qualifiers: tuple[str, ...], catalog: Catalog
) -> list[Named]:
    """What stands in a schema; without one, in those that names are looked for in."""
    searched = {folded(place) for place in catalog.search}
    before = folded(qualifiers)
    match before:
        case ():
            wanted = searched
        case (one,):
            wanted = {(database, one) for database, _ in searched} | {(one, "main")}
        case _:
            wanted = {before}
    return [Named(place.path[2], place.about) for key, place in there.items() if key[:2] in wanted]


def _columns_to_insert(
    parts: tuple[str, ...],
    given: frozenset[str],
    context: Context,
    catalog: Catalog,
    words: Words,
) -> Iterator[Candidate]:
    place = catalog.find(parts)
    if place is None:
        return
    resource = resource_at(place.path)
    if resource is None:
        found = [each for each in place.columns if each.name.casefold() not in given]
    else:
        found = [Named(*each) for each in columns_to_insert(resource.of_verb("insert"), given)]
    yield from names(found, context.typed, words)


def _columns(context: Context, catalog: Catalog) -> list[Named]:
    """The columns of all tables that the statement names."""
    return [column for each in context.mentions() for column in _columns_of(each, context, catalog)]


def _columns_of(mention: Mention, context: Context, catalog: Catalog) -> list[Named]:
    place = catalog.find(mention.parts)
    if place is None:
        return []
    found = list(place.columns)
    resource = resource_at(place.path)
    if resource is None:
        return found
    said = context.statement
    if "RETURNING" in said and "INSERT" in said:
        given = [column for method in resource.of_verb("insert") for column in method.returns]
        found = [Named(c.name, c.description) for c in given] + found
    elif "DELETE" in said:
        asked = [p for method in resource.of_verb("delete") for p in method.given]
        found = [Named(p.name, p.description) for p in asked] + found
    return found


def _qualified(context: Context, catalog: Catalog, words: Words) -> Iterator[Candidate]:
    """The columns of the table that stands before the dot."""
    wanted = folded(context.qualifiers)
    for mention in context.mentions():
        if wanted in (folded([mention.alias]), folded(mention.parts)[-len(wanted) :]):
            yield from names(_columns_of(mention, context, catalog), context.typed, words)
