"""What Runway's models take, as data (API version 2024-11-06, https://docs.dev.runwayml.com/api)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

GEN4_FILMS = ("1280:720", "720:1280", "1104:832", "832:1104", "960:960", "1584:672")
VEO_RATIOS = ("1280:720", "720:1280", "1080:1920", "1920:1080")
GEN4_RATIOS = (
    "1024:1024", "1080:1080", "1168:880", "1360:768", "1440:1080", "1080:1440", "1808:768", "1920:1080", "1080:1920",
    "2112:912", "1280:720", "720:1280", "720:720", "960:720", "720:960", "1680:720",
)  # fmt: skip

GEMINI_RATIOS = tuple(
    "1344:768 768:1344 1024:1024 1184:864 864:1184 1536:672 832:1248 1248:832 896:1152 1152:896".split()
)
GEMINI_3_RATIOS = GEMINI_RATIOS + tuple(
    (
        "2048:2048 1696:2528 2528:1696 1792:2400 2400:1792 1856:2304 2304:1856 1536:2752 2752:1536 3168:1344 4096:4096 "
        "3392:5056 5056:3392 3584:4800 4800:3584 3712:4608 4608:3712 3072:5504 5504:3072 6336:2688"
    ).split()
)
GEMINI_31_RATIOS = GEMINI_3_RATIOS + tuple(
    (
        "512:512 416:624 624:416 432:592 592:432 448:576 576:448 384:672 672:384 768:336 256:1024 1024:256 176:1408 "
        "1408:176 512:2048 2048:512 352:2816 2816:352 1024:4096 4096:1024 704:5632 5632:704 2048:8192 8192:2048 "
        "1408:11264 11264:1408"
    ).split()
)
GPT_RATIOS = tuple(
    (
        "2048:880 1920:1088 1920:1280 1920:1440 1920:1536 1920:1920 1536:1920 1440:1920 1280:1920 1088:1920 2912:1248 "
        "2560:1440 2560:1712 2560:1920 2560:2048 2560:2560 2048:2560 1920:2560 1712:2560 1440:2560 3840:1648 3840:2160 "
        "3504:2336 3264:2448 3200:2560 2880:2880 2560:3200 2448:3264 2336:3504 2160:3840 auto"
    ).split()
)
SEEDREAM_LITE_RATIOS = tuple(
    (
        "2048:2048 2304:1728 1728:2304 2848:1600 1600:2848 2496:1664 1664:2496 3136:1344 3072:3072 3456:2592 2592:3456 "
        "4096:2304 2304:4096 3744:2496 2496:3744 4704:2016"
    ).split()
)
SEEDREAM_PRO_RATIOS = tuple(
    (
        "1024:1024 1184:896 896:1184 1376:768 768:1376 1296:864 864:1296 2048:2048 2304:1728 1728:2304 2720:1530 "
        "1530:2720 2496:1664 1664:2496 auto_1k auto_2k"
    ).split()
)
HAPPYHORSE_RATIOS = tuple(
    "1280:720 720:1280 960:960 1108:832 832:1108 1920:1080 1080:1920 1440:1440 1662:1248 1248:1662".split()
)
HAILUO_RATIOS = tuple("21:9 16:9 4:3 1:1 3:4 9:16".split())
SEEDANCE_RATIOS = tuple(
    (
        "992:432 864:496 752:560 640:640 560:752 496:864 1470:630 1280:720 1112:834 960:960 834:1112 720:1280 2206:946 "
        "1920:1080 1664:1248 1440:1440 1248:1664 1080:1920 3840:1646 3840:2160 3840:2880 3840:3840 2880:3840 2160:3840"
    ).split()
)
SEEDANCE_25_RATIOS = tuple(
    "992:432 854:480 752:560 640:640 560:752 480:854 1470:630 1280:720 1112:834 960:960 834:1112 720:1280".split()
)

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
    """A voice model: ``longest`` text in UTF-16 units, and the options that it has besides.

    ``voice`` is the ``type`` of the voice objects that it takes, ``speeds`` from where to where it can speak faster or
    slower by itself.
    """

    longest: int
    options: frozenset[str] = frozenset()
    voice: Literal["runway-preset", "reference-audio"] = "runway-preset"
    speeds: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture model: how many reference pictures it takes, at least and at most, and what may stand beside their uri.

    ``default`` is the ratio where the caller names none.
    """

    references: tuple[int, int]
    ratios: tuple[str, ...]
    default: str = "1024:1024"
    longest: int = 1000
    options: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset({"tag"})


@dataclass(frozen=True, slots=True)
class Video:
    """A film model. ``from_image`` and ``from_text`` are the ratios with and without a picture to begin with.

    There ``None`` means that it cannot, and ``()`` that it has no choice of ratio then; with ``ratio_needed`` the first
    one is sent where the caller names none. ``seconds`` are the lengths it makes; ``default`` is sent where the caller
    names none and the model needs one. ``frames`` are the places that pictures in a list can have (``()``: it takes no
    list). ``image_options`` and ``text_options`` are those of one way alone; ``files`` says how many files an option
    takes.
    """

    from_image: tuple[str, ...]
    from_text: tuple[str, ...] | None
    seconds: tuple[int, ...]
    default: int | None = None
    ratio_needed: bool = False
    prompt_needed: bool = False
    longest: int = 1000
    frames: tuple[str, ...] = ("first",)
    options: frozenset[str] = frozenset()
    image_options: frozenset[str] = frozenset()
    text_options: frozenset[str] = frozenset()
    files: Mapping[str, int] = field(default_factory=dict)


_GEN4 = frozenset({"seed", "contentModeration"})
_VEO = Video(
    *(VEO_RATIOS, VEO_RATIOS, (4, 6, 8)),
    ratio_needed=True,
    frames=("first", "last"),
    options=frozenset({"audio", "negativePrompt", "seed"}),
)
_ELEVEN_V3 = frozenset(
    {"stability", "similarityBoost", "style", "useSpeakerBoost", "languageCode", "applyTextNormalization", "seed"}
)
_SEED_AUDIO = frozenset({"outputFormat", "sampleRate", "speechRate", "loudnessRate", "pitchRate"})
_SUBJECT = frozenset({"tag", "subject"})
_SEEDREAM = frozenset({"outputFormat", "grounding"})


def _seedance(ratios: tuple[str, ...], longest_film: int, longest: int, files: tuple[int, int, int]) -> Video:
    pictures, films, sounds = files
    return Video(
        *(ratios, ratios, tuple(range(4, longest_film + 1))),
        longest=longest,
        frames=("first", "last"),
        options=frozenset({"audio", "referenceAudio"}),
        text_options=frozenset({"references", "referenceVideos"}),
        files={"references": pictures, "referenceVideos": films, "referenceAudio": sounds},
    )


MODELS: Mapping[str, Speech | Image | Video] = {
    "eleven_multilingual_v2": Speech(1000),
    "eleven_v3": Speech(5000, _ELEVEN_V3, speeds=(0.7, 1.2)),
    "seed_audio": Speech(2048, _SEED_AUDIO, voice="reference-audio"),
    "gen4_image": Image((0, 3), GEN4_RATIOS, "1920:1080", options=_GEN4),
    "gen4_image_turbo": Image((1, 3), GEN4_RATIOS, "1920:1080", options=_GEN4),
    "gemini_2.5_flash": Image((0, 3), GEMINI_RATIOS, longest=5500),
    "gemini_image3_pro": Image((0, 14), GEMINI_3_RATIOS, longest=5500, beside=_SUBJECT),
    "gemini_image3.1_flash": Image((0, 14), GEMINI_31_RATIOS, longest=5500, beside=_SUBJECT),
    "gpt_image_2": Image((0, 16), GPT_RATIOS, "auto", 32_000, frozenset({"quality", "background"})),
    "seedream5_lite": Image((0, 14), SEEDREAM_LITE_RATIOS, "2048:2048", 4000, _SEEDREAM, frozenset()),
    "seedream5_pro": Image((0, 10), SEEDREAM_PRO_RATIOS, "auto_1k", 4000, _SEEDREAM, frozenset()),
    "gen4_turbo": Video(GEN4_FILMS, None, tuple(range(2, 11)), ratio_needed=True, options=_GEN4),
    "gen4.5": Video(
        GEN4_FILMS, GEN4_FILMS[:2], tuple(range(2, 11)), 5, ratio_needed=True, prompt_needed=True, options=_GEN4
    ),
    "veo3.1": _VEO,
    "veo3.1_fast": _VEO,
    "gemini_omni_flash": Video(GEN4_FILMS[:2], GEN4_FILMS[:2], tuple(range(3, 11)), longest=4000),
    "hailuo3": Video(
        *(HAILUO_RATIOS, HAILUO_RATIOS, tuple(range(5, 16))),
        prompt_needed=True,
        longest=6000,
        frames=(),
        options=frozenset({"resolution", "referenceAudio"}),
        text_options=frozenset({"references", "referenceVideos"}),
        files={"references": 9, "referenceVideos": 3, "referenceAudio": 3},
    ),
    "happyhorse_1_0": Video(
        *((), HAPPYHORSE_RATIOS, tuple(range(3, 16))), longest=2500, image_options=frozenset({"resolution"})
    ),
    "seedance2": _seedance(SEEDANCE_RATIOS, 15, 3500, (9, 3, 3)),
    "seedance2_fast": _seedance(SEEDANCE_RATIOS[:12], 15, 3500, (9, 3, 3)),
    "seedance2_mini": _seedance(SEEDANCE_RATIOS[:12], 15, 3500, (9, 3, 3)),
    "seedance2_5": _seedance(SEEDANCE_25_RATIOS, 30, 15_000, (30, 10, 10)),
}
"""The models that this gateway knows, by Runway's names. Those whose limits Runway does not describe are left out."""


@dataclass(frozen=True, slots=True)
class Create:
    """A request to Runway: where it is posted, and its body. ``adjusted`` is what differs from what was asked."""

    path: str
    body: Mapping[str, object]
    adjusted: Mapping[str, str] = field(default_factory=dict)
