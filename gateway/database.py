"""One SQLite file behind an event loop: a thread of its own, and one flush to disk for many callers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_TOGETHER = 256  # operations in one transaction, at most


class StoreError(Exception):
    """The store cannot answer (disk full, file damaged, closed). What it was asked to write may not be there."""


# What goes wrong with one caller's part alone; anything of SQLite's fails the whole transaction.
_HIS_OWN = (StoreError, LookupError, ValueError, TypeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of a file. ``version`` grows with ``tables``.

    ``survives``: what a commit survives: ``power`` (each waits for the disk) or ``crash`` of this process alone.
    """

    version: int
    tables: str
    survives: str = "power"


class Database:
    """The connection lives on one thread; what callers ask for meanwhile goes into one transaction.

    ``connection`` is for the functions given to ``do`` alone. One process at a time. Raises ``StoreError`` where the
    file cannot be opened or comes from a newer version.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._waiting: deque[tuple[Callable[[], Any], bool, Future[Any]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=path.stem)
        self._closed = False
        try:
            self.connection = self._thread.submit(_open, path, schema).result()
        except (sqlite3.Error, OSError, StoreError) as error:
            self._thread.shutdown()
            raise StoreError(f"{path}: {error}") from error

    async def do(self, run: Callable[[], T], *, writes: bool = False) -> T:
        """What ``run`` returns or raises, on the thread; where it ``writes``, once that is durable."""
        if self._closed:
            raise StoreError("the store is closed")
        future: Future[T] = Future()
        self._waiting.append((run, writes, future))
        self._thread.submit(self._drain)
        return await asyncio.wrap_future(future)

    async def close(self) -> None:
        """Finish what was asked for, then close the file. Twice is harmless."""
        if not self._closed:
            self._closed = True
            await asyncio.wrap_future(self._thread.submit(self.connection.close))
            self._thread.shutdown(wait=False)

    def _drain(self) -> None:
        """On the thread: everything that waits, in one transaction, so that many callers share one flush to disk."""
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER))]
        taken = [each for each in taken if each[2].set_running_or_notify_cancel()]
        answers: list[tuple[Future[Any], Any, Exception | None]] = []
        writes = any(each[1] for each in taken)
        try:
            if writes:
                self.connection.execute("BEGIN IMMEDIATE")
            for run, one_writes, future in taken:
                answers.append((future, *self._one(run, one_writes)))
            if writes:
                self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            failed = StoreError(f"nothing was written: {error}")
            answers = [(future, None, failed) for _, _, future in taken]
        # Nobody is told before it is durable.
        for future, answer, wrong in answers:
            if wrong is None:
                future.set_result(answer)
            else:
                future.set_exception(wrong)

    def _one(self, run: Callable[[], Any], writes: bool) -> tuple[Any, Exception | None]:
        """One caller's part of the transaction; where it fails, the others' parts stand."""
        if writes:
            self.connection.execute("SAVEPOINT one")
        answer, wrong = None, None
        try:
            answer = run()
        except _HIS_OWN as error:
            wrong = error
        if writes:
            if wrong is not None:
                self.connection.execute("ROLLBACK TO one")
            self.connection.execute("RELEASE one")
        return answer, wrong


def _open(path: Path, schema: Schema) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # it holds what people asked for
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if schema.survives == 'power' else 'NORMAL'}")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > schema.version:
            known = f"schema {version}, this one knows {schema.version}"
            raise StoreError(f"written by a newer version of the gateway ({known})")
        if version < schema.version:
            db.executescript(f"BEGIN IMMEDIATE;{schema.tables};PRAGMA user_version = {schema.version};COMMIT")
    except BaseException:
        db.close()
        raise
    return db
