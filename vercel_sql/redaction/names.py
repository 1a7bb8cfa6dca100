"""The names of what is secret: those that the manifest marks, and those that look like it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vercel_sql.manifest import Manifest, Resource

_COMMON = frozenset(["code", "nonce", "state"])
"""Secret parameters that are ordinary words: secret only where the API is what is spoken to."""

NAME_ENDINGS = (
    "token|secret|passw(?:or)?d|pwd|passphrase|credentials?|authorization|bearer"
    "|(?:access|api|auth|encryption|private|secret|signing)[_-]?key"
)
"""A pattern of what the names of secrets end with."""

_SHAPED = re.compile(rf"(?is).*(?:{NAME_ENDINGS})\d*")
_WRITES = frozenset(["delete", "insert", "merge", "update"])


def word_set(text: str) -> frozenset[str]:
    """The words of a text, which blanks separate."""
    return frozenset(text.split())


@dataclass(frozen=True)
class Sensitive:
    """The names around which secrets stand, all in lower case.

    Attributes:
        names: the parameters and columns whose values are secret.
        plain: those that are secret nowhere.
        always: methods that take a secret, and tables that can be filtered by one.
        written: tables that take a secret where they are written to.
        known: every name of the manifest.
    """

    names: frozenset[str]
    plain: frozenset[str]
    always: frozenset[str]
    written: frozenset[str]
    known: frozenset[str]

    def is_secret(self, name: str) -> bool:
        """Whether a name is that of a secret, where the API is what is spoken to."""
        folded = name.casefold().removeprefix("data__")
        return folded in self.names or self.looks_secret(folded)

    def looks_secret(self, name: str) -> bool:
        """Whether a name is that of a secret, wherever it stands."""
        folded = name.casefold().removeprefix("data__")
        if folded in self.plain:
            return False
        distinct = folded in self.names and folded not in _COMMON
        return distinct or _SHAPED.fullmatch(folded) is not None

    def is_plain(self, name: str) -> bool:
        """Whether a name is that of a parameter or column that is secret nowhere."""
        return name.casefold().removeprefix("data__") in self.plain

    def touched(self, words: Iterable[str]) -> bool:
        """Whether a statement with these words, in lower case, may hold a secret argument."""
        found = frozenset(words)
        return bool(found & self.always) or bool(found & self.written and found & _WRITES)

    def mentioned(self, words: Iterable[str]) -> bool:
        """Whether any of these words, in lower case, is one of a secret's, or is misspelt so."""
        targets = self.names | self.always | self.written
        return any(
            word in targets
            or self.looks_secret(word)
            or (word not in self.known and _resembles(word, targets))
            for word in words
        )


def _resembles(word: str, targets: Iterable[str]) -> bool:
    long_enough = len(word) >= 4
    return long_enough and bool(difflib.get_close_matches(word, targets, n=1, cutoff=0.8))


@cache
def sensitive() -> Sensitive:
    """What the package's own manifest says."""
    from vercel_sql.manifest import vercel

    return _read(vercel())


def _read(manifest: Manifest) -> Sensitive:
    secret: set[str] = set()
    every: set[str] = set()
    always: set[str] = set()
    written: set[str] = set()
    known: set[str] = {manifest.provider.name, *manifest.provider.views}
    for resource in manifest.resources():
        for part in _parts(resource):
            every.add(part[0].casefold())
            secret.update([part[0].casefold()] if part[1] else [])
        known |= {resource.service.casefold(), resource.name.casefold()}
        if any(column.secret for column in resource.columns):
            always.add(resource.name.casefold())
        for method in resource.methods.values():
            known.add(method.name.casefold())
            if any(parameter.secret for parameter in method.parameters):
                always.add(method.name.casefold())
                if method.verb in _WRITES:
                    written.add(resource.name.casefold())
    plain = frozenset(every - secret)
    return Sensitive(
        names=frozenset(secret),
        plain=plain,
        always=frozenset(always),
        written=frozenset(written),
        known=frozenset(known | every),
    )


def _parts(resource: Resource) -> Iterable[tuple[str, bool]]:
    """Every column and parameter of a resource: its name, and whether it is secret."""
    yield from ((column.name, column.secret) for column in resource.columns)
    for method in resource.methods.values():
        yield from ((parameter.name, parameter.secret) for parameter in method.given)
        yield from ((column.name, column.secret) for column in method.returns)
