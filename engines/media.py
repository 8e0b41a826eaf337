"""Media physics: audio formats, their mime types and file extensions, and how to tell them by their first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

SAMPLE_RATE = 24_000
"""Samples a second of every answer: OpenAI's ``pcm`` is 24 kHz, 16 bit, mono, little-endian."""


class AudioFormat(StrEnum):
    """The six values of OpenAI's ``response_format``."""

    MP3 = "mp3"
    OPUS = "opus"
    AAC = "aac"
    FLAC = "flac"
    WAV = "wav"
    PCM = "pcm"


MIME = {
    AudioFormat.MP3: "audio/mpeg",
    AudioFormat.OPUS: "audio/ogg; codecs=opus",
    AudioFormat.AAC: "audio/aac",
    AudioFormat.FLAC: "audio/flac",
    AudioFormat.WAV: "audio/wav",
    AudioFormat.PCM: "audio/pcm",
}

EXTENSION = {
    AudioFormat.MP3: ".mp3",
    AudioFormat.OPUS: ".opus",
    AudioFormat.AAC: ".aac",
    AudioFormat.FLAC: ".flac",
    AudioFormat.WAV: ".wav",
    AudioFormat.PCM: ".pcm",
}


@dataclass(frozen=True, slots=True)
class AudioSpec:
    """What a run of audio bytes is.

    ``rate`` (samples a second) and ``channels`` describe raw ``pcm`` (signed 16 bit, little-endian, interleaved);
    for the other formats the bytes carry their own header and these two are only a hint.
    """

    format: AudioFormat
    rate: int = SAMPLE_RATE
    channels: int = 1

    @property
    def bytes_per_second(self) -> int:
        """Bytes in one second of raw ``pcm``."""
        return self.rate * self.channels * 2


class ByteStream(Protocol):
    """Bytes as they are made. Whoever stops reading calls ``aclose``, which ends the work behind it."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """End the work; harmless when it has ended already."""


def content_type(spec: AudioSpec) -> str:
    """The ``Content-Type`` for ``spec``; raw samples also name their rate and channels (RFC 2586 parameters)."""
    if spec.format is AudioFormat.PCM:
        return f"audio/pcm; rate={spec.rate}; channels={spec.channels}"
    return MIME[spec.format]


def sniff(head: bytes) -> AudioFormat | None:
    """The format that the first bytes (12 are enough) show, or ``None``: raw samples have no mark of their own."""
    if head[:4] == b"OggS":
        return AudioFormat.OPUS
    if head[:4] == b"fLaC":
        return AudioFormat.FLAC
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return AudioFormat.WAV
    if head[:3] == b"ID3":
        return AudioFormat.MP3
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        # Both start with eleven set bits or more; the two layer bits are 00 in ADTS and never in MPEG audio.
        return AudioFormat.AAC if head[1] & 0xF6 == 0xF0 else AudioFormat.MP3 if head[1] & 0x06 else None
    return None
