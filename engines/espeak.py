"""eSpeak NG: a robotic but clear voice in more than a hundred languages, with nothing to download.

The library and its data come in the ``espeakng-loader`` wheel (eSpeak NG 1.52, GPL-3, loaded at run time as a separate
library). Its state is process-wide, so each engine loads a private copy of the shared object: two engines, or this one
and a phonemizer, never share a voice or a callback.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from engines.errors import EngineFailed, EngineRefused, EngineUnavailable
from engines.speech import Utterance, Voice
from engines.text import pieces

WORDS_PER_MINUTE = 175
"""eSpeak NG's default rate, our speed 1.0."""

SLOWEST, FASTEST = 80 / WORDS_PER_MINUTE, 900 / WORDS_PER_MINUTE
"""The range of speed that it honours: below 80 words a minute it clamps (measured)."""

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: sound comes through the callback, on the calling thread
_UTF8 = 1  # espeakCHARS_UTF8; neither SSML nor phoneme mnemonics are switched on, so all text is read as text
_RATE = 1  # espeakRATE
_LIMITS = (80, 300)
_PAUSE = 0.2  # seconds of silence for a text in which nothing can be spoken, such as "."

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakEngine:
    """A ``SpeechEngine``. Voices are language tags (``en-us``, ``pt-br``) with an optional variant (``en-us+f3``)."""

    rate = 22_050

    def __init__(self) -> None:
        self._library: ctypes.CDLL | None = None
        self._heard: list[bytes] = []
        self._identifiers: dict[str, str] = {}
        self._voices: list[Voice] = []
        self._variants: dict[str, str] = {}
        self._callback = _Callback(self._hear)  # kept: the library holds the only other pointer to it
        if importlib.util.find_spec("espeakng_loader") is not None:
            self._read_voices(self._data())

    def voices(self) -> Sequence[Voice]:
        """One voice a language, without the variants."""
        return self._voices

    def check(self, utterance: Utterance) -> None:
        """Raise ``EngineRefused`` for an unknown language or variant, or a speed out of range."""
        self._identifier(utterance.voice)
        if not SLOWEST <= utterance.speed <= FASTEST:
            raise EngineRefused(f"speed must be between {SLOWEST:.2f} and {FASTEST:.2f}", "speed")

    def probe(self) -> None:
        """Raise ``EngineUnavailable`` where the wheel is missing or holds no library for this system."""
        if importlib.util.find_spec("espeakng_loader") is None:
            raise EngineUnavailable("the espeakng-loader package is not installed.", "pip install espeakng-loader")
        import espeakng_loader

        if not Path(espeakng_loader.get_library_path()).is_file():
            raise EngineUnavailable("the espeakng-loader package holds no eSpeak NG library for this system.")

    def load(self) -> Sequence[str]:
        """Load a private copy of the library (5 ms)."""
        import espeakng_loader

        with tempfile.TemporaryDirectory(prefix="espeak-") as folder:
            copy = Path(folder, Path(espeakng_loader.get_library_path()).name)
            shutil.copyfile(espeakng_loader.get_library_path(), copy)
            try:
                library = ctypes.CDLL(str(copy))
            except OSError as error:
                raise EngineUnavailable(f"the eSpeak NG library cannot be loaded: {error}") from error
        rate = library.espeak_Initialize(_SYNCHRONOUS, 60, str(self._data()).encode(), 0)
        if rate != self.rate:
            raise EngineUnavailable(f"eSpeak NG did not start (it answered {rate}).")
        library.espeak_SetSynthCallback(self._callback)
        self._library = library
        return ()

    def speak(self, utterance: Utterance) -> Iterator[bytes]:
        """Yield s16le mono PCM at 22,050 Hz, a sentence or clause a step."""
        spoke = False
        for piece in pieces(utterance.text, _LIMITS):
            if sound := self._say(piece, utterance):
                spoke = True
                yield sound
        if not spoke:
            yield bytes(2 * int(self.rate * _PAUSE))

    def close(self) -> None:
        """Unload the voices."""
        if self._library is not None:
            self._library.espeak_Terminate()
            self._library = None

    def _say(self, piece: str, utterance: Utterance) -> bytes:
        library = self._library
        if library is None:
            raise EngineFailed("eSpeak NG is not loaded")
        # Voice and rate are state of the library, and another request may have spoken since the last piece.
        if library.espeak_SetVoiceByName(self._identifier(utterance.voice).encode()):
            raise EngineFailed(f"eSpeak NG has no voice {utterance.voice!r}")
        library.espeak_SetParameter(_RATE, round(WORDS_PER_MINUTE * utterance.speed), 0)
        text = piece.encode(errors="replace")
        self._heard.clear()
        if library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 1, 0, _UTF8, None, None):
            raise EngineFailed("eSpeak NG could not speak this text")
        return b"".join(self._heard)

    def _hear(self, samples: ctypes._Pointer[ctypes.c_short] | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._heard.append(ctypes.string_at(samples, 2 * count))
        return 0

    def _identifier(self, voice: str) -> str:
        """eSpeak NG's own name for ``voice``: its file under ``lang/``, which works where a language tag does not."""
        language, plus, variant = voice.partition("+")
        if language.lower() not in self._identifiers:
            raise EngineRefused(_unknown("voice", language, self._identifiers), "voice")
        if plus and variant.lower() not in self._variants:
            raise EngineRefused(_unknown("voice variant", variant, self._variants), "voice")
        return self._identifiers[language.lower()] + (f"+{self._variants[variant.lower()]}" if plus else "")

    def _read_voices(self, data: Path) -> None:
        found: dict[str, Voice] = {}
        for file in sorted((data / "lang").rglob("*")):
            if not file.is_file():
                continue
            text = file.read_text("utf-8", errors="replace")
            tag = re.search(r"^language +(\S+)", text, re.MULTILINE)
            name = re.search(r"^name +(.+?) *$", text, re.MULTILINE)
            identifier = file.relative_to(data / "lang").as_posix()
            if tag is None or name is None:
                continue
            key = tag[1].lower() if tag[1].lower() not in found else file.name.lower()
            found[key] = Voice(key, name[1], tag[1])
            for spelling in (key, identifier.lower(), file.name.lower()):
                self._identifiers.setdefault(spelling, identifier)
        self._voices = [found[key] for key in sorted(found)]
        self._variants = {file.name.lower(): file.name for file in (data / "voices" / "!v").iterdir()}

    @staticmethod
    def _data() -> Path:
        import espeakng_loader

        return Path(espeakng_loader.get_data_path())


def _unknown(what: str, name: str, known: dict[str, str]) -> str:
    near = get_close_matches(name.lower(), known, n=1)
    return f"unknown {what} {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
