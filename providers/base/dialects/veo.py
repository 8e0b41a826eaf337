"""Films by Veo: what is asked of ``predictLongRunning``, and what an operation says. Gemini's API and Vertex AI alike.

Source: https://ai.google.dev/gemini-api/docs/video.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from engines.pictures import sniff_picture
from providers.base import errors
from providers.base.contract import (
    Address,
    Done,
    Failed,
    Made,
    Reference,
    TaskRequest,
    TaskState,
    VideoRequest,
    Working,
)
from providers.base.dialects.event_sound import unpacked
from providers.base.dialects.google import items, member, rpc_refused
from providers.base.dialects.options import Check, checked, number, text
from providers.base.errors import BadAnswer, PolicyViolation, Refused
from providers.base.refusals import clean

SIZES = {
    "1280x720": ("16:9", "720p"), "720x1280": ("9:16", "720p"), "1920x1080": ("16:9", "1080p"),
    "1080x1920": ("9:16", "1080p"), "3840x2160": ("16:9", "4k"), "2160x3840": ("9:16", "4k"),
}  # fmt: skip
SECONDS = (4, 6, 8)
SIZE, SECOND = "1280x720", 8
"""What a call that names none gets; it is asked for by name, so that its price is known."""

PARAMS = {
    "image": "input_reference", "duration_seconds": "seconds", "aspect_ratio": "size", "resolution": "size",
    "prompt": "prompt",
}  # fmt: skip
"""Parts of Google's field names, and what they are in OpenAI's words."""

_PICTURES = ("image/png", "image/jpeg", "image/webp")
OPTIONS: Mapping[str, Check] = {
    "negativePrompt": text,
    "personGeneration": text,
    "seed": number(0, 2**32 - 1, whole=True),
}
"""What a film may have besides OpenAI's own options."""


def film_body(model: str, request: TaskRequest, options: Mapping[str, Check] = OPTIONS) -> dict[str, Any]:
    """The body that asks for ``request``. Raises ``Refused`` and ``Unsupported``."""
    if not isinstance(request, VideoRequest):
        raise Refused(f"{model} makes films", param="model")
    if not request.prompt.strip():
        raise Refused("prompt is empty", param="prompt")
    size, seconds = request.size or SIZE, SECOND if request.seconds is None else request.seconds
    if size not in SIZES:
        raise Refused(f"size must be one of {', '.join(SIZES)}, not {size[:40]!r}", param="size")
    if seconds not in SECONDS:
        raise Refused(f"seconds must be 4, 6 or 8, not {seconds}", param="seconds")
    ratio, resolution = SIZES[size]
    given: dict[str, Any] = {"aspectRatio": ratio, "resolution": resolution, "durationSeconds": seconds}
    given |= checked(model, request.extra, options)
    instance: dict[str, Any] = {"prompt": request.prompt}
    if request.reference is not None:
        instance["image"] = _picture(request.reference)
    return {"instances": [instance], "parameters": given}


def _picture(reference: Reference) -> dict[str, str]:
    if reference.data is None:
        raise Refused("input_reference must be the picture itself: Google fetches no address", param="input_reference")
    media_type = sniff_picture(reference.data)
    if media_type not in _PICTURES:
        raise Refused("input_reference must be a png, jpeg or webp picture", param="input_reference")
    return {"bytesBase64Encoded": base64.b64encode(reference.data).decode("ascii"), "mimeType": media_type}


def state_of(vendor: str, operation: object, address: Callable[[str], Address]) -> TaskState:
    """What an operation says; ``address`` makes one of a film's URI. Raises ``BadAnswer`` for nonsense."""
    if not isinstance(operation, dict) or not isinstance(operation.get("done", False), bool):
        raise BadAnswer(f"{vendor} answered with something that is no operation.", sent="yes")
    if not operation.get("done", False):
        return Working(None)
    error = member(operation, "error", dict)
    if error is not None:
        return Failed(rpc_refused(vendor, error, PARAMS))
    response = member(operation, "response", dict)
    made = member(response, "generateVideoResponse", dict) or response
    outputs: list[Address | Made] = []
    for film in (*items(made, "videos"), *(member(each, "video", dict) for each in items(made, "generatedSamples"))):
        uri, packed = member(film, "uri", str), member(film, "bytesBase64Encoded", str)
        if uri:
            outputs.append(address(uri))
        elif packed:
            outputs.append(Made(unpacked(vendor, packed), "video/mp4"))
        else:
            raise BadAnswer(f"{vendor} finished a film and does not say where it is.", sent="yes")
    if outputs:
        return Done(tuple(outputs))
    if member(made, "raiMediaFilteredCount", int):
        why = " ".join(each for each in items(made, "raiMediaFilteredReasons") if isinstance(each, str))
        return Failed(PolicyViolation(f"{vendor} blocked the film: {clean(why)}", sent="yes", param="prompt"))
    return Failed(errors.Broken(f"{vendor} finished without a film.", sent="yes"))
