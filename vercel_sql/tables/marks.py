"""A random mark at the end of a new row's name: the proof that a row without an answer is ours.

Why it is a proof: a mark has 80 random bits and is drawn for one create, which is sent once. It is
in the journal before the request goes out, and nobody else is told of it. So a row that ends with
it was made by that create, or by somebody who copied the name of that very row. Where two rows have
it, none is proven; and a rotation of ours does not carry marks over. (A copy whose original is gone
can't be told from it.)

Name, time and account prove nothing: another machine may make a row of the same name at any time.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vercel_sql.api import Request
from vercel_sql.manifest import Trace

_BITS = 80
_MARK = re.compile(rf" ~[a-z2-7]{{{_BITS // 5}}}$")


def marked(request: Request) -> tuple[Request, str | None]:
    """A create with a mark of its own, and the mark; as it is where its method takes none."""
    trace = request.method.trace
    value = None if trace is None or trace.mark is None else request.argument(trace.mark)
    if trace is None or trace.mark is None or not isinstance(value, str):
        return request, None
    drawn = base64.b32encode(secrets.token_bytes(_BITS // 8)).decode("ascii").lower()
    mark = f" ~{drawn}"
    parameter = request.method.parameter(trace.mark)
    assert parameter is not None  # noqa: S101 - the manifest's check
    key, new = parameter.key, f"{unmarked(value)}{mark}"
    if parameter.location == "query":
        query = tuple((name, new if name == key else text) for name, text in request.query)
        return replace(request, query=query), mark
    return replace(request, body={**(request.body or {}), key: new}), mark


def unmarked(value: str) -> str:
    """A value without its mark, if it ends with one."""
    return _MARK.sub("", value)


def without_mark(trace: Trace | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A creator's arguments without a mark: the row that they were read from keeps it alone."""
    name = None if trace is None else trace.mark
    return {
        key: unmarked(value) if key == name and isinstance(value, str) else value
        for key, value in arguments.items()
    }
