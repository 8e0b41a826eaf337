"""What a voice on this machine is: text in, PCM out, one short piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice. ``language`` is a BCP 47 tag (``en-US``); ``gender`` is ``female``, ``male`` or empty."""

    id: str
    name: str
    language: str
    gender: str = ""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One text to speak. ``voice`` is the engine's own spelling; ``speed`` 1.0 is the voice's normal pace."""

    text: str
    voice: str
    speed: float = 1.0


class SpeechEngine(Protocol):
    """A voice model. ``load``, ``speak`` and ``close`` run on threads that belong to the engine alone, one at a time.

    ``voices``, ``check`` and ``probe`` are called on any thread, before ``load`` too: they are cheap, touch no model.
    """

    @property
    def rate(self) -> int:
        """Samples a second of what ``speak`` yields."""

    def voices(self) -> Sequence[Voice]:
        """Every voice that can be asked for."""

    def check(self, utterance: Utterance) -> None:
        """Raise ``EngineRefused`` if ``speak`` could never work for this utterance."""

    def probe(self) -> None:
        """A cheap look at whether ``load`` can work: packages and files. Raises ``EngineUnavailable`` with a hint."""

    def load(self) -> Sequence[str]:
        """Bring the model into memory. Returns notes worth showing to whoever runs the server.

        Raises ``EngineUnavailable`` with a hint when something is missing.
        """

    def speak(self, utterance: Utterance) -> Iterator[bytes]:
        """Yield signed 16 bit little-endian mono PCM, one clause or sentence per step, the first one short.

        Nothing is made ahead of ``next``; closing the iterator ends the work.
        """

    def close(self) -> None:
        """Give memory and files back."""


@dataclass(frozen=True, slots=True)
class Part:
    """A clause or sentence ready to be made: ``make`` gives its PCM, about ``seconds`` long.

    ``make`` is told whether it has the machine to itself, so that it may use all of it.
    """

    seconds: float
    make: Callable[[bool], bytes]


@runtime_checkable
class DivisibleEngine(Protocol):
    """A ``SpeechEngine`` whose parts can be made side by side, also those of one text."""

    @property
    def workers(self) -> int:
        """How many parts are best made at once; known after ``load``."""

    def parts(self, utterance: Utterance, lead: Callable[[], float]) -> Iterator[Part]:
        """What ``speak`` would make, part by part; each ``make`` may be called on any thread, several at once.

        The iterator itself is used by one thread at a time. ``lead`` says for how many seconds the listener has sound.
        """
