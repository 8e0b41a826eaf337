"""What models cost, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rate:
    """USD for one picture or one second of film, where the call has the options ``where``.

    Of ``where``, ``size`` is ``WxH`` or a class (``720p``: its shorter side is at most that); the others are options
    of the call by the vendor's name.
    """

    usd: float
    where: Mapping[str, object]


PARTS = {
    "per_character": "characters",
    "per_audio_second": "audio_seconds",
    "per_image": "images",
    "per_pixel": "pixels",
    "per_video_second": "video_seconds",
    "per_input_token": "input_tokens",
    "per_output_token": "output_tokens",
}
"""What the parts of a price are counted in."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD for each unit; what is ``None`` is not what the vendor counts. The parts add up.

    ``rates`` stand before ``per_image`` and ``per_video_second``; the first that fits counts. The sum is at least
    ``least``, and rounded up to whole ``step``. ``size`` and ``seconds`` are what is made where a call names none.
    ``source`` is an address or a name, ``as_of`` the day on which it said so; not ``exact``: it is a hint, since the
    vendor gives no fixed price, or nobody has compared it with a bill.
    """

    per_call: float | None = None
    per_character: float | None = None
    per_audio_second: float | None = None
    per_image: float | None = None
    per_pixel: float | None = None
    per_video_second: float | None = None
    per_input_token: float | None = None
    per_output_token: float | None = None
    rates: tuple[Rate, ...] = ()
    least: float = 0.0
    step: float = 0.0
    size: str | None = None
    seconds: float | None = None
    source: str = ""
    as_of: str = ""
    exact: bool = True
    options: frozenset[str] = field(init=False)
    """The options that ``rates`` ask for."""
    parts: tuple[tuple[str, float], ...] = field(init=False, repr=False)
    """What is counted (a name of ``PARTS``), and the USD for one of it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", frozenset(name for rate in self.rates for name in rate.where) - {"size"})
        usd = ((unit, getattr(self, name)) for name, unit in PARTS.items())
        object.__setattr__(self, "parts", tuple((unit, rate) for unit, rate in usd if rate is not None))


def free(source: str) -> Price:
    """It costs nothing, and that is known."""
    return Price(per_call=0.0, source=source)
