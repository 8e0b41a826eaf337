"""One look at one task, and what follows from it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from gateway.jobs.desk import Desk
from gateway.jobs.errors import LOST, StoreError, fault_of
from gateway.jobs.job import TERMINAL, Job, State
from gateway.jobs.schedule import wait_after_error, wait_working
from providers.base.contract import Done, Failed, TaskProvider, Working
from providers.base.errors import ProviderError

ABSENT = 300.0
"""Seconds between two looks for a provider that is no longer configured: it may come back with another start."""

TRIES = 8
"""How often the outputs of one job may fail to be kept."""

_TRY_CAP = 600.0
_STUMBLE = 10.0  # seconds after the first surprise; no vendor asks for more between two looks

ProviderOf = Callable[[Job], TaskProvider | None]
Keep = Callable[[Job, Done], Awaitable[tuple[str, ...]]]

_log = logging.getLogger(__name__)


class Looker:
    """Looks at the tasks that are due, one at a call."""

    def __init__(self, desk: Desk, provider_of: ProviderOf, keep: Keep) -> None:
        self._desk = desk
        self._provider_of = provider_of
        self._keep = keep

    async def step(self, job: Job) -> None:
        """One look. Raises nothing: what goes wrong is logged, and the job is looked at again later."""
        try:
            await self._look(job)
        except StoreError as error:
            # Changed by somebody else, or the disk is full: whatever holds, the lease runs out and it is read again.
            _log.info("%s: the look was not recorded: %s", job.id, error)
        except Exception as error:  # noqa: BLE001 - the worker loop
            _log.warning("%s (%s): %s", job.id, job.deployment, error, exc_info=error)
            with suppress(StoreError):
                await self._stumbled(job, error)

    async def _look(self, job: Job) -> None:
        desk = self._desk
        provider = self._provider_of(job)
        if provider is None:
            note = "" if job.errors else f"{job.deployment} is not configured"
            await desk.move(job, job.state, note, errors=job.errors + 1, next_poll=desk.now() + ABSENT)
            return
        try:
            found = await provider.poll(job.task or "")
        except ProviderError as error:
            # The look failed, which says nothing about the task.
            _log.info("%s (%s): look failed: %s", job.id, job.deployment, error)
            delay = wait_after_error(job.errors + 1, provider.poll_interval, desk.chance, error.retry_after)
            await desk.move(job, job.state, polls=job.polls + 1, errors=job.errors + 1, next_poll=desk.now() + delay)
            return
        if isinstance(found, Working):
            await self._working(job, found, provider.poll_interval)
        elif isinstance(found, Failed):
            await desk.fail(job, fault_of(found.error), polls=job.polls + 1, errors=0)
        else:
            await self._done(job, found)

    async def _working(self, job: Job, found: Working, interval: float) -> None:
        desk = self._desk
        now = desk.now()
        known = await desk.plan(job.deployment, interval)
        age = max(0.0, now - (now if job.submitted is None else job.submitted))
        # In this order, what is not a number changes nothing.
        progress = min(1.0, max(job.progress, found.progress or 0.0))
        end = desk.foretold(job, age, progress, interval)
        delay = wait_working(known, age, found.check_after, desk.chance, end)
        seen: dict[str, Any] = {"looked": now, "progress": progress, "polls": job.polls + 1, "errors": 0}
        await desk.move(job, job.state, next_poll=now + delay, **seen)

    async def _done(self, job: Job, found: Done) -> None:
        desk = self._desk
        # The lease stays: it is given back with the end, or with the next time to look.
        if job.done is None and job.submitted is not None:
            desk.found(job, desk.now() - job.submitted)
        done = desk.now() if job.done is None else job.done
        job = await desk.move(job, State.STORING, done=done, polls=job.polls + 1, errors=0)
        outputs = await self._keep(job, found)
        await desk.move(job, State.COMPLETED, outputs=tuple(outputs), progress=1.0, completed=desk.now())

    async def _stumbled(self, job: Job, error: Exception) -> None:
        desk = self._desk
        row = await desk.store.get(job.id)
        if row is None or row.state in TERMINAL:
            return
        note = type(error).__name__
        if row.state is not State.STORING or row.version == job.version:  # the look itself
            delay = wait_after_error(row.errors + 1, _STUMBLE, desk.chance)
            await desk.move(row, row.state, note, errors=row.errors + 1, next_poll=desk.now() + delay)
        elif row.tries + 1 >= TRIES:
            await desk.fail(row, LOST, f"{LOST.code}: {note}", tries=row.tries + 1)
        else:
            delay = wait_after_error(row.tries + 1, _STUMBLE, desk.chance, cap=_TRY_CAP)
            await desk.move(row, row.state, note, tries=row.tries + 1, next_poll=desk.now() + delay)
