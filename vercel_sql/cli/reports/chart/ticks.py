"""Where an axis has its ticks, and what stands there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vercel_sql.cli.reports.facts import MONTHS, moment_text

_HOUR = 3600.0
_MINUTES = (60.0, 300.0, 900.0, 1800.0)
_SECONDS = (*_MINUTES, *(_HOUR * hours for hours in (1, 3, 6, 12, 24, 48, 7 * 24, 14 * 24)))
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000, 12000)


@dataclass(frozen=True)
class Tick:
    """A value on an axis, and its label."""

    value: float
    label: str


def number_ticks(low: float, high: float, most: int, *, whole: bool) -> list[Tick]:
    """Ticks at round numbers, from at or below the lowest to at or above the highest value."""
    step = _round_step((high - low) / max(most - 1, 1))
    if whole:
        step = max(step, 1.0)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [Tick(at * step, number_text(at * step)) for at in range(first, last + 1)]


def _round_step(least: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(least))
    for factor in (1, 2, 5):
        if factor * magnitude >= least * (1 - 1e-9):
            return factor * magnitude
    return 10 * magnitude


def number_text(value: float) -> str:
    """A number for people: `1,500`, `0.25`, `2.5e+20`."""
    if abs(value) < 1e15 and value == int(value):
        return f"{int(value):,}"
    return f"{value:,.4g}"


def time_ticks(low: float, high: float, most: int) -> list[Tick]:
    """Ticks at round moments in UTC that lie within a span."""
    for seconds in _SECONDS:
        if (high - low) / seconds < most + 1:
            ticks = _even_ticks(low, high, seconds)
            if len(ticks) <= most:
                return ticks
    return next(
        (ticks for step in _MONTHS if len(ticks := _month_ticks(low, high, step)) <= most), []
    )


def _even_ticks(low: float, high: float, step: float) -> list[Tick]:
    ticks = []
    for at in range(math.ceil(low / step), math.floor(high / step) + 1):
        moment = moment_at(at * step)
        is_midnight = moment.hour == moment.minute == 0
        day = f"{moment.day} {MONTHS[moment.month - 1]}"
        ticks.append(Tick(at * step, day if is_midnight else f"{moment:%H:%M}"))
    return ticks


def _month_ticks(low: float, high: float, step: int) -> list[Tick]:
    first, last = moment_at(low), moment_at(high)
    ticks = []
    for month in range(_months(first) // step * step, _months(last) + 1, step):
        moment = datetime(max(month // 12, 1), month % 12 + 1, 1, tzinfo=UTC)
        name = f"{moment.year}" if step % 12 == 0 else f"{MONTHS[month % 12]} {moment.year}"
        if low <= seconds_of(moment) <= high:
            ticks.append(Tick(seconds_of(moment), name))
    return ticks


def _months(moment: datetime) -> int:
    return moment.year * 12 + moment.month - 1


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_at(seconds: float) -> datetime:
    """The moment so many seconds after the epoch."""
    return _EPOCH + timedelta(seconds=seconds)


def seconds_of(moment: datetime) -> float:
    """How many seconds after the epoch a moment is."""
    return (moment - _EPOCH).total_seconds()


def time_text(seconds: float) -> str:
    """A moment for people; one at midnight is a day: `1 Jan 2026`, `1 Jan 2026, 09:30 UTC`."""
    text = moment_text(moment_at(seconds))
    return text.partition(",")[0] if seconds % (24 * _HOUR) == 0 else text
