"""What a person can set in the shell."""

from __future__ import annotations

from dataclasses import dataclass, field

from vercel_sql.render import Options


@dataclass
class Settings:
    """The settings of one session, as the dot commands change them.

    Attributes:
        mode: how results are written, one of the renderers' modes.
        options: what else is set about that.
        timer: whether the time that each statement took is said.
        confirm: whether a write is asked about before it is sent.
    """

    mode: str = "duckbox"
    options: Options = field(default_factory=Options)
    timer: bool = False
    confirm: bool = True
