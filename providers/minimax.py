"""MiniMax: speech, streamed as it is made (https://platform.minimax.io/docs/api-reference/speech-t2a-http).

Sound comes in hex inside events. Errors come with status 200 and stand in ``base_resp``; the last event of a stream
has all of the sound once more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pydantic import Field, SecretStr

from engines.media import AudioFormat, AudioSpec
from providers.base import errors
from providers.base.contract import Audio, Provider, Readiness, SpeechRequest, Usage, Voice
from providers.base.dialects import options
from providers.base.dialects.event_sound import EventSound, count, parsed
from providers.base.exchange import Exchange, Reply
from providers.base.price import Price
from providers.base.refusals import clean, refusal
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts, Resources, Vendor
from providers.base.wire import Wire

API = "https://api.minimax.io"
KEY_VARIABLE, BASE_VARIABLE = "MINIMAX_API_KEY", "MINIMAX_API_BASE"
MODELS = (*(f"speech-{version}-{tier}" for version in ("2.8", "2.6", "02", "01") for tier in ("hd", "turbo")), "*")
PRICES = {
    name: Price(per_character=usd, source="MiniMax's price list", as_of="2026-11-20", exact=False)
    for name in MODELS
    for tier, usd in (("-hd", 1e-4), ("-turbo", 6e-5))
    if name.endswith(tier)
}
LONGEST = 9_999
"""Characters of a text: fewer than 10,000."""
SLOWEST, FASTEST = 0.5, 2.0

VOICES = {
    "alloy": "male-qn-qingse",
    "ash": "English_Persuasive_Man",
    "ballad": "English_expressive_narrator",
    "cedar": "Deep_Voice_Man",
    "coral": "English_Graceful_Lady",
    "echo": "male-qn-jingying",
    "fable": "female-shaonv",
    "marin": "Calm_Woman",
    "nova": "female-yujie",
    "onyx": "male-qn-badao",
    "sage": "English_radiant_girl",
    "shimmer": "female-tianmei",
    "verse": "English_Insightful_Speaker",
}
"""OpenAI's names. LiteLLM's choice where it has one (it lacks seven), else a system voice of like pitch and manner."""

_NAME = "MiniMax"
_RATES = (8000, 16000, 22050, 24000, 32000, 44100)
_FORMATS = (AudioFormat.MP3, AudioFormat.FLAC)  # the others are made of raw samples
_VOICE: Mapping[str, options.Check] = {
    "vol": options.number(0, 10, above=True),
    "pitch": options.number(-12, 12, whole=True),
    "emotion": options.text,
    "text_normalization": options.flag,
    "latex_read": options.flag,
}
_AUDIO: Mapping[str, options.Check] = {
    "sample_rate": options.one_of(*_RATES),
    "bitrate": options.one_of(32_000, 64_000, 128_000, 256_000),
    "channel": options.one_of(1, 2),
    "force_cbr": options.flag,
}
_BODY: Mapping[str, options.Check] = {
    "language_boost": options.text,
    "pronunciation_dict": options.mapping,
    "timbre_weights": options.items(4),
    "voice_modify": options.mapping,
}
_OBJECTS = {"voice_setting": options.mapping, "audio_setting": options.mapping}

_INVALID = 2013
_PARAMS = {"voice": "voice", "model": "model", "text": "input"}  # words of its message, and what is meant
_Kind = type[errors.ProviderError]
# Source: https://platform.minimax.io/docs/api-reference/errorcode; with the field that is at fault.
_CODES: Mapping[int, tuple[_Kind, str | None]] = {
    **dict.fromkeys((1000, 1024, 1033), (errors.UpstreamDown, None)),
    1001: (errors.UpstreamTimeout, None),
    **dict.fromkeys((1002, 1028, 1030, 1039, 1041, 2056), (errors.RateLimited, None)),
    **dict.fromkeys((1004, 2049, 2061), (errors.UpstreamAuth, None)),
    1008: (errors.OutOfCredits, None),
    **dict.fromkeys((1026, 1027), (errors.PolicyViolation, "input")),
    1042: (errors.Refused, "input"),
    _INVALID: (errors.Refused, None),
    **dict.fromkeys((1043, 1044, 2037, 2039, 2042, 20132), (errors.Refused, "voice")),
}


class MiniMaxSettings(VendorSettings):
    """``api_base`` with or without ``/v1``; ``group_id`` is what older accounts have to name.

    ``voices`` are names for voice ids, OpenAI's names included.
    """

    api_key: SecretStr | None = None
    api_base: str | None = Field(None, pattern=r"^https?://[^\s/]+(/v1)?/?$")
    group_id: str | None = Field(None, min_length=1, max_length=64)
    voices: Mapping[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in MiniMax's words, and what will come: ``tempo`` is the part of the speed it does not do."""

    body: Mapping[str, object]
    spec: AudioSpec
    tempo: float


def asked(model: str, request: SpeechRequest, voices: Mapping[str, str]) -> Asked:
    """``request`` in MiniMax's words. Raises ``Refused`` or ``Unsupported``, naming the field."""
    if len(request.text) > LONGEST:
        raise errors.Refused(f"{model} takes {LONGEST:,} characters, not {len(request.text):,}", param="input")
    if request.instructions is not None:
        raise errors.Unsupported(f"{model} cannot follow instructions; leave them out", param="instructions")
    extra = {name: value for name, value in request.extra.items() if name != "voice"}
    body = options.checked(model, extra, {**_BODY, **_VOICE, **_AUDIO, **_OBJECTS})
    speed = min(max(request.speed, SLOWEST), FASTEST)
    tempo = request.speed / speed
    codec = request.format if request.format in _FORMATS and tempo == 1.0 else AudioFormat.PCM
    audio: dict[str, Any] = {"format": codec.value, "sample_rate": 24_000, "channel": 1}
    audio |= _setting(model, body, "audio_setting", _AUDIO)
    if codec is AudioFormat.MP3:
        audio.setdefault("bitrate", 128_000)
    voice = {"voice_id": _voice(request, voices), "speed": speed, **_setting(model, body, "voice_setting", _VOICE)}
    sent = {
        "model": model,
        "text": request.text,
        "stream": True,
        "stream_options": {"exclude_aggregated_audio": True},
        "output_format": "hex",
        "voice_setting": voice,
        "audio_setting": audio,
        **body,
    }
    return Asked(sent, AudioSpec(codec, audio["sample_rate"], audio["channel"]), tempo)


def _setting(model: str, body: dict[str, Any], name: str, known: Mapping[str, options.Check]) -> dict[str, Any]:
    """One of the two objects, whose fields may also stand beside it. What it takes is no longer in ``body``."""
    flat = {option: body.pop(option) for option in [*body] if option in known}
    given = options.checked(model, body.pop(name, {}), known, name)
    for option in given.keys() & flat.keys():
        raise errors.Refused(f"give {option} once, not in {name} too", param=f"{name}.{option}")
    return given | flat


def _voice(request: SpeechRequest, voices: Mapping[str, str]) -> str:
    described = request.extra.get("voice")
    if described is not None:
        raise errors.Refused(f'{_NAME} takes a voice like {{"id": "male-qn-qingse"}}', param="voice")
    named = VOICES | {name.lower(): voice for name, voice in voices.items()}
    return named.get(request.voice.lower(), request.voice)


class MiniMax:
    """One model as a ``SpeechProvider``."""

    def __init__(self, model: str, settings: MiniMaxSettings, wire: Wire) -> None:
        self._model = model
        self._voices = settings.voices
        self._wire = wire
        given = settings.api_base or os.environ.get(BASE_VARIABLE) or API
        group = f"?GroupId={quote(settings.group_id, safe='')}" if settings.group_id else ""
        self._url = f"{given.rstrip('/').removesuffix('/v1')}/v1/t2a_v2{group}"
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
        """The system voices that have a name here; then OpenAI's and the config's names.

        Any other voice, cloned ones included, is asked for by its id.
        """
        own = {voice: voice for voice in VOICES.values()}
        return [Voice(name, shown, "mul") for name, shown in {**own, **VOICES, **self._voices}.items()]

    async def speech(self, request: SpeechRequest) -> Audio:
        """Start speaking; returns when the first sound is there, since an error comes no earlier."""
        made = asked(self._model, request, self._voices)
        if self._key is None:
            raise errors.Unavailable(f"There is no key for {_NAME} in this gateway.", reason="no_key")
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        answer = await self._wire.stream(Exchange(_NAME, "POST", self._url, headers, json=made.body))
        if answer.status != 200 or answer.content_type in ("application/json", "text/html"):
            raise _refused(await answer.reply())
        usage = Usage(characters=len(request.text))
        sound = EventSound(answer, Events(made.spec, usage, made.tempo), usage, made.tempo)
        if not await sound.begin():
            raise errors.BadAnswer(f"{_NAME} answered without any sound.", sent="yes")
        return Audio(made.spec, sound, usage, made.tempo)


class Events:
    """What the events of one stream mean; ``usage`` gets what the last one says."""

    vendor = _NAME

    def __init__(self, spec: AudioSpec, usage: Usage, tempo: float) -> None:
        self.spec: AudioSpec | None = spec
        self._usage = usage
        self._tempo = tempo
        self._heard = self._over = False

    def read(self, event: bytes) -> bytes:
        """The sound in one event."""
        found = parsed(_NAME, event)
        if (error := _fault(found)) is not None:
            raise error
        if self._over:
            return b""
        data = found.get("data")
        data = data if isinstance(data, dict) else {}
        self._over = data.get("status") == 2
        sound = b"" if self._over and self._heard else _unhexed(data.get("audio"))
        self._heard = self._heard or bool(sound)
        if self._over:
            self._count(found.get("extra_info"))
        return sound

    def finish(self) -> None:
        """The body is over."""
        if not self._over:
            raise errors.BadAnswer(f"{_NAME} ended its answer early.", sent="yes")

    def _count(self, info: object) -> None:
        info = info if isinstance(info, dict) else {}
        characters, milliseconds = count(info.get("usage_characters")), count(info.get("audio_length"))
        if characters is not None:
            self._usage.characters = characters
        if milliseconds is not None and self.spec is not None and self.spec.format is not AudioFormat.PCM:
            self._usage.audio_seconds = milliseconds / 1000 / self._tempo


def _unhexed(text: object) -> bytes:
    try:
        return bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        raise errors.BadAnswer(f"{_NAME} sent sound that is not hex.", sent="yes") from None


def _fault(found: Mapping[str, Any]) -> errors.ProviderError | None:
    """The error in ``base_resp``, if it is one."""
    told = found.get("base_resp")
    code = told.get("status_code") if isinstance(told, dict) else None
    if told is None or (code == 0 and not isinstance(code, bool)):
        return None
    if not isinstance(told, dict) or not isinstance(code, int) or isinstance(code, bool):
        return errors.BadAnswer(f"{_NAME} answered with something that is no status.", sent="yes")
    said = clean(str(told.get("status_msg") or ""))
    kind, param = _CODES.get(code, (errors.BadAnswer, None))
    if code == _INVALID:
        param = next((ours for theirs, ours in _PARAMS.items() if theirs in said), None)
    if kind is errors.UpstreamAuth:
        return refusal(_NAME, 401, {})
    return kind(f"{_NAME}: {said or 'it failed'} ({code}).", sent="yes", param=param)


def _refused(reply: Reply) -> errors.ProviderError:
    """The error for an answer that is no stream."""
    try:
        found = reply.json()
    except errors.BadAnswer:
        found = None
    error = _fault(found) if isinstance(found, dict) else None
    if error is None and reply.ok:
        return errors.BadAnswer(f"{_NAME} answered with something that is no stream of sound.", sent="yes")
    if error is None:
        return refusal(_NAME, reply.status, reply.headers)
    error.retry_after = refusal(_NAME, reply.status, reply.headers).retry_after
    return error


async def _open(model: str, settings: MiniMaxSettings, resources: Resources) -> Provider:
    return MiniMax(model, settings, resources.shared(Wire, Wire))


VENDOR = Vendor(
    name="minimax",
    models={
        name: Facts(
            "audio_speech",
            MiniMaxSettings,
            "any other model, by its name" if name == "*" else "",
            PRICES.get(name),
            (*_FORMATS, AudioFormat.PCM),
            streams=True,
            limits=f"{LONGEST:,} characters",
        )
        for name in MODELS
    },
    open=_open,
    env={"api_key": (KEY_VARIABLE,), "api_base": (BASE_VARIABLE,)},
    docs="https://platform.minimax.io/docs/api-reference/speech-t2a-http",
)
