"""An engine whose every step the test lets happen."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from engines.errors import EngineRefused, EngineUnavailable
from engines.speech import Utterance, Voice


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
