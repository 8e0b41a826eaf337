"""The thread behind a SQLite file."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.database import Database, Insert, Schema, StoreError

TABLE = Schema(1, "CREATE TABLE numbers (number INTEGER)")


@pytest.mark.parametrize("name", ["numbers.sqlite", None])
async def test_a_cursor_never_leaves_its_thread(tmp_path: Path, name: str | None) -> None:
    """One that is let go of on the loop's thread spoils the statement that runs on the other one."""
    database = Database(None if name is None else tmp_path / name, TABLE)
    db = database.connection
    assert await database.do(lambda: db.execute("INSERT INTO numbers VALUES (1)"), writes=True) is None
    assert await database.do(lambda: db.execute("SELECT number FROM numbers").fetchall()) == [(1,)]
    await database.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_fault_on_the_thread_is_told_and_the_next_are_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(tmp_path / "numbers.sqlite", TABLE)

    def broken() -> None:
        raise RuntimeError("of our own making")

    with pytest.raises(StoreError, match="a fault of the gateway's own"):
        await database.do(broken, writes=True)
    for thread in threading.enumerate():
        if thread.name == "numbers":
            await asyncio.to_thread(thread.join)  # so that its end is told during this test
    assert "a fault on the database's thread" in caplog.text
    assert await database.do(lambda: 7) == 7
    await database.close()


async def test_what_many_add_is_written_together_and_in_its_order(tmp_path: Path) -> None:
    file = Database(tmp_path / "numbers.sqlite", TABLE)
    writes: list[int] = []

    def write(numbers: Sequence[int]) -> None:
        writes.append(len(numbers))
        Insert("INSERT INTO numbers (number)", 1)(file.connection, [(number,) for number in numbers])

    def read() -> list[tuple[int]]:
        return file.connection.execute("SELECT count(*) FROM numbers").fetchall()

    # A read sees what was added before it, and no more.
    adding = [file.add(write, number) for number in range(100)]
    first = file.do(read)
    adding += [file.add(write, number) for number in range(100)]
    adding[0].cancel()  # it is written all the same
    assert [await first, await file.do(read)] == [[(100,)], [(200,)]]
    assert sum(writes) == 200
    await asyncio.gather(*adding[1:])
    await file.close()
    with pytest.raises(StoreError, match="closed"):
        await file.do(read)
