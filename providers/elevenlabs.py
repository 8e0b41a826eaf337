"""ElevenLabs: speech, streamed as it is made (https://elevenlabs.io/docs/api-reference/text-to-speech/stream)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import Field, SecretStr

from engines.media import AudioFormat, AudioSpec
from providers.base import errors
from providers.base.contract import Audio, Provider, Readiness, SpeechRequest, Usage, Voice
from providers.base.dialects import options
from providers.base.dialects.audio_body import AudioBody
from providers.base.exchange import Exchange, Reply
from providers.base.price import Price
from providers.base.refusals import refusal
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts, Resources, Vendor
from providers.base.wire import Wire

API = "https://api.elevenlabs.io"
KEY_VARIABLE, BASE_VARIABLE = "ELEVENLABS_API_KEY", "ELEVENLABS_API_BASE"

MODELS: Mapping[str, int | None] = {
    "eleven_v4": 10_000,
    "eleven_v4_turbo": 10_000,
    "eleven_v3": 5_000,
    "eleven_v3_conversational": 5_000,
    "eleven_multilingual_v2": 10_000,
    "eleven_flash_v2_5": 40_000,
    "eleven_turbo_v2_5": 40_000,
    "eleven_flash_v2": 30_000,
    "eleven_turbo_v2": 30_000,
    "*": None,
}
"""The longest text of each, in characters; of a model that came later ElevenLabs itself says."""

VOICES = {
    "alloy": ("21m00Tcm4TlvDq8ikWAM", "Rachel"),
    "ash": ("AZnzlk1XvdvUeBnXmlld", "Domi"),
    "ballad": ("onwK4e9ZLuTAKqWW03F9", "Daniel"),
    "cedar": ("nPczCjzI2devNBz1zQrb", "Brian"),
    "coral": ("9BWtsMINqrJLrRacOk9x", "Aria"),
    "echo": ("TX3LPaxmHKxFdv7VOQHJ", "Liam"),
    "fable": ("JBFqnCBsd6RMkjVDRZzb", "George"),
    "marin": ("XrExE9yKIg1WjnnlVkGX", "Matilda"),
    "nova": ("cgSgspJ2msm6clMCkdW9", "Jessica"),
    "onyx": ("29vD33N1CtxCmqQRPOHJ", "Drew"),
    "sage": ("CwhRBWXzGAHq8TQ4Fs17", "Roger"),
    "shimmer": ("FGY2WhTYpPnrIDTdsKH5", "Laura"),
    "verse": ("CYw3kZ02Hs0563khs1Fj", "Dave"),
}
"""OpenAI's names. LiteLLM's choice where it has one (it lacks seven), else a premade voice of like pitch and manner."""

_CHEAP = re.compile(r"eleven_(.+_turbo|v3_conversational|flash_.+|turbo_.+)")
# A plan's credits may be cheaper.
PRICES = {
    name: Price(
        per_character=4e-5 if _CHEAP.fullmatch(name) else 8e-5,
        source="LiteLLM's price map",
        as_of="2026-11-20",
        exact=False,
    )
    for name in MODELS
    if name != "*"
}

SLOWEST, FASTEST = 0.7, 1.2

_NAME = "ElevenLabs"
_ID = re.compile(r"[A-Za-z0-9]{20}", re.ASCII)  # of a voice
_FORMATS = {AudioFormat.MP3: "mp3_44100_128", AudioFormat.OPUS: "opus_48000_128"}
_RAW = "pcm_24000"  # for what it does not stream (wav, aac, flac), and for what is stretched afterwards
_BITRATES = (32, 64, 96, 128, 192)
_STREAMED = (
    "mp3_22050_32", "mp3_24000_48", *(f"mp3_44100_{each}" for each in _BITRATES),
    *(f"opus_48000_{each}" for each in _BITRATES),
    *(f"pcm_{rate}" for rate in (8000, 16000, 22050, 24000, 32000, 44100, 48000)),
)  # fmt: skip
_QUERY = {"enable_logging": options.flag, "optimize_streaming_latency": options.number(0, 4, whole=True)}
_BODY: Mapping[str, options.Check] = {
    "language_code": options.text,
    "seed": options.number(0, 2**32 - 1, whole=True),
    "previous_text": options.text,
    "next_text": options.text,
    "previous_request_ids": options.items(3),
    "next_request_ids": options.items(3),
    "apply_text_normalization": options.one_of("auto", "on", "off"),
    "apply_language_text_normalization": options.flag,
    "pronunciation_dictionary_locators": options.items(3),
    "audio_effects": options.mapping,
    "voice_settings": options.mapping,
}
_OWN = {"output_format": options.one_of(*_STREAMED)}
_VOICE_SETTINGS: Mapping[str, options.Check] = {
    "stability": options.number(0, 1),
    "similarity_boost": options.number(0, 1),
    "style": options.number(0, 1),
    "use_speaker_boost": options.flag,
    "speed": options.number(SLOWEST, FASTEST),
    "clone_strength": options.number(0, 1),
}
_PARAMS = {"text": "input", "voice_id": "voice", "model_id": "model"}
_CODES: Mapping[str, tuple[type[errors.ProviderError], str | None]] = {
    "voice_not_found": (errors.Refused, "voice"),
    "max_character_limit_exceeded": (errors.Refused, "input"),
    "model_not_found": (errors.Refused, "model"),
    "output_format_not_allowed": (errors.Refused, "output_format"),
    "too_many_concurrent_requests": (errors.RateLimited, None),
    "system_busy": (errors.RateLimited, None),
}


class ElevenLabsSettings(VendorSettings):
    """``api_base`` with or without ``/v1``; ``voices`` are names for voice ids, OpenAI's names included."""

    api_key: SecretStr | None = None
    api_base: str | None = Field(None, pattern=r"^https?://[^\s/]+(/v1)?/?$")
    voices: Mapping[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in ElevenLabs' words, and what will come: ``tempo`` is the part of the speed it does not do."""

    path: str
    body: Mapping[str, object]
    spec: AudioSpec
    tempo: float


def asked(model: str, request: SpeechRequest, voices: Mapping[str, str]) -> Asked:
    """``request`` in ElevenLabs' words. Raises ``Refused`` or ``Unsupported``, naming the field."""
    longest = MODELS.get(model)
    if longest is not None and len(request.text) > longest:
        raise errors.Refused(f"{model} takes {longest:,} characters, not {len(request.text):,}", param="input")
    if request.instructions is not None:
        raise errors.Unsupported(f"{model} cannot follow instructions; leave them out", param="instructions")
    extra = {name: value for name, value in request.extra.items() if name != "voice"}
    body = options.checked(model, extra, {**_BODY, **_QUERY, **_OWN})
    query = {name: body.pop(name) for name in [*body] if name in _QUERY or name in _OWN}
    speed = min(max(request.speed, SLOWEST), FASTEST)
    tempo = request.speed / speed
    given = options.checked(model, body.pop("voice_settings", {}), _VOICE_SETTINGS, "voice_settings")
    if speed != 1.0:
        if "speed" in given:
            raise errors.Refused("give a speed once, not in voice_settings too", param="voice_settings.speed")
        given["speed"] = speed
    if given:
        body["voice_settings"] = given
    query.setdefault("output_format", _RAW if tempo != 1.0 else _FORMATS.get(request.format, _RAW))
    codec, rate, *_ = query["output_format"].split("_")
    written = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
    voice = quote(_voice(request, voices), safe="")
    return Asked(
        f"/v1/text-to-speech/{voice}/stream?{urlencode(written)}",
        {"text": request.text, "model_id": model, **body},
        AudioSpec(AudioFormat(codec), int(rate)),
        tempo,
    )


def _voice(request: SpeechRequest, voices: Mapping[str, str]) -> str:
    described = request.extra.get("voice")
    if described is not None:
        found = described.get("voice_id") if isinstance(described, dict) else None
        if not isinstance(found, str) or not _ID.fullmatch(found) or described.keys() - {"type", "voice_id"}:
            raise errors.Refused(f'{_NAME} takes a voice like {{"id": "21m00Tcm4TlvDq8ikWAM"}}', param="voice")
        return found
    named = {name: voice for name, (voice, _) in VOICES.items()}
    named |= {name.lower(): voice for _, (voice, name) in VOICES.items()}
    named |= {name.lower(): voice for name, voice in voices.items()}
    found = named.get(request.voice.lower(), request.voice)
    if not _ID.fullmatch(found):
        near = options.hint(request.voice.lower(), named).replace("leave it out", "a voice's id has 20 characters")
        raise errors.Refused(f"unknown voice {request.voice!r}; {near}", param="voice")
    return found


class ElevenLabs:
    """One model as a ``SpeechProvider``."""

    def __init__(self, model: str, settings: ElevenLabsSettings, wire: Wire) -> None:
        self._model = model
        self._voices = settings.voices
        self._wire = wire
        given = settings.api_base or os.environ.get(BASE_VARIABLE) or API
        self._base = given.rstrip("/").removesuffix("/v1")
        variable = os.environ.get(KEY_VARIABLE)
        self._key = settings.api_key or (SecretStr(variable) if variable else None)

    def readiness(self) -> Readiness:
        """Whether there is a key. Nobody is asked whether it is a good one."""
        if self._key is None:
            return Readiness("unavailable", f"no API key: set {KEY_VARIABLE} or api_key in the config.")
        return Readiness("ready")

    def warm(self) -> None:
        """Nothing to load."""

    def voices(self) -> Sequence[Voice]:
        """The premade voices that have a name here, by their id; then OpenAI's and the config's names.

        Any other voice of the account is asked for by its id.
        """
        own = {voice: Voice(voice, name, "mul") for voice, name in VOICES.values()}
        named = {name: Voice(name, known, "mul") for name, (_, known) in VOICES.items()}
        return [*(own | named | {name: Voice(name, name, "mul") for name in self._voices}).values()]

    async def speech(self, request: SpeechRequest) -> Audio:
        """Start speaking; returns when the head of the answer is there."""
        made = asked(self._model, request, self._voices)
        if self._key is None:
            raise errors.Unavailable(f"There is no key for {_NAME} in this gateway.", reason="no_key")
        headers = {"xi-api-key": self._key.get_secret_value()}
        answer = await self._wire.stream(Exchange(_NAME, "POST", self._base + made.path, headers, json=made.body))
        if answer.status != 200:
            raise _refused(await answer.reply())
        if not answer.content_type.startswith(("audio/", "application/octet-stream")):
            await answer.aclose()
            raise errors.BadAnswer(f"{_NAME} answered with something that is no sound.", sent="yes")
        usage = Usage(characters=len(request.text))
        return Audio(made.spec, AudioBody(_NAME, answer, (made.spec, usage), tempo=made.tempo), usage, made.tempo)


def _refused(reply: Reply) -> errors.ProviderError:
    """Source: https://elevenlabs.io/docs/resources/errors; ``detail`` has two shapes, and a list for a bad field."""
    try:
        found = reply.json()
    except errors.BadAnswer:
        found = {}
    detail: Any = found.get("detail") if isinstance(found, dict) else None
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        place = detail[0].get("loc")
        field = ".".join(str(each) for each in place[1:]) if isinstance(place, list) else ""
        told = refusal(_NAME, reply.status, reply.headers, f"{field} {detail[0].get('msg') or ''}".strip())
        told.param = _PARAMS.get(field, field or None) if isinstance(told, errors.Refused) else None
        return told
    detail = detail if isinstance(detail, dict) else {"message": detail if isinstance(detail, str) else ""}
    said, names = str(detail.get("message") or ""), {str(detail.get(name)) for name in ("status", "code")}
    if "quota_exceeded" in names:  # comes as a 401, with a good key
        return errors.OutOfCredits(f"The account at {_NAME} is out of credits.", sent="yes")
    told = refusal(_NAME, reply.status, reply.headers, said)
    kind, param = next((_CODES[name] for name in names if name in _CODES), (type(told), None))
    if kind is not type(told):
        words = str(refusal(_NAME, 400 if issubclass(kind, errors.Refused) else 429, reply.headers, said))
        told = kind(words, sent="yes", retry_after=told.retry_after)
    given = detail.get("param")
    if isinstance(told, errors.Refused):
        told.param = param or (_PARAMS.get(given, given) if isinstance(given, str) else None)
    return told


async def _open(model: str, settings: ElevenLabsSettings, resources: Resources) -> Provider:
    return ElevenLabs(model, settings, resources.shared(Wire, Wire))


VENDOR = Vendor(
    name="elevenlabs",
    models={
        name: Facts(
            "audio_speech",
            ElevenLabsSettings,
            "any other model, by its name" if name == "*" else "",
            PRICES.get(name),
            (*_FORMATS, AudioFormat.PCM),
            streams=True,
            limits=f"{longest:,} characters" if longest else "",
        )
        for name, longest in MODELS.items()
    },
    open=_open,
    env={"api_key": (KEY_VARIABLE,), "api_base": (BASE_VARIABLE,)},
    docs="https://elevenlabs.io/docs/api-reference/text-to-speech/stream",
)
