"""Only the manifest knows the paths, the methods and the fields of the API's resources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import vercel_sql
from vercel_sql.manifest import Use, vercel

ROOT = Path(vercel_sql.__file__).parent
NO_CLIENT = {"manifest", "simulator"}
PATH = re.compile(r"^/(v\d+|oauth|login|\.well-known)/")


def names_of_the_api() -> set[str | None]:
    """The methods and resources, and the fields of a token that no other API has."""
    resources = list(vercel().resources())
    methods = {
        method.name: method for resource in resources for method in resource.methods.values()
    }
    procedures = {method.procedure for method in methods.values()}
    tables = {resource.full_name for resource in resources}
    return {*methods, *tables, "tokenId", "bearerToken"} - procedures


def texts(tree: ast.AST) -> Iterator[str]:
    """The strings of a module, but for its docstrings."""
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield "" if id(node) in documents else node.value


def client() -> Iterator[Path]:
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] not in NO_CLIENT:
            yield path


def test_no_other_module_of_the_client_names_a_path_a_method_or_a_field_of_the_api():
    known = names_of_the_api()
    found = {
        (str(path.relative_to(ROOT)), text)
        for path in client()
        for text in texts(ast.parse(path.read_text()))
        if text in known or PATH.match(text)
    }
    assert found == set()


def test_each_use_of_a_method_is_in_the_manifest():
    for use in get_args(Use):
        resource, name = vercel().named(use)
        assert vercel().method_for(use).name == name
        assert vercel().method_for(use).resource == resource
