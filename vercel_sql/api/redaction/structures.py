"""Values with other values in them, such as decoded JSON: the texts in them, and them masked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any


def masked_values(value: Any, mask: Callable[[str], str]) -> Any:
    """Decoded JSON with every text in it masked."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {mask(key): masked_values(part, mask) for key, part in value.items()}
    if isinstance(value, list):
        return [masked_values(part, mask) for part in value]
    return value


def texts_in(value: object) -> Iterator[str]:
    """The texts in a value, however deep; the keys of mappings are none of them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from texts_in(list(value.values()))
    elif isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        for each in value:
            yield from texts_in(each)
