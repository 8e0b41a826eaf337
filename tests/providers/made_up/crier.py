"""A vendor that there is not, whole: the one file that adding it takes."""

from __future__ import annotations

from collections.abc import Sequence

from engines.media import AudioFormat, AudioSpec
from engines.speech import Voice
from engines.synthetic import voice_like
from providers.base.contract import Audio, Provider, Readiness, SpeechRequest, Usage
from providers.base.errors import Refused, Unsupported
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts, Resources, Vendor

_NAMES = "alloy ash ballad coral echo fable onyx nova sage shimmer verse marin cedar".split()


class _Sound:
    """Samples, a fifth of a second at a time."""

    def __init__(self, samples: bytes, usage: Usage) -> None:
        self._pieces = [samples[at : at + 9600] for at in range(0, len(samples), 9600)]
        self._usage = usage

    def __aiter__(self) -> _Sound:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        piece = self._pieces.pop(0)
        self._usage.audio_seconds = (self._usage.audio_seconds or 0.0) + len(piece) / 48_000
        return piece

    async def aclose(self) -> None:
        self._pieces.clear()


class _Crier:
    def readiness(self) -> Readiness:
        return Readiness("ready")

    def warm(self) -> None:
        return

    def voices(self) -> Sequence[Voice]:
        return [Voice(name, name, "en") for name in _NAMES]

    async def speech(self, request: SpeechRequest) -> Audio:
        if request.voice not in _NAMES:
            raise Refused(f"no voice {request.voice!r}", param="voice")
        for option in request.extra:
            raise Unsupported(f"no option {option!r}", param=option)
        usage = Usage(characters=len(request.text))
        samples = voice_like(request.text, request.speed, manner=request.voice)
        return Audio(AudioSpec(AudioFormat.PCM), _Sound(samples, usage), usage)


async def _open(model: str, settings: VendorSettings, resources: Resources) -> Provider:
    return _Crier()


VENDOR = Vendor(name="crier", models={"loud": Facts("audio_speech", VendorSettings)}, open=_open)
