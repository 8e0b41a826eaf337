"""Listening to what came back: decoded again by libsndfile, or by FFmpeg where libsndfile cannot (aac)."""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
import numpy as np
import soundfile

from engines.media import AudioFormat


@dataclass(frozen=True)
class Heard:
    rate: int
    samples: np.ndarray

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    @property
    def loudness(self) -> float:
        return float(np.sqrt(np.mean(self.samples**2)))

    @property
    def pitch(self) -> float:
        """The strongest frequency, in Hz."""
        spectrum = np.abs(np.fft.rfft(self.samples))
        return float(np.argmax(spectrum[1:]) + 1) * self.rate / len(self.samples)


def tone(seconds: float, *, rate: int = 24_000, channels: int = 1, hertz: float = 440) -> bytes:
    """Signed 16 bit PCM of a sine."""
    wave = np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate) * 10_000
    return np.repeat(wave.astype("<i2"), channels).tobytes()


def hear(data: bytes, format: str) -> Heard:
    """Decode ``data``, which must really be ``format``."""
    if format == AudioFormat.PCM:
        return Heard(24_000, np.frombuffer(data, "<i2") / 32768)
    if format == AudioFormat.AAC:
        with av.open(io.BytesIO(data), format="aac") as container:
            frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
            return Heard(container.streams.audio[0].rate, np.concatenate(frames))
    if format == AudioFormat.FLAC:
        data = _with_length(data)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        expected = {"mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS"), "flac": ("FLAC", "PCM_16")}
        assert (file.format, file.subtype) == expected.get(format, ("WAV", "PCM_16"))
        assert file.channels == 1
        blocks = []
        while len(block := file.read(48_000)):
            blocks.append(block)
        return Heard(file.samplerate, np.concatenate(blocks))


def _with_length(flac: bytes) -> bytes:
    """A streamed flac's header does not know its length, and the soundfile package seeks after each read, which
    libsndfile then cannot. So the length is written in, as a tool that saves the stream would do."""
    head = bytearray(flac[:26])
    assert int.from_bytes(head[18:26], "big") & (1 << 36) - 1 == 0, "the length is known"
    with av.open(io.BytesIO(flac), format="flac") as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    head[22:26] = samples.to_bytes(4, "big")
    return bytes(head) + flac[26:]
