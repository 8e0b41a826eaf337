"""Pictures through Gemini's ``generateContent``, which answers with them: Gemini's own API and Vertex AI alike.

Source: https://ai.google.dev/gemini-api/docs/image-generation.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engines.pictures import sniff_picture
from providers.base.contract import Done, Failed, ImageRequest, Made, Reference, Submitted, TaskRequest, Usage
from providers.base.dialects.event_sound import count
from providers.base.dialects.google import items, member, refused
from providers.base.dialects.options import Check, checked, one_of
from providers.base.errors import BadAnswer, Broken, Gone, PolicyViolation, ProviderError, Refused, Unsupported
from providers.base.exchange import MIB, Deadlines, Reply
from providers.base.packed import unpacked
from providers.base.refusals import clean
from providers.base.spool import Spool

DEADLINES = Deadlines(first_byte=300.0, idle=60.0, total=420.0)
CAP = 49 * MIB
"""Bytes of the largest answer: a picture of 4K, in base64."""

PARAMS = {"aspect_ratio": "size", "image_size": "size", "inline_data": "image", "contents": "prompt"}
"""Parts of Google's field names, and what they are in OpenAI's words."""

# The pictures of each aspect ratio, as wide and high as they come.
_SECOND = {
    "1:1": (1024, 1024), "2:3": (832, 1248), "3:2": (1248, 832), "3:4": (864, 1184), "4:3": (1184, 864),
    "4:5": (896, 1152), "5:4": (1152, 896), "9:16": (768, 1344), "16:9": (1344, 768), "21:9": (1536, 672),
}  # fmt: skip
_THIRD = {
    "1:1": (1024, 1024), "2:3": (848, 1264), "3:2": (1264, 848), "3:4": (896, 1200), "4:3": (1200, 896),
    "4:5": (928, 1152), "5:4": (1152, 928), "9:16": (768, 1376), "16:9": (1376, 768), "21:9": (1584, 672),
}  # fmt: skip
_TIMES = {"1K": 1, "2K": 2, "4K": 4}

NEAREST = {"1536x1024": "3:2", "1024x1536": "2:3", "1792x1024": "16:9", "1024x1792": "9:16"}
"""OpenAI's other sizes, and the aspect ratio that is made for them (1K)."""

_NOTHING = "nothing: "  # what the task of an answer without a picture begins with
_KINDS = ("image/png", "image/jpeg", "image/webp")
_FORBIDDEN = frozenset(
    """
    SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII MODEL_ARMOR JAILBREAK IMAGE_SAFETY
    IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION
    """.split()
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one model makes. ``tiers`` are its values of ``imageSize``: with fewer than two it is not told any.

    ``references`` is how many pictures it takes; ``None``: that is Google's to say.
    """

    ratios: Mapping[str, tuple[int, int]]
    tiers: tuple[str, ...] = ("1K",)
    references: int | None = None

    def sizes(self) -> dict[str, tuple[str, str]]:
        """The aspect ratio and tier of each ``WxH``."""
        return {
            f"{width * _TIMES[tier]}x{height * _TIMES[tier]}": (ratio, tier)
            for tier in self.tiers
            for ratio, (width, height) in self.ratios.items()
        }


_UNKNOWN = Limits(_THIRD)
MODELS = {
    "gemini-2.5-flash-image": Limits(_SECOND, references=3),
    "gemini-3.1-flash-image": Limits(_THIRD, ("1K", "2K", "4K"), 14),
    "gemini-3.1-flash-lite-image": _UNKNOWN,
    "gemini-3-pro-image": Limits(_THIRD, ("1K", "2K", "4K"), 14),
    "gemini-nano-banana-2.1": _UNKNOWN,
}
"""By Google's names."""


def draws(model: str) -> bool:
    """Whether a model makes pictures, by its name."""
    return "-image" in model or "nano-banana" in model


@dataclass(frozen=True, slots=True)
class Plan:
    """A request that may be sent: Google's ``imageConfig``, and what is made otherwise than asked."""

    prompt: str
    references: tuple[Reference, ...]
    config: Mapping[str, str]
    adjusted: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        """What is sent; blocks while pictures are packed."""
        parts: list[dict[str, Any]] = [{"text": self.prompt}]
        for each in self.references:
            data = each.data or b""
            packed = base64.b64encode(data).decode("ascii")
            parts.append({"inlineData": {"mimeType": sniff_picture(data), "data": packed}})
        config: dict[str, Any] = {"responseModalities": ["IMAGE"]}
        if self.config:
            config["imageConfig"] = dict(self.config)
        return {"contents": [{"role": "user", "parts": parts}], "generationConfig": config}


def plan(model: str, request: TaskRequest, largest: int | None = None) -> Plan:
    """Check ``request``; ``largest`` is the most bytes of a reference. Raises ``Refused`` and ``Unsupported``."""
    if not isinstance(request, ImageRequest):
        raise Refused(f"{model} makes pictures", param="model")
    if not request.prompt.strip():
        raise Refused("prompt is empty", param="prompt")
    if request.mask is not None:
        raise Unsupported(f"{model} takes no mask: say in the prompt what is to be changed", param="mask")
    limits = MODELS.get(model.removesuffix("-preview"), _UNKNOWN)
    known: dict[str, Check] = {"aspectRatio": one_of(*limits.ratios)}
    if len(limits.tiers) > 1:
        known["imageSize"] = one_of(*limits.tiers)
    config, adjusted = checked(model, request.extra, known), {}
    if request.size not in (None, "auto"):
        if config:
            param = next(iter(config))
            raise Refused(f"size says it already: leave out either size or {param}", param=param)
        config, made = _shape(model, limits, request.size or "")
        adjusted = {"size": made} if made != request.size else {}
    if limits.references is not None and len(request.references) > limits.references:
        raise Refused(f"{model} takes up to {limits.references} pictures, not {len(request.references)}", param="image")
    for place, each in enumerate(request.references):
        _referable(each, f"image[{place}]", largest)
    return Plan(request.prompt, request.references, config, adjusted)


def _shape(model: str, limits: Limits, size: str) -> tuple[dict[str, str], str]:
    """The ``imageConfig`` of a size, and the size that is made."""
    sizes = limits.sizes()
    ratio, tier = sizes.get(size) or (NEAREST.get(size, ""), limits.tiers[0])
    if not ratio:
        allowed = ", ".join([*sizes, *NEAREST])
        raise Refused(f"{model} makes pictures of {allowed} or auto, not {size[:40]!r}", param="size")
    made = next(name for name, found in sizes.items() if found == (ratio, tier))
    return {"aspectRatio": ratio, **({"imageSize": tier} if len(limits.tiers) > 1 else {})}, made


def _referable(reference: Reference, name: str, largest: int | None) -> None:
    if reference.data is None:
        raise Refused(f"{name} must be the picture itself: Google fetches no address", param="image")
    if sniff_picture(reference.data) not in _KINDS:
        raise Refused(f"{name} must be a png, jpeg or webp picture", param="image")
    if largest is not None and len(reference.data) > largest:
        raise Refused(f"{name} may have {largest:,} bytes, not {len(reference.data):,}", param="image")


async def draw(vendor: str, planned: Plan, send: Callable[[Mapping[str, Any]], Awaitable[Reply]]) -> Submitted:
    """Ask for the picture by ``send``, once; where it may be made and charged, ``sent`` is ``"maybe"``.

    An answer without a picture is a task without ``done``: ``lost`` says why it failed.
    """
    body = await asyncio.to_thread(planned.body)
    try:
        reply = await send(body)
    except ProviderError as error:
        if error.sent == "yes":  # half an answer came
            error.sent = "maybe"
        raise
    return await asyncio.to_thread(drawn, vendor, reply)


def drawn(vendor: str, reply: Reply) -> Submitted:
    """The picture of an answer; blocks. Raises what it says instead, ``sent`` as ``draw`` has it."""
    try:
        found = reply.json()
    except BadAnswer:
        found = None
    if not reply.ok:
        told = refused(vendor, reply.status, reply.headers, found, PARAMS)
        if reply.status == 408 or (reply.status >= 500 and reply.status != 503):
            told.sent = "maybe"  # it broke at the request, or something gave up waiting; a 503 is an overload
        raise told
    if not isinstance(found, dict):
        raise BadAnswer(f"{vendor} answered with something that is no picture.", sent="maybe")
    blocked = member(member(found, "promptFeedback", dict), "blockReason", str)
    if blocked:
        raise PolicyViolation(f"{vendor} blocked the request ({clean(blocked)}).", sent="yes", param="prompt")
    first = next(iter(items(found, "candidates")), None)
    why = member(first, "finishReason", str) or ""
    if why in _FORBIDDEN:
        raise PolicyViolation(f"{vendor} blocked the picture ({why}).", sent="yes", param="prompt")
    parts = [each for each in items(member(first, "content", dict), "parts") if not member(each, "thought", bool)]
    pictures = [each for each in (member(part, "inlineData", dict) for part in parts) if each is not None]
    if not pictures:
        said = clean(" ".join(filter(None, (member(part, "text", str) for part in parts))))
        # A task that has failed: it was taken and may be charged, so nobody is to ask again, here or elsewhere.
        return Submitted(_NOTHING + " ".join(filter(None, (f"({clean(why)})" if why else "", said))))
    used = member(found, "usageMetadata", dict)
    usage = Usage(
        input_tokens=count(member(used, "promptTokenCount", int)),
        output_tokens=count(member(used, "candidatesTokenCount", int)),
    )
    task = (member(found, "responseId", str) or "unnamed")[:200]
    # One was asked for: where there are more, the last is what came of the others.
    return Submitted(task, done=Done((_made(vendor, pictures[-1].get("data"), reply.spools),), usage))


def _made(vendor: str, packed: object, spools: Mapping[str, Spool]) -> Made:
    text = packed if isinstance(packed, str) else "-"
    try:
        data = spools.get(text) or unpacked(text)
    except ValueError:
        data = b""
    kind = sniff_picture(data if isinstance(data, bytes) else data.read(0, 12))
    if kind is None:
        raise BadAnswer(f"{vendor} answered with something that is no picture.", sent="maybe")
    return Made(data, kind)


def lost(vendor: str, task: str) -> Failed:
    """What a look at a task finds: the picture was in the answer, and nowhere else, or there was none."""
    if task.startswith(_NOTHING):
        why = clean(task.removeprefix(_NOTHING)) or "It does not say why."
        return Failed(Broken(f"{vendor} answered without a picture: {why}", sent="yes"))
    return Failed(Gone(f"{vendor} sent the picture with its answer ({clean(task)}); it was not kept.", sent="yes"))
