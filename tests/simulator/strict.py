"""Holds answers against what the API's schemas allow, and nothing beside it.

`schemas.json` has the facts: names, types, required and allowed values, as far as the package
`@vercel/sdk` 1.28.35 and the documents tell. `"name?"` may be missing, `[…]` is a list of
these, `{"=": […]}` are the allowed values, `{"|": […]}` and `a|b` are alternatives, `{"*": …}`
is an object of any keys, and `@name` is one of the types.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

_FACTS = json.loads((Path(__file__).parent / "schemas.json").read_text("utf-8"))


def problems(kind: str, name: str, value: Any) -> list[str]:
    """Say what an answer has that it may not have, or lacks: `kind` is `answers` or `errors`."""
    try:
        _validator(kind, name)(value)
    except fastjsonschema.JsonSchemaValueException as error:
        return [f"{name}: {error.message}, and is {str(error.value)[:500]}"]
    return []


@cache
def _validator(kind: str, name: str) -> Callable[[Any], Any]:
    types = {type_: _schema(fact) for type_, fact in _FACTS["types"].items()}
    schema = {"definitions": types, "allOf": [_schema(_FACTS[kind][name])]}
    return fastjsonschema.compile(schema, detailed_exceptions=True)


def _schema(fact: Any) -> dict[str, Any]:
    """Write a fact as JSON Schema, without room for anything else."""
    match fact:
        case str() if "|" in fact:
            return {"anyOf": [_schema(one) for one in fact.split("|")]}
        case str() if fact.startswith("@"):
            return {"$ref": f"#/definitions/{fact[1:]}"}
        case str():
            return {"type": fact}
        case [one]:
            return {"type": "array", "items": _schema(one)}
        case {"=": allowed}:
            return {"enum": allowed}
        case {"|": alternatives}:
            return {"anyOf": [_schema(one) for one in alternatives]}
        case {"*": values}:
            return {"type": "object", "additionalProperties": _schema(values)}
    return {
        "type": "object",
        "properties": {name.removesuffix("?"): _schema(one) for name, one in fact.items()},
        "required": [name for name in fact if not name.endswith("?")],
        "additionalProperties": False,
    }
