"""From OpenAI's words to Runway's. What Runway would refuse is refused here, with the caller's name for the field."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from engines.text import within
from providers.base.contract import ImageRequest, SpeechRequest, TaskRequest, VideoRequest
from providers.base.errors import Refused, Unsupported
from providers.runwayml.assets import Kind, asset, bytes_or_address, listed
from providers.runwayml.models import MODELS, NEAREST, PRESETS, VOICES, Create, Image, Speech, Video

_FILES: Mapping[str, tuple[Kind, frozenset[str]]] = {
    "references": ("image", frozenset()),
    "referenceVideos": ("video", frozenset({"type"})),
    "referenceAudio": ("audio", frozenset({"type"})),
}


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


def parts(model: str, request: SpeechRequest) -> Sequence[SpeechRequest]:
    """``request`` as texts that are short enough, as fast as the model can."""
    facts = MODELS[model]
    if not isinstance(facts, Speech):
        return [request]
    slowest, fastest = facts.speeds
    paced = replace(request, speed=min(max(request.speed, slowest), fastest))
    return [replace(paced, text=text) for text in within(request.text, facts.longest)] or [paced]


def _speech(model: str, facts: Speech, request: SpeechRequest) -> Create:
    _short(model, request.text, facts.longest, "input")
    if request.instructions is not None:
        raise Unsupported(f"{model} cannot follow instructions; leave them out", param="instructions")
    slowest, fastest = facts.speeds
    if not slowest <= request.speed <= fastest:
        raise Unsupported(f"{model} speaks at a speed of {slowest:g} to {fastest:g}", param="speed")
    extra = {name: value for name, value in request.extra.items() if name != "voice"}
    given = request.extra.get("voice")
    body: dict[str, object] = {
        "model": model,
        "promptText": request.text,
        "voice": _named(model, facts, request.voice) if given is None else _described(model, facts, given),
        **_options(model, extra, facts.options),
    }
    if request.speed != 1.0:
        body["speed"] = request.speed
    return Create("/v1/text_to_speech", body)


def _named(model: str, facts: Speech, voice: str) -> dict[str, str]:
    if facts.voice == "runway-preset":
        return {"type": "runway-preset", "presetId": VOICES.get(voice.lower()) or _preset(voice)}
    if voice.startswith(("https:", "http:", "runway:", "data:")):
        return {"type": "reference-audio", "audioUri": asset(voice, "voice", "audio")}
    raise Refused(
        f'{model} speaks like a sound that it is given: the voice must be the address of one, or {{"type": '
        f'"reference-audio", "audioUri": …}}, not {voice!r}',
        param="voice",
    )


def _described(model: str, facts: Speech, voice: object) -> dict[str, object]:
    """A voice in Runway's own words."""
    what = {"runway-preset": "presetId", "reference-audio": "audioUri"}[facts.voice]
    value = voice.get(what) if isinstance(voice, dict) else None
    if not isinstance(voice, dict) or voice != {"type": facts.voice, what: value} or not isinstance(value, str):
        raise Refused(f'{model} takes a voice like {{"type": "{facts.voice}", "{what}": "…"}}', param="voice")
    return {**voice, what: _preset(value) if what == "presetId" else asset(value, "voice", "audio")}


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
    extra = dict(request.extra)
    asked = str(request.size or extra.pop("ratio", None) or facts.default).replace("x", ":")
    ratio = asked if asked in facts.ratios else NEAREST.get(asked, asked)
    _one_of(ratio, facts.ratios, "size", f"{model} makes pictures of")
    references: list[dict[str, object]] = [{"uri": bytes_or_address(each, "image")} for each in request.references]
    references += listed(extra.pop("referenceImages", []), "referenceImages", facts.beside)
    fewest, most = facts.references
    if not fewest <= len(references) <= most:
        param = "image" if request.references else "referenceImages"
        raise Refused(f"{model} takes {fewest} to {most} reference pictures, not {len(references)}", param=param)
    body: dict[str, object] = {"model": model, "promptText": request.prompt, "ratio": ratio}
    if references:
        body["referenceImages"] = references
    # `output_format` is no choice at Runway: the gateway converts what comes.
    adjusted = {"size": ratio.replace(":", "x")} if ratio != asked else {}
    return Create("/v1/text_to_image", body | _options(model, extra, facts.options), adjusted)


def _video(model: str, facts: Video, request: VideoRequest) -> Create:
    extra = dict(request.extra)
    image = _first(model, facts, extra.pop("promptImage", None))
    if request.reference is not None:
        image = bytes_or_address(request.reference, "input_reference")
    ratios = facts.from_text if image is None else facts.from_image
    if ratios is None:
        raise Refused(f"{model} needs a picture to begin with", param="input_reference")
    body: dict[str, object] = {"model": model, **_shape(model, facts, request, ratios)}
    if request.prompt or image is None or facts.prompt_needed:
        _short(model, request.prompt, facts.longest, "prompt")
        body["promptText"] = request.prompt
    if image is not None:
        body["promptImage"] = image
    path, more = ("text", facts.text_options) if image is None else ("image", facts.image_options)
    options = _options(model, extra, facts.options | more)
    for name in options.keys() & facts.files.keys():
        kind, beside = _FILES[name]
        if len(listed(options[name], name, beside, kind)) > facts.files[name]:
            raise Refused(f"{model} takes {facts.files[name]} of {name}", param=name)
    return Create(f"/v1/{path}_to_video", body | options)


def _shape(model: str, facts: Video, request: VideoRequest, ratios: tuple[str, ...]) -> dict[str, object]:
    """Its ratio and its duration, where they are sent."""
    shape: dict[str, object] = {}
    if request.size is not None or facts.ratio_needed:
        if not ratios:
            raise Unsupported(f"{model} makes a film as wide and high as its picture; leave it out", param="size")
        ratio = (request.size or ratios[0]).replace("x", ":")
        _one_of(ratio, ratios, "size", f"{model} makes films of")
        shape["ratio"] = ratio
    seconds = facts.default if request.seconds is None else request.seconds
    if seconds is not None:
        if seconds not in facts.seconds:
            raise Refused(f"{model} makes {_numbers(facts.seconds)} seconds, not {seconds}", param="seconds")
        shape["duration"] = seconds
    return shape


def _first(model: str, facts: Video, given: object) -> object:
    """``promptImage`` in Runway's words: an address or data URI, or a list of them with their places in the film."""
    if given is None or isinstance(given, str):
        return None if given is None else asset(given, "promptImage")
    if not facts.frames:
        raise Refused(f"promptImage of {model} must be an address or a data: URI", param="promptImage")
    pictures = listed(given, "promptImage", ("position",))
    if not 1 <= len(pictures) <= len(facts.frames) or any(
        each.get("position") not in facts.frames for each in pictures
    ):
        places = " and ".join(facts.frames)
        raise Refused(f"promptImage of {model} takes a picture with the position {places}", param="promptImage")
    return pictures


def _short(model: str, text: str, longest: int, param: str) -> None:
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if not text.strip() or units > longest:
        raise Refused(f"{model} takes a text of 1 to {longest:,} characters (UTF-16), not {units:,}", param=param)


def _one_of(value: str, allowed: Collection[str], param: str, what: str) -> None:
    if value not in allowed:
        sizes = ", ".join(each.replace(":", "x") for each in allowed)
        raise Refused(f"{what} {sizes}, not {value.replace(':', 'x')}", param=param)


def _numbers(numbers: tuple[int, ...]) -> str:
    if numbers == tuple(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _options(model: str, extra: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    for name in extra:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "leave it out"
            raise Unsupported(f"{model} knows no option {name!r}; {hint}", param=name)
    return dict(extra)
