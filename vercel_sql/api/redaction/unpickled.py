"""What holds a secret stays in this process: it is neither pickled nor copied."""

from __future__ import annotations


class HoldsSecrets:
    """The base of what holds a secret, or leads to one, in its attributes."""

    __slots__ = ()

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError(f"a {type(self).__name__} holds secrets and is not pickled")
