"""What many callers add to a database, each with no more than a copy in memory: see ``journal``."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_json

from gateway.database import Database, StoreError
from gateway.journal import Journal, left_behind

_log = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")

LATEST = 0.02
"""Seconds until what was put is handed over, however little it is: a call alone shares its commit with the next."""

AT_ONCE = 16
"""Items that are handed over at once."""

CALM = 8
"""Items in a row that have found nobody waiting before the journal is used.

Where many calls end together they are better off to wait: they go on together too, each with what the others have left
in the processor's caches, and without the thread beside them. With the journal each of 16 at once takes 10 % longer.
"""

AGAIN = 1.0
"""Seconds until what could not be written is tried again."""

_TABLE = "CREATE TABLE IF NOT EXISTS journals (name TEXT PRIMARY KEY, written INTEGER NOT NULL) WITHOUT ROWID"
_WRITTEN = "INSERT INTO journals VALUES (?, ?) ON CONFLICT DO UPDATE SET written = excluded.written"
_LAST = "SELECT coalesce(max(written), 0) FROM journals WHERE name = ?"
_FORGET = "DELETE FROM journals WHERE name = ?"

# An item that SQLite will not take, whatever becomes of the disk.
_NEVER = (
    *(sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError),
    *(LookupError, ValueError, TypeError, ArithmeticError),
)


async def kept(written: Awaitable[object] | None) -> None:
    """Wait for what ``put`` has returned."""
    if written is not None:
        await written


class Inbox(Generic[T]):
    """Items that ``write`` gets on the thread of ``file``, several at once, in their order, within a transaction.

    An item is what JSON can hold, and comes back as that after a crash. Each is written once, whenever the process
    dies; what cannot be written (the disk is full) is tried again, and holds up those behind it. Where the system has
    no journal an item is safe only when it is written.
    """

    def __init__(self, file: Database, path: Path | None, write: Callable[[Sequence[T]], None], kind: Any) -> None:
        """``kind`` is what an item is, for pydantic. Blocks: what dead processes have left is written.

        Raises ``StoreError``.
        """
        self._file, self._write = file, write
        self._items: list[T] = []  # in the half that is being filled
        self._unwritten: dict[int, list[T]] = {}  # by the number of their half
        self._last: asyncio.Future[None] | None = None  # an item that is not in the journal
        self._calm = CALM
        self._writing: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wrong: BaseException | None = None
        self._journal: Journal | None = None
        if path is not None:
            try:
                self._adopt(path, kind)
                self._journal = Journal(path)
            except sqlite3.Error as error:
                raise StoreError(f"{path}: {error}") from error
            except OSError as error:
                _log.warning("%s has no journal (%s): calls wait until they are written", path, error)

    def put(self, item: T) -> asyncio.Future[None] | None:
        """Add it. ``None``: the death of this process does not touch it any more; else that is so when it ends."""
        alone = self._last is None or self._last.done()
        self._calm = self._calm + 1 if alone else 0
        if self._calm > CALM and self._held(item):
            return None
        self.hand_over()
        if self._unwritten and self._wrong is not None:  # it must not come before those
            self._last = asyncio.get_running_loop().create_future()
            self._last.set_exception(StoreError(str(self._wrong)))
        else:
            self._last = self._file.add(self._write, item, "crash")
        return self._last

    def hand_over(self) -> None:
        """What was put is written before anything that the file is asked from now on."""
        journal = self._journal
        if self._items and self._wrong is None and journal is not None:
            self._at(None)
            self._unwritten[journal.number], self._items = self._items, []
            self._submit(journal, journal.number, singly=False)
            self._turn(journal)

    async def settled(self) -> None:
        """All that was put until now is in the file. Raises ``StoreError``."""
        for _ in range(2):  # once more for what was held up until the first could be written
            self.hand_over()
            if self._writing:
                await asyncio.wait([*self._writing])
        self.check()

    def check(self) -> None:
        """Raises ``StoreError`` where some of what was put cannot be written now."""
        if self._wrong is not None:
            raise StoreError(str(self._wrong))

    async def close(self) -> None:
        """Write what was put. What cannot be written stays in the journal, for whoever opens the file next."""
        if (journal := self._journal) is None:
            return
        with suppress(StoreError):  # it is in the log
            await self.settled()
        self._at(None)
        self._journal = None
        left = bool(self._items or self._unwritten)
        await asyncio.to_thread(journal.close, keep=left)
        if not left:
            with suppress(StoreError):  # a line that nobody reads
                await self._file.do(partial(self._forget, journal.path.name), writes=True, survives="crash")

    def _held(self, item: T) -> bool:
        """Put it into the journal, if there is one, with room."""
        journal = self._journal
        if journal is None or journal.number in self._unwritten or len(self._items) == AT_ONCE:
            return False
        try:
            if not journal.put(to_json(item)):
                return False
        except ValueError:  # half a character: whoever writes it says so
            return False
        self._items.append(item)
        self._arm()
        return True

    def _arm(self) -> None:
        """While one half is being written the other is filled."""
        if len(self._items) >= AT_ONCE and not self._unwritten:
            self.hand_over()
        elif self._timer is None:
            self._at(LATEST)

    def _at(self, seconds: float | None) -> None:
        """When to go on by itself."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        if not self._unwritten:
            self.hand_over()
        elif not self._writing and self._journal is not None:
            for number in sorted(self._unwritten):
                self._submit(self._journal, number, singly=True)

    def _turn(self, journal: Journal) -> None:
        """Fill the other half as soon as it is free."""
        if journal.number in self._unwritten and journal.number - 1 not in self._unwritten:
            journal.turn()

    def _submit(self, journal: Journal, number: int, *, singly: bool) -> None:
        apply = partial(self._apply, journal.path.name, number, self._unwritten[number], singly)
        writing = self._file.do(apply, writes=True, survives="crash")
        self._writing.add(writing)
        writing.add_done_callback(partial(self._written, number))

    def _written(self, number: int, writing: asyncio.Future[None]) -> None:
        self._writing.discard(writing)
        if (wrong := writing.exception()) is None:
            del self._unwritten[number]
            if self._wrong is not None:
                _log.warning("what was kept beside the database is written now")
            self._wrong = None
            if self._journal is not None:
                self._turn(self._journal)
            if self._items:
                self._arm()
        else:
            if self._wrong is None:
                _log.error("%s: it is kept beside the database, and tried again", wrong)
                self._wrong = wrong
            if not self._writing:
                self._at(AGAIN)

    def _apply(self, name: str, number: int, items: Sequence[T], singly: bool) -> None:
        """On the thread, in a transaction."""
        db = self._file.connection
        (last,) = db.execute(_LAST, (name,)).fetchone()
        if number != last + 1:
            raise StoreError("what came before is not written yet")
        if singly:
            self._one_by_one(items, lambda item: item)
        else:
            self._write(items)
        db.execute(_WRITTEN, (name, number))

    def _one_by_one(self, items: Sequence[S], decode: Callable[[S], T]) -> None:
        """What can never be written is left out, and does not hold up the others."""
        db = self._file.connection
        for item in items:
            db.execute("SAVEPOINT one")
            try:
                self._write([decode(item)])
            except _NEVER as error:
                db.execute("ROLLBACK TO one")
                _log.error("this cannot be written (%s): %s", error, item)
            db.execute("RELEASE one")

    def _adopt(self, path: Path, kind: Any) -> None:
        """Write what dead processes have left, once."""
        db = self._file.connection
        db.execute(_TABLE)
        for left, batches in left_behind(path):
            decode = TypeAdapter(kind).validate_json
            db.execute("BEGIN IMMEDIATE")
            (last,) = db.execute(_LAST, (left.name,)).fetchone()
            for number, entries in batches:
                if number > last:
                    self._one_by_one(entries, decode)
                    db.execute(_WRITTEN, (left.name, number))
            db.execute("COMMIT")
        for (name,) in db.execute("SELECT name FROM journals").fetchall():
            if not path.with_name(name).exists():
                self._forget(name)

    def _forget(self, name: str) -> None:
        self._file.connection.execute(_FORGET, (name,))
