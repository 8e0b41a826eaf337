"""The worker: hands tasks over once, looks at all of them, and wakes whoever waits.

A task is a row before it is sent. It is sent once: where a crash or a broken connection leaves open whether the
provider took it, the job fails and says so. From then on the row is all that is needed, so a restart goes on where it
stopped.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any

from gateway.jobs.desk import WATCH_SECONDS, Desk, Settle
from gateway.jobs.errors import INTERRUPTED, UNKNOWN, Conflict, StoreError, SubmissionUnknown, UnknownJob, fault_of
from gateway.jobs.job import TERMINAL, Job, State
from gateway.jobs.look import Keep, Looker, ProviderOf
from gateway.jobs.schedule import wait_working
from gateway.jobs.store import JobStore
from gateway.workers.crew import Crew
from providers.base.contract import Done, TaskProvider, TaskRequest
from providers.base.errors import ProviderError

LEASE = 300.0
"""Seconds for which a look may hold a job; what is still in hand then is simply held again."""

TEND_SECONDS = 1.0
"""Between two looks for what processes that are gone have left."""

_PATIENCE = 60.0  # seconds for which a cancellation waits for another process's submission
_UNHEARD = 0.2  # seconds after which the store is asked for the tasks of other processes
_STORE_PAUSE = 1.0  # seconds before a store that could not answer is asked again

_log = logging.getLogger(__name__)


class Jobs:
    """Everything that happens to jobs. One per store, in one process; or one in each of a ``crew``, whose leader looks.

    ``provider_of`` finds the provider of a row (None: it is no longer configured). ``keep`` copies the outputs of a
    finished task and returns their keys; it may be called again for the same job, and should then replace what is
    there. ``now`` is the time since the epoch; ``concurrency`` how many looks go on at once; ``retention`` for how many
    seconds an ended job is kept. ``chance`` spreads the looks; seed it to repeat a run.
    """

    def __init__(
        self,
        store: JobStore,
        *,
        provider_of: ProviderOf,
        keep: Keep,
        now: Callable[[], float] = time.time,
        concurrency: int = 64,
        retention: float = 7 * 86400,
    ) -> None:
        self.store = store
        self.crew: Crew | None = None
        self._desk = Desk(store, now, retention)
        self.chance = self._desk.chance
        self.tally = self._desk.tally
        self.provider_of = provider_of
        self._looker = Looker(self._desk, provider_of, keep)
        self._keep = keep
        self._now = now
        self._concurrency = concurrency
        self._name = secrets.token_hex(8)
        self._submits: dict[str, asyncio.Task[Any]] = {}
        self._steps: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._tending: asyncio.Task[None] | None = None

    def settle_by(self, settle: Settle) -> None:
        """Who is told of jobs before they end. Call it before ``start``."""
        self._desk.settle = settle

    def join(self, crew: Crew) -> None:
        """Other processes move jobs of the store too. Call it before ``start``."""
        self.crew = crew
        self._desk.share()

    async def submit(self, job: Job, provider: TaskProvider, request: TaskRequest, *, added: bool = False) -> Job:
        """Hand a task over, once, and return the running job (the ended one, where the provider answers at once).

        Its row is added, unless it was ``added`` just now, created or submitting.

        Goes on to its end when the caller is cancelled. Raises the ``ProviderError`` of a provider that did not take
        it (another may be asked), ``SubmissionUnknown`` where nobody can know (none may), ``StoreError``.
        """
        return await asyncio.shield(asyncio.create_task(self.hand_over(job, provider, request, added=added)))

    async def hand_over(self, job: Job, provider: TaskProvider, request: TaskRequest, *, added: bool) -> Job:
        """The same, for a task that nobody cancels."""
        running = asyncio.current_task()
        if running is None or job.id in self._submits:
            raise Conflict(job.id)
        self._submits[job.id] = running
        try:
            return await self._submit(job, provider, request, added)
        finally:
            del self._submits[job.id]

    async def wait(self, job_id: str, timeout: float) -> Job:  # noqa: ASYNC109 - the caller's words
        """The job once it has ended. Raises ``TimeoutError`` after ``timeout`` seconds (it goes on), ``UnknownJob``."""
        return await self._desk.wait(job_id, timeout)

    async def cancel(self, job: Job) -> Job:
        """Stop a job where it still can be stopped; returns what became of it. Raises ``UnknownJob``.

        The provider is asked to stop the task, but what it answers changes nothing.
        """
        asked, patience = False, _PATIENCE if self.crew is not None else 0.0
        while True:
            if submit := self._submits.get(job.id):
                await asyncio.wait([submit])
            row = await self.store.get(job.id)
            if row is None:
                raise UnknownJob(job.id)
            if row.state is State.SUBMITTING and patience > 0:  # another process waits for the provider's answer
                patience -= WATCH_SECONDS
                await asyncio.sleep(WATCH_SECONDS)
                continue
            if row.state in TERMINAL or row.state is State.SUBMITTING:
                return row
            provider = self.provider_of(row)
            if not asked and provider is not None and row.task is not None:
                asked = True
                try:
                    await provider.cancel(row.task)
                except ProviderError as error:
                    _log.info("%s (%s): cancelling failed: %s", row.id, row.deployment, error)
            with suppress(Conflict):
                return await self._desk.move(row, State.CANCELLED)

    async def start(self) -> None:
        """Take up what an earlier run left, and begin to look. Call it once, before the first ``submit``."""
        if self.crew is not None and not self.crew.leads:
            return
        await self.recover()
        self._loop = asyncio.create_task(self._run())
        if self.crew is not None:
            self._tending = asyncio.create_task(self._tend())

    async def close(self) -> None:
        """Stop looking; wait for submissions under way. Running jobs are left for the next start."""
        loops = (self._loop, self._tending)
        stopped = [*self._steps.values(), *(loop for loop in loops if loop is not None)]
        for task in stopped:
            task.cancel()
        await asyncio.gather(*stopped, *self._submits.values(), return_exceptions=True)
        self._loop = self._tending = None
        await self._desk.close()

    def wake(self) -> None:
        """Ask the store now what is due (the clock was moved)."""
        self._wake.set()

    async def resume(self, deployment: str) -> None:
        """Look now at the jobs of a deployment that is configured again."""
        for job in await self.store.unfinished():
            if job.deployment == deployment and job.state in (State.RUNNING, State.STORING):
                with suppress(Conflict):
                    await self._desk.move(job, job.state, errors=0, next_poll=self._now())
        self.wake()

    async def recover(self) -> None:
        """Settle what a crash left open: never sent again, whatever it was."""
        await self.store.release()
        for job in await self.store.unfinished():
            self.tally.known(job)
        await self._settle_left()

    async def _settle_left(self) -> None:
        for job, by in await self.store.handing():
            if self.crew is None or not self.crew.alive(by):
                with suppress(Conflict):  # written just before its process ended
                    await self._desk.fail(job, INTERRUPTED if job.state is State.CREATED else UNKNOWN)

    async def _tend(self) -> None:
        """What a leader does beside: others may end at any time, and nobody else knows how many jobs there are."""
        while True:
            try:
                await self._settle_left()
                self.tally.living = dict(await self.store.living())
            except StoreError as error:
                _log.error("the jobs' store does not answer: %s", error)
            await asyncio.sleep(TEND_SECONDS)

    async def turn(self) -> None:
        """Look at what is due now, once, and return when that is done. For tests and tools; ``start`` does it alone."""
        await self._begin()
        await asyncio.gather(*self._steps.values())

    async def _submit(self, job: Job, provider: TaskProvider, request: TaskRequest, added: bool) -> Job:
        desk = self._desk
        if not added:
            await self.store.add([job])
        self.tally.known(job)
        # Before it is sent, so that nothing is waited for between the provider's answer and the row.
        known = await desk.plan(job.deployment, provider.poll_interval)
        if job.state is State.CREATED:
            job = await desk.move(job, State.SUBMITTING)
        try:
            taken = await provider.submit(request)
            if taken.done is not None and (kept := await self._at_once(job, taken.task, taken.done)) is not None:
                return kept
            now = desk.now()
            due = now + wait_working(known, 0.0, None, desk.chance)
            job = await desk.move(job, State.RUNNING, task=taken.task, submitted=now, next_poll=due)
        except ProviderError as error:
            if error.sent == "maybe":
                await desk.fail(job, UNKNOWN, f"{UNKNOWN.code}: {error}")
                raise SubmissionUnknown(UNKNOWN.message) from error
            await desk.fail(job, fault_of(error))
            raise
        except BaseException as error:
            _log.error("%s (%s): the submission broke: %r", job.id, job.deployment, error)
            with suppress(StoreError):
                await desk.fail(job, UNKNOWN)
            raise
        self._wake.set()
        return job

    async def _at_once(self, job: Job, task: str, done: Done) -> Job | None:
        """Keep what came with the answer; ``None`` where that fails, and the task is looked at like any other.

        Until it is kept the row says that nobody knows, which is how it is after a crash.
        """
        desk, now = self._desk, self._desk.now()
        try:
            outputs = await self._keep(job, done)
        except (ProviderError, OSError) as error:
            _log.error("%s (%s): what came with the answer was not kept: %s", job.id, job.deployment, error)
            return None
        ended: dict[str, Any] = {"submitted": now, "done": now, "completed": desk.now(), "progress": 1.0}
        return await desk.move(job, State.COMPLETED, task=task, outputs=tuple(outputs), **ended)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                due = await self._begin()
            except StoreError as error:
                _log.error("the jobs' store does not answer: %s", error)
                due = self._now() + _STORE_PAUSE
            if self.crew is not None:  # the others' tasks come unheard
                due = min(due, self._now() + _UNHEARD)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due == inf else max(0.0, due - self._now())):
                    await self._wake.wait()

    async def _begin(self) -> float:
        """Begin the looks that are due and that there is room for. Returns when there will be more (inf: not known)."""
        room = self._concurrency - len(self._steps)
        if self.crew is not None and ((due := await self.store.next_due()) is None or due > self._now()):
            return inf if due is None else due  # a claim writes, and whoever writes keeps the others waiting
        if room > 0:
            for job in await self.store.claim(self._now(), room, self._name, LEASE):
                self.tally.looked(self._now() - (job.next_poll or self._now()))
                before = self._steps.get(job.id)
                task = asyncio.create_task(self._looker.step(job) if before is None else self._again(job, before))
                self._steps[job.id] = task
                task.add_done_callback(partial(self._ended, job.id))
        if len(self._steps) >= self._concurrency:
            return inf  # the end of a look wakes the loop
        due = await self.store.next_due()
        return inf if due is None else due

    async def _again(self, job: Job, before: asyncio.Task[None]) -> None:
        """A look at a job that was due again, or held too long, before its last look had ended."""
        await before
        with suppress(StoreError):
            row = await self.store.get(job.id)
            if row is not None and row.version == job.version:  # else it has given the lease back
                await self._looker.step(job)

    def _ended(self, job_id: str, task: asyncio.Task[None]) -> None:
        if self._steps.get(job_id) is task:
            del self._steps[job_id]
        self._wake.set()
