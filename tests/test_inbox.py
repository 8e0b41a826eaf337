"""What was put is written once, however the process ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from gateway import inbox
from gateway.database import Database, Insert, Schema, StoreError
from gateway.inbox import AT_ONCE, CALM, Inbox, kept
from gateway.journal import HALF, ROOM, Journal, left_behind

ROOT = Path(__file__).parent.parent
TABLE = Schema(1, "CREATE TABLE numbers (number INTEGER NOT NULL)", survives="crash")


class Numbers:
    """An inbox of numbers, which need not differ. ``full``: the disk has no room."""

    def __init__(self, path: Path | None) -> None:
        self.file = Database(path, TABLE)
        self.full = False
        self.before: Callable[[], object] = lambda: None
        self.writes: list[int] = []
        self.inbox = Inbox(self.file, path, self.write, int | str | None)

    def write(self, items: Sequence[int]) -> None:
        self.before()
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        self.writes.append(len(items))
        Insert("INSERT INTO numbers (number)", 1)(self.file.connection, [(number,) for number in items])

    async def close(self) -> None:
        await self.inbox.close()
        await self.file.close()


@asynccontextmanager
async def opened(path: Path | None) -> AsyncIterator[Numbers]:
    numbers = await asyncio.to_thread(Numbers, path)
    try:
        yield numbers
    finally:
        await numbers.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "numbers.sqlite"


def written(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        return [number for (number,) in db.execute("SELECT number FROM numbers ORDER BY rowid")]


def journals(path: Path) -> list[Path]:
    return sorted(path.parent.glob("numbers.journal-*"))


async def test_what_was_put_is_written_in_its_order_many_at_once(path: Path) -> None:
    async with opened(path) as numbers:
        kinds = [numbers.inbox.put(number) is None for number in range(100)]
        assert kinds == [True] * 2 * AT_ONCE + [False] * (100 - 2 * AT_ONCE)  # which wait: neither half has room
        await numbers.inbox.settled()
        await kept(numbers.inbox.put(100))
        assert written(path) == [*range(101)]
        assert len(numbers.writes) < 10
    assert journals(path) == []
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM journals").fetchall() == []


async def test_who_comes_while_another_waits_waits_with_him(path: Path) -> None:
    async with opened(path) as numbers:
        first = numbers.inbox.put("x" * ROOM)
        assert first is not None
        second = numbers.inbox.put(1)
        assert second is not None
        await asyncio.gather(first, second)
        calm = 0  # how many have found nobody waiting
        while (waits := numbers.inbox.put(2)) is not None:
            await waits
            calm += 1
        assert calm == CALM
        await numbers.inbox.settled()
        assert written(path) == ["x" * ROOM, 1, *[2] * (CALM + 1)]


async def test_it_is_written_soon_though_nobody_asks(path: Path) -> None:
    async with opened(path) as numbers, asyncio.timeout(10):
        numbers.inbox.put(1)
        while not written(path):
            await asyncio.sleep(0.01)


async def test_what_the_file_is_asked_later_sees_it(path: Path) -> None:
    async with opened(path) as numbers:
        numbers.inbox.put(1)
        numbers.inbox.hand_over()
        read = numbers.file.connection.execute
        assert await numbers.file.do(lambda: read("SELECT number FROM numbers").fetchall()) == [(1,)]


async def test_who_asks_waits_for_what_was_put_before_and_no_more(path: Path) -> None:
    async with opened(path) as numbers:
        more = threading.Event()
        numbers.before = lambda: (more.clear(), more.wait(10))  # while one batch is written others are put

        async def busy() -> None:
            while True:
                numbers.inbox.put(1)
                more.set()
                await asyncio.sleep(0.001)

        numbers.inbox.put(1)
        others = asyncio.create_task(busy())
        async with asyncio.timeout(10):
            await numbers.inbox.settled()
        others.cancel()
        numbers.before = lambda: None


async def test_who_finds_no_room_waits_until_it_is_written(path: Path) -> None:
    async with opened(path) as numbers:
        items = [letter * (HALF // 3) for letter in "abcdefghijkl"]
        first, second, *waiting = [numbers.inbox.put(item) for item in items]
        assert (first, second) == (None, None)
        await asyncio.gather(*waiting)
        assert written(path) == items


async def test_what_no_half_holds_waits_until_it_is_written(path: Path) -> None:
    async with opened(path) as numbers:
        numbers.inbox.put(1)
        long = numbers.inbox.put("x" * ROOM)
        assert long is not None
        await long
        assert written(path) == [1, "x" * ROOM]


async def test_a_full_disk_loses_nothing_that_was_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inbox, "AGAIN", 0.01)
    async with opened(path) as numbers:
        numbers.full = True
        long = "x" * (2 * HALF // 5)
        items = [1, 2, *[long] * 4]
        found = await asyncio.gather(*[kept(numbers.inbox.put(each)) for each in items], return_exceptions=True)
        assert [str(each or "") for each in found] == [""] * 4 + ["nothing was written: database or disk is full"] * 2
        with pytest.raises(StoreError, match="disk is full"):
            await numbers.inbox.settled()
        with pytest.raises(StoreError, match="disk is full"):
            await kept(numbers.inbox.put(long))
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        numbers.full = False
        async with asyncio.timeout(10):
            while len(written(path)) < 4 or numbers.inbox._wrong is not None:
                await asyncio.sleep(0.01)
        await kept(numbers.inbox.put(3))
        await numbers.inbox.settled()
        assert written(path) == [*items[:4], 3]
        assert "is written now" in caplog.records[-1].message


async def test_what_can_never_be_written_holds_up_no_other(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inbox, "AGAIN", 0.01)
    async with opened(path) as numbers, asyncio.timeout(10):
        for each in (1, None, 2):
            numbers.inbox.put(each)
        while written(path) != [1, 2]:
            await asyncio.sleep(0.01)
        assert "cannot be written (NOT NULL constraint failed: numbers.number): None" in caplog.text


async def test_what_a_full_disk_has_held_up_is_written_by_the_next(path: Path) -> None:
    async with opened(path) as numbers:
        numbers.full = True
        numbers.inbox.put(1)
    assert len(journals(path)) == 1
    async with opened(path):
        assert written(path) == [1]
    assert journals(path) == []


async def test_a_system_without_journals(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    async with opened(path) as numbers:
        first = numbers.inbox.put(1)
        assert first is not None
        await first
        assert written(path) == [1]
    assert "has no journal (No space left on device)" in caplog.text
    assert journals(path) == []


async def test_in_memory(path: Path) -> None:
    async with opened(None) as numbers:
        await kept(numbers.inbox.put(1))
        assert await numbers.file.do(lambda: numbers.file.connection.execute("SELECT * FROM numbers").fetchall()) == [
            (1,)
        ]
    assert [*path.parent.iterdir()] == []


KILLED = """
import asyncio, sys
from pathlib import Path
from tests.test_inbox import Numbers

async def main():
    numbers = Numbers(Path(sys.argv[1]))
    for number in range(int(sys.argv[2]), 10**9):
        if (waits := numbers.inbox.put(number)) is not None:
            await waits
        print(number, flush=True)
        if number % 7 == 0:
            await asyncio.sleep(0)

asyncio.run(main())
"""


def test_each_is_written_once_whenever_the_process_is_killed(path: Path) -> None:
    """Put, printed, and killed in the middle of it; then opened again, which writes what is left."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begin = 0
    for lines in (1, 40, 400, 3000):
        command = [sys.executable, "-c", KILLED, str(path), str(begin)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            for _ in range(lines):
                assert process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read()
        said = begin + lines + rest.count(b"\n")
        asyncio.run(Numbers(path).close())
        found = written(path)
        assert found == [*range(len(found))]
        assert len(found) - said in (0, 1)  # the last may have been put and not printed
        begin = len(found)
    assert journals(path) == []


async def test_what_another_version_has_left_is_told_and_left_out(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(path)
    for entry in (b"1", b"[", b'{"new": 1}', b"2"):
        journal.put(entry)
    journal.close(keep=True)
    async with opened(path):
        assert written(path) == [1, 2]
    assert [record.args[1] for record in caplog.records] == [b"[", b'{"new": 1}']


async def test_who_lives_keeps_his_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "LATEST", 1000.0)
    async with opened(path) as one:
        one.inbox.put(1)
        async with opened(path) as other:
            assert len(journals(path)) == 2
            assert written(path) == []
            other.inbox.put(2)
        assert written(path) == [2]
    assert written(path) == [2, 1]


def test_only_what_was_put_whole_in_the_last_use_of_a_half_is_read(path: Path) -> None:
    journal = Journal(path)
    for entry in (b"first", b"of the first half"):
        assert journal.put(entry)
    journal.turn()
    assert journal.put(b"second")
    journal.turn()
    assert journal.put(b"third")  # as long as the first: what comes after it in this half looks like an entry
    assert not journal.put(b"x" * HALF)
    journal.close(keep=True)
    ((found, batches),) = left_behind(path)
    assert (found, batches) == (journal.path, [(2, [b"second"]), (3, [b"third"])])
    assert journals(path) == []


@pytest.mark.parametrize("spoilt", [8, 12, 20])
def test_an_entry_that_a_loss_of_power_has_spoilt_is_none(path: Path, spoilt: int) -> None:
    journal = Journal(path)
    journal.put(b"first of all")
    journal.close(keep=True)
    data = bytearray(journal.path.read_bytes())
    data[HALF + spoilt] ^= 1
    journal.path.write_bytes(data)
    assert [batches for _, batches in left_behind(path)] == [[(1, [])]]


def test_a_journal_that_was_cut_off_is_read(path: Path) -> None:
    journal = Journal(path)
    journal.close(keep=True)
    journal.path.write_bytes(b"")
    assert [batches for _, batches in left_behind(path)] == [[]]
    assert journals(path) == []


async def test_what_comes_after_the_end_is_told_so(path: Path) -> None:
    async with opened(path) as numbers:
        numbers.full = True
        numbers.inbox.put(1)
    with pytest.raises(StoreError):
        await kept(numbers.inbox.put(2))
