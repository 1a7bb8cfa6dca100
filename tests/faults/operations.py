"""The operations of the fault table: what is run, and what of it could be lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .world import EMAIL, World

TABLE = "vercel.authentication.user_tokens"


@dataclass(frozen=True)
class Seen:
    """What one operation came to.

    Attributes:
        told: what the user sees: rows, or the error.
        lost: what became of everything that the server did.
    """

    told: str
    lost: str


@dataclass(frozen=True)
class Operation:
    """One operation of the table.

    Attributes:
        name: its name.
        request: the HTTP method and path that the fault befalls.
        after: how many of those requests pass first.
        run: carries it out, and gives what the user sees.
        account: finds, once the fault is over, all that the server did; gives it in words.
    """

    name: str
    request: tuple[str, str]
    after: int
    run: Callable[[World], str]
    account: Callable[[World, str], str]


def _list(world: World) -> str:
    return world.told(f"SELECT count(*) FROM {TABLE}", lambda row: f"all {row[0]} rows")


def _not_short(world: World, told: str) -> str:
    assert not told.startswith("all ") or told == f"all {len(world.ids) + 1} rows"
    return "nothing; never a short list"


def _get(world: World) -> str:
    wanted = world.ids[5]
    return world.told(
        f"SELECT id FROM {TABLE} WHERE id = '{wanted}'",
        lambda row: "the row" if row == (wanted,) else f"another row: {row}",
    )


def _create(world: World) -> str:
    return world.told(f"INSERT INTO {TABLE} (name) VALUES ('first'), ('second'), ('third')")


def _delete(world: World) -> str:
    doomed = ", ".join(f"'{each}'" for each in world.ids[3:6])
    return world.told(f"DELETE FROM {TABLE} WHERE id IN ({doomed})")


def _execute(world: World) -> str:
    return world.told(f"EXEC {TABLE}.email_login @email = '{EMAIL}'")


def _saved_or_not(world: World, told: str) -> str:
    saved = bool(world.saved_logins())
    assert saved == (told == "logged in")
    return "nothing; it is saved" if saved else "nothing is saved; log in again"


OPERATIONS = [
    Operation("list", ("GET", "/v6/user/tokens"), 1, _list, _not_short),
    Operation("get", ("GET", "/v5/user/tokens/*"), 0, _get, lambda *_: "nothing"),
    Operation(
        "create",
        ("POST", "/v3/user/tokens"),
        1,
        _create,
        lambda world, _: world.account_for_created(),
    ),
    Operation(
        "delete",
        ("DELETE", "/v3/user/tokens/*"),
        1,
        _delete,
        lambda world, _: world.account_for_deleted(),
    ),
    Operation(
        "exec", ("POST", "/registration"), 0, _execute, lambda *_: "an email at most; begin again"
    ),
    Operation(
        "login",
        ("GET", "/registration/verify"),
        0,
        lambda world: world.login(),
        _saved_or_not,
    ),
]
