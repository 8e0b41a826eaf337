"""What the gateway asks of a provider, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from engines.media import AudioFormat, AudioSpec, ByteStream
from engines.speech import Voice as Voice

SPEECH_FIELDS = ("model", "input", "voice", "instructions", "response_format", "speed", "stream_format")
"""The fields of OpenAI's ``/v1/audio/speech``."""


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One ``/v1/audio/speech`` call, in OpenAI's words.

    ``voice`` is the caller's spelling, or the ``id`` of a voice object. ``format`` is what the caller wishes to hear in
    the end: a hint, since the gateway converts. ``extra`` holds every field that OpenAI's reference does not know.
    """

    text: str
    voice: str
    format: AudioFormat = AudioFormat.MP3
    speed: float = 1.0
    instructions: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Usage:
    """What a call used. ``None`` is unknown, never zero. Filled in by the end of the stream."""

    characters: int | None = None
    audio_seconds: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(slots=True)
class Audio:
    """Sound as the provider made it: ``spec`` says what the bytes are, not what was wished.

    ``chunks`` must be closed (``aclose``) by whoever stops reading early: that stops the work behind it.
    ``tempo`` is the part of the asked speed that is not in the bytes yet (2.0 = still to be played twice as fast).
    """

    spec: AudioSpec
    chunks: ByteStream
    usage: Usage = field(default_factory=Usage)
    tempo: float = 1.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a model can answer (``idle``: it loads at its first request).

    ``detail`` says why not, or what whoever runs the server should know.
    """

    state: Literal["idle", "loading", "ready", "unavailable"]
    detail: str = ""


class Provider(Protocol):
    """What every opened model has. What else it can do is which of the protocols below it fits."""

    def readiness(self) -> Readiness:
        """A look at what is known now: calls nobody."""

    def warm(self) -> None:
        """Begin to load what the first request would otherwise wait for; returns at once."""


@runtime_checkable
class SpeechProvider(Protocol):
    """A model that speaks."""

    async def speech(self, request: SpeechRequest) -> Audio:
        """Start speaking. Raises ``ProviderError`` before the first chunk wherever the fault can be known by then."""

    def voices(self) -> Sequence[Voice]:
        """The voices that can be asked for, the provider's own names first."""
