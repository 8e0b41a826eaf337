"""The ledger in a file and in memory keeps the law of the stores."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.api.auth import Access, KeyCheck
from gateway.api.fastlane import Fastlane, FastRoute
from gateway.api.http import Call, Message, send_json
from gateway.database import StoreError
from gateway.inbox import kept
from gateway.ledger.book import Book
from gateway.ledger.row import Filter, Row
from gateway.ledger.store import LedgerStore, SqliteLedger
from gateway.record import Cost, Record
from gateway.telemetry.telling import Telling
from tests.contracts.ledger import LedgerStoreContract, call

ROOT = Path(__file__).parent.parent.parent


class TestFile(LedgerStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[LedgerStore]:
        store = SqliteLedger(tmp_path / "ledger.sqlite")
        yield store
        await store.close()


class TestMemory(LedgerStoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[LedgerStore]:
        store = SqliteLedger(None)
        yield store
        await store.close()


async def test_another_finds_what_the_first_wrote_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = SqliteLedger(tmp_path / "ledger.sqlite")
    await kept(first.write([call("a")]))
    assert [row.id for row in await first.select(Filter(), 10)] == ["a"]
    second = SqliteLedger(tmp_path / "ledger.sqlite")
    assert [row.id for row in await second.select(Filter(), 10)] == ["a"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in list(tmp_path.iterdir())} == {0o600}  # noqa: ASYNC240
    await second.close()
    await first.close()


KILLED = """
import asyncio, sys
from pathlib import Path
from gateway.ledger.row import Charge
from gateway.ledger.store import SqliteLedger
from gateway.record import Cost
from tests.ledger.test_store import FULL

async def main():
    ledger = SqliteLedger(Path(sys.argv[1]))
    jobs = [Charge("j1", FULL.row, Cost(0.1, "expected"), 1.0), Charge("j2", FULL.row, None, 1.0)]
    assert ledger.write([FULL], jobs) is None
    print("kept", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
FULL = replace(
    call("a", 5.1, 0.3, tags=("a", "ü"), key="k", end_user="jane", audio_seconds=1.5, images=2, size="1x1"),
    attempts=({"group": "g", "deployment": "d", "outcome": "ok", "seconds": 0.1, "sent": "yes", "ended": 7.0},),
    joined=True,
    seconds=0.5,
    certainty="reported",
)


def test_what_a_killed_process_has_kept_is_in_the_ledger_of_the_next(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdout.readline() == b"kept\n"
        process.send_signal(signal.SIGKILL)

    async def found() -> list[Row]:
        ledger = SqliteLedger(path)
        await ledger.settle("j2", lambda cost: Cost(0.2, "expected") if cost is None else cost)
        rows = await ledger.select(Filter(), 10)
        await ledger.close()
        return rows

    assert asyncio.run(found()) == [replace(FULL, usd=pytest.approx(0.6), certainty="expected")]


async def test_a_call_ends_while_a_report_is_made(tmp_path: Path) -> None:
    store = SqliteLedger(tmp_path / "ledger.sqlite")
    begun, go = threading.Event(), threading.Event()
    report = store._reports.do(lambda: (begun.set(), go.wait(10)))
    await asyncio.to_thread(begun.wait)
    await asyncio.wait_for(kept(store.write([call("a")])), 5)
    assert not report.done()
    go.set()
    await report
    assert [row.id for row in await store.select(Filter(), 10)] == ["a"]
    await store.close()


class Counting(SqliteLedger):
    """How many calls came at once."""

    def __init__(self) -> None:
        super().__init__(None)
        self.writes: list[int] = []

    def _write(self, calls) -> None:
        self.writes.append(len(calls))
        super()._write(calls)


async def test_calls_that_end_together_are_written_together() -> None:
    store = Counting()
    book = Book(store)
    records = [Record(str(number), "/v1/audio/speech", costs=[Cost(1.0)]) for number in range(200)]
    begun, go = threading.Event(), threading.Event()
    busy = store._file.do(lambda: (begun.set(), go.wait(10)))
    await asyncio.to_thread(begun.wait)
    writing = asyncio.gather(*(book.write(record) for record in records))
    go.set()
    await asyncio.gather(busy, writing)
    assert store.writes == [200]
    assert len(await store.select(Filter(), 1000)) == 200
    await book.close()
    with pytest.raises(StoreError):
        await kept(book.write(records[0]))


async def test_one_who_leaves_takes_no_other_with_him() -> None:
    book = Book(SqliteLedger(None))
    tasks = [book.write(Record(str(number), "/v1/audio/speech")) for number in range(10)]
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await kept(book.write(Record("last", "/v1/audio/speech")))
    assert len(await book.store.select(Filter(), 100)) == 11
    await book.close()


async def test_what_is_kept_for_a_time_only_is_swept() -> None:
    store = SqliteLedger(None)
    await kept(store.write([call("old", 1000.0)]))
    book = Book(store, retention=3600.0)
    await kept(book.write(Record("new", "/v1/audio/speech")))
    while [row.id for row in await store.select(Filter(), 10)] != ["new"]:
        await asyncio.sleep(0)
    await book.close()


async def test_what_a_key_and_an_end_user_have_spent() -> None:
    store = SqliteLedger(None)
    book = Book(store)
    await kept(
        store.write([call("a", 10.0, key="k", characters=5), call("b", 20.0, key="k", end_user="u", characters=7)])
    )
    spent = await book.spent("k", 15.0)
    assert (spent.calls, spent.usd, spent.characters) == (1, 0.5, 7)
    assert (await book.spent("k", 0.0)).usd == 1.0
    assert (await book.spent_by_user("u", 0.0)).characters == 7
    nobody = await book.spent("nobody", 0.0)
    assert (nobody.calls, nobody.usd, nobody.unknown) == (0, None, 0)
    await book.close()


async def test_a_ledger_that_is_switched_off_keeps_nothing() -> None:
    book = Book(None)
    assert book.write(Record("a", "/v1/audio/speech")) is None
    assert (await book.spent("k", 0.0)).calls == 0
    await book.close()


class Slow(SqliteLedger):
    """Writes when it is let."""

    def __init__(self) -> None:
        super().__init__(None)
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def write(self, rows) -> None:
        self.asked.set()
        await self.let.wait()
        await kept(super().write(rows))


async def test_the_last_byte_waits_for_the_row() -> None:
    store = Slow()
    book = Book(store)
    sent: list[Message] = []

    async def endpoint(call: Call) -> None:
        await call.send({"type": "http.response.start", "status": 200, "headers": []})
        await call.send({"type": "http.response.body", "body": b"first", "more_body": True})
        await call.send({"type": "http.response.body", "body": b"last"})

    async def send(message: Message) -> None:
        sent.append(message)

    route = FastRoute("POST", "/v1/audio/speech", endpoint, {}, Access.OPEN)
    lane = Fastlane(endpoint, [route], KeyCheck(None), (book.write, lambda _who: lambda: None, Telling()))
    scope = {"type": "http", "method": "POST", "path": route.path, "raw_path": route.path.encode(), "headers": []}
    serving = asyncio.create_task(lane(scope, asyncio.Event().wait, send))
    await store.asked.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert [message.get("body") for message in sent] == [None, b"first"]
    store.let.set()
    await serving
    assert [message.get("body") for message in sent] == [None, b"first", b"last"]
    assert [row.status for row in await store.select(Filter(), 10)] == [200]
    await book.close()


async def test_a_call_that_needs_what_cannot_be_written_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Message] = []

    async def endpoint(_call: Call) -> None:
        raise StoreError("nothing was written: the disk is full")

    async def send(message: Message) -> None:
        sent.append(message)

    route = FastRoute("POST", "/v1/images/generations", endpoint, {}, Access.OPEN)
    book = Book(None)
    lane = Fastlane(endpoint, [route], KeyCheck(None), (book.write, lambda _who: lambda: None, Telling()))
    scope = {"type": "http", "method": "POST", "path": route.path, "raw_path": route.path.encode(), "headers": []}
    await lane(scope, asyncio.Event().wait, send)
    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"])["error"]["code"] == "overloaded"
    assert "the disk is full" in caplog.text
    assert b"disk" not in sent[1]["body"]


async def test_an_answer_is_not_kept_back_by_a_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    book = Book(SqliteLedger(None))
    await book.close()
    sent: list[Message] = []

    async def endpoint(call: Call) -> None:
        await send_json(call.send, 200, {})

    async def send(message: Message) -> None:
        sent.append(message)

    route = FastRoute("POST", "/v1/audio/speech", endpoint, {}, Access.OPEN)
    lane = Fastlane(endpoint, [route], KeyCheck(None), (book.write, lambda _who: lambda: None, Telling()))
    scope = {"type": "http", "method": "POST", "path": route.path, "raw_path": route.path.encode(), "headers": []}
    await lane(scope, asyncio.Event().wait, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert "is not in the ledger" in caplog.text
