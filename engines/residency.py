"""Keeping one engine in memory: load once, a few worker threads, a bounded queue, and a bridge from them to async.

Requests share the engine part by part. The next part is made for the request whose listener would run dry first
(earliest deadline first): its deadline is when the sound that it has will have been played. A request without sound has
the moment it came as its deadline, and up to a second more the longer its text is, so that short texts wait for little.
A new short text is therefore never stuck behind a long one that is ahead of its playback.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, Self, TypeVar

from engines.errors import EngineBusy, EngineError, EngineFailed, EngineUnavailable
from engines.speech import DivisibleEngine, Part, SpeechEngine, Utterance

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

State = Literal["idle", "loading", "ready", "unavailable"]


_PATIENCE = 1.0  # seconds that the longest text lets shorter ones go before it
_LONG = 300  # characters: such a text has all that patience


class _Job:
    """One utterance on its way through the engine. All but ``outbox`` and ``gone`` is under the resident's lock."""

    def __init__(self, utterance: Utterance, loop: asyncio.AbstractEventLoop) -> None:
        self.utterance = utterance
        self.loop = loop
        self.outbox: asyncio.Queue[bytes | EngineError | None] = asyncio.Queue()  # event loop; bounded by `waiting`
        self.started = time.monotonic()
        self.deadline = self.started + _PATIENCE * min(1.0, len(utterance.text) / _LONG)
        self.parts: Iterator[Part] | None = None  # used by the one worker that has set `cutting`
        self.cutting = False
        self.begun = 0  # parts that workers have taken
        self.making = 0  # of these, under way
        self.sent = 0  # of these, delivered; they are in the order of the text
        self.made: dict[int, bytes | EngineError | None] = {}  # by number: those that wait for one before them
        self.ended = False  # there is no part after those that were begun
        self.over = False  # nothing more will be delivered
        self.waiting = 0  # bytes in the outbox
        self.gone = False  # set once by the reader

    def lead(self) -> float:
        """Seconds of sound, made or under way, that the listener has not heard yet."""
        return self.deadline - time.monotonic()

    @property
    def done(self) -> bool:
        """Whether it may leave: no worker has anything of it in hand."""
        return (self.gone or self.over) and not self.cutting and not self.making

    def wants(self, ahead: int) -> bool:
        """Whether a worker should take its next part. Until there is sound, the first part has the workers' help."""
        if self.gone or self.over or self.cutting:
            return self.done
        return self.waiting < ahead and not self.ended and (self.begun == 0 or self.sent > 0)

    def deliver(self, item: bytes | EngineError | None) -> None:
        try:
            self.loop.call_soon_threadsafe(self.outbox.put_nowait, item)
        except RuntimeError:  # the loop was closed: nobody is left to hear it
            self.gone = True


class Listening:
    """The sound of one request as it is made. ``aclose`` ends the work, also when nothing was read yet."""

    def __init__(self, resident: Resident, job: _Job) -> None:
        self._resident = resident
        self._job = job

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._job.gone:
            raise StopAsyncIteration
        item = await self._job.outbox.get()
        if isinstance(item, bytes):
            self._resident.took(self._job, len(item))
            return item
        self._job.gone = True
        if item is not None:
            raise item
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop the synthesis within one part."""
        self._job.gone = True
        self._resident.took(self._job, 0)


class Resident:
    """An engine with its threads, the first of which loads the engine at the first ``warm`` or ``speak``.

    ``state`` is ``idle`` before that, and ``unavailable`` from the beginning where the engine's ``probe`` finds
    something missing. ``detail`` is for whoever runs it: what is missing and what to do, or the engine's notes; callers
    are told the reason alone. ``queue_size`` requests may be in the engine
    at once, waiting ones included. ``ahead`` bounds the bytes made for a reader who does not take them: its request
    pauses, the others go on.
    """

    def __init__(self, engine: SpeechEngine, name: str, *, queue_size: int = 16, ahead: int = 2 << 20) -> None:
        self.engine = engine
        self.name = name
        self.state: State = "idle"
        self.detail = ""
        self._reason = ""
        self._queue_size = queue_size
        self._ahead = ahead
        self._jobs: list[_Job] = []
        self._wake = threading.Condition()
        self._closing = False
        self._working = 0
        self._seconds_per_job = 1.0
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)
        try:
            engine.probe()
        except EngineUnavailable as error:
            self._give_up(error)

    def warm(self) -> None:
        """Begin loading, on a thread of the engine's own; returns at once."""
        with self._wake:
            if self.state == "idle" and not self._closing:
                self.state = "loading"
                self._thread.start()

    async def close(self) -> None:
        """End all work and give the engine back. Requests still in it end with ``EngineFailed``."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def speak(self, utterance: Utterance) -> Listening:
        """Queue ``utterance``; PCM comes as it is made. Call it on the event loop that will read.

        Raises ``EngineRefused``, ``EngineBusy`` or ``EngineUnavailable``; the latter and ``EngineFailed`` may also come
        while reading.
        """
        self.engine.check(utterance)
        self.warm()
        job = _Job(utterance, asyncio.get_running_loop())
        with self._wake:
            if self.state == "unavailable":
                raise EngineUnavailable(self._reason)
            if self._closing:
                raise EngineFailed(f"{self.name} is shutting down")
            if len(self._jobs) >= self._queue_size:
                wait = math.ceil(self._seconds_per_job)
                raise EngineBusy(f"{self.name} has {self._queue_size} requests in hand; try again in {wait} s", wait)
            self._jobs.append(job)
            self._wake.notify()
        return Listening(self, job)

    def took(self, job: _Job, size: int) -> None:
        """The reader of ``job`` took ``size`` bytes, or (0) has gone."""
        with self._wake:
            job.waiting -= size
            self._wake.notify()

    # The worker threads, from here down.

    def _run(self) -> None:
        try:
            notes = self.engine.load()
        except EngineError as error:
            self._give_up(error)
        except Exception as error:  # noqa: BLE001 - the engine bridge: whatever a model library throws ends here
            _log.exception("%s failed to load", self.name)
            self._give_up(EngineUnavailable(f"{self.name} failed to load.", f"{type(error).__name__}: {error}"))
        else:
            self._settle("ready", "; ".join(notes))
            _log.info("%s is ready%s", self.name, "".join(f"; {note}" for note in notes))
            count = self.engine.workers if isinstance(self.engine, DivisibleEngine) else 1
            names = [f"{self._thread.name}-{number}" for number in range(2, count + 1)]
            others = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
            for thread in others:
                thread.start()
            self._work()
            for thread in others:
                thread.join()
            self.engine.close()
        self._drop_all()

    def _settle(self, state: State, detail: str) -> None:
        with self._wake:
            self.state, self.detail = state, detail

    def _give_up(self, error: EngineError) -> None:
        self._reason = str(error)
        hint = getattr(error, "hint", "")
        self._settle("unavailable", f"{error} {hint}".strip())

    def _drop_all(self) -> None:
        with self._wake:
            jobs, self._jobs = self._jobs, []
        stopped = EngineFailed(f"{self.name} was shut down") if self._closing else EngineUnavailable(self._reason)
        for job in jobs:
            job.deliver(stopped)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            number, part = self._cut(job)
            if part is not None:
                self._make(job, number, part)
            self._leave(job)

    def _next(self) -> _Job | None:
        """Wait for the request that needs its next part soonest; ``None`` when the engine is to close."""
        with self._wake:
            while not self._closing:
                ready = [job for job in self._jobs if job.wants(self._ahead)]
                if ready:
                    job = min(ready, key=lambda job: (not job.gone, job.deadline))
                    job.cutting = True
                    self._working += 1
                    return job
                self._wake.wait()
        return None

    def _cut(self, job: _Job) -> tuple[int, Part | None]:
        """Have the next part of ``job`` cut, and number it; ``None`` at its end."""
        part = None if job.gone or job.over else self._tried(partial(self._following, job))
        with self._wake:
            job.cutting = False
            number = job.begun
            if not isinstance(part, Part):
                job.ended = True
                self._put(job, number, part)
                return number, None
            job.begun += 1
            job.making += 1
            job.deadline += part.seconds
            self._wake.notify_all()  # another worker may take the one after it
            return number, part

    def _following(self, job: _Job) -> Part | None:
        if job.parts is None:
            if isinstance(self.engine, DivisibleEngine):
                job.parts = self.engine.parts(job.utterance, job.lead)
            else:
                job.parts = _steps(self.engine.speak(job.utterance), self.engine.rate)
        return next(job.parts, None)

    def _tried(self, call: Callable[[], _T]) -> _T | EngineError:
        """What ``call`` gives, or how it failed."""
        try:
            return call()
        except EngineError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the engine bridge
            _log.exception("%s failed", self.name)
            return EngineFailed(f"{self.name} failed: {type(error).__name__}")

    def _make(self, job: _Job, number: int, part: Part) -> None:
        with self._wake:
            others = any(other.wants(self._ahead) for other in self._jobs if other is not job)
            alone = number == 0 and self._working == 1 and not others
        made = self._tried(partial(part.make, alone))
        with self._wake:
            job.making -= 1
            if isinstance(made, bytes):
                seconds = len(made) / (2 * self.engine.rate)
                # Playing begins with the first part.
                job.deadline = time.monotonic() + seconds if number == 0 else job.deadline + seconds - part.seconds
            self._put(job, number, made)

    def _put(self, job: _Job, number: int, item: bytes | EngineError | None) -> None:
        """Deliver what is next in the text, as far as it is there. Under the lock."""
        if job.over:
            return
        job.made[number] = item
        while job.sent in job.made and not job.over:
            item = job.made.pop(job.sent)
            job.sent += 1
            if isinstance(item, bytes):
                job.waiting += len(item)
            else:
                job.over = True
            if not job.gone:
                job.deliver(item)

    def _leave(self, job: _Job) -> None:
        """The worker has nothing of ``job`` in hand any more; the last one to say so ends a job that is over."""
        with self._wake:
            self._working -= 1
            last = job.done and job in self._jobs
            if last:
                self._jobs.remove(job)
                took = time.monotonic() - job.started
                self._seconds_per_job += 0.2 * (took - self._seconds_per_job)
            self._wake.notify_all()
        close = getattr(job.parts, "close", None)
        if last and close is not None:
            close()


def _steps(chunks: Iterator[bytes], rate: int) -> Iterator[Part]:
    """The parts of an engine that makes one after the other: each is made when it is cut."""
    for chunk in chunks:
        yield Part(len(chunk) / (2 * rate), partial(_made, chunk))


def _made(chunk: bytes, _alone: bool) -> bytes:
    return chunk
