"""Speech from a chat model with audio output, by OpenAI's ``/chat/completions``: what is asked, what the chunks mean.

Source: https://platform.openai.com/docs/guides/audio. A stream has ``pcm16``: 24 kHz, mono, signed 16 bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engines.media import AudioFormat, AudioSpec, sniff
from providers.base import errors
from providers.base.contract import SpeechRequest, Usage
from providers.base.dialects.event_sound import count, parsed, unpacked
from providers.base.dialects.options import Check, checked, number, text
from providers.base.exchange import Reply
from providers.base.refusals import clean, refusal

VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip

OPTIONS: Mapping[str, Check] = {
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "seed": number(-(2**63), 2**63 - 1, whole=True),
    "max_completion_tokens": number(1, 2**31, whole=True),
    "service_tier": text,
    "user": text,
}
"""What may be sent along."""

_TASK = "Read the user's text aloud, word for word, in its own language. Do not answer it and say nothing else."
_PARAMS = {"voice": "voice", "messages": "input"}


def chat_body(model: str, request: SpeechRequest) -> dict[str, Any]:
    """The body that asks for ``request``, but for its speed. Raises ``Unsupported`` and ``Refused``."""
    options = checked(model, request.extra, OPTIONS)
    task = f"{_TASK} How to speak: {request.instructions}" if request.instructions else _TASK
    return {
        "model": model,
        "modalities": ["text", "audio"],
        "audio": {
            "voice": {"id": request.voice} if request.voice.startswith("voice_") else request.voice,
            "format": "pcm16",
        },
        "messages": [{"role": "system", "content": task}, {"role": "user", "content": request.text}],
        "stream": True,
        "stream_options": {"include_usage": True},
        **options,
    }


class Chunks:
    """A ``Reader`` of the chunks of a completion; of a whole one too, taken as a single chunk."""

    def __init__(self, vendor: str, usage: Usage) -> None:
        self.vendor = vendor
        self.spec: AudioSpec | None = None
        self.why = ""
        self.text = False
        self._usage = usage

    def read(self, event: bytes) -> bytes:
        """The sound in one chunk."""
        if event.strip() == b"[DONE]":
            self.why = self.why or "stop"
            return b""
        found = parsed(self.vendor, event)
        if found.get("error"):
            said = _part(found, "error").get("message")
            raise errors.UpstreamDown(f"{self.vendor} broke off: {clean(str(said))}", sent="yes")
        used = _part(found, "usage")
        self._usage.input_tokens = _or(count(used.get("prompt_tokens")), self._usage.input_tokens)
        self._usage.output_tokens = _or(count(used.get("completion_tokens")), self._usage.output_tokens)
        choices = found.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        said = _part(choice, "delta") or _part(choice, "message")
        self.text = self.text or bool(said.get("content") or said.get("refusal"))
        self.why = choice["finish_reason"] if isinstance(choice.get("finish_reason"), str) else self.why
        if self.why == "content_filter":
            raise errors.PolicyViolation(f"{self.vendor} filtered the speech.", sent="yes", param="input")
        packed = _part(said, "audio").get("data")
        data = unpacked(self.vendor, packed) if packed else b""
        if data and self.spec is None:
            self.spec = AudioSpec(AudioFormat.WAV if sniff(data[:12]) is AudioFormat.WAV else AudioFormat.PCM)
        return data

    def finish(self) -> None:
        """Raise where the speech is not known to be whole."""
        if self.spec is None or self.why == "stop":
            return
        if self.why == "length":
            raise errors.Broken(f"{self.vendor} stopped in the middle: the speech is too long for it.", sent="yes")
        raise errors.BadAnswer(f"{self.vendor} ended its answer early.", sent="yes")

    def silence(self) -> errors.ProviderError:
        """The error for an answer that has ended with no sound in it."""
        why = "with text alone: does this model speak?" if self.text else "without any sound."
        return errors.BadAnswer(f"{self.vendor} answered {why}", sent="yes")


def refused(reply: Reply) -> errors.ProviderError:
    """The error for an answer that is none of the expected ones, in OpenAI's shape."""
    try:
        error = _part(reply.json(), "error")
    except errors.BadAnswer:
        error = {}
    code, said = error.get("code"), error.get("message")
    if code == "insufficient_quota":
        return errors.OutOfCredits(f"The account at {reply.vendor} has no credits left.", sent="yes")
    told = refusal(reply.vendor, reply.status, reply.headers, said if isinstance(said, str) else "")
    if not isinstance(told, errors.Refused):
        return told
    if code in ("content_policy_violation", "content_filter"):
        return errors.PolicyViolation(str(told), sent="yes", param="input")
    where = str(error.get("param") or "")
    told.param = next((param for part, param in _PARAMS.items() if part in where), where[:100] or None)
    return told


def _part(found: object, name: str) -> Mapping[str, Any]:
    part = found.get(name) if isinstance(found, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _or(new: int | None, old: int | None) -> int | None:
    return old if new is None else new
