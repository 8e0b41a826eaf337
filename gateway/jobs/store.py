"""Where jobs are kept: the protocol, and the rules that every store shares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.jobs.errors import IllegalMove
from gateway.jobs.job import MOVES, TERMINAL, Job, State
from gateway.jobs.schedule import Span as Span

Found = list[Job]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a job's history. ``before`` is None where the row was made."""

    job: str
    at: float
    before: State | None
    after: State
    note: str = ""


class JobStore(Protocol):
    """Every method may raise ``StoreError``. What it wrote is durable when it returns."""

    async def add(self, jobs: Sequence[Job]) -> None:
        """All of them or none. Raises ``Conflict`` where an id is taken."""

    async def get(self, job_id: str) -> Job | None:
        """One row."""

    async def move(self, job: Job, state: State, note: str = "", **changes: Any) -> Job:
        """Change the row that ``job`` is a copy of; the new copy has ``version`` + 1.

        A new state, and a note, go to the history. A change of ``next_poll``, or an end, gives the lease back.
        Raises ``IllegalMove`` where ``MOVES`` has no such move, ``Conflict`` where the row is no longer this version.
        """

    async def claim(self, now: float, limit: int, worker: str, lease: float) -> list[Job]:
        """Running or storing jobs that are due and that nobody holds, the longest due first; held for ``lease`` s."""

    async def next_due(self) -> float | None:
        """When ``claim`` will next find something (it may be past). None: nothing is running."""

    async def release(self) -> None:
        """Give every lease back: for a start, when no other worker lives."""

    async def list(self, owner: str, kind: str, after: str | None, limit: int, descending: bool) -> tuple[Found, bool]:
        """A page in the order of (created, id), beginning after the job ``after``, and whether there is more.

        Raises ``UnknownJob`` where the owner has no such ``after``.
        """

    async def same(self, fingerprint: str, since: float) -> Found:
        """The jobs of the newest batch with this fingerprint, made at ``since`` or later, in the order of adding."""

    async def unfinished(self) -> Found:
        """Every job that has not ended, oldest first."""

    async def handing(self) -> Sequence[tuple[Job, str]]:
        """Every job that is created or submitting, and the name of the process that added it."""

    async def states(self, ids: Collection[str]) -> Mapping[str, State]:
        """Where jobs stand; those that are gone are left out."""

    async def living(self) -> Mapping[State, int]:
        """How many jobs that have not ended there are in each state; none is left out."""

    async def expired(self, now: float, limit: int) -> Found:
        """Ended jobs whose ``expires`` has come, the longest expired first."""

    async def remove(self, job_id: str) -> None:
        """Forget the row; the history stays. Harmless where there is none."""

    async def history(self, job_id: str) -> Sequence[Entry]:
        """What became of a job, in order."""

    async def durations(self, deployment: str, limit: int = 50) -> Sequence[Span]:
        """Between which ages the deployment's newest completed tasks ended, the newest first."""

    async def close(self) -> None:
        """Let go of everything. Twice is harmless."""


def moved(job: Job, state: State, changes: Mapping[str, Any]) -> Job:
    """The next version of a job. Raises ``IllegalMove``."""
    if state not in MOVES[job.state]:
        raise IllegalMove(f"{job.id}: {job.state} -> {state}")
    ended: dict[str, Any] = {"next_poll": None} if state in TERMINAL else {}
    return job._replace(state=state, version=job.version + 1, **{**changes, **ended})


def frees(state: State, changes: Mapping[str, Any]) -> bool:
    """Whether a move gives the lease back. Who says when to look next is done looking."""
    return state in TERMINAL or "next_poll" in changes


def entry(job: Job, state: State, at: float, note: str) -> Entry | None:
    """The line for the history. None for a mere look, or a long task would fill it."""
    return Entry(job.id, at, job.state, state, note) if note or state is not job.state else None


def span(job: Job) -> Span:
    """Between which ages a completed task ended."""
    submitted = job.submitted or 0.0
    return max(0.0, (job.looked or submitted) - submitted), max(0.0, (job.done or submitted) - submitted)
