"""The vocabulary of the manifest for procedures of this package: their steps, and rotations."""

from __future__ import annotations

from typing import Literal

import msgspec


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step of a procedure, for people.

    Attributes:
        method: the method that it calls: of the same resource, or ``resource.method`` of the same
            service. None where it calls none.
        request: what it requests where no method says so, in words.
    """

    description: str
    method: str | None = None
    request: str | None = None


class Reach(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a credential may reach, and how one that reaches the same is asked for.

    Attributes:
        column: the column with what the old one reaches, a list of structs.
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


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a row that is a credential is replaced by a new one, of the same resource.

    Attributes:
        old: the parameter that names the old row.
        carried: for parameters of the creator the columns of the old row that they are taken from
            where they are not given.
        stated: for parameters of the creator the columns of the old row: where it has a value
            there, the parameter has to be given, be it as NULL.
        unseen: parameters of the creator with which the new row may not be asked for by its own
            credential: that this is refused, and not called dead, shows that it authenticates.
        reach: what keeps the new one from reaching more than the old one.
        gives: the columns of the answer that hold the key of the row that was ``made`` and of
            the one that was ``removed``, the file that the secret was ``saved`` to, and a
            ``notice`` of what is left to do.
    """

    old: str
    carried: dict[str, str]
    stated: dict[str, str]
    unseen: list[str] = []
    reach: Reach | None = None
    gives: dict[Literal["made", "removed", "saved", "notice"], str]
