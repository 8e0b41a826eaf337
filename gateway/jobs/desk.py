"""Where jobs are moved: the one place that changes rows, and that tells whoever waits for the end of one."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.jobs import schedule
from gateway.jobs.errors import UnknownJob
from gateway.jobs.job import TERMINAL, Fault, Job, State
from gateway.jobs.schedule import Belief, Plan, expected_end
from gateway.jobs.store import JobStore, span
from gateway.jobs.tally import Tally

Settle = Callable[[Job, State, Fault | None], Awaitable[None]]
"""Told of a job that is about to end, before it does; after a crash in between, once more."""

_FRESH = 2.0  # seconds for which a plan is kept, however many tasks end meanwhile


async def _free(_job: Job, _state: State, _fault: Fault | None) -> None:
    """Nobody asks what it cost."""


class Desk:
    """What submitting, looking, cancelling and waiting share. ``retention``: seconds that an ended job is kept."""

    def __init__(self, store: JobStore, now: Callable[[], float], retention: float) -> None:
        self.store = store
        self.settle: Settle = _free
        self.now = now
        self.tally = Tally()
        self.chance = random.Random()  # noqa: S311 - spreads looks, hides nothing
        self._retention = retention
        self._live: set[str] = set()  # submitted here, and not ended yet
        self._waiters: dict[str, set[asyncio.Future[Job]]] = {}
        self._plans: dict[str, tuple[float, Plan]] = {}
        self._stale: set[str] = set()
        self._beliefs: defaultdict[str, Belief] = defaultdict(Belief)

    async def move(self, job: Job, state: State, note: str = "", **changes: Any) -> Job:
        """``JobStore.move``; an end sets ``expires`` and wakes the waiters."""
        if state in TERMINAL:
            changes["expires"] = self.now() + self._retention
            await self.settle(job, state, changes.get("fault"))
        new = await self.store.move(job, state, note, **changes)
        self.tally.moved(job.state, state)
        if state is State.RUNNING:
            self._live.add(job.id)
        elif state in TERMINAL:
            self._live.discard(job.id)
            for waiter in self._waiters.pop(job.id, ()):
                if not waiter.done():
                    waiter.set_result(new)
            if state is State.COMPLETED:
                self._stale.add(job.deployment)
        return new

    async def fail(self, job: Job, fault: Fault, note: str = "", **changes: Any) -> Job:
        """The end of a job that has no output."""
        return await self.move(job, State.FAILED, note or fault.code, fault=fault, **changes)

    async def wait(self, job_id: str, timeout: float) -> Job:  # noqa: ASYNC109 - the caller's words
        """The job once it has ended. Raises ``TimeoutError`` after ``timeout`` seconds, ``UnknownJob``."""
        waiter: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
        # Before the row is read, so that no end falls between.
        self._waiters.setdefault(job_id, set()).add(waiter)
        try:
            async with asyncio.timeout(timeout):
                if job_id in self._live:
                    return await waiter
                job = await self.store.get(job_id)
                if job is None:
                    raise UnknownJob(job_id)
                return job if job.state in TERMINAL else await waiter
        finally:
            waiters = self._waiters.get(job_id, set())
            waiters.discard(waiter)
            if not waiters:
                self._waiters.pop(job_id, None)

    def foretold(self, job: Job, age: float, progress: float, interval: float) -> float | None:
        """The age at which a task ends by its own ``progress``, where this deployment's can be believed."""
        if not self._beliefs[job.deployment].holds(interval):
            return None
        return expected_end((age, progress), (span(job)[0], job.progress))

    def found(self, job: Job, age: float) -> None:
        """A task was seen to have ended: what its progress had foretold at the last look is checked."""
        begin = span(job)[0]
        end = expected_end((begin, job.progress), (0.0, 0.0))
        if end is not None:
            self._beliefs[job.deployment].learn(end, (begin, age))

    async def plan(self, deployment: str, interval: float) -> Plan:
        """When this deployment's tasks are worth a look."""
        made, known = self._plans.get(deployment, (float("-inf"), None))
        old = deployment in self._stale and self.now() - made >= _FRESH
        if known is None or old or known.interval != interval:
            self._stale.discard(deployment)
            known = schedule.plan(await self.store.durations(deployment), interval, self.chance)
            self._plans[deployment] = (self.now(), known)
        return known
