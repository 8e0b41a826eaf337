"""What RunwayML's API lets in, model by model, and what it says of the rest; what a task costs."""

from __future__ import annotations

import math
from typing import Any

from tests.upstreams.runway_checks import (
    PICTURE,
    WIDE,
    Check,
    Json,
    array,
    frames,
    issue,
    matching,
    one_of,
    record,
    sized,
    units,
)
from tests.upstreams.runway_others import CREDITS, OTHERS

VOICES = (
    "Maya Arjun Serene Bernard Billy Mark Clint Mabel Chad Leslie Eleanor Elias Elliot Grungle Brodie Sandra Kirk Kylie "
    "Lara Lisa Malachi Marlene Martin Miriam Monster Paula Pip Rusty Ragnar Xylar Maggie Jack Katie Noah James Rina Ella "
    "Mariah Frank Claudia Niki Vincent Kendrick Myrna Tom Wanda Benjamin Kiana Rachel"
).split()

PROMPT = sized("string", 1, 1000)
SEED = sized("integer", 0, 2**32 - 1)
SHARE = sized("number", 0, 1)
MODERATION = record(strict=True, publicFigureThreshold=one_of("auto", "low"))
VOICE = record("type", "presetId", type=one_of("runway-preset"), presetId=one_of(*VOICES))
REFERENCE = record("uri", uri=PICTURE, tag=matching("^[a-z][a-z0-9_]+$", 3, 16))
SIZES = (
    "1024:1024 1080:1080 1168:880 1360:768 1440:1080 1080:1440 1808:768 1920:1080 1080:1920 2112:912 1280:720 720:1280 "
    "720:720 960:720 720:960 1680:720"
).split()
GEN4 = {"promptText": PROMPT, "seed": SEED, "contentModeration": MODERATION}
GEN4_RATIOS = one_of(*WIDE, "1104:832", "832:1104", "960:960", "1584:672")
GEN4_SECONDS = sized("integer", 2, 10)
GEN45 = {
    **GEN4,
    "duration": GEN4_SECONDS,
    "outputFormat": one_of("mp4", "prores", "png_sequence"),
    "proresProfile": one_of("422", "4444", "422 Proxy", "422 LT", "422 HQ", "4444 XQ"),
}
VEO = {
    "promptText": PROMPT,
    "ratio": one_of(*WIDE, "1080:1920", "1920:1080"),
    "duration": one_of(4, 6, 8),
    "audio": sized("boolean"),
    "negativePrompt": PROMPT,
    "seed": SEED,
}


_VEO_IMAGE = record("promptImage", "ratio", **VEO, promptImage=frames("first", "last"))
_VEO_TEXT = record("promptText", "ratio", **VEO)
_GEN4_IMAGE = {**GEN4, "ratio": one_of(*SIZES)}

OWN: dict[str, dict[str, Check]] = {
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
            "promptImage", "ratio", **GEN4, ratio=GEN4_RATIOS, duration=GEN4_SECONDS, promptImage=frames("first")
        ),
        "gen4.5": record(
            *("promptText", "promptImage", "ratio", "duration"),
            **{**GEN45, "ratio": GEN4_RATIOS, "promptImage": frames("first")},
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


MODELS = {endpoint: own | OTHERS[endpoint] for endpoint, own in OWN.items()}


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
    if model == "seed_audio":
        return 5  # the least that it costs
    if "ratio" in body and model in OTHERS["/v1/text_to_image"]:
        return CREDITS[model]
    if model in CREDITS:
        return CREDITS[model] * int(body.get("duration", 5))
    if model.startswith("gen4_image"):
        return 2 if model == "gen4_image_turbo" else 5 if "720" in body["ratio"].split(":") else 8
    silent = body.get("audio") is False
    rates = {"gen4_turbo": 5, "gen4.5": 12, "veo3.1": 20 if silent else 40, "veo3.1_fast": 10 if silent else 15}
    return rates[model] * seconds
