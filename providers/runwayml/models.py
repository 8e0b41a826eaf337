"""What Runway's models take, as data (API version 2024-11-06, https://docs.dev.runwayml.com/api)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TURBO_RATIOS = ("1280:720", "720:1280", "1104:832", "832:1104", "960:960", "1584:672")
VEO_RATIOS = ("1280:720", "720:1280", "1080:1920", "1920:1080")
IMAGE_RATIOS = (
    "1024:1024", "1080:1080", "1168:880", "1360:768", "1440:1080", "1080:1440", "1808:768", "1920:1080", "1080:1920",
    "2112:912", "1280:720", "720:1280", "720:720", "960:720", "720:960", "1680:720",
)  # fmt: skip

# LiteLLM's documentation lists these two, which no model of Runway's takes; the nearest that one does.
NEAREST = {"1792:1024": "1920:1080", "1024:1792": "1080:1920"}

PRESETS = (
    "Maya", "Arjun", "Serene", "Bernard", "Billy", "Mark", "Clint", "Mabel", "Chad", "Leslie", "Eleanor", "Elias",
    "Elliot", "Grungle", "Brodie", "Sandra", "Kirk", "Kylie", "Lara", "Lisa", "Malachi", "Marlene", "Martin", "Miriam",
    "Monster", "Paula", "Pip", "Rusty", "Ragnar", "Xylar", "Maggie", "Jack", "Katie", "Noah", "James", "Rina", "Ella",
    "Mariah", "Frank", "Claudia", "Niki", "Vincent", "Kendrick", "Myrna", "Tom", "Wanda", "Benjamin", "Kiana", "Rachel",
)  # fmt: skip

# The first six are LiteLLM's; the others are our choice of a preset of like manner.
VOICES = {
    "alloy": "Maya", "echo": "James", "fable": "Bernard", "onyx": "Vincent", "nova": "Serene", "shimmer": "Ella",
    "ash": "Noah", "ballad": "Tom", "cedar": "Frank", "coral": "Mariah", "marin": "Katie", "sage": "Eleanor",
    "verse": "Elias",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Speech:
    """A voice model: ``longest`` text in UTF-16 units, and the options that it has besides."""

    longest: int
    options: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Image:
    """A picture model: how many reference pictures it takes, at least and at most."""

    references: tuple[int, int]
    ratios: tuple[str, ...] = IMAGE_RATIOS
    longest: int = 1000
    options: frozenset[str] = frozenset({"seed", "contentModeration"})


@dataclass(frozen=True, slots=True)
class Video:
    """A film model. ``from_image`` and ``from_text`` are the ratios with and without a picture to begin with.

    ``seconds`` are the lengths it makes; ``default`` is sent where the caller names none and the model needs one.
    """

    from_image: tuple[str, ...]
    from_text: tuple[str, ...]
    seconds: tuple[int, ...]
    default: int | None = None
    prompt_needed: bool = False
    longest: int = 1000
    options: frozenset[str] = frozenset({"seed", "contentModeration"})


_VEO = Video(VEO_RATIOS, VEO_RATIOS, (4, 6, 8), options=frozenset({"audio", "negativePrompt"}))
_ELEVEN_V3 = frozenset(
    {"stability", "similarityBoost", "style", "useSpeakerBoost", "languageCode", "applyTextNormalization", "seed"}
)

MODELS: Mapping[str, Speech | Image | Video] = {
    "eleven_multilingual_v2": Speech(1000),
    "eleven_v3": Speech(5000, _ELEVEN_V3),
    "gen4_image": Image((0, 3)),
    "gen4_image_turbo": Image((1, 3)),
    "gen4_turbo": Video(TURBO_RATIOS, (), tuple(range(2, 11))),
    "gen4.5": Video(TURBO_RATIOS, TURBO_RATIOS[:2], tuple(range(2, 11)), default=5, prompt_needed=True),
    "veo3.1": _VEO,
    "veo3.1_fast": _VEO,
}
"""The models that this gateway knows, by Runway's names."""


@dataclass(frozen=True, slots=True)
class Create:
    """A request to Runway: where it is posted, and its body. ``adjusted`` is what differs from what was asked."""

    path: str
    body: Mapping[str, object]
    adjusted: Mapping[str, str] = field(default_factory=dict)
