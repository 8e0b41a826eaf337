"""One SQLite file behind an event loop: a thread of its own, and one flush to disk for many callers."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, Literal, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")

Survives = Literal["power", "crash"]

_Asked = tuple[Callable[[], Any], Survives | None, asyncio.Future[Any]]
_Answer = tuple[asyncio.Future[Any], Any, Exception | None]

_TOGETHER = 256  # operations in one transaction, at most


class StoreError(Exception):
    """The store cannot answer (disk full, file damaged, closed). What it was asked to write may not be there."""


# What goes wrong with one caller's part alone; anything of SQLite's fails the whole transaction.
_HIS_OWN = (StoreError, LookupError, ValueError, TypeError, ArithmeticError)


class Together(Generic[T]):
    """One write for many callers: what they add while one is under way goes into the next, all at once."""

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[object]]) -> None:
        self._write = write
        self._added: list[T] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, item: T) -> asyncio.Future[None]:
        """Ends when it is written, with what the write raised. Whoever is cancelled leaves it to be written."""
        future = asyncio.get_running_loop().create_future()
        self._added.append(item)
        self._waiting.append(future)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return future

    async def settled(self) -> None:
        """Wait until all that was added is written, or has failed."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._added:
            items, waiting, self._added, self._waiting = self._added, self._waiting, [], []
            (wrong,) = await asyncio.gather(self._write(items), return_exceptions=True)
            for future in waiting:
                if future.done():
                    continue  # its caller was cancelled
                if isinstance(wrong, BaseException):
                    future.set_exception(wrong)
                else:
                    future.set_result(None)
        self._task = None


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of a file. ``version`` grows with ``tables``.

    ``survives``: what a commit survives: ``power`` (each waits for the disk) or ``crash`` of this process alone.
    """

    version: int
    tables: str
    survives: Survives = "power"


class Database:
    """The connection lives on one thread; what callers ask for meanwhile goes into one transaction.

    ``connection`` is for the functions given to ``do`` alone. One process at a time. Raises ``StoreError`` where the
    file cannot be opened or comes from a newer version. ``path`` ``None`` is a database in memory.
    """

    def __init__(self, path: Path | None, schema: Schema) -> None:
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        self._closed = False
        self._survives = schema.survives
        self._waits_for_disk = schema.survives == "power"
        self._ended: Future[None] = Future()
        opened: Future[sqlite3.Connection] = Future()
        name = "memory" if path is None else path.stem
        Thread(target=self._run, args=(path, schema, opened), name=name, daemon=True).start()
        try:
            self.connection = opened.result()
        except (sqlite3.Error, OSError, StoreError) as error:
            raise StoreError(f"{path}: {error}") from error

    async def do(self, run: Callable[[], T], *, writes: bool = False, survives: Survives | None = None) -> T:
        """What ``run`` returns or raises, on the thread; where it ``writes``, once that is durable.

        ``survives`` stands before the schema's.
        """
        if self._closed:
            raise StoreError("the store is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked.put((run, (survives or self._survives) if writes else None, future))
        return await future

    async def close(self) -> None:
        """Finish what was asked for, then close the file. Twice is harmless."""
        if not self._closed:
            self._closed = True
            self._asked.put(None)
            await asyncio.wrap_future(self._ended)

    def _run(self, path: Path | None, schema: Schema, opened: Future[sqlite3.Connection]) -> None:
        try:
            opened.set_result(_open(path, schema))
        except (sqlite3.Error, OSError, StoreError) as error:
            opened.set_exception(error)
        else:
            self._serve()
        finally:
            opened.cancel()

    def _serve(self) -> None:
        """The thread: everything that waits, in one transaction, so that many callers share one flush to disk."""
        more = True
        while more:
            taken, more = self._take()
            if taken:
                try:
                    self._answer(taken)
                except BaseException:
                    _log.exception("a fault on the database's thread")
                    Thread(target=self._serve, daemon=True).start()  # for those who come next
                    raise
        self.connection.close()
        self._ended.set_result(None)

    def _take(self) -> tuple[list[_Asked], bool]:
        """What waits now, or the next that comes; and whether there will be more."""
        taken: list[_Asked] = []
        with suppress(Empty):
            while len(taken) < _TOGETHER:
                asked = self._asked.get(block=not taken)
                if asked is None:
                    return taken, False
                if not asked[2].cancelled():
                    taken.append(asked)
        return taken, True

    def _answer(self, taken: list[_Asked]) -> None:
        broken = StoreError("nothing was written: a fault of the gateway's own, which its log has")
        answers: list[_Answer] = [(future, None, broken) for _, _, future in taken]
        try:
            answers = self._together(taken)
        finally:
            _tell_all(answers)

    def _together(self, taken: list[_Asked]) -> list[_Answer]:
        answers: list[_Answer] = []
        writes = [each[1] for each in taken if each[1] is not None]
        try:
            if writes:
                self._wait_for_disk("power" in writes)
                self.connection.execute("BEGIN IMMEDIATE")
            for run, survives, future in taken:
                answers.append((future, *self._one(run, shared=survives is not None and len(taken) > 1)))
            if writes and not (len(taken) == 1 and answers[0][2] is not None):
                self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            failed = StoreError(f"nothing was written: {error}")
            answers = [(future, None, failed) for _, _, future in taken]
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        return answers

    def _wait_for_disk(self, wanted: bool) -> None:
        if wanted != self._waits_for_disk:
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._waits_for_disk = wanted

    def _one(self, run: Callable[[], Any], *, shared: bool) -> tuple[Any, Exception | None]:
        """One caller's part of the transaction; where it fails, the parts of those who share it stand."""
        if shared:
            self.connection.execute("SAVEPOINT one")
        answer, wrong = None, None
        try:
            answer = run()
            if isinstance(answer, sqlite3.Cursor):
                answer = None  # let go of on another thread it would spoil the statement that is running on this one
        except _HIS_OWN as error:
            wrong = error
        if shared:
            if wrong is not None:
                self.connection.execute("ROLLBACK TO one")
            self.connection.execute("RELEASE one")
        return answer, wrong


def _tell_all(answers: list[_Answer]) -> None:
    """One wake for all who wait on the same loop."""
    for loop in {future.get_loop() for future, _, _ in answers}:
        with suppress(RuntimeError):  # it has closed meanwhile, and nobody waits
            loop.call_soon_threadsafe(_tell, [each for each in answers if each[0].get_loop() is loop])


def _tell(answers: list[_Answer]) -> None:
    for future, answer, wrong in answers:
        if future.done():
            continue  # its caller was cancelled
        if wrong is None:
            future.set_result(answer)
        else:
            future.set_exception(wrong)


def _open(path: Path | None, schema: Schema) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # it holds what people asked for
    db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=10)
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
