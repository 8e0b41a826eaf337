"""Durations and periods, by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.keys.periods import duration, later, period, period_duration, told


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("90s", (90, "s")),
        ("30m", (1800, "s")),
        ("24h", (86_400, "s")),
        ("30d", (2_592_000, "s")),
        ("2w", (1_209_600, "s")),
        ("1mo", (1, "mo")),
    ],
)
def test_durations(text: str, right: tuple[int, str]) -> None:
    assert duration(text) == right


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5h", "1y", " 1d", "1d ", "1D", "٣d", "9999999d"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="30d"):
        duration(text)


def test_a_budget_s_period_has_whole_minutes() -> None:
    assert period_duration("120s") == (120, "s")
    with pytest.raises(ValueError, match="whole minutes"):
        period_duration("90s")


@pytest.mark.parametrize(
    ("text", "anchor", "now", "begin", "end"),
    [
        ("24h", "2026-01-01T10:30:30", "2026-01-01T10:30:30", "2026-01-01T10:30", "2026-01-02T10:30"),
        ("24h", "2026-01-01T10:30:30", "2026-01-03T10:29:59", "2026-01-02T10:30", "2026-01-03T10:30"),
        ("24h", "2026-01-01T10:30:30", "2026-01-03T10:30:00", "2026-01-03T10:30", "2026-01-04T10:30"),
        ("30d", "2026-01-01T00:00", "2026-03-05T00:00", "2026-03-02T00:00", "2026-04-01T00:00"),
        ("1mo", "2026-01-31T10:00", "2026-02-28T10:00", "2026-02-01T00:00", "2026-03-01T00:00"),
        ("1mo", "2025-11-05T10:00", "2026-01-01T00:00", "2026-01-01T00:00", "2026-02-01T00:00"),
        ("3mo", "2025-11-05T10:00", "2026-03-31T00:00", "2026-02-01T00:00", "2026-05-01T00:00"),
    ],
)
def test_periods(text: str, anchor: str, now: str, begin: str, end: str) -> None:
    found = period(text, at(anchor), at(now))
    assert tuple(map(told, found)) == (told(at(begin)), told(at(end)))


def test_without_a_duration_it_never_ends() -> None:
    assert period(None, 5.0, 1e9) == (0.0, None)


def test_later() -> None:
    assert told(later(at("2026-01-31T10:00"), "1mo")) == "2026-02-28T10:00:00Z"
    assert told(later(at("2026-12-15T10:00"), "2mo")) == "2027-02-15T10:00:00Z"
    assert later(10.0, "90s") == 100.0
