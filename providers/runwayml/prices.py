"""What Runway charges (https://docs.dev.runwayml.com), in credits of one US cent.

A task says itself what it costs, and that counts; these are for what is to be known before.
"""

from __future__ import annotations

from collections.abc import Mapping

from providers.base.price import Price, Rate

CREDIT = 0.01
"""USD."""

_SOURCE = "https://docs.dev.runwayml.com"
_AS_OF = "2026-11-20"


def _second(credits: float, *rates: Rate, least: float = 0, seconds: float | None = None) -> Price:  # noqa: A002
    return Price(
        per_video_second=credits * CREDIT,
        rates=rates,
        least=least * CREDIT,
        step=CREDIT,
        seconds=seconds,
        source=_SOURCE,
        as_of=_AS_OF,
    )


def _image(credits: float, *rates: Rate, size: str | None = None) -> Price:  # noqa: A002
    return Price(per_image=credits * CREDIT, rates=rates, step=CREDIT, size=size, source=_SOURCE, as_of=_AS_OF)


_SPEECH = Price(per_character=CREDIT / 50, step=CREDIT, source=_SOURCE, as_of=_AS_OF)  # a credit for each 50

PRICES: Mapping[str, Price] = {
    "eleven_multilingual_v2": _SPEECH,
    "eleven_v3": _SPEECH,
    "gen4_image": _image(8, Rate(5 * CREDIT, {"size": "720p"}), size="1920x1080"),
    "gen4_image_turbo": _image(2),
    "gen4_turbo": _second(5),
    "gen4.5": _second(12, seconds=5),
    "veo3.1": _second(40, Rate(20 * CREDIT, {"audio": False})),
    "veo3.1_fast": _second(15, Rate(10 * CREDIT, {"audio": False})),
    "aleph2": _second(28, least=56),
    "seed_audio": Price(per_audio_second=CREDIT / 4, least=5 * CREDIT, step=CREDIT, source=_SOURCE, as_of=_AS_OF),
    "seedance2": _second(36, Rate(1.50, {"size": "4k"}), Rate(0.40, {"size": "1080p"})),
    "seedance2_fast": _second(29),
    "seedance2_mini": _second(16, least=64),
    "seedance2_5": _second(30, Rate(0.20, {"size": "480p"}), least=80),
    "hailuo3": _second(10, Rate(0.15, {"resolution": "1080p"})),
    "gemini_omni_flash": _second(10),
    "gemini_2.5_flash": _image(5),
    "gemini_image3_pro": _image(20, Rate(0.40, {"size": "4k"})),
    "seedream5_lite": _image(4),
}
"""By Runway's names. What is not here has no fixed price that is known."""
