"""What holds secrets: never pickled, never shown by a repr."""

from __future__ import annotations


class NotPicklable:
    """The base of what holds a secret, or leads to one, in its attributes."""

    __slots__ = ()

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError(f"a {type(self).__name__} holds secrets and is not pickled")


class SecretText(NotPicklable):
    """Holds a text that may be or hold a secret.

    It is no string: what shortens strings for display would show a part of it.
    """

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"<{len(self.value)} characters, not shown>"
