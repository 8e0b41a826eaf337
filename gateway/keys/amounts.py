"""What calls use, in the units that budgets are written in."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Amounts:
    """What one call uses, or may use at most. ``usd`` in US dollars. ``None`` is unknown, never zero."""

    usd: float | None = 0.0
    characters: float | None = 0.0
    audio_seconds: float | None = 0.0
    images: float | None = 0.0
    video_seconds: float | None = 0.0


UNITS = tuple(field.name for field in fields(Amounts))


@dataclass(slots=True)
class Total:
    """What many calls have used. ``unpriced`` of them had no known price and are not in ``usd``."""

    usd: float = 0.0
    characters: float = 0.0
    audio_seconds: float = 0.0
    images: float = 0.0
    video_seconds: float = 0.0
    unpriced: int = 0

    def add(self, amounts: Amounts, sign: int = 1) -> None:
        """Count a call; ``sign`` -1 takes it back. What is unknown adds nothing."""
        # Written out: each call is counted several times.
        self.usd += sign * (amounts.usd or 0.0)
        self.characters += sign * (amounts.characters or 0.0)
        self.audio_seconds += sign * (amounts.audio_seconds or 0.0)
        self.images += sign * (amounts.images or 0.0)
        self.video_seconds += sign * (amounts.video_seconds or 0.0)
        self.unpriced += sign * (amounts.usd is None)

    def merge(self, other: Total) -> None:
        """Add another total."""
        for name in (*UNITS, "unpriced"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
