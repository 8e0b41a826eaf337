"""An engine whose every step the test lets happen."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from engines.errors import EngineRefused, EngineUnavailable
from engines.speech import Part, Utterance, Voice


class StepEngine:
    """Speaks one second of sound a step. ``gate`` must be released once for each step; ``steps`` is what was made."""

    rate = 1000

    def __init__(self, *, missing: bool = False, load_error: Exception | None = None) -> None:
        self.gate = threading.Semaphore(0)
        self.steps: list[str] = []
        self.closed: list[str] = []
        self.engine_closed = False
        self.missing = missing
        self.load_error = load_error
        self.loading = threading.Event()
        self.may_load = threading.Event()
        self.may_load.set()

    def voices(self) -> Sequence[Voice]:
        return [Voice("v", "V", "en")]

    def check(self, utterance: Utterance) -> None:
        if utterance.voice != "v":
            raise EngineRefused("unknown voice", "voice")

    def probe(self) -> None:
        if self.missing:
            raise EngineUnavailable("weights are missing.", "pull them")

    def load(self) -> Sequence[str]:
        self.loading.set()
        self.may_load.wait()
        if self.load_error:
            raise self.load_error
        return ["a note"]

    def speak(self, utterance: Utterance) -> Iterator[bytes]:
        """``name:3`` is three steps; ``name:boom`` fails at once."""
        name, count = utterance.text.split(":")
        try:
            if count == "boom":
                raise RuntimeError("the model broke")
            for _ in range(int(count)):
                self.gate.acquire()
                self.steps.append(name)
                yield bytes(2 * self.rate)
        finally:
            self.closed.append(name)

    def close(self) -> None:
        self.engine_closed = True


class PartsEngine(StepEngine):
    """The same on two threads. Each part waits for a gate of its own, ``gates["name 0"]``; ``alone`` is what it was told."""

    workers = 2

    def __init__(self) -> None:
        super().__init__()
        self.gates: defaultdict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(0))
        self.begun: list[str] = []
        self.alone: list[str] = []
        self.broken = ""
        self.leads: list[float] = []

    def parts(self, utterance: Utterance, lead: Callable[[], float]) -> Iterator[Part]:
        name, count = utterance.text.split(":")[:2]
        for number in range(int(count)):
            self.leads.append(lead())
            yield Part(1.0, self._maker(f"{name} {number}"))
        self.closed.append(name)

    def _maker(self, part: str) -> Callable[[bool], bytes]:
        def make(alone: bool) -> bytes:
            self.begun.append(part)
            if alone:
                self.alone.append(part)
            self.gates[part].acquire()
            if part == self.broken:
                raise RuntimeError("this part broke")
            return part.encode().ljust(2 * self.rate)

        return make
