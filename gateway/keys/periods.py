"""Durations as LiteLLM writes them (``30d``, ``24h``, ``1mo``), and the periods that budgets are renewed in."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d|w|mo)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_MINUTE = 60

Duration = tuple[int, str]
"""A number and its unit, ``s`` or ``mo``."""


def duration(text: str) -> Duration:
    """``"24h"`` is ``(86400, "s")``, ``"2mo"`` is ``(2, "mo")``. Raises ``ValueError`` saying what would be right."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("must be a number with a unit: 90s, 30m, 24h, 30d, 2w or 1mo")
    number, unit = int(match[1]), match[2]
    return (number, "mo") if unit == "mo" else (number * _SECONDS[unit], "s")


def period_duration(text: str) -> Duration:
    """The same of a budget: whole minutes, since spend is kept by the minute."""
    length, unit = duration(text)
    if unit == "s" and length % _MINUTE:
        raise ValueError("must be whole minutes: 60s, 30m, 24h, 30d, 2w or 1mo")
    return length, unit


def later(at: float, text: str) -> float:
    """The moment a duration after ``at``; months keep the day, or end with the month."""
    length, unit = duration(text)
    return at + length if unit == "s" else _month(at, length, keep_day=True)


def period(text: str | None, anchor: float, now: float) -> tuple[float, float | None]:
    """Begin and end of the period that ``now`` is in (seconds since the epoch, whole minutes).

    Periods of seconds to weeks follow each other from ``anchor`` on. Months are those of the calendar, in UTC. Without
    a duration it began with the epoch and does not end.
    """
    if text is None:
        return 0.0, None
    length, unit = period_duration(text)
    if unit == "mo":
        first = datetime.fromtimestamp(anchor, UTC)
        today = datetime.fromtimestamp(now, UTC)
        gone = (today.year - first.year) * 12 + today.month - first.month
        begin = _month(anchor, gone // length * length)
        return begin, _month(begin, length)
    begin = anchor // _MINUTE * _MINUTE
    begin += (now - begin) // length * length
    return begin, begin + length


def _month(at: float, months: int, *, keep_day: bool = False) -> float:
    """The first of the month ``months`` after that of ``at``, or the same day of it."""
    moment = datetime.fromtimestamp(at, UTC)
    years, month = divmod(moment.month - 1 + months, 12)
    if not keep_day:
        return datetime(moment.year + years, month + 1, 1, tzinfo=UTC).timestamp()
    for day in range(moment.day, 0, -1):
        try:
            return moment.replace(year=moment.year + years, month=month + 1, day=day).timestamp()
        except ValueError:  # no such day in that month
            continue
    raise AssertionError("every month has a first day")


def told(at: float) -> str:
    """A moment as text, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
