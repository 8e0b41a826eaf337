"""Where jobs are moved: the one place that changes rows, and that tells whoever waits for the end of one."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

from gateway.jobs import schedule
from gateway.jobs.errors import StoreError, UnknownJob
from gateway.jobs.job import TERMINAL, Fault, Job, State
from gateway.jobs.schedule import Belief, Plan, expected_end
from gateway.jobs.store import JobStore, span
from gateway.jobs.tally import Tally

Settle = Callable[[Job, State, Fault | None], Awaitable[None]]
"""Told of a job that is about to end, before it does; after a crash in between, once more."""

_FRESH = 2.0  # seconds for which a plan is kept, however many tasks end meanwhile
_AGED = 30.0  # the same where other processes' tasks end unseen

WATCH_SECONDS = 0.15
"""Between two looks for the ends that other processes write; one question for all jobs that are waited for."""

_log = logging.getLogger(__name__)


async def _free(_job: Job, _state: State, _fault: Fault | None) -> None:
    """Nobody asks what it cost."""


class Desk:
    """What submitting, looking, cancelling and waiting share. ``retention``: seconds that an ended job is kept."""

    def __init__(self, store: JobStore, now: Callable[[], float], retention: float) -> None:
        self.store = store
        self.settle: Settle = _free
        self.now = now
        self.shared = False
        self.tally = Tally()
        self.chance = random.Random()  # noqa: S311 - spreads looks, hides nothing
        self._retention = retention
        self._live: set[str] = set()  # submitted here, and not ended yet
        self._watching: asyncio.Task[None] | None = None
        self._waiters: dict[str, set[asyncio.Future[Job]]] = {}
        self._plans: dict[str, tuple[float, Plan]] = {}
        self._stale: set[str] = set()
        self._beliefs: defaultdict[str, Belief] = defaultdict(Belief)

    def share(self) -> None:
        """Other processes move jobs of the store too."""
        self.shared, self.tally.alone = True, False

    async def move(self, job: Job, state: State, note: str = "", **changes: Any) -> Job:
        """``JobStore.move``; an end sets ``expires`` and wakes the waiters."""
        if state in TERMINAL:
            changes["expires"] = self.now() + self._retention
            await self.settle(job, state, changes.get("fault"))
        new = await self.store.move(job, state, note, **changes)
        self.tally.moved(job.state, state)
        if state is State.RUNNING and not self.shared:
            self._live.add(job.id)
        elif state in TERMINAL:
            self._live.discard(job.id)
            self._tell(job.id, new)
            if job.state is State.STORING:  # it was waited for
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
                if job.state not in TERMINAL and self.shared and self._watching is None:
                    self._watching = asyncio.create_task(self._watch())
                return job if job.state in TERMINAL else await waiter
        finally:
            waiters = self._waiters.get(job_id, set())
            waiters.discard(waiter)
            if not waiters:
                self._waiters.pop(job_id, None)

    async def close(self) -> None:
        """Stop looking for what other processes write."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    def _tell(self, job_id: str, ended: Job | None) -> None:
        for waiter in self._waiters.pop(job_id, ()):
            if waiter.done():
                continue
            if ended is None:
                waiter.set_exception(UnknownJob(job_id))
            else:
                waiter.set_result(ended)

    async def _watch(self) -> None:
        """While somebody waits: find the ends that other processes wrote, and the jobs that they removed."""
        while self._waiters:
            await asyncio.sleep(WATCH_SECONDS)
            waited = [*self._waiters]
            try:
                states = await self.store.states(waited)
                for job_id in waited:
                    if job_id not in states:
                        self._tell(job_id, None)
                    elif states[job_id] in TERMINAL:
                        self._tell(job_id, await self.store.get(job_id))
            except StoreError as error:
                _log.error("the jobs' store does not answer: %s", error)
        self._watching = None

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
        fresh = _FRESH if deployment in self._stale else _AGED if self.shared else inf
        old = self.now() - made >= fresh
        if known is None or old or known.interval != interval:
            self._stale.discard(deployment)
            known = schedule.plan(await self.store.durations(deployment), interval, self.chance)
            self._plans[deployment] = (self.now(), known)
        return known
