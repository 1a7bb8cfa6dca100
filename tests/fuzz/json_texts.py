"""The rule for `@@json`: what is accepted is exactly what strict JSON says."""

from __future__ import annotations

from vercel_sql.errors import ParameterError
from vercel_sql.http.decode import decode_json, encode_json
from vercel_sql.sql import Exec, Parameters

from .oracles import attempt, require


def require_same_json(statement: Exec, parameters: Parameters) -> None:
    """Holds the object of `@@json` against another reading of its text."""
    json = statement.json
    if json is None:
        return
    value, _ = attempt(lambda: json.resolve(parameters), (ParameterError,))
    if value is None or any(True for _ in json.needs()):
        return
    text = json.fragment.lexemes[0].value
    require(decode_json(encode_json(value)) == decode_json(text), "it is not sent as it was given")
