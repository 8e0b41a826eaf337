"""One SQLite file behind an event loop: a thread of its own, and one flush to disk for many callers."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Literal, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")

Survives = Literal["power", "crash"]

_Asked = tuple[Callable[..., Any], Any, Survives | None, asyncio.Future[Any]]
"""What to do, an item for it (see ``Database.add``), what it must survive where it writes, who waits."""
_Answer = tuple[asyncio.Future[Any], Any, Exception | None]

_NONE = object()

_TRIES, _AGAIN = 500, 0.02  # ten seconds
_TOGETHER = 256  # operations in one go, at most
_ROWS = 32  # in one statement, at most: each number of them is a statement that SQLite keeps


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
    survives: Survives = "power"


class Insert:
    """Adds rows of ``width`` columns by one statement, of which ``before`` and ``after`` enclose the VALUES.

    Each statement takes the interpreter's lock from the loop three times, and under load waits for it.
    """

    def __init__(self, before: str, width: int, after: str = "") -> None:
        row = f"({', '.join('?' * width)})"
        self._texts = [f"{before} VALUES {', '.join([row] * rows)} {after}" for rows in range(_ROWS + 1)]

    def __call__(self, db: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Add them, all or none."""
        if len(rows) > _ROWS and not db.in_transaction:
            db.execute("BEGIN IMMEDIATE")  # whoever asked for this commits
        for begin in range(0, len(rows), _ROWS):
            part = rows[begin : begin + _ROWS]
            db.execute(self._texts[len(part)], [*chain.from_iterable(part)])


class Database:
    """The connection is used on a thread of its own; what callers ask for meanwhile goes into one transaction.

    ``connection`` is for the functions given to ``do`` alone. One process at a time. Raises ``StoreError`` where the
    file cannot be opened or comes from a newer version. ``path`` ``None`` is a database in memory.
    """

    def __init__(self, path: Path | None, schema: Schema) -> None:
        self._closed = False
        self._survives = schema.survives
        self._waits_for_disk = schema.survives == "power"
        self._asked: SimpleQueue[_Asked] = SimpleQueue()
        try:
            self.connection = _open(path, schema)
        except (sqlite3.Error, OSError, StoreError) as error:
            raise StoreError(f"{path}: {error}") from error
        Thread(target=self._serve, name="memory" if path is None else path.stem, daemon=True).start()

    def do(self, run: Callable[[], T], *, writes: bool = False, survives: Survives | None = None) -> asyncio.Future[T]:
        """What ``run`` returns or raises, on the thread; where it ``writes``, once that is durable.

        It may be run twice: once more where another's part of the transaction has failed. ``survives`` stands before
        the schema's.
        """
        return self._ask(run, _NONE, (survives or self._survives) if writes else None)

    def add(
        self, write: Callable[[Sequence[T]], None], item: T, survives: Survives | None = None
    ) -> asyncio.Future[None]:
        """One write for many callers: on the thread, ``write`` gets all that was added and waits; durable at the end.

        It calls one ``Insert``, or begins a transaction. Whoever is cancelled leaves his item to be written.
        """
        return self._ask(write, item, survives or self._survives)

    def _ask(self, run: Callable[..., T], item: Any, survives: Survives | None) -> asyncio.Future[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(StoreError("the store is closed"))
        else:
            self._asked.put((run, item, survives, future))
        return future

    async def close(self) -> None:
        """Finish what was asked for, then close the file. Twice is harmless."""
        if not self._closed:
            closed = self.do(_last)
            self._closed = True
            await asyncio.wait([closed])

    def _serve(self) -> None:
        """The thread: what was asked for while it was busy it does in one go, and tells of it at once."""
        more = True
        while more:
            taken = [self._asked.get()]
            taken += [self._asked.get() for _ in range(min(self._asked.qsize(), _TOGETHER - 1))]
            more = taken[-1][0] is not _last
            try:
                self._answer(taken)
            except BaseException:
                _log.exception("a fault on the database's thread")
                if more:
                    Thread(target=self._serve, daemon=True).start()  # for those who come next
                raise

    def _answer(self, taken: Sequence[_Asked]) -> None:
        broken = StoreError("nothing was written: a fault of the gateway's own, which its log has")
        answers: list[_Answer] = [(future, None, broken) for _, _, _, future in taken]
        try:
            answers = self._together(_parts(taken))
        finally:
            if taken[-1][0] is _last:
                self.connection.close()
            _tell_all(answers)

    def _together(self, parts: Sequence[_Part]) -> list[_Answer]:
        survived = [part.survives for part in parts if part.survives is not None]
        try:
            if survived:
                self._wait_for_disk("power" in survived)
                if len(parts) > 1 or parts[0].items is None:  # else SQLite's own transaction is enough
                    self.connection.execute("BEGIN IMMEDIATE")
            spoilt = False
            for part in parts:
                spoilt |= not part.done() and part.survives is not None
            if spoilt and len(parts) > 1:
                self._apart(parts)
            if self.connection.in_transaction and (len(parts) > 1 or not spoilt):
                self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            for part in parts:
                part.wrong = StoreError(f"nothing was written: {error}")
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        return [(future, part.answer, part.wrong) for part in parts for future in part.futures]

    def _apart(self, parts: Sequence[_Part]) -> None:
        """Once more, after a part has failed: what the others write stands."""
        self.connection.execute("ROLLBACK")
        self.connection.execute("BEGIN IMMEDIATE")
        for part in parts:
            self.connection.execute("SAVEPOINT one")
            if not part.done():
                self.connection.execute("ROLLBACK TO one")
            self.connection.execute("RELEASE one")

    def _wait_for_disk(self, wanted: bool) -> None:
        if wanted != self._waits_for_disk:
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
            self._waits_for_disk = wanted


class _Part:
    """One operation, or one write of many callers' ``items``; what came of it, and what went ``wrong``."""

    __slots__ = ("answer", "futures", "items", "run", "survives", "wrong")

    def __init__(self, asked: _Asked) -> None:
        self.run, item, self.survives, future = asked
        self.items = None if item is _NONE else [item]
        self.futures = [future]
        self.answer: Any = None
        self.wrong: Exception | None = None

    def done(self) -> bool:
        """Do it; whether nothing went wrong."""
        self.answer = self.wrong = None
        try:
            answer = self.run() if self.items is None else self.run(self.items)
            # Let go of on another thread a cursor would spoil the statement that is running on this one.
            self.answer = None if isinstance(answer, sqlite3.Cursor) else answer
        except _HIS_OWN as error:
            self.wrong = error
        return self.wrong is None


def _parts(taken: Sequence[_Asked]) -> list[_Part]:
    """What is to be done, in its order: what was added one after the other is one write."""
    parts: list[_Part] = []
    for asked in taken:
        run, item, _, future = asked
        if item is _NONE:
            if not future.cancelled():
                parts.append(_Part(asked))
        elif parts and parts[-1].items is not None and parts[-1].run == run:
            parts[-1].items.append(item)
            parts[-1].futures.append(future)
        else:
            parts.append(_Part(asked))
    return parts


def _last() -> None:
    """What is asked for last: the file is closed after it."""


def _tell_all(answers: Sequence[_Answer]) -> None:
    """One wake for all who wait on the same loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_Answer]] = {}
    for each in answers:
        loops.setdefault(each[0].get_loop(), []).append(each)
    for loop, its in loops.items():
        try:
            loop.call_soon_threadsafe(_tell, its)
        except RuntimeError:
            continue  # it has closed meanwhile, and nobody waits


def _tell(answers: list[_Answer]) -> None:
    for future, answer, wrong in answers:
        if future.done():
            continue  # its caller was cancelled
        if wrong is None:
            future.set_result(answer)
        else:
            future.set_exception(wrong)


def _keep_a_log(db: sqlite3.Connection) -> None:
    """Write ahead to a log. Of two processes that begin it at once SQLite refuses one, whatever its timeout."""
    for left in reversed(range(_TRIES)):
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not left:
                raise
            time.sleep(_AGAIN)
        else:
            return


def _open(path: Path | None, schema: Schema) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # it holds what people asked for
    db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=10)
    try:
        _keep_a_log(db)
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
