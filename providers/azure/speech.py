"""Azure AI Speech: speech, streamed (https://learn.microsoft.com/azure/ai-services/speech-service/rest-text-to-speech).

The text goes as SSML. The model's name says what it costs alone: what speaks is the voice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit
from xml.etree import ElementTree

from pydantic import Field, SecretStr

from engines.media import AudioFormat, AudioSpec
from providers.base import errors
from providers.base.answer import Answer
from providers.base.contract import Audio, Readiness, SpeechRequest, Usage, Voice
from providers.base.dialects import options
from providers.base.dialects.audio_body import AudioBody
from providers.base.exchange import Exchange, Reply
from providers.base.price import Price
from providers.base.refusals import clean, refusal
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts
from providers.base.wire import Wire

BASE_VARIABLE = "AZURE_API_BASE"
KEY_VARIABLES = ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY")
SLOWEST, FASTEST = 0.5, 2.0
LONGEST = 600
"""Seconds of sound in one answer: Azure leaves out the rest, and says nothing of it."""

# LiteLLM's choice for six of them, for the others voices of like pitch and manner.
VOICES: Mapping[str, str] = {
    "alloy": "en-US-JennyNeural", "ash": "en-US-JasonNeural", "ballad": "en-GB-ThomasNeural",
    "cedar": "en-US-AndrewMultilingualNeural", "coral": "en-US-JaneNeural", "echo": "en-US-GuyNeural",
    "fable": "en-GB-RyanNeural", "marin": "en-US-AvaMultilingualNeural", "nova": "en-US-AmberNeural",
    "onyx": "en-US-DavisNeural", "sage": "en-US-EmmaMultilingualNeural", "shimmer": "en-US-AriaNeural",
    "verse": "en-US-TonyNeural",
}  # fmt: skip
"""OpenAI's names."""

_NAME = "Azure AI Speech"
_SSML, _MSTTS = "http://www.w3.org/2001/10/synthesis", "https://www.w3.org/2001/mstts"
_SERVICE = "/cognitiveservices/v1"
_LANGUAGE = r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})+"
_VOICE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9:]{2,60}){2,5}", re.ASCII)
_NO_XML = re.compile(r"[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
# Its WAV is not streamed and it has no AAC and no FLAC: these are made of its samples.
_FORMATS: Mapping[AudioFormat, tuple[str, int]] = {
    AudioFormat.MP3: ("audio-24khz-96kbitrate-mono-mp3", 12_000),
    AudioFormat.OPUS: ("ogg-48khz-16bit-mono-opus", 0),
    AudioFormat.PCM: ("raw-24khz-16bit-mono-pcm", 48_000),
}
"""What is asked for, and bytes a second where they are always as many."""
_CERTAINLY_WHOLE = 1_000
"""Characters, at the usual speed, that nobody speaks for ten minutes."""
_OPTIONS: Mapping[str, options.Check] = {
    "style": options.text,
    "styledegree": options.number(0.01, 2.0),
    "role": options.text,
    "lang": lambda value: (
        None if isinstance(value, str) and re.fullmatch(_LANGUAGE, value) else "a locale such as es-MX"
    ),
    "use_ssml": options.flag,
}


class AzureSpeechSettings(VendorSettings):
    """``region_name`` or ``api_base``, the resource's address or the full one; ``voices`` are names for voices."""

    api_key: SecretStr | None = None
    api_base: str | None = Field(None, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    region_name: str | None = Field(None, pattern=r"^[a-z0-9]{3,40}$")
    voices: Mapping[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in Azure's words, and what will come: ``tempo`` is the part of the speed it does not do.

    ``rate``: bytes a second, where it can be told by them how long the sound is.
    """

    ssml: bytes
    output: str
    spec: AudioSpec
    tempo: float
    rate: int


def variable(names: Sequence[str]) -> str:
    """The first of these in the environment that says something."""
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def address(base: str) -> str:
    """Where speech is asked for, of a resource's or a region's address, or of the full one."""
    base = base.rstrip("/")
    parts = urlsplit(base)
    host = parts.netloc.lower()
    if base.endswith(_SERVICE):
        return base
    if host.endswith(".api.cognitive.microsoft.com"):
        return f"https://{host.removesuffix('.api.cognitive.microsoft.com')}.tts.speech.microsoft.com{_SERVICE}"
    if host.endswith(".cognitiveservices.azure.com"):
        return f"{parts.scheme}://{host}/tts{_SERVICE}"
    return f"{base}{_SERVICE}"


def asked(model: str, request: SpeechRequest, voices: Mapping[str, str]) -> Asked:
    """``request`` in Azure's words. Raises ``Refused`` or ``Unsupported``, naming the field."""
    if request.instructions is not None:
        raise errors.Unsupported(f"{_NAME} cannot follow instructions; leave them out", param="instructions")
    if "voice" in request.extra:
        raise errors.Refused(f'{_NAME} takes a voice like {{"id": "en-US-JennyNeural"}}', param="voice")
    extra = options.checked(model, request.extra, _OPTIONS)
    for name in ("styledegree", "role"):
        if name in extra and "style" not in extra:
            raise errors.Refused(f"{name} of {_NAME} needs a style", param=name)
    if "use_ssml" not in extra and request.text.lstrip().startswith(("<speak>", "<speak ")):
        message = (
            "the text looks like SSML: use_ssml says whether it is (true) or is to be read out as it stands (false)"
        )
        raise errors.Refused(message, param="use_ssml")
    if extra.pop("use_ssml", False):
        if extra:
            name = next(iter(extra))
            raise errors.Refused(f"{name} belongs in the document where use_ssml is true", param=name)
        paced, ssml = 1.0, _document(request.text)
    else:
        paced = min(max(request.speed, SLOWEST), FASTEST)
        ssml = _ssml(request.text, _voice(request.voice, voices), paced, extra)
    made = request.format if request.format in _FORMATS else AudioFormat.PCM
    if made is AudioFormat.OPUS and len(ssml) > _CERTAINLY_WHOLE * paced:
        made = AudioFormat.PCM  # of which can be told whether it is all there
    output, rate = _FORMATS[made]
    return Asked(ssml, output, AudioSpec(made), request.speed / paced, rate)


def _ssml(text: str, voice: str, speed: float, extra: Mapping[str, object]) -> bytes:
    """A document of ``text``. All that came with the request is text or an attribute, written by an XML writer."""
    for param, said in (("input", text), ("voice", voice), *extra.items()):
        if isinstance(said, str) and (found := _NO_XML.search(said)) is not None:
            raise errors.Refused(f"{param} has a character that cannot be spoken: {found[0]!r}", param=param)
    locale = re.match(_LANGUAGE, voice)
    root = ElementTree.Element("speak", {"version": "1.0", "xmlns": _SSML, "xmlns:mstts": _MSTTS})
    root.set("xml:lang", "-".join(locale[0].split("-")[:2]) if locale else "en-US")
    inner = ElementTree.SubElement(root, "voice", {"name": voice})
    if "style" in extra:
        about = {name: str(extra[name]) for name in ("style", "styledegree", "role") if name in extra}
        inner = ElementTree.SubElement(inner, "mstts:express-as", about)
    if "lang" in extra:
        inner = ElementTree.SubElement(inner, "lang", {"xml:lang": str(extra["lang"])})
    if speed != 1.0:
        inner = ElementTree.SubElement(inner, "prosody", {"rate": f"{(speed - 1) * 100:+.0f}%"})
    inner.text = text
    return ElementTree.tostring(root, "unicode").encode()


def _document(text: str) -> bytes:
    """A document of the caller's, as it is. Raises ``Refused`` for what is none.

    It begins with its root: so it has no document type, and with that no entities of its own.
    """
    text = text.strip()
    try:
        root = ElementTree.fromstring(text) if text.startswith("<speak") else None  # noqa: S314
    except (ElementTree.ParseError, ValueError) as fault:
        raise errors.Refused(f"the SSML in input is no well-formed XML: {fault}", param="input") from None
    if root is None or root.tag != f"{{{_SSML}}}speak" or root.find(f".//{{{_SSML}}}voice") is None:
        message = f'SSML begins with <speak xmlns="{_SSML}"> and has a <voice> in it, which is the one that speaks'
        raise errors.Refused(message, param="input")
    return text.encode()


def _voice(voice: str, voices: Mapping[str, str]) -> str:
    named = {**VOICES, **{name.lower(): target for name, target in voices.items()}}
    found = named.get(voice.lower(), voice)
    if voice.lower() not in named and not _VOICE.fullmatch(found):
        near = options.hint(voice.lower(), named)
        hint = near if near != "leave it out" else "a voice is called like en-US-JennyNeural"
        raise errors.Refused(f"unknown voice {voice[:100]!r}; {hint}", param="voice")
    return found


class AzureSpeech:
    """A resource's voices as a ``SpeechProvider``."""

    def __init__(self, model: str, settings: AzureSpeechSettings, wire: Wire) -> None:
        self._model = model
        self._voices = settings.voices
        self._wire = wire
        base = settings.api_base or ""
        if not base and settings.region_name is None:
            base = os.environ.get(BASE_VARIABLE, "")
            base = "" if (urlsplit(base).hostname or "").endswith(".openai.azure.com") else base
        elif not base:
            base = f"https://{settings.region_name}.tts.speech.microsoft.com"
        self._url = address(base) if base else ""
        self._key = settings.api_key.get_secret_value() if settings.api_key else variable(KEY_VARIABLES)

    def readiness(self) -> Readiness:
        """Whether there are an address and a key. Nobody is asked whether it is a good one."""
        if not self._url:
            return Readiness("unavailable", "no address: set region_name or api_base in the config.")
        if not self._key:
            return Readiness("unavailable", f"no API key: set {KEY_VARIABLES[0]} or api_key in the config.")
        return Readiness("ready")

    def warm(self) -> None:
        """Nothing to load."""

    def voices(self) -> Sequence[Voice]:
        """The voices that have a name here; then OpenAI's and the config's names. Others are asked for by their own."""
        named = {**VOICES, **self._voices}
        own = {voice: voice for voice in named.values()}
        return [Voice(name, shown, shown[:2].lower()) for name, shown in {**own, **named}.items()]

    def _headers(self) -> dict[str, str]:
        if not self._url:
            raise errors.Unavailable(f"There is no address for {_NAME} in this gateway.", reason="settings")
        if not self._key:
            raise errors.Unavailable(f"There is no key for {_NAME} in this gateway.", reason="no_key")
        return {"Ocp-Apim-Subscription-Key": self._key, "User-Agent": "media-gateway"}

    async def probe(self) -> Readiness:
        """Ask for the list of voices."""
        url = f"{self._url.removesuffix('/v1')}/voices/list"
        reply = await self._wire.call(Exchange(_NAME, "GET", url, self._headers()))
        if reply.status != 200:
            raise _refused(reply)
        found = reply.json()
        if not isinstance(found, list):
            raise errors.BadAnswer(f"{_NAME} answered without a list of voices.", sent="yes")
        return Readiness("ready", f"{len(found)} voices in this region.")

    async def speech(self, request: SpeechRequest) -> Audio:
        """Start speaking; returns when the head of the answer is there."""
        made = asked(self._model, request, self._voices)
        headers = {
            **self._headers(),
            "Content-Type": "application/ssml+xml",
            "X-Microsoft-OutputFormat": made.output,
        }
        answer = await self._wire.stream(Exchange(_NAME, "POST", self._url, headers, data=made.ssml))
        if answer.status != 200:
            raise _refused(await answer.reply())
        if answer.content_type.startswith("text/") or answer.content_type in ("application/json", "application/xml"):
            await answer.aclose()
            raise errors.BadAnswer(f"{_NAME} answered with something that is no sound.", sent="yes")
        usage = Usage(characters=len(request.text))
        return Audio(made.spec, _Body(answer, made, usage), usage, made.tempo)


class _Body(AudioBody):
    """The sound, of which the end is an error where Azure has cut it."""

    def __init__(self, answer: Answer, made: Asked, usage: Usage) -> None:
        super().__init__(_NAME, answer, (made.spec, usage), tempo=made.tempo)
        self._most = made.rate * LONGEST

    async def __anext__(self) -> bytes:
        try:
            return await super().__anext__()
        except StopAsyncIteration:
            if self._most and not self._closed and self._taken >= self._most * 0.999:
                text = f"{_NAME} ends after {LONGEST // 60} minutes of sound: send the text in parts."
                raise errors.BadAnswer(text, sent="yes") from None
            raise


def _refused(reply: Reply) -> errors.ProviderError:
    """Its errors have a plain text or none; what is in a page or in JSON is not known to be for people."""
    is_text = reply.headers.get("content-type", "text/plain").startswith("text/plain")
    said = clean(reply.body[:4000].decode("utf-8", "replace")) if is_text else ""
    hint = "it does not say why. Is there such a voice in its region?" if reply.status == 400 else ""
    told = refusal(_NAME, reply.status, reply.headers, said or hint)
    if reply.status == 400 and "voice" in said.lower():
        told.param = "voice"
    return told


_LIMITS = f"{LONGEST // 60} minutes of sound"


def _price(usd: float) -> Price:
    return Price(per_character=usd, source="LiteLLM's price map", as_of="2026-11-20", exact=False)


def _facts(what: str, price: Price | None = None) -> Facts:
    return Facts("audio_speech", AzureSpeechSettings, what, price, tuple(_FORMATS), streams=True, limits=_LIMITS)


MODELS = {
    "speech/azure-tts": _facts("Azure AI Speech: neural voices", _price(1.5e-5)),
    "speech/azure-tts-hd": _facts("Azure AI Speech: HD voices", _price(3e-5)),
    "speech/*": _facts("Azure AI Speech under any other name, at no known price"),
}
