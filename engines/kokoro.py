"""Kokoro-82M: the neural voice that runs on this machine's processor, in nine languages.

Weights are only ever read from disk: a folder laid out like the repository, or the Hugging Face hub's cache. Facts
about the files (names, shapes, limits) are those of the ``kokoro`` package 0.9.4, modules ``model`` and ``pipeline``.
"""

from __future__ import annotations

import importlib.util
import math
import os
import pickle
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from engines.errors import EngineFailed, EngineRefused, EngineUnavailable
from engines.kokoro_fast import choose_decoder, fold_weight_norms, keep_memory, processor_threads
from engines.kokoro_g2p import SPACY_MODEL, Phonemiser, has_spacy_model
from engines.kokoro_voices import VOICE_IDS, Blend, describe, own_voices, parse
from engines.media import SAMPLE_RATE
from engines.speech import Part, Utterance, Voice
from engines.text import pieces

REPOSITORY = "hexgrad/Kokoro-82M"
CONFIG = "config.json"
WEIGHTS = "kokoro-v1_0.pth"

SLOWEST, FASTEST = 0.25, 4.0

# Sound begins after a short piece, in characters. The others are as long as the lead in playing allows, so that the
# voice breathes where the writer does, but no longer than others can wait for a worker (nor than eSpeak NG can take).
_FIRST, _LONGEST = 60, 120
_LONGEST_WAIT = 1.0  # seconds
_DENSE = 4  # a Japanese or Chinese character has several phonemes
_PHONEMES = 150
_CHARACTERS_PER_SECOND = 15.0
_SECONDS_PER_PHONEME = 0.065
_MOST_WORKERS = 8

# Phonemes that make no sound of their own. Alone they would be noise, so they are not given to the model alone.
_SILENT = frozenset(' ;:,.!?—…"()“”ˈˌː→↓↗↘\u0303ʰʲ')

_FADE = SAMPLE_RATE // 250  # 4 ms at both ends of a chunk: too short to hear, long enough not to click
_PAUSE = bytes(2 * SAMPLE_RATE * 3 // 10)  # what is heard of a text that has nothing to say, such as "."

_INSTALL = 'pip install "media-gateway[kokoro]"'
_PULL = "media-gateway pull kokoro-82m"
_BAD_FILE = (OSError, RuntimeError, pickle.UnpicklingError, EOFError, AssertionError, KeyError, TypeError, ValueError)


class KokoroEngine:
    """Kokoro-82M as a ``SpeechEngine``.

    ``folder`` holds ``config.json``, ``kokoro-v1_0.pth`` and ``voices/<id>.pt``, voices of its own included (looked for
    once); ``None`` is the Hugging Face hub's cache (``HF_HUB_CACHE``, ``HF_HOME``). ``threads`` is how many processor
    threads it may use (``None``: what torch would). ``fast`` lets ``load`` look for the decoder that is fastest here.

    A voice is an id or a blend: see ``engines.kokoro_voices.parse``.
    """

    def __init__(self, *, folder: Path | None = None, threads: int | None = None, fast: bool = True) -> None:
        self._folder = folder
        self._asked_threads = threads
        self._threads = threads or 1
        self._fast = fast
        self._cost = 0.5  # seconds that a second of sound takes to make, as measured lately
        self._ids = (*VOICE_IDS, *(own_voices(folder / "voices") if folder else ()))
        self._model: Any = None
        self._packs: dict[str, Any] = {}  # voice id -> float32 tensor (rows, 1, 256), row = number of phonemes - 1
        self._phonemise = Phonemiser()
        self._phonemising = threading.Lock()  # eSpeak NG is one for the process

    @property
    def workers(self) -> int:
        """As many as there are processor threads: side by side they do more than many in one part."""
        return min(self._threads, _MOST_WORKERS)

    @property
    def rate(self) -> int:
        """24,000 samples a second."""
        return SAMPLE_RATE

    def voices(self) -> Sequence[Voice]:
        """The 54 voices of v1.0, then those found in the folder beside them."""
        return [describe(voice) for voice in self._known()]

    def check(self, utterance: Utterance) -> None:
        """Raise ``EngineRefused`` for a voice that does not exist or a speed outside 0.25 to 4.

        Text without anything to say is fine: it becomes 0.3 s of silence.
        """
        parse(utterance.voice, self._known())
        if not SLOWEST <= utterance.speed <= FASTEST:
            raise EngineRefused(f"speed must be from {SLOWEST:g} to {FASTEST:g}, not {utterance.speed:g}", "speed")

    def probe(self) -> None:
        """Look for the packages and the files. Imports no torch."""
        missing = [name for name in ("torch", "kokoro", "huggingface_hub") if importlib.util.find_spec(name) is None]
        if missing:
            if sys.version_info >= (3, 13):
                raise EngineUnavailable("The kokoro package needs Python 3.12 or older.", f"On that, run: {_INSTALL}")
            raise EngineUnavailable(f"Kokoro needs packages not installed: {', '.join(missing)}.", f"Run: {_INSTALL}")
        for name in (CONFIG, WEIGHTS):
            self._need(name)
        if not any(self._find(_voice_file(voice)) for voice in self._known()):
            raise self._missing("voices (voices/*.pt)")

    def load(self) -> Sequence[str]:
        """Read the weights and speak one word, so that the first request pays for nothing but itself."""
        self.probe()
        # Torch's threads would otherwise wait for each other in busy loops: as soon as anything else wants a processor
        # (the encoder, another request), a sentence takes ten times as long. Read when torch is imported.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's and transformers' advice to the package's author
            try:
                import torch
                from kokoro import KModel
            except (ImportError, OSError) as error:
                raise EngineUnavailable(
                    f"The kokoro package cannot be imported: {error}", f"Run: {_INSTALL}"
                ) from error
            keep_memory()
            self._threads = self._asked_threads or processor_threads()
            torch.set_num_threads(1)
            hello = self._phonemise("a", "Hello.")
            config, weights = str(self._need(CONFIG)), str(self._need(WEIGHTS))
            try:
                # KModel reads them with weights_only=True, so a file can hold no code.
                self._model = KModel(repo_id=REPOSITORY, config=config, model=weights).eval()
                fold_weight_norms(self._model)
                speak = partial(self._render, self._readable(hello), torch.zeros(1, 1, 256), 1.0)
                note = choose_decoder(self._model, speak, fast=self._fast)
            except _BAD_FILE as error:
                self.close()
                raise self._broken(f"{CONFIG} and {WEIGHTS} are no Kokoro model", error) from error
        return [note, *self._notes()]

    def speak(self, utterance: Utterance) -> Iterator[bytes]:
        """Yield PCM, one sentence or clause per step; each is phonemised and synthesised when it is asked for.

        Raises ``EngineUnavailable`` when the voice's file or its language's packages are missing.
        """
        for part in self.parts(utterance, lambda: math.inf):
            yield part.make(True)  # noqa: FBT003 - alone

    def parts(self, utterance: Utterance, lead: Callable[[], float]) -> Iterator[Part]:
        """What ``speak`` yields, to be made on any thread; each part is phonemised when it is asked for.

        Raises ``EngineUnavailable`` when the voice's file or its language's packages are missing.
        """
        if self._model is None:
            raise EngineFailed("Kokoro is not loaded")
        blend = parse(utterance.voice, self._known())
        pack = self._mixed(blend)
        with self._phonemising:
            self._phonemise.prepare(blend.language)
        longest = int(_PHONEMES * max(0.5, min(utterance.speed, 1.0)))  # slow speech is long sound, as dear to make
        silent = True
        for piece in pieces(utterance.text, self._lengths(_DENSE if blend.language in "jz" else 1, lead)):
            with self._phonemising:
                phonemes = self._readable(self._phonemise(blend.language, piece))
            for part in _parts(phonemes, longest):
                yield Part(len(part) * _SECONDS_PER_PHONEME, partial(self._make, part, pack, utterance.speed))
                silent = False
        if silent:
            yield Part(len(_PAUSE) / (2 * SAMPLE_RATE), lambda _: _PAUSE)

    def _lengths(self, dense: int, lead: Callable[[], float]) -> Iterator[int]:
        """How many characters each piece may have. Half the lead is kept, for sound that takes longer than expected."""
        yield _FIRST // dense
        while True:
            seconds = min(lead() / 2, _LONGEST_WAIT)
            fitting = int(_CHARACTERS_PER_SECOND * seconds / self._cost)
            yield max(_FIRST, min(fitting, _LONGEST)) // dense

    def close(self) -> None:
        """Drop the model, the voices and the languages; ``load`` brings them back."""
        self._model = None
        self._packs = {}
        self._phonemise = Phonemiser()

    def _known(self) -> Sequence[str]:
        return self._ids

    def _find(self, name: str) -> Path | None:
        """Where the repository's file ``name`` is on this machine, if it is."""
        if self._folder is not None:
            path = self._folder / name
            return path if path.is_file() else None
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(REPOSITORY, name)  # looks at the disk only
        return Path(found) if isinstance(found, str) else None

    def _need(self, name: str) -> Path:
        path = self._find(name)
        if path is None:
            raise self._missing(name)
        return path

    def _missing(self, what: str) -> EngineUnavailable:
        place = "Hugging Face cache" if self._folder is None else "configured folder"
        return EngineUnavailable(f"Kokoro's {what} not found in the {place}.", self._remedy())

    def _broken(self, what: str, error: Exception) -> EngineUnavailable:
        reason = str(error).partition("\n")[0]
        return EngineUnavailable(f"{what} ({type(error).__name__}: {reason}).", self._remedy())

    def _remedy(self) -> str:
        return f"Run: {_PULL}" if self._folder is None else f"Run: {_PULL}, or check {self._folder}"

    def _notes(self) -> list[str]:
        notes = []
        if not has_spacy_model():
            notes.append(
                f"spaCy's {SPACY_MODEL} is not installed, so English is phonemised by eSpeak NG ({_PULL} installs it)"
            )
        absent = [voice for voice in VOICE_IDS if self._find(_voice_file(voice)) is None]
        if absent:
            notes.append(f"{len(absent)} of {len(VOICE_IDS)} voices have no file here ({_PULL} brings them)")
        return notes

    def _mixed(self, blend: Blend) -> Any:
        """The voice tensor of a blend: the weighted sum of its parts."""
        (voice, _), *others = blend.parts
        if not others:
            return self._pack(voice)
        packs = [(self._pack(voice), share) for voice, share in blend.parts]
        rows = min(len(pack) for pack, _ in packs)
        return sum(pack[:rows] * share for pack, share in packs)

    def _pack(self, voice: str) -> Any:
        if voice not in self._packs:
            import torch

            path = self._need(_voice_file(voice))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    pack = torch.load(path, map_location="cpu", weights_only=True)
                if pack.ndim != 3 or pack.shape[0] < 1 or tuple(pack.shape[1:]) != (1, 256):
                    raise ValueError(f"shape {tuple(pack.shape)} instead of (510, 1, 256)")
            except (*_BAD_FILE, AttributeError) as error:
                raise self._broken(f"{_voice_file(voice)} is no Kokoro voice", error) from error
            self._packs[voice] = pack.float()
        return self._packs[voice]

    def _readable(self, phonemes: str) -> str:
        """``phonemes`` without those that the model's vocabulary lacks, which it would leave out itself.

        Lengths are counted after this: they choose the row of the voice and must keep to the model's limit.
        """
        vocabulary: Mapping[str, int] = self._model.vocab
        return "".join(phoneme for phoneme in phonemes if phoneme in vocabulary)

    def _make(self, phonemes: str, pack: Any, speed: float, alone: bool) -> bytes:
        """One part on one processor thread, or on all when nothing else is to be made and that makes it sooner."""
        import torch

        all_of_them = alone and getattr(self._model.decoder, "spreads", True)  # the package's does
        threads = self._threads if all_of_them else max(1, self._threads // self.workers)
        if torch.get_num_threads() != threads:  # each thread has its own setting
            torch.set_num_threads(threads)
        begun = time.monotonic()
        sound = self._render(phonemes, pack, speed)
        cost = (time.monotonic() - begun) * 2 * SAMPLE_RATE / len(sound)
        self._cost += 0.2 * (cost - self._cost)
        return sound

    def _render(self, phonemes: str, pack: Any, speed: float) -> bytes:
        """Speak 1 to 510 phonemes: signed 16 bit PCM, starting and ending at silence."""
        import torch

        with torch.inference_mode():
            audio = self._model(phonemes, pack[min(len(phonemes), len(pack)) - 1], speed)
            ramp = torch.linspace(0, 1, min(_FADE, len(audio) // 2))
            audio[: len(ramp)] *= ramp
            audio[len(audio) - len(ramp) :] *= ramp.flip(0)
            samples = (audio * 32767).round().clamp(-32768, 32767).to(torch.int16).numpy()
        return bytes(samples.astype("<i2").tobytes())


def _voice_file(voice: str) -> str:
    return f"voices/{voice}.pt"


def _parts(phonemes: str, longest: int) -> Iterator[str]:
    """Cut ``phonemes`` where they pause into parts of about ``longest``; parts that make no sound are left out."""
    whole = len(phonemes) <= longest * 4 // 3
    for part in [phonemes] if whole else pieces(phonemes, (longest,)):
        if not _SILENT.issuperset(part):
            yield part
