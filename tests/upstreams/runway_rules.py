"""What RunwayML's API lets in, model by model, and what it says of the rest; what a task costs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

VOICES = (
    "Maya Arjun Serene Bernard Billy Mark Clint Mabel Chad Leslie Eleanor Elias Elliot Grungle Brodie Sandra Kirk Kylie "
    "Lara Lisa Malachi Marlene Martin Miriam Monster Paula Pip Rusty Ragnar Xylar Maggie Jack Katie Noah James Rina Ella "
    "Mariah Frank Claudia Niki Vincent Kendrick Myrna Tom Wanda Benjamin Kiana Rachel"
).split()

Json = dict[str, Any]
Check = Callable[[Any, list[str | int]], list[Json]]

# A check returns the issues it has with a value.


def issue(code: str, path: list[str | int], message: str = "Invalid input", **more: Any) -> Json:
    return {"code": code, **more, "path": path, "message": message}


def _is(kind: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "number": number,
        "integer": number and value % 1 == 0,
        "array": isinstance(value, list),
        "object": isinstance(value, dict),
    }[kind]


def _within(kind: str, size: float, low: float, high: float, path: list[str | int]) -> list[Json]:
    if size < low:
        return [issue("too_small", path, "Too short", minimum=low, type=kind, inclusive=True)]
    return [issue("too_big", path, "Too long", maximum=high, type=kind, inclusive=True)] if size > high else []


def units(text: str) -> int:
    """The length in UTF-16 code units, as JavaScript counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def sized(kind: str, low: float = -math.inf, high: float = math.inf) -> Check:
    def check(value: Any, path: list[str | int]) -> list[Json]:
        if not _is(kind, value):
            return [issue("invalid_type", path, f"Invalid input: expected {kind}", expected=kind)]
        return _within(kind, units(value) if kind == "string" else value, low, high, path)

    return check


def one_of(*values: Any) -> Check:
    def check(value: Any, path: list[str | int]) -> list[Json]:
        fits = not isinstance(value, bool) and value in values
        return [] if fits else [issue("invalid_value", path, "Invalid option", values=[*values])]

    return check


def matching(pattern: str, low: int, high: int) -> Check:
    def check(value: Any, path: list[str | int]) -> list[Json]:
        wrong = sized("string", low, high)(value, path)
        fits = wrong or re.search(pattern, value)
        return wrong if fits else [issue("invalid_format", path, "Invalid string", format="regex", pattern=pattern)]

    return check


def array(item: Check, low: int, high: int) -> Check:
    def check(value: Any, path: list[str | int]) -> list[Json]:
        if not _is("array", value):
            return [issue("invalid_type", path, "Invalid input: expected array", expected="array")]
        inside = [each for index, one in enumerate(value) for each in item(one, [*path, index])]
        return _within("array", len(value), low, high, path) + inside

    return check


def record(*required: str, strict: bool = False, **fields: Check) -> Check:
    def check(value: Any, path: list[str | int]) -> list[Json]:
        if not _is("object", value):
            return [issue("invalid_type", path, "Invalid input: expected object", expected="object")]
        found = [issue("invalid_type", [*path, name], "Required") for name in required if name not in value]
        found += [each for name, one in value.items() if name in fields for each in fields[name](one, [*path, name])]
        extra = [name for name in value if name not in fields] if strict else []
        return found + ([issue("unrecognized_keys", path, "Unrecognized keys", keys=extra)] if extra else [])

    return check


def either(*checks: Check) -> Check:
    def check(value: Any, path: list[str | int]) -> list[Json]:
        found = [each(value, path) for each in checks]
        return [] if [] in found else [issue("invalid_union", path, errors=found)]

    return check


PROMPT = sized("string", 1, 1000)
SEED = sized("integer", 0, 2**32 - 1)
SHARE = sized("number", 0, 1)
MODERATION = record(strict=True, publicFigureThreshold=one_of("auto", "low"))
PICTURE = either(
    matching("^https://.*", 13, 2048), matching("^runway://.*", 13, 5000), matching("^data:image/.*", 13, 5_242_880)
)
VOICE = record("type", "presetId", type=one_of("runway-preset"), presetId=one_of(*VOICES))
REFERENCE = record("uri", uri=PICTURE, tag=matching("^[a-z][a-z0-9_]+$", 3, 16))
SIZES = (
    "1024:1024 1080:1080 1168:880 1360:768 1440:1080 1080:1440 1808:768 1920:1080 1080:1920 2112:912 1280:720 720:1280 "
    "720:720 960:720 720:960 1680:720"
).split()
WIDE = ("1280:720", "720:1280")
GEN4 = {"promptText": PROMPT, "seed": SEED, "contentModeration": MODERATION}
GEN4_RATIOS = one_of(*WIDE, "1104:832", "832:1104", "960:960", "1584:672")
GEN4_SECONDS = sized("integer", 2, 10)
GEN45 = {**GEN4, "duration": GEN4_SECONDS, "outputFormat": one_of("mp4", "prores", "png_sequence")}
VEO = {
    "promptText": PROMPT,
    "ratio": one_of(*WIDE, "1080:1920", "1920:1080"),
    "duration": one_of(4, 6, 8),
    "audio": sized("boolean"),
    "negativePrompt": PROMPT,
    "seed": SEED,
}


def _frames(*positions: str) -> Check:
    frame = record("uri", "position", uri=PICTURE, position=one_of(*positions))
    return either(PICTURE, array(frame, 1, len(positions)))


_VEO_IMAGE = record("promptImage", "ratio", **VEO, promptImage=_frames("first", "last"))
_VEO_TEXT = record("promptText", "ratio", **VEO)
_GEN4_IMAGE = {**GEN4, "ratio": one_of(*SIZES)}

MODELS: dict[str, dict[str, Check]] = {
    "/v1/text_to_speech": {
        "eleven_multilingual_v2": record("promptText", "voice", promptText=PROMPT, voice=VOICE),
        "eleven_v3": record(
            "promptText",
            "voice",
            promptText=sized("string", 1, 5000),
            voice=VOICE,
            seed=SEED,
            stability=SHARE,
            similarityBoost=SHARE,
            style=SHARE,
            speed=sized("number", 0.7, 1.2),
            useSpeakerBoost=sized("boolean"),
            languageCode=sized("string", 2, 5),
            applyTextNormalization=one_of("auto", "on", "off"),
        ),
    },
    "/v1/text_to_image": {
        "gen4_image": record("promptText", "ratio", **_GEN4_IMAGE, referenceImages=array(REFERENCE, 0, 3)),
        "gen4_image_turbo": record(
            "promptText", "ratio", "referenceImages", **_GEN4_IMAGE, referenceImages=array(REFERENCE, 1, 3)
        ),
    },
    "/v1/image_to_video": {
        "gen4_turbo": record(
            "promptImage", "ratio", **GEN4, ratio=GEN4_RATIOS, duration=GEN4_SECONDS, promptImage=_frames("first")
        ),
        "gen4.5": record(
            *("promptText", "promptImage", "ratio", "duration"),
            **{**GEN45, "ratio": GEN4_RATIOS, "promptImage": _frames("first")},
        ),
        "veo3.1": _VEO_IMAGE,
        "veo3.1_fast": _VEO_IMAGE,
    },
    "/v1/text_to_video": {
        "gen4.5": record("promptText", "ratio", "duration", **GEN45, ratio=one_of(*WIDE)),
        "veo3.1": _VEO_TEXT,
        "veo3.1_fast": _VEO_TEXT,
    },
}


def validate(endpoint: str, body: Any) -> list[Json]:
    """The issues with a create; none: it is accepted."""
    if not isinstance(body, dict):
        return [issue("invalid_type", [], "Invalid input: expected object", expected="object")]
    model = body.get("model")
    check = MODELS[endpoint].get(model) if isinstance(model, str) else None
    if check is not None:
        return check(body, [])
    missing = [] if "model" in body else [issue("invalid_type", ["model"], "Required", expected="string")]
    return [*missing, issue("invalid_union", ["model"], errors=[], note="No matching discriminator")]


def credits_for(body: Json) -> int:
    model = body["model"]
    seconds = int(body.get("duration", 8 if model.startswith("veo") else 10))
    if model.startswith("eleven"):
        return math.ceil(units(body["promptText"]) / 50)
    if model.startswith("gen4_image"):
        return 2 if model == "gen4_image_turbo" else 5 if "720" in body["ratio"].split(":") else 8
    silent = body.get("audio") is False
    rates = {"gen4_turbo": 5, "gen4.5": 12, "veo3.1": 20 if silent else 40, "veo3.1_fast": 10 if silent else 15}
    return rates[model] * seconds
