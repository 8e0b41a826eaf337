"""Jobs in memory: for tests, and for a gateway that shall leave nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from gateway.jobs.errors import Conflict, UnknownJob
from gateway.jobs.job import TERMINAL, Job, State
from gateway.jobs.store import Entry, Found, Span, entry, frees, moved, span

_LOOKED_AT = frozenset({State.RUNNING, State.STORING})


class MemoryJobStore:
    """A ``JobStore`` that a crash empties. Due jobs are found by walking over all of them."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._rows: dict[str, Job] = {}
        self._leases: dict[str, float] = {}
        self._history: list[Entry] = []

    async def add(self, jobs: Sequence[Job]) -> None:
        """All of them or none. Raises ``Conflict`` where an id is taken."""
        new = {job.id: job for job in jobs}
        if len(new) < len(jobs) or new.keys() & self._rows.keys():
            raise Conflict("an id is taken")
        self._rows.update(new)
        self._history += [Entry(job.id, self._now(), None, job.state) for job in jobs]

    async def get(self, job_id: str) -> Job | None:
        """One row."""
        return self._rows.get(job_id)

    async def move(self, job: Job, state: State, note: str = "", **changes: Any) -> Job:
        """See ``JobStore.move``."""
        new = moved(job, state, changes)
        row = self._rows.get(job.id)
        if row is None or row.version != job.version:
            raise Conflict(job.id)
        self._rows[job.id] = new
        if frees(state, changes):
            self._leases.pop(job.id, None)
        line = entry(job, state, self._now(), note)
        self._history += [] if line is None else [line]
        return new

    async def claim(self, now: float, limit: int, worker: str, lease: float) -> Found:  # noqa: ARG002 - one process
        """Due jobs that nobody holds."""
        due = [(at, job) for at, job in self._due() if max(at, self._leases.get(job.id, at)) <= now]
        claimed = [job for _, job in sorted(due, key=lambda each: each[0])[:limit]]
        self._leases.update((job.id, now + lease) for job in claimed)
        return claimed

    async def next_due(self) -> float | None:
        """When ``claim`` will next find something."""
        return min((max(at, self._leases.get(job.id, at)) for at, job in self._due()), default=None)

    async def release(self) -> None:
        """Give every lease back."""
        self._leases.clear()

    async def list(self, owner: str, kind: str, after: str | None, limit: int, descending: bool) -> tuple[Found, bool]:
        """A page, and whether there is more. Raises ``UnknownJob``."""
        rows = [job for job in self._rows.values() if job.owner == owner and job.kind == kind]
        rows.sort(key=lambda job: (job.created, job.id), reverse=descending)
        if after is not None:
            places = [place for place, job in enumerate(rows) if job.id == after]
            if not places:
                raise UnknownJob(after)
            rows = rows[places[0] + 1 :]
        return rows[:limit], len(rows) > limit

    async def same(self, fingerprint: str, since: float) -> Found:
        """The jobs of the newest batch with this fingerprint."""
        rows = [job for job in self._rows.values() if fingerprint and job.fingerprint == fingerprint]
        newest: Job | None = None
        for job in rows:
            if job.created >= since and (newest is None or job.created >= newest.created):
                newest = job
        return [job for job in rows if newest is not None and job.batch == newest.batch]

    async def unfinished(self) -> Found:
        """Every job that has not ended, oldest first."""
        rows = [job for job in self._rows.values() if job.state not in TERMINAL]
        return sorted(rows, key=lambda job: job.created)

    async def handing(self) -> Sequence[tuple[Job, str]]:
        """Every job that is created or submitting; there is one process."""
        return [(job, "") for job in await self.unfinished() if job.state in (State.CREATED, State.SUBMITTING)]

    async def states(self, ids: Collection[str]) -> Mapping[str, State]:
        """Where jobs stand."""
        return {job.id: job.state for each in ids if (job := self._rows.get(each)) is not None}

    async def living(self) -> Mapping[State, int]:
        """How many jobs there are in each state."""
        states = [job.state for job in self._rows.values()]
        return {state: states.count(state) for state in State if state not in TERMINAL}

    async def expired(self, now: float, limit: int) -> Found:
        """Ended jobs whose ``expires`` has come."""
        rows = [
            (job.expires, job)
            for job in self._rows.values()
            if job.state in TERMINAL and job.expires is not None and job.expires <= now
        ]
        return [job for _, job in sorted(rows, key=lambda each: each[0])[:limit]]

    async def remove(self, job_id: str) -> None:
        """Forget the row; the history stays."""
        self._rows.pop(job_id, None)
        self._leases.pop(job_id, None)

    async def history(self, job_id: str) -> Sequence[Entry]:
        """What became of a job, in order."""
        return [line for line in self._history if line.job == job_id]

    async def durations(self, deployment: str, limit: int = 50) -> Sequence[Span]:
        """Between which ages the newest completed tasks ended."""
        rows = [job for job in self._rows.values() if job.deployment == deployment and job.state is State.COMPLETED]
        rows.sort(key=lambda job: job.completed or 0.0, reverse=True)
        return [span(job) for job in rows[:limit]]

    async def close(self) -> None:
        """Nothing to let go of."""

    def _due(self) -> Sequence[tuple[float, Job]]:
        rows = self._rows.values()
        return [(job.next_poll, job) for job in rows if job.state in _LOOKED_AT and job.next_poll is not None]
