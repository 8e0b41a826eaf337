"""The voices of this machine (``local/kokoro-82m``, ``local/espeak``) as a provider.

The bridge to ``engines``: it translates OpenAI's voice names and options into what each engine understands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field

from engines.errors import EngineBusy, EngineError, EngineRefused, EngineUnavailable
from engines.espeak import FASTEST, SLOWEST, EspeakEngine
from engines.kokoro import KokoroEngine
from engines.media import AudioFormat, AudioSpec
from engines.residency import Listening, Resident
from engines.speech import SpeechEngine, Utterance, Voice
from providers.base.contract import SPEECH_FIELDS, Audio, Provider, Readiness, SpeechRequest, Usage
from providers.base.errors import Broken, Busy, ProviderError, Refused, Unavailable, Unsupported
from providers.base.price import free
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts, Resources, Vendor
from providers.local.pull import pull_kokoro

# OpenAI's thirteen voices. Six are what other Kokoro servers use too; the rest is our choice of a voice of like pitch
# and manner (Kokoro has no coral, sage, ash, ballad, verse, marin or cedar). `voices:` in the config overrides each.
KOKORO_NAMES = {
    "alloy": "af_alloy",
    "ash": "am_michael",
    "ballad": "bm_george",
    "cedar": "am_liam",
    "coral": "af_aoede",
    "echo": "am_echo",
    "fable": "bm_fable",
    "marin": "af_heart",
    "nova": "af_nova",
    "onyx": "am_onyx",
    "sage": "af_sarah",
    "shimmer": "af_bella",
    "verse": "am_puck",
}

# eSpeak NG has one voice a language; its variants f1-f5 and m1-m8 change the throat.
ESPEAK_NAMES = {
    "alloy": "en-us+f1",
    "ash": "en-us+m2",
    "ballad": "en-gb+m3",
    "cedar": "en-us+m6",
    "coral": "en-us+f2",
    "echo": "en-us+m1",
    "fable": "en-gb+m4",
    "marin": "en-us+f5",
    "nova": "en-us+f3",
    "onyx": "en-us+m7",
    "sage": "en-us+f4",
    "shimmer": "en-gb+f2",
    "verse": "en-us+m5",
}

# The first letter of a Kokoro voice is its language, the second its gender (f, m).
_KOKORO_LANGUAGES = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-br",
    "z": "cmn",
}
_VARIANTS = {"f": "f3", "m": "m3"}


class LocalSettings(VendorSettings):
    """``voices`` adds names for voices or overrides OpenAI's; ``queue_size`` is how many requests may be in hand."""

    voices: Mapping[str, str] = Field(default_factory=dict)
    queue_size: int = Field(16, ge=1, le=1000)


class KokoroSettings(LocalSettings):
    """``path``: a folder with the hub's layout (config.json, kokoro-v1_0.pth, voices/); else the hub's cache is used.

    ``threads``: processor threads that it may use; torch's own choice when absent. ``fast``: with the decoder that is
    fastest here, which is looked for when the model is loaded; else with the package's own.
    """

    path: Path | None = None
    threads: int | None = Field(None, ge=1, le=1024)
    fast: bool = True


class _Local:
    """A ``SpeechProvider`` over one engine, with names for its voices.

    ``native_speeds`` is the range that the engine does itself; the rest is left to the gateway. Kokoro makes phonemes
    of whole frames of 25 ms, at least one: asked for more than about 1.5 it falls short and slurs.
    """

    native_speeds: ClassVar[tuple[float, float]] = (0.5, 1.5)

    def __init__(self, model: str, resident: Resident, names: Mapping[str, str]) -> None:
        self._model = model
        self._resident = resident
        self._names = names

    def readiness(self) -> Readiness:
        """What the engine's thread has found so far."""
        return Readiness(self._resident.state, self._resident.detail)

    async def probe(self) -> Readiness:
        """The same: there is nobody else to ask."""
        return self.readiness()

    def warm(self) -> None:
        """Begin loading the model."""
        self._resident.warm()

    def voices(self) -> Sequence[Voice]:
        """The engine's own voices, then the names mapped to one of them."""
        own = {voice.id: voice for voice in self._resident.engine.voices()}
        mapped = []
        for name, target in self._names.items():
            like = own.get(target) or own.get(target.partition("+")[0])
            mapped.append(Voice(name, f"{name} ({target})", like.language if like else "", like.gender if like else ""))
        return [*own.values(), *mapped]

    def native_voice(self, voice: str) -> str:
        """The engine's spelling of the caller's ``voice``."""
        return self._names.get(voice) or self._names.get(voice.lower()) or voice

    def check(self, request: SpeechRequest) -> None:
        """Raise ``Unsupported`` for the options that it does not have."""
        if request.instructions is not None:
            raise Unsupported(f"{self._model} cannot follow instructions; leave them out", param="instructions")
        for option in request.extra:
            near = get_close_matches(option, SPEECH_FIELDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "leave it out"
            raise Unsupported(f"{self._model} knows no option {option!r}; {hint}", param=option)

    async def speech(self, request: SpeechRequest) -> Audio:
        """Queue the text. Raises ``Unsupported``, ``Refused``, ``Busy`` or ``Unavailable``."""
        self.check(request)
        slowest, fastest = self.native_speeds
        speed = min(max(request.speed, slowest), fastest)
        utterance = Utterance(request.text, self.native_voice(request.voice), speed)
        try:
            listening = self._resident.speak(utterance)
        except EngineError as error:
            raise _translated(error) from error
        rate = self._resident.engine.rate
        usage = Usage(characters=len(request.text), audio_seconds=0.0)
        chunks = _Spoken(listening, usage, rate, request.speed / speed)
        return Audio(AudioSpec(AudioFormat.PCM, rate), chunks, usage, tempo=request.speed / speed)


class _Espeak(_Local):
    native_speeds = (SLOWEST, FASTEST)

    def native_voice(self, voice: str) -> str:
        """Also understands Kokoro's voices and blends, by language and gender, so that it can stand in for it."""
        known = super().native_voice(voice)
        if known != voice:
            return known
        first = voice.partition("+")[0].partition("(")[0].strip()
        language, gender, name = first[:1], first[1:2], first[2:3]
        if name == "_" and language in _KOKORO_LANGUAGES and gender in _VARIANTS:
            return f"{_KOKORO_LANGUAGES[language]}+{_VARIANTS[gender]}"
        return voice


class _Spoken:
    """The engine's sound, with its errors in the provider's words and the seconds counted as they pass."""

    def __init__(self, listening: Listening, usage: Usage, rate: int, tempo: float) -> None:
        self._listening = listening
        self._usage = usage
        self._bytes_per_second = 2 * rate * tempo
        self._bytes = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._listening)
        except EngineError as error:
            raise _translated(error) from error
        self._bytes += len(chunk)
        self._usage.audio_seconds = self._bytes / self._bytes_per_second
        return chunk

    async def aclose(self) -> None:
        await self._listening.aclose()


def _translated(error: EngineError) -> ProviderError:
    match error:
        case EngineRefused(param=param):
            return Refused(str(error), param={"text": "input"}.get(param, param))
        case EngineBusy(retry_after=seconds):
            return Busy(str(error), retry_after=seconds)
        case EngineUnavailable():
            # What to do about it is for whoever runs the gateway, and may name paths.
            return Unavailable(f"{error} 'media-gateway models' and /readyz?verbose say what to do.")
        case _:
            return Broken(str(error), sent="yes")


async def _open(model: str, settings: LocalSettings, resources: Resources) -> Provider:
    """Deployments whose engines have the same settings share one."""

    def resident(engine: Callable[[], SpeechEngine], *key: object) -> Resident:
        key = (model, settings.queue_size, *key)
        return resources.shared(key, lambda: Resident(engine(), model, queue_size=settings.queue_size))

    if isinstance(settings, KokoroSettings):
        folder, threads, fast = settings.path, settings.threads, settings.fast
        kokoro = resident(lambda: KokoroEngine(folder=folder, threads=threads, fast=fast), folder, threads, fast)
        return _Local(model, kokoro, {**KOKORO_NAMES, **settings.voices})
    return _Espeak(model, resident(EspeakEngine), {**ESPEAK_NAMES, **settings.voices})


def _pull_kokoro(folder: Path | None, report: Callable[[str], None]) -> Path:
    return pull_kokoro(folder=folder, endpoint=None, voices=None, report=report)


_FREE = free("made on this machine")

VENDOR = Vendor(
    name="local",
    models={
        "kokoro-82m": Facts(
            "audio_speech", KokoroSettings, "Kokoro-82M on this machine: 54 voices in 9 languages", _FREE, streams=True
        ),
        "espeak": Facts(
            "audio_speech",
            LocalSettings,
            "eSpeak NG: robotic, over 100 languages, nothing to download",
            _FREE,
            streams=True,
        ),
    },
    open=_open,
    pull={"kokoro-82m": _pull_kokoro},
    docs="https://huggingface.co/hexgrad/Kokoro-82M",
)
