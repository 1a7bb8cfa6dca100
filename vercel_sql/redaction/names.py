"""The names and shapes of secrets: as the manifest marks them, and as they look."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from vercel_sql.redaction.known import MASK

if TYPE_CHECKING:
    from vercel_sql.manifest import Resource

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
        return _folded(name) in self.names or self.looks_secret(name)

    def looks_secret(self, name: str) -> bool:
        """Whether a name is that of a secret, wherever it stands."""
        folded = _folded(name)
        is_known = folded in self.names - _COMMON
        return folded not in self.plain and (is_known or _SHAPED.fullmatch(folded) is not None)

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
            or (len(word) >= 4 and word not in self.known and _resembles(word, targets))
            for word in words
        )


def _folded(name: str) -> str:
    return name.casefold().removeprefix("data__")


def _resembles(word: str, targets: Iterable[str]) -> bool:
    return bool(difflib.get_close_matches(word, targets, n=1, cutoff=0.8))


@cache
def sensitive() -> Sensitive:
    """What the package's own manifest says."""
    from vercel_sql.manifest import vercel

    manifest = vercel()
    secret, every, always, written = set[str](), set[str](), set[str](), set[str]()
    known = {manifest.provider.name, *manifest.provider.views}
    for resource in manifest.resources():
        for name, is_secret in _parts(resource):
            every.add(name.casefold())
            secret.update([name.casefold()] if is_secret else [])
        known |= {resource.service.casefold(), resource.name.casefold()}
        if any(column.secret for column in resource.columns):
            always.add(resource.name.casefold())
        for method in resource.methods.values():
            known.add(method.name.casefold())
            if any(parameter.secret for parameter in method.parameters):
                always.add(method.name.casefold())
                if method.verb in _WRITES:
                    written.add(resource.name.casefold())
    sets = (secret, every - secret, always, written, known | every)
    return Sensitive(*map(frozenset, sets))


def _parts(resource: Resource) -> Iterable[tuple[str, bool]]:
    """Every column and parameter of a resource: its name, and whether it is secret."""
    yield from ((column.name, column.secret) for column in resource.columns)
    for method in resource.methods.values():
        yield from ((parameter.name, parameter.secret) for parameter in method.given)
        yield from ((column.name, column.secret) for column in method.returns)


# A bounded beginning: a megabyte of letters is no name, and must not take forever.
_NAMED = rf"[\w-]{{0,60}}(?:{NAME_ENDINGS}|code_verifier|device_code)\d*"
_VALUE = r"""(?!["'\\]*(?:\{\{|\[secret\]))('(?:[^']|'')*'|"[^"]*"|[^\s,;)}&]+)"""
_ASSIGNED = re.compile(rf"(?i)((?<![\w-]){_NAMED}[\\\"']*\s*(?:=>|:=|==?|:)\s*){_VALUE}")
_OPTION = re.compile(rf"(?i)((?<!\S)-{_NAMED}\s+){_VALUE}")


@cache
def _everywhere() -> list[tuple[re.Pattern[str], str]]:
    """What is replaced wherever it stands, and by what."""
    from vercel_sql.manifest import vercel

    prefixes = "|".join(map(re.escape, vercel().provider.token_prefixes))
    return [
        (re.compile(rf"(?i)(?<![a-z0-9])(?:{prefixes})[a-z0-9_-]{{6,}}"), MASK),
        # What is signed: an ID token, which begins with {" in base64.
        (re.compile(r"eyJ[\w-]{6,}(?:\.[\w-]+)*"), MASK),
        (re.compile(r"(?i)(\bbearer\s+)(?=\S{20}|\S*\d)[\w.~+/=-]{6,}"), rf"\1{MASK}"),
        (re.compile(r"""(://[^\s/:@'"]*:)[^\s/@'"]+(?=@)"""), rf"\1{MASK}"),
        (
            re.compile(rf"""(?i)([?&](?:{_NAMED}|code|nonce|state)=)(?!\{{\{{)[^&\s'"#]+"""),
            rf"\1{MASK}",
        ),
    ]


def assigns_secret(text: str) -> bool:
    """Whether a text holds ``password=…``, ``"token": …`` or the like."""
    return _ASSIGNED.search(text) is not None


def masked_line(line: str) -> str:
    """A line that is no SQL, such as a dot command, with what it calls secret masked."""
    return _OPTION.sub(rf"\1{MASK}", _ASSIGNED.sub(rf"\1{MASK}", line))


def mask_shapes(text: str) -> str:
    """A text with what looks like a token masked, whatever it stands in."""
    for pattern, replacement in _everywhere():
        text = pattern.sub(replacement, text)
    return text
