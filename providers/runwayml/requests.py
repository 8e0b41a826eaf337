"""From OpenAI's words to Runway's. What Runway would refuse is refused here, with the caller's name for the field."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from engines.pictures import sniff_picture
from providers.base.contract import ImageRequest, Reference, SpeechRequest, TaskRequest, VideoRequest
from providers.base.errors import Refused, Unsupported
from providers.runwayml.models import MODELS, NEAREST, PRESETS, VOICES, Create, Image, Speech, Video

DATA_URI_LIMIT = 5_242_880
"""Characters of a picture sent along as a data URI."""

_PICTURES = ("image/png", "image/jpeg", "image/webp")


def create(model: str, request: TaskRequest) -> Create:
    """The request that makes a task. Raises ``Refused`` or ``Unsupported``, naming the field."""
    facts = MODELS[model]
    match facts, request:
        case Speech(), SpeechRequest():
            return _speech(model, facts, request)
        case Image(), ImageRequest():
            return _image(model, facts, request)
        case Video(), VideoRequest():
            return _video(model, facts, request)
    raise Refused(f"{model} does not make this kind of media", param="model")


def _speech(model: str, facts: Speech, request: SpeechRequest) -> Create:
    _short(model, request.text, facts.longest, "input")
    if request.instructions is not None:
        raise Unsupported(f"{model} cannot follow instructions; leave them out", param="instructions")
    if request.speed != 1.0:
        raise Unsupported(f"{model} has one speed; leave it out", param="speed")
    preset = VOICES.get(request.voice.lower()) or _preset(request.voice)
    body = {
        "model": model,
        "promptText": request.text,
        "voice": {"type": "runway-preset", "presetId": preset},
        **_options(model, request.extra, facts.options),
    }
    return Create("/v1/text_to_speech", body)


def _preset(voice: str) -> str:
    known = {name.lower(): name for name in PRESETS}
    if voice.lower() not in known:
        near = get_close_matches(voice.lower(), [*known, *VOICES], n=1)
        hint = f"; did you mean {known.get(near[0], near[0])!r}?" if near else ""
        raise Refused(f"unknown voice {voice!r}{hint}", param="voice")
    return known[voice.lower()]


def _image(model: str, facts: Image, request: ImageRequest) -> Create:
    _short(model, request.prompt, facts.longest, "prompt")
    if request.mask is not None:
        raise Unsupported(f"{model} takes no mask; leave it out", param="mask")
    asked = (request.size or "1920x1080").replace("x", ":")
    ratio = NEAREST.get(asked, asked)
    _one_of(ratio, facts.ratios, "size", f"{model} makes pictures of")
    extra = {name: value for name, value in request.extra.items() if name != "referenceImages"}
    references = [{"uri": _uri(each)} for each in request.references]
    if isinstance(given := request.extra.get("referenceImages"), list):
        references += given
    fewest, most = facts.references
    if not fewest <= len(references) <= most:
        raise Refused(f"{model} takes {fewest} to {most} reference pictures, not {len(references)}", param="image")
    body: dict[str, object] = {"model": model, "promptText": request.prompt, "ratio": ratio}
    if references:
        body["referenceImages"] = references
    # `output_format` is no choice at Runway: the gateway converts what comes.
    adjusted = {"size": ratio.replace(":", "x")} if ratio != asked else {}
    return Create("/v1/text_to_image", body | _options(model, extra, facts.options), adjusted)


def _video(model: str, facts: Video, request: VideoRequest) -> Create:
    if request.prompt or facts.prompt_needed:
        _short(model, request.prompt, facts.longest, "prompt")
    image = request.extra.get("promptImage") if request.reference is None else _uri(request.reference)
    ratios = facts.from_image if image is not None else facts.from_text
    if not ratios:
        raise Refused(f"{model} needs a picture to begin with", param="input_reference")
    ratio = (request.size or ratios[0]).replace("x", ":")
    _one_of(ratio, ratios, "size", f"{model} makes films of")
    seconds = facts.default if request.seconds is None else request.seconds
    if seconds is not None and seconds not in facts.seconds:
        raise Refused(f"{model} makes {_listed(facts.seconds)} seconds, not {seconds}", param="seconds")
    body: dict[str, object] = {"model": model, "ratio": ratio}
    if request.prompt:
        body["promptText"] = request.prompt
    if image is not None:
        body["promptImage"] = image
    if seconds is not None:
        body["duration"] = seconds
    extra = {name: value for name, value in request.extra.items() if name != "promptImage"}
    path = "/v1/text_to_video" if image is None else "/v1/image_to_video"
    return Create(path, body | _options(model, extra, facts.options))


def _short(model: str, text: str, longest: int, param: str) -> None:
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if not 1 <= units <= longest:
        raise Refused(f"{model} takes a text of 1 to {longest:,} characters (UTF-16), not {units:,}", param=param)


def _one_of(value: str, allowed: Collection[str], param: str, what: str) -> None:
    if value not in allowed:
        sizes = ", ".join(each.replace(":", "x") for each in allowed)
        raise Refused(f"{what} {sizes}, not {value.replace(':', 'x')}", param=param)


def _listed(numbers: tuple[int, ...]) -> str:
    if numbers == tuple(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _options(model: str, extra: Mapping[str, Any], known: Collection[str]) -> dict[str, object]:
    for name in extra:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "leave it out"
            raise Unsupported(f"{model} knows no option {name!r}; {hint}", param=name)
    return dict(extra)


def _uri(reference: Reference) -> str:
    """An address is passed on, for Runway to fetch; bytes go along as a data URI."""
    if reference.url is not None:
        if not reference.url.startswith("https://"):
            raise Refused("the address of a reference must begin with https://", param="input_reference")
        return reference.url
    media_type = sniff_picture(reference.data or b"")
    if media_type not in _PICTURES:
        raise Refused("a reference must be a png, jpeg or webp picture", param="input_reference")
    uri = f"data:{media_type};base64,{base64.b64encode(reference.data or b'').decode('ascii')}"
    if len(uri) > DATA_URI_LIMIT:
        raise Refused("a reference sent along may have 3.9 MB; give an address instead", param="input_reference")
    return uri
