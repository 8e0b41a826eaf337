"""``POST /audio/speech``: the sound is passed on as it comes, in the very format that was asked for."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from engines.media import AudioFormat, AudioSpec, sniff
from providers.base.answer import Answer
from providers.base.contract import SPEECH_FIELDS, Audio, SpeechRequest, Usage, Voice
from providers.base.dialects.audio_body import AudioBody
from providers.base.dialects.openai.host import Host, fault
from providers.base.errors import BadAnswer, Refused, Unsupported
from providers.base.exchange import Deadlines, Reply
from providers.base.refusals import clean
from providers.base.wire import STREAM_CAP

VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip
WITHOUT_INSTRUCTIONS: Collection[str] = ("tts-1", "tts-1-hd")
DEADLINES = Deadlines(first_byte=60.0, idle=60.0, total=600.0)

_HEAD = 12
_MARKED = (AudioFormat.OPUS, AudioFormat.FLAC, AudioFormat.WAV)  # raw samples cannot be taken for one of these
_WORDS = ("application/json", "text/html", "text/plain", "text/event-stream")
_RATE = re.compile(r";\s*rate=(\d{4,6})\b", re.ASCII)


def speech_body(model: str, request: SpeechRequest, voices: Mapping[str, str], *, strict: bool) -> dict[str, Any]:
    """What is sent. ``voices`` are names of the config's for the server's. Raises ``Unsupported`` or ``Refused``."""
    if strict:
        for option in request.extra:
            words = (
                "describes no voices; name one" if option == "voice" else f"knows no option {option!r}; leave it out"
            )
            raise Unsupported(f"{model} {words}", param=option)
    if request.instructions is not None and model in WITHOUT_INSTRUCTIONS:
        raise Unsupported(f"{model} cannot follow instructions; leave them out", param="instructions")
    body = {name: value for name, value in request.extra.items() if name == "voice" or name not in SPEECH_FIELDS}
    body |= {"model": model, "input": request.text, "response_format": str(request.format)}
    if request.voice:
        body["voice"] = _voice(voices.get(request.voice, request.voice), strict=strict)
    if request.speed != 1.0:
        body["speed"] = request.speed
    if request.instructions is not None:
        body["instructions"] = request.instructions
    return body


def _voice(voice: str, *, strict: bool) -> str | dict[str, str]:
    """A voice of one's own has an id, which goes in an object."""
    if voice.startswith("voice_"):
        return {"id": voice}
    if strict and voice.lower() not in VOICES:
        raise Refused(f"there is no voice {voice[:100]!r}; the voices are {', '.join(VOICES)}", param="voice")
    return voice.lower() if strict else voice


def listed(voices: Mapping[str, str], *, strict: bool) -> list[Voice]:
    """The voices that are known: of a server that is not OpenAI's those of the config alone."""
    named = {name: name for name in VOICES} if strict else {}
    return [Voice(name, name.capitalize() if name == voice else f"{name} ({voice})", "mul")
            for name, voice in (named | dict(voices)).items()]  # fmt: skip


async def speak(host: Host, body: Mapping[str, Any], request: SpeechRequest) -> Audio:
    """The sound, once its first bytes have shown what it is."""
    exchange = host.exchange("POST", "/audio/speech", json=body, deadlines=DEADLINES)
    answer = await host.stream(exchange, STREAM_CAP)
    try:
        head = b""
        while len(head) < _HEAD and (piece := await anext(answer, b"")):
            head += piece
        spec = await _spec(host, answer, head, request.format)
    except BaseException:
        await answer.aclose()
        raise
    usage = Usage(characters=len(request.text))
    return Audio(spec, AudioBody(host.name, answer, (spec, usage), head=head), usage, length=answer.length)


async def _spec(host: Host, answer: Answer, head: bytes, wished: AudioFormat) -> AudioSpec:
    """What the bytes are: a server's word for it counts only where they do not show it."""
    if not head:
        raise BadAnswer(f"{host.name} answered with no sound.", sent="yes")
    found = sniff(head)
    raw = wished is AudioFormat.PCM and found not in _MARKED and head[:3] != b"ID3"
    if raw and answer.content_type not in _WORDS:
        rate = _RATE.search(answer.headers.get("content-type", ""))
        return AudioSpec(AudioFormat.PCM, int(rate[1])) if rate else AudioSpec(AudioFormat.PCM)
    if found is None:
        more = (await answer.reply(65536)).body if answer.content_type == "application/json" else b""
        raise _no_sound(host, answer, head + more)
    return AudioSpec(found)


def _no_sound(host: Host, answer: Answer, body: bytes) -> BadAnswer:
    try:
        said = fault(Reply(host.name, answer.status, {}, body).json()).get("message")
    except BadAnswer:
        said = None
    words = f": {clean(said)}" if isinstance(said, str) and said else "."
    return BadAnswer(f"{host.name} answered with something that is no sound{words}", sent="yes")
