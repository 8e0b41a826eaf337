"""Keys in one SQLite file, which the server and the command line may write at the same time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path

from gateway.database import Database, Insert, Schema
from gateway.inbox import Inbox
from gateway.keys.amounts import UNITS, Amounts, Total
from gateway.keys.key import VirtualKey, from_json, to_json
from gateway.keys.store import MINUTE, AliasTaken

# Two processes may make the file at once. A deleted key leaves its row without a record, so that others see it.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    token TEXT PRIMARY KEY,
    mark INTEGER NOT NULL,
    alias TEXT,
    record TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_changed ON keys (mark);
CREATE UNIQUE INDEX IF NOT EXISTS keys_alias ON keys (alias) WHERE alias IS NOT NULL;
CREATE TABLE IF NOT EXISTS spent (
    who TEXT NOT NULL,
    minute INTEGER NOT NULL,
    usd REAL NOT NULL,
    characters REAL NOT NULL,
    audio_seconds REAL NOT NULL,
    images REAL NOT NULL,
    video_seconds REAL NOT NULL,
    unpriced INTEGER NOT NULL,
    PRIMARY KEY (who, minute)
) WITHOUT ROWID;
"""
_COUNTED = (*UNITS, "unpriced")
_counted = attrgetter(*_COUNTED)
_SUMS = ", ".join(f"coalesce(sum({name}), 0)" for name in _COUNTED)
_SPENT = f"SELECT {_SUMS} FROM spent WHERE who = ? AND minute >= ?"  # noqa: S608 - names of our own columns
_ADD = Insert(
    f"INSERT INTO spent (who, minute, {', '.join(_COUNTED)})",
    2 + len(_COUNTED),
    f"ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in _COUNTED)}",
)
_MARK = "(SELECT coalesce(max(mark), 0) + 1 FROM keys)"
_PUT = f"""INSERT INTO keys (token, mark, alias, record) VALUES (?, {_MARK}, ?, ?)
ON CONFLICT DO UPDATE SET mark = {_MARK}, alias = excluded.alias, record = excluded.record"""  # noqa: S608


_Call = tuple[Sequence[str], int, Amounts, int]
"""Names, a minute, what each of them has used then, and whether it is taken back (-1)."""


class SqliteKeyStore:
    """A ``KeyStore`` in a file (see ``Database``). Raises ``StoreError`` where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._file = Database(path, Schema(1, _SCHEMA))
        self._db = self._file.connection
        self._inbox = Inbox(self._file, path, self._add, _Call)

    async def put(self, key: VirtualKey) -> None:
        """Write a new key."""

        def run() -> None:
            if self._record(key.token) is not None:
                raise AliasTaken("the key is there")
            self._write(key)

        await self._file.do(run, writes=True)

    async def change(self, token: str, edit: Callable[[VirtualKey], VirtualKey]) -> VirtualKey:
        """See ``KeyStore``."""

        def run() -> VirtualKey:
            record = self._record(token)
            if record is None:
                raise LookupError(token)
            key = edit(from_json(token, record))
            self._write(key)
            return key

        return await self._file.do(run, writes=True)

    async def get(self, token: str) -> VirtualKey | None:
        """One key."""
        record = await self._file.do(lambda: self._record(token))
        return None if record is None else from_json(token, record)

    async def delete(self, token: str) -> bool:
        """Forget it."""

        def run() -> bool:
            there = self._record(token) is not None
            if there:
                self._db.execute(_PUT, (token, None, None))
            return there

        return await self._file.do(run, writes=True)

    async def changed(self, since: int) -> tuple[Sequence[tuple[str, VirtualKey | None]], int]:
        """What was changed after ``since``."""
        query = "SELECT token, mark, record FROM keys WHERE mark > ? ORDER BY mark"

        def run() -> tuple[Sequence[tuple[str, VirtualKey | None]], int]:
            rows = self._db.execute(query, (since,)).fetchall()
            found = [(token, None if record is None else from_json(token, record)) for token, _, record in rows]
            return found, max((mark for _, mark, _ in rows), default=since)

        return await self._file.do(run)

    async def spent(self, who: str, since: float) -> Total:
        """The sum."""
        self._inbox.hand_over()  # and asked at once: what is added from here on does not count
        row = await self._file.do(lambda: self._db.execute(_SPENT, (who, since // MINUTE)).fetchone())
        self._inbox.check()
        return Total(*row)

    def add(self, names: Sequence[str], at: float, amounts: Amounts, sign: int = 1) -> asyncio.Future[None] | None:
        """Count a call."""
        # Sums: what the machine's loss of power takes back, the ledger's calls lose as well.
        return self._inbox.put((names, int(at // MINUTE), amounts, sign))

    async def close(self) -> None:
        """See ``Database.close``."""
        await self._inbox.close()
        await self._file.close()

    def _add(self, calls: Sequence[_Call]) -> None:
        totals: defaultdict[tuple[str, int], Total] = defaultdict(Total)
        for names, minute, amounts, sign in calls:
            for who in names:
                totals[who, minute].add(amounts, sign)
        _ADD(self._db, [(*place, *_counted(total)) for place, total in totals.items()])

    def _write(self, key: VirtualKey) -> None:
        same = "SELECT 1 FROM keys WHERE alias = ? AND token <> ?"
        if self._db.execute(same, (key.key_alias, key.token)).fetchone():
            raise AliasTaken("the alias is taken")
        self._db.execute(_PUT, (key.token, key.key_alias, to_json(key)))

    def _record(self, token: str) -> str | None:
        row: sqlite3.Row | None = self._db.execute("SELECT record FROM keys WHERE token = ?", (token,)).fetchone()
        return None if row is None else row[0]
