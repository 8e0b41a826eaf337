"""Google Cloud Text-to-Speech: Standard, WaveNet, Neural2, Studio and Chirp voices.

Source: https://cloud.google.com/text-to-speech/docs/reference/rest/v1/text/synthesize. It answers whole, not streamed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Self

from engines.media import SAMPLE_RATE, AudioFormat, AudioSpec, sniff
from engines.text import within
from providers.base.contract import Audio, Readiness, SpeechRequest, Usage, Voice
from providers.base.dialects.event_sound import unpacked
from providers.base.dialects.google import items as each_of
from providers.base.dialects.google import refused
from providers.base.dialects.options import checked, flag, items, mapping, number
from providers.base.errors import BadAnswer, ProviderError, Refused, Unsupported
from providers.base.exchange import MIB, Deadlines, Exchange, Reply
from providers.vertex_ai.account import Account, body_of

API = "https://texttospeech.googleapis.com"
LONGEST = 5000
"""Bytes of the longest text of one call."""

# LiteLLM's six; the others are Chirp's namesakes of the voices that Gemini has for them.
OPENAI_VOICES = {
    "alloy": "en-US-Studio-O", "ash": "en-US-Chirp3-HD-Iapetus", "ballad": "en-US-Chirp3-HD-Algieba",
    "cedar": "en-US-Chirp3-HD-Achird", "coral": "en-US-Chirp3-HD-Sulafat", "echo": "en-US-Studio-M",
    "fable": "en-GB-Studio-B", "marin": "en-US-Chirp3-HD-Despina", "nova": "en-US-Studio-O", "onyx": "en-US-Wavenet-D",
    "sage": "en-US-Chirp3-HD-Vindemiatrix", "shimmer": "en-US-Wavenet-F", "verse": "en-US-Chirp3-HD-Puck",
}  # fmt: skip

_NAME = "Google Cloud Text-to-Speech"
_VOICE = re.compile(r"([a-z]{2,3}-[A-Za-z]{2,4}(?:-[a-z]{2,8})?)-[A-Za-z0-9]+(-[A-Za-z0-9_-]+)?")
_PARAMS = {"voice": "voice", "language": "voice", "ssml": "input", "input": "input", "speaking_rate": "speed"}
_DEADLINES = Deadlines(first_byte=120.0, idle=60.0, total=300.0)
_BETTER = {"pitch": number(-20, 20), "volumeGainDb": number(-96, 16), "effectsProfileId": items()}
_PIECE = 24_000
_UNITS = LONGEST // 3  # of UTF-16, each of which is three bytes of UTF-8 at most


def is_cloud_voice(request: SpeechRequest) -> bool:
    """Whether the voice is one of Cloud Text-to-Speech: ``en-US-Wavenet-D``, or an object with a ``languageCode``."""
    described = request.extra.get("voice")
    return _VOICE.fullmatch(request.voice) is not None or (isinstance(described, dict) and "languageCode" in described)


def cloud_body(model: str, request: SpeechRequest) -> dict[str, Any]:
    """The body that asks for ``request``, as fast as the vendor can. Raises ``Refused`` and ``Unsupported``."""
    if request.instructions is not None:
        raise Unsupported(f"{model} with this voice cannot follow instructions; leave them out", param="instructions")
    extra = dict(request.extra)
    described = extra.pop("voice", None)
    given = checked(model, extra, {"audioConfig": mapping, "use_ssml": flag})
    tuned = checked(model, given.get("audioConfig", {}), _BETTER, "audioConfig")
    ssml = given.get("use_ssml", request.text.lstrip().startswith(("<speak>", "<speak ")))
    if ssml and len(request.text.encode()) > LONGEST:
        raise Refused(f"input may have {LONGEST:,} bytes in UTF-8 where it is SSML, for {model}", param="input")
    return {
        "input": {"ssml" if ssml else "text": request.text},
        "voice": _voice(model, request.voice) if described is None else _described(described),
        "audioConfig": {
            **tuned,
            "audioEncoding": "PCM",
            "sampleRateHertz": SAMPLE_RATE,
            "speakingRate": min(max(request.speed, 0.25), 2.0),
        },
    }


def _voice(model: str, voice: str) -> dict[str, str]:
    name = OPENAI_VOICES.get(voice.lower(), voice)
    match = _VOICE.fullmatch(name)
    if match is None:
        near = get_close_matches(voice.lower(), OPENAI_VOICES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "a voice is called like en-US-Wavenet-D"
        raise Refused(f"{model} has no voice {voice[:100]!r}; {hint}", param="voice")
    return {"languageCode": match[1], "name": name}


def _described(voice: object) -> dict[str, str]:
    known = ("languageCode", "name", "ssmlGender", "modelName")
    if not isinstance(voice, dict) or any(key not in known or not isinstance(voice[key], str) for key in voice):
        raise Refused(f"voice, as an object, may have {', '.join(known)}, each a text", param="voice")
    return voice


def listed() -> list[Voice]:
    """OpenAI's names and what is behind them: Google has hundreds more, which it lists itself."""
    own = [Voice(name, name, name[:5].lower()) for name in sorted(set(OPENAI_VOICES.values()))]
    return own + [Voice(name, f"{name} ({target})", target[:5].lower()) for name, target in OPENAI_VOICES.items()]


async def known(account: Account) -> Readiness:
    """Ask for the voices of one language. Raises what a call would end with."""
    headers = await account.headers() | {"x-goog-user-project": await account.project()}
    url = f"{account.base or API}/v1/voices?languageCode=en-US"
    reply = await account.wire.call(Exchange(_NAME, "GET", url, headers))
    if not reply.ok:
        raise _refused(reply)
    voices = len(each_of(reply.json(), "voices"))
    return Readiness("ready", f"{voices} voices of en-US.")


async def speak(account: Account, model: str, request: SpeechRequest) -> Audio:
    """Ask for it; a text that is too long for one call in several, one after the other."""
    body = cloud_body(model, request)
    key, text = next(iter(body["input"].items()))

    async def ask(part: str) -> bytes:
        project = {"x-goog-user-project": await account.project()}
        headers = await account.headers() | project
        url, asked = f"{account.base or API}/v1/text:synthesize", body | {"input": {key: part}}
        reply = await account.wire.call(
            Exchange(_NAME, "POST", url, headers, json=asked, deadlines=_DEADLINES, cap=64 * MIB)
        )
        return await asyncio.to_thread(_heard, reply)

    first, *rest = [text] if len(text.encode()) <= LONGEST else within(text, _UNITS)
    usage = Usage(characters=len(request.text))
    tempo = request.speed / body["audioConfig"]["speakingRate"]
    return Audio(AudioSpec(AudioFormat.PCM), _Spoken(ask, await ask(first), rest, usage, tempo), usage, tempo)


def _heard(reply: Reply) -> bytes:
    """The samples in an answer. On a thread: there may be minutes of them."""
    if not reply.ok:
        raise _refused(reply)
    data = unpacked(_NAME, body_of(reply.json()).get("audioContent"))
    if not data or sniff(data[:12]) is AudioFormat.WAV:
        raise BadAnswer(f"{_NAME} answered without the samples that it was asked for.", sent="yes")
    return data


def _refused(reply: Reply) -> ProviderError:
    try:
        found: Any = reply.json()
    except BadAnswer:
        found = None
    return refused(_NAME, reply.status, reply.headers, found, _PARAMS)


@dataclass
class _Spoken:
    """The sound in pieces, part after part; the seconds are counted as they pass."""

    ask: Callable[[str], Awaitable[bytes]]
    data: bytes
    rest: list[str]
    usage: Usage
    tempo: float
    at: int = 0
    passed: int = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self.at >= len(self.data) and self.rest:
            self.data, self.at = await self.ask(self.rest.pop(0)), 0
        piece = self.data[self.at : self.at + _PIECE]
        if not piece:
            raise StopAsyncIteration
        self.at += len(piece)
        self.passed += len(piece)
        self.usage.audio_seconds = self.passed / (2 * SAMPLE_RATE) / self.tempo
        return piece

    async def aclose(self) -> None:
        self.data, self.rest = b"", []
