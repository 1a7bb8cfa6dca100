"""What completion suggests: texts, and what is said about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vercel_sql.cli.shell.context import Context
from vercel_sql.cli.shell.places import Catalog, Named, folded
from vercel_sql.cli.shell.vocabulary import Words
from vercel_sql.manifest import Method, Resource, vercel


@dataclass(frozen=True)
class Candidate:
    """A text that may stand in place of what was typed.

    Attributes:
        text: the text.
        about: what it is.
        is_name: whether it may stand in double quotes.
    """

    text: str
    about: str
    is_name: bool = True


def begins(name: str, typed: str) -> bool:
    """Whether a name begins with what was typed, whatever the case."""
    return name.casefold().startswith(typed.casefold())


def keywords(found: Iterable[str], typed: str, about: str = "keyword") -> Iterator[Candidate]:
    """Those keywords that begin so, in the case in which the typing began."""
    for keyword in found:
        if begins(keyword, typed):
            text = keyword.lower() if typed.islower() else keyword.upper()
            yield Candidate(text, about, is_name=False)


def names(found: Iterable[Named], typed: str, words: Words) -> Iterator[Candidate]:
    """Those names that begin so, in quotes where they need them."""
    for named in found:
        if begins(named.name, typed):
            yield Candidate(words.written(named.name), named.about)


def dotted(
    found: Iterable[tuple[tuple[str, ...], str]], context: Context, catalog: Catalog, words: Words
) -> Iterator[Candidate]:
    """What is left of long names, after the part that is typed or that the search path says."""
    before = folded(context.qualifiers)
    search = {folded(place) for place in catalog.search}
    databases = {place[:1] for place in search}
    for parts, about in found:
        skips = [0]
        skips += [1] if folded(parts[:1]) in databases else []
        skips += [2] if folded(parts[:2]) in search else []
        for skip in skips:
            left = parts[skip:]
            rest = left[len(before) :]
            if rest and folded(left[: len(before)]) == before and begins(rest[0], context.typed):
                yield Candidate(".".join(map(words.written, rest)), about)


def resource_at(path: Sequence[str]) -> Resource | None:
    """The manifest's resource of that database, schema and name, or None."""
    provider, service, name = folded(path)
    manifest = vercel()
    if provider != manifest.provider.name or service not in folded(manifest.service_names):
        return None
    resources = manifest.service(service).resources.values()
    return next((each for each in resources if each.name.casefold() == name), None)


def all_resources() -> Iterator[tuple[tuple[str, ...], Resource]]:
    """Every resource of the manifest with its full name."""
    for resource in vercel().resources():
        yield (vercel().provider.name, resource.service, resource.name), resource


def all_methods() -> Iterator[tuple[tuple[str, ...], Method]]:
    """Every method of the manifest with its full name."""
    for path, resource in all_resources():
        for method in resource.methods.values():
            yield (*path, method.name), method
