"""Where the ledger is kept: the protocol, and SQLite, in a file or in memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

from gateway.database import Database, Insert, Schema
from gateway.inbox import Inbox
from gateway.ledger.cost import SURENESS
from gateway.ledger.row import Amounts, By, Charge, Filter, Row
from gateway.record import Cost, row_at

Change = Callable[[Cost | None], Cost | None]

_COLUMNS = tuple(each.name for each in fields(Row))
_JSON = ("tags", "attempts")
_JSON_PLACES = [_COLUMNS.index(name) for name in _JSON]
_columns = attrgetter(*_COLUMNS)
_encode = json.JSONEncoder().encode

# `row` begins with the time, and ends each index: what is asked for by time is found by it.
# `certainty` is a rank: 0 is the surest. A cost that is not known is NULL, and so is a sum with one in it.
_TABLES = """
CREATE TABLE calls (
    row TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    at REAL NOT NULL,
    route TEXT NOT NULL,
    call_type TEXT NOT NULL,
    key TEXT NOT NULL,
    alias TEXT NOT NULL,
    user TEXT NOT NULL,
    end_user TEXT NOT NULL,
    tags TEXT NOT NULL,
    model TEXT NOT NULL,
    model_group TEXT NOT NULL,
    deployment TEXT NOT NULL,
    provider TEXT NOT NULL,
    joined INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    attempts TEXT NOT NULL,
    characters INTEGER,
    audio_seconds REAL,
    images INTEGER,
    video_seconds REAL,
    size TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    queue REAL,
    vendor REAL,
    first_byte REAL,
    seconds REAL NOT NULL,
    status INTEGER NOT NULL,
    code TEXT,
    usd REAL,
    certainty INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX calls_id ON calls (id);
CREATE INDEX calls_key ON calls (key);
CREATE INDEX calls_user ON calls (end_user) WHERE end_user <> '';
CREATE TABLE charges (
    job TEXT PRIMARY KEY,
    call TEXT NOT NULL,
    usd REAL,
    certainty INTEGER NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX charges_call ON charges (call);
"""

_CALLS = Insert(f"INSERT OR REPLACE INTO calls ({', '.join(_COLUMNS)})", len(_COLUMNS))
_CHARGES = Insert("INSERT OR IGNORE INTO charges (job, call, usd, certainty, at)", 5)
# A call with the tasks that it made.
_SPENT = f"""
SELECT {", ".join(f"calls.{name}" for name in _COLUMNS if name not in ("usd", "certainty"))},
    calls.usd + (
        SELECT CASE WHEN COUNT(*) = COUNT(charges.usd) THEN COALESCE(SUM(charges.usd), 0) END
        FROM charges WHERE charges.call = calls.row
    ) AS usd,
    MAX(
        calls.certainty, COALESCE((SELECT MAX(charges.certainty) FROM charges WHERE charges.call = calls.row), 0)
    ) AS certainty
FROM calls
"""  # noqa: S608
_FORGET = "DELETE FROM {0} WHERE {1} IN (SELECT {1} FROM {0} WHERE {2} < ? LIMIT ?)"
_OLD = (("charges", "job", "call"), ("calls", "row", "row"))
_FORGOTTEN = 1000  # rows of a table that go in one transaction
_SUMS = """
COUNT(*), SUM(usd), COUNT(*) - COUNT(usd), COALESCE(SUM(characters), 0), COALESCE(SUM(audio_seconds), 0.0),
COALESCE(SUM(images), 0), COALESCE(SUM(video_seconds), 0.0)
"""
_NAMES: dict[str, tuple[str, str]] = {
    "": ("''", ""),
    "key": ("key", ""),
    "model": ("model", ""),
    "user": ("end_user", ""),
    "day": ("date(at, 'unixepoch')", ""),
    "tag": ("tag.value", ", json_each(spent.tags) AS tag"),
}


class LedgerStore(Protocol):
    """Every method may raise ``StoreError``. What it wrote is there after the death of this process."""

    def write(self, rows: Sequence[Row], charges: Sequence[Charge] = ()) -> Awaitable[object] | None:
        """Calls, as they stand, and tasks that are about to be submitted. A row of the same name is replaced, a charge
        stays. Kept when that ends; ``None``: it is already."""

    async def settle(self, job: str, change: Change) -> Cost | None:
        """Replace what a job costs by ``change`` of it; nothing where it has no charge. Returns the new cost."""

    async def select(self, which: Filter, limit: int) -> list[Row]:
        """Calls with what they cost, tasks included; the newest first."""

    async def sums(self, by: By | None, which: Filter) -> list[Amounts]:
        """Sums by key, model, end user, tag or day (of UTC), the dearest first; ``None``: one of all."""

    async def forget(self, before: float) -> None:
        """Remove the calls from before then, with their charges."""

    async def close(self) -> None:
        """Finish what was asked for, then let go of the file."""


_Item = tuple[Sequence[Row], Sequence[Charge]]


class SqliteLedger:
    """A ``LedgerStore`` in a file, or in memory where ``path`` is ``None``. Raises ``StoreError``."""

    def __init__(self, path: Path | None) -> None:
        schema = Schema(1, _TABLES, survives="crash")
        self._file = Database(path, schema)
        self._db = self._file.connection
        # Reports are read beside it, where there is a file: the end of a call waits for none of them.
        self._reports = self._file if path is None else Database(path, schema)
        self._inbox = Inbox(self._file, path, self._write, _Item)

    def write(self, rows: Sequence[Row], charges: Sequence[Charge] = ()) -> Awaitable[object] | None:
        """Calls and tasks, in one go."""
        return self._inbox.put((rows, charges))

    def _write(self, items: Sequence[_Item]) -> None:
        charges = [(each.job, each.call, *_amount(each.cost), each.at) for _, some in items for each in some]
        if charges and not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")  # whoever asked for this commits
        _CALLS(self._db, [_values(row) for rows, _ in items for row in rows])
        _CHARGES(self._db, charges)

    async def settle(self, job: str, change: Change) -> Cost | None:
        """Replace what a job costs."""

        def run() -> Cost | None:
            found = self._db.execute("SELECT usd, certainty FROM charges WHERE job = ?", (job,)).fetchone()
            if found is None:
                return None
            old = None if found[0] is None else Cost(found[0], SURENESS[found[1]])
            new = change(old)
            self._db.execute("UPDATE charges SET usd = ?, certainty = ? WHERE job = ?", (*_amount(new), job))
            return new

        self._inbox.hand_over()
        return await self._file.do(run, writes=True)

    async def select(self, which: Filter, limit: int) -> list[Row]:
        """Calls with what they cost."""
        where, given = _where(which)
        query = f"{_SPENT}{where} ORDER BY row DESC LIMIT ?"
        db = self._reports.connection
        await self._inbox.settled()
        return await self._reports.do(lambda: [_row(each) for each in db.execute(query, (*given, limit))])

    async def sums(self, by: By | None, which: Filter) -> list[Amounts]:
        """Sums, the dearest first."""
        await self._inbox.settled()
        return await self._reports.do(lambda: sums(self._reports.connection, by, which))

    async def forget(self, before: float) -> None:
        """Remove old calls, some at a time: the ends of calls come in between."""
        given = (row_at(before), _FORGOTTEN)

        def run() -> bool:
            gone = [self._db.execute(_FORGET.format(*names), given).rowcount for names in _OLD]
            return max(gone) == _FORGOTTEN

        self._inbox.hand_over()
        while await self._file.do(run, writes=True):
            pass

    async def close(self) -> None:
        """Let go of the file."""
        await self._inbox.close()
        await self._reports.close()
        await self._file.close()


def sums(db: sqlite3.Connection, by: By | None, which: Filter) -> list[Amounts]:
    """See ``LedgerStore.sums``; for whoever has the file open by himself."""
    where, given = _where(which)
    name, more = _NAMES[by or ""]
    query = f"SELECT {name} AS name, {_SUMS} FROM ({_SPENT}{where}) AS spent{more} GROUP BY name"  # noqa: S608
    found = [Amounts(*each) for each in db.execute(f"{query} ORDER BY SUM(usd) DESC, name", given)]
    return sorted(found, key=lambda each: each.name) if by == "day" else found


_NAMED = " AND end_user <> ''"  # by which SQLite sees that `calls_user` has them


def _where(which: Filter) -> tuple[str, list[Any]]:
    asked = {
        "row >= ?": None if which.since is None else row_at(which.since),
        "row < ?": None if which.until is None else row_at(which.until),
        "key = ?": which.key,
        f"end_user = ?{_NAMED if which.end_user else ''}": which.end_user,
        "id = ?": which.id,
    }
    parts = {condition: value for condition, value in asked.items() if value is not None}
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), [*parts.values()]


def _amount(cost: Cost | None) -> tuple[float | None, int]:
    return (None, len(SURENESS) - 1) if cost is None else (cost.usd, SURENESS.index(cost.certainty))


def _values(row: Row) -> list[Any]:
    values = [*_columns(row)]
    for place in _JSON_PLACES:
        values[place] = _encode(values[place]) if values[place] else "[]"
    values[-1] = SURENESS.index(row.certainty)
    if not "".join([row.route, row.alias, row.user, row.end_user, row.model, row.size or ""]).isascii():
        # Half a surrogate pair, which JSON can hold, cannot be stored.
        values = [each.encode("utf-8", "replace").decode() if isinstance(each, str) else each for each in values]
    return values


def _row(found: Sequence[Any]) -> Row:
    # `usd` and `certainty` are last in both orders.
    values = dict(zip(_COLUMNS, found, strict=True))
    for name in _JSON:
        values[name] = tuple(json.loads(values[name]))
    known = SURENESS[values["certainty"]]
    values["certainty"] = "unknown" if values["usd"] is None else known
    for name in ("joined", "cached"):
        values[name] = bool(values[name])
    return Row(**values)
