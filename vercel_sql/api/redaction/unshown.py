"""A text that no repr shows, for the variables that tools write down beside a traceback."""

from __future__ import annotations

from vercel_sql.api.redaction.unpickled import HoldsSecrets


class Unshown(HoldsSecrets):
    """Holds a text that may be or hold a secret.

    It is no string: what shortens strings for display would show a part of it.
    """

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"<{len(self.value)} characters, not shown>"
