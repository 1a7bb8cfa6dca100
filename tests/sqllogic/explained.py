"""Why a statement gives something else through `connect()`: what is meant to be so."""

from __future__ import annotations


def explained(text: str, plain: str, ours: str) -> str | None:
    """The reason for a difference, or None where there is none that is meant."""
    return None
