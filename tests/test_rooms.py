"""The rooms of the package import each other in one direction, and no modules import in a circle.

What is not so yet is listed, and the lists may only become shorter: an entry that nothing needs any
more fails too.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import vercel_sql

LAYERS = (
    {"_version", "errors", "own_duckdb", "plain_rows", "text"},
    {"manifest"},
    {"redaction"},
    {"logger"},
    {"files"},
    {"runtime"},
    {"http"},
    {"auth"},
    {"catalog"},
    {"writes"},
    {"sql"},
    {"connection", "render"},
    {""},  # the package itself: what its users import
    {"progress"},
    {"notebook", "server"},
    {"cli"},
)
"""Rooms and single modules; each imports what stands above it here, and itself."""
JOINED = {"ledger": "http"}
"""Rooms that still import each other, and count as one."""
ALONE = "simulator"
"""It imports no other room, so that it shares no mistake with the client."""
UPWARDS = {
    ("", "notebook"),  # %load_ext vercel_sql
}
"""Imports in the other direction."""
CIRCLES = {
    frozenset(
        {""}  # %load_ext vercel_sql
        | {f"notebook{each}" for each in ("", ".magics")}
    ),
}
"""Modules that import each other, directly or not."""
ROOT = Path(vercel_sql.__file__).parent


@cache
def imports() -> dict[str, set[str]]:
    """The modules of the package that each of them imports, early or late."""
    found: dict[str, set[str]] = {}
    for name, path in files().items():
        nodes = running(ast.parse(path.read_text()))
        found[name] = {module for node in nodes for module in imported(node)} - {name}
    return found


@cache
def files() -> dict[str, Path]:
    """The modules of the package and their files."""
    return {named(path): path for path in ROOT.rglob("*.py")}


def named(path: Path) -> str:
    """A file as its module, without the package's name; empty for the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def running(node: ast.AST) -> Iterator[ast.AST]:
    """What is in a syntax tree, without what is there for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from running(child)


def imported(node: ast.AST) -> Iterator[str]:
    """The modules of the package that one import names."""
    if isinstance(node, ast.ImportFrom):
        origin = node.module or ""
        names = [f"{origin}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Import):
        origin, names = "", [alias.name for alias in node.names]
    else:
        return
    for name in names:
        if name.partition(".")[0] == "vercel_sql":
            module = name.removeprefix("vercel_sql").removeprefix(".")
            yield module if module in files() else module.rpartition(".")[0]


def room(module: str) -> str:
    """The room that a module is in."""
    name = module.partition(".")[0]
    return JOINED.get(name, name)


def circles() -> Iterator[frozenset[str]]:
    """The largest sets of modules of which each leads to each other one."""
    reached = {name: reach(name) for name in imports()}
    together: defaultdict[frozenset[str], set[str]] = defaultdict(set)
    for name in imports():
        circle = frozenset(other for other in reached[name] if name in reached[other])
        if circle:
            together[circle].add(name)
    yield from together


def reach(start: str) -> set[str]:
    """All modules that importing one may import."""
    found: set[str] = set()
    left = [start]
    while left:
        for name in imports()[left.pop()] - found:
            found.add(name)
            left.append(name)
    return found


def test_each_room_imports_what_is_below_it():
    level = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    upwards = {
        (name, other)
        for name, others in imports().items()
        for other in others
        if ALONE not in (room(name), room(other)) and level[room(other)] > level[room(name)]
    }
    assert upwards == UPWARDS


def test_rooms_of_one_layer_do_not_import_each_other():
    for layer in LAYERS[1:]:
        for name, others in imports().items():
            if room(name) in layer:
                assert {room(other) for other in others} & layer <= {room(name)}, name


def test_the_simulated_api_shares_no_code_with_the_client():
    for name, others in imports().items():
        if room(name) == ALONE:
            assert {room(other) for other in others} <= {ALONE}, name


def test_no_modules_import_in_a_circle():
    assert set(circles()) == CIRCLES
