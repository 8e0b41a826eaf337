"""Keeping one engine in memory: load once, one worker thread, a bounded queue, and a bridge from that thread to async.

Requests share the engine chunk by chunk. The next chunk is made for the request whose listener would run dry first:
a request's deadline is the moment it came plus the seconds of sound it already has (earliest deadline first), so a new
short text is never stuck behind a long one that is ahead of its playback.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Iterator
from typing import Literal, Self

from engines.errors import EngineBusy, EngineError, EngineFailed, EngineUnavailable
from engines.speech import SpeechEngine, Utterance

_log = logging.getLogger(__name__)

State = Literal["idle", "loading", "ready", "unavailable"]


class _Job:
    """One utterance on its way through the engine. Fields without a lock belong to the thread named in the comment."""

    def __init__(self, utterance: Utterance, loop: asyncio.AbstractEventLoop) -> None:
        self.utterance = utterance
        self.loop = loop
        self.outbox: asyncio.Queue[bytes | EngineError | None] = asyncio.Queue()  # event loop; bounded by `waiting`
        self.started = time.monotonic()
        self.deadline = self.started  # worker
        self.steps: Iterator[bytes] | None = None  # worker
        self.waiting = 0  # bytes in the outbox; under the resident's lock
        self.gone = False  # set once by the reader

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
        """Stop the synthesis within one chunk."""
        self._job.gone = True
        self._resident.took(self._job, 0)


class Resident:
    """An engine with its thread, which starts and loads the engine at the first ``warm`` or ``speak``.

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
        self._seconds_per_job = 1.0
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)
        try:
            engine.probe()
        except EngineUnavailable as error:
            self._give_up(error)

    def warm(self) -> None:
        """Begin loading, on the engine's own thread; returns at once."""
        with self._wake:
            if self.state == "idle" and not self._closing:
                self.state = "loading"
                self._thread.start()

    async def close(self) -> None:
        """End all work and give the engine back. Requests still in it end with ``EngineFailed``."""
        with self._wake:
            self._closing = True
            self._wake.notify()
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

    # The worker thread, from here down.

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
            while (job := self._next()) is not None:
                self._step(job)
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

    def _next(self) -> _Job | None:
        """Wait for the request that needs its next chunk soonest; ``None`` when the engine is to close."""
        with self._wake:
            while not self._closing:
                ready = [job for job in self._jobs if job.gone or job.waiting < self._ahead]
                if ready:
                    return min(ready, key=lambda job: (not job.gone, job.deadline))
                self._wake.wait()
        return None

    def _step(self, job: _Job) -> None:
        """Make one chunk for ``job``, or end it."""
        if job.gone:
            self._end(job)
            return
        try:
            if job.steps is None:
                job.steps = iter(self.engine.speak(job.utterance))
            chunk = next(job.steps, None)
        except EngineError as error:
            self._end(job, error)
        except Exception as error:  # noqa: BLE001 - the engine bridge
            _log.exception("%s failed", self.name)
            self._end(job, EngineFailed(f"{self.name} failed: {type(error).__name__}"))
        else:
            if chunk is None:
                self._end(job)
                return
            job.deadline += len(chunk) / (2 * self.engine.rate)
            with self._wake:
                job.waiting += len(chunk)
            job.deliver(chunk)

    def _end(self, job: _Job, error: EngineError | None = None) -> None:
        close = getattr(job.steps, "close", None)
        if close is not None:
            close()
        with self._wake:
            self._jobs.remove(job)
        took = time.monotonic() - job.started
        self._seconds_per_job += 0.2 * (took - self._seconds_per_job)
        if not job.gone:
            job.deliver(error)
