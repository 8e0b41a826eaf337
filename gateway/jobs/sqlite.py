"""Jobs in one SQLite file: what was written is there after a crash."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gateway.database import Database, Schema
from gateway.jobs.errors import Conflict, UnknownJob
from gateway.jobs.job import TERMINAL, Job, State
from gateway.jobs.rows import COLUMNS, LOOKED_AT, OPEN, SCHEMA, VERSION, changed, job_of, values
from gateway.jobs.store import Entry, Found, Span, entry, frees, moved, span

T = TypeVar("T")

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM jobs"  # noqa: S608 - names of our own columns
_INSERT = f"INSERT INTO jobs ({', '.join(COLUMNS)}, lease_by) VALUES ({', '.join('?' * len(COLUMNS))}, ?)"  # noqa: S608
_SELECT_BY = f"SELECT lease_by, {', '.join(COLUMNS)} FROM jobs"  # noqa: S608


class SqliteJobStore:
    """A ``JobStore`` in a file (see ``Database``), for one process, or for several with ``name``s of their own.

    Raises ``StoreError`` where the file cannot be opened or comes from a newer version.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time, *, name: str = "") -> None:
        self._now = now
        self._name = name
        self._file = Database(path, Schema(VERSION, SCHEMA))
        self._db = self._file.connection

    async def add(self, jobs: Sequence[Job]) -> None:
        """All of them or none. Raises ``Conflict`` where an id is taken."""
        rows = [(*values(job), self._name) for job in jobs]

        def run() -> None:
            try:
                self._db.executemany(_INSERT, rows)
            except sqlite3.IntegrityError as error:
                raise Conflict("an id is taken") from error
            for job in jobs:
                self._note(Entry(job.id, self._now(), None, job.state))

        await self._do(run, writes=True)

    async def get(self, job_id: str) -> Job | None:
        """One row."""
        found = await self._do(lambda: self._jobs("WHERE id = ?", job_id))
        return found[0] if found else None

    async def move(self, job: Job, state: State, note: str = "", **changes: Any) -> Job:
        """See ``JobStore.move``."""
        new = moved(job, state, changes)
        # What does not change is left out: each index of a column that is set is written again.
        row = changed(job, new)
        if frees(state, changes):
            row["lease_until"] = 0
        update = f"UPDATE jobs SET {' = ?, '.join(row)} = ? WHERE id = ? AND version = ?"  # noqa: S608
        given = (*row.values(), job.id, job.version)

        def run() -> Job:
            if self._db.execute(update, given).rowcount != 1:
                raise Conflict(job.id)
            line = entry(job, state, self._now(), note)
            if line is not None:
                self._note(line)
            return new

        return await self._do(run, writes=True)

    async def claim(self, now: float, limit: int, worker: str, lease: float) -> Found:
        """Due jobs that nobody holds."""

        def run() -> Found:
            due = f"WHERE {LOOKED_AT} AND next_poll <= ? AND lease_until <= ? ORDER BY next_poll, seq LIMIT ?"
            found = self._jobs(due, now, now, limit)
            self._db.executemany(
                "UPDATE jobs SET lease_until = ?, lease_by = ? WHERE id = ?",
                [(now + lease, worker, job.id) for job in found],
            )
            return found

        return await self._do(run, writes=True)

    async def next_due(self) -> float | None:
        """When ``claim`` will next find something."""

        def run() -> float | None:
            due = f"SELECT next_poll, lease_until FROM jobs WHERE {LOOKED_AT} AND next_poll >= 0 ORDER BY next_poll"  # noqa: S608
            first: float | None = None
            rows = self._db.execute(due)
            # Only held rows are walked over, and those are few.
            for at, until in rows:
                if first is not None and at >= first:
                    break
                first = max(at, until) if first is None else min(first, max(at, until))
            rows.close()
            return first

        return await self._do(run)

    async def release(self) -> None:
        """Give every lease back."""
        await self._do(lambda: self._db.execute("UPDATE jobs SET lease_until = 0 WHERE lease_until > 0"), writes=True)

    async def list(self, owner: str, kind: str, after: str | None, limit: int, descending: bool) -> tuple[Found, bool]:
        """A page, and whether there is more. Raises ``UnknownJob``."""
        way, beyond = ("DESC", "<") if descending else ("ASC", ">")

        def run() -> Found:
            where = "WHERE owner = ? AND kind = ?"
            given: list[Any] = [owner, kind]
            if after is not None:
                known = self._jobs(f"{where} AND id = ?", *given, after)
                if not known:
                    raise UnknownJob(after)
                where += f" AND (created, id) {beyond} (?, ?)"
                given += [known[0].created, after]
            return self._jobs(f"{where} ORDER BY created {way}, id {way} LIMIT ?", *given, limit + 1)

        found = await self._do(run)
        return found[:limit], len(found) > limit

    async def same(self, fingerprint: str, since: float) -> Found:
        """The jobs of the newest batch with this fingerprint."""

        def run() -> Found:
            where = "WHERE fingerprint = ? AND fingerprint <> ''"
            newest = self._jobs(f"{where} AND created >= ? ORDER BY created DESC, seq DESC LIMIT 1", fingerprint, since)
            batch = f"{where} AND batch = ? ORDER BY seq"
            return self._jobs(batch, fingerprint, newest[0].batch) if newest else []

        return await self._do(run)

    async def unfinished(self) -> Found:
        """Every job that has not ended, oldest first."""
        return await self._do(lambda: self._jobs(f"WHERE {OPEN} ORDER BY created, seq"))

    async def handing(self) -> Sequence[tuple[Job, str]]:
        """Every job that is created or submitting. Until it runs, ``lease_by`` is who added it."""
        early = f"{_SELECT_BY} WHERE {OPEN} AND state IN ('created', 'submitting')"

        def run() -> Sequence[tuple[Job, str]]:
            return [(job_of(row), by or "") for by, *row in self._db.execute(early)]

        return await self._do(run)

    async def states(self, ids: Collection[str]) -> Mapping[str, State]:
        """Where jobs stand."""
        query = "SELECT id, state FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
        given = json.dumps(list(ids))
        return await self._do(lambda: {job: State(state) for job, state in self._db.execute(query, (given,))})

    async def living(self) -> Mapping[State, int]:
        """How many jobs there are in each state."""
        query = f"SELECT state, COUNT(*) FROM jobs WHERE {OPEN} GROUP BY state"  # noqa: S608

        def run() -> Mapping[State, int]:
            found = {State(state): count for state, count in self._db.execute(query)}
            return {state: found.get(state, 0) for state in State if state not in TERMINAL}

        return await self._do(run)

    async def expired(self, now: float, limit: int) -> Found:
        """Ended jobs whose ``expires`` has come."""
        ended = f"WHERE expires <= ? AND NOT ({OPEN}) ORDER BY expires LIMIT ?"
        return await self._do(lambda: self._jobs(ended, now, limit))

    async def remove(self, job_id: str) -> None:
        """Forget the row; the history stays."""
        await self._do(lambda: self._db.execute("DELETE FROM jobs WHERE id = ?", (job_id,)), writes=True)

    async def history(self, job_id: str) -> Sequence[Entry]:
        """What became of a job, in order."""

        def run() -> Sequence[Entry]:
            rows = self._db.execute(
                "SELECT job, at, before, after, note FROM history WHERE job = ? ORDER BY seq", (job_id,)
            )
            return [Entry(job, at, State(old) if old else None, State(new), note) for job, at, old, new, note in rows]

        return await self._do(run)

    async def durations(self, deployment: str, limit: int = 50) -> Sequence[Span]:
        """Between which ages the newest completed tasks ended."""
        newest = "WHERE deployment = ? AND state = 'completed' ORDER BY completed DESC LIMIT ?"
        return [span(job) for job in await self._do(lambda: self._jobs(newest, deployment, limit))]

    async def close(self) -> None:
        """Finish what was asked for, then close the file. Twice is harmless."""
        await self._file.close()

    async def _do(self, run: Callable[[], T], *, writes: bool = False) -> T:
        return await self._file.do(run, writes=writes)

    def _jobs(self, rest: str, *given: Any) -> Found:
        return [job_of(row) for row in self._db.execute(f"{_SELECT} {rest}", given)]

    def _note(self, line: Entry) -> None:
        self._db.execute(
            "INSERT INTO history (job, at, before, after, note) VALUES (?, ?, ?, ?, ?)",
            (line.job, line.at, line.before, line.after, line.note),
        )
