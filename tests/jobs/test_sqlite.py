"""Jobs in a file keep the law of the stores, and are there after a crash."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.jobs.errors import Conflict, StoreError
from gateway.jobs.job import State
from gateway.jobs.rows import LOOKED_AT, OPEN
from gateway.jobs.sqlite import SqliteJobStore
from gateway.jobs.store import JobStore
from tests.contracts.jobs import RUN, JobStoreContract, brought, make


class TestSqliteJobStore(JobStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[JobStore]:
        store = SqliteJobStore(tmp_path / "jobs.db", lambda: 1000.0)
        yield store
        await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "jobs.db"


async def test_another_finds_everything_though_the_first_was_never_closed(path: Path) -> None:
    first = SqliteJobStore(path)
    job = await brought(first, make(request={"prompt": "x"}), *RUN, task="t", next_poll=5.0)
    await first.claim(5, 1, "w", 60)
    second = SqliteJobStore(path)
    assert await second.get("a") == job
    assert len(await second.history("a")) == 3
    assert await second.claim(6, 1, "v", 60) == []
    await second.release()
    assert await second.claim(6, 1, "v", 60) == [job]
    await second.close()
    await first.close()


async def test_only_its_owner_reads_it(path: Path) -> None:
    store = SqliteJobStore(path)
    await store.add([make()])
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    await store.close()


async def test_what_callers_write_at_once_is_flushed_once_and_fails_alone(path: Path) -> None:
    store = SqliteJobStore(path)
    await store.add([make("taken")])
    names = [str(number) for number in range(50)]
    answers = await asyncio.gather(
        *(store.add([make(name)]) for name in [*names, "taken"]),
        store.get("49"),
        store.list("", "video", "nobody", 1, False),
        store.move(make("5", state=State.CREATED), State.SUBMITTING),
        return_exceptions=True,
    )
    assert [type(answer).__name__ for answer in answers[50:]] == ["Conflict", "Job", "UnknownJob", "Job"]
    assert answers[:50] == [None] * 50
    await store.close()


async def test_a_caller_who_is_cancelled_disturbs_nobody(path: Path) -> None:
    store = SqliteJobStore(path)
    tasks = [asyncio.create_task(store.add([make(str(number))])) for number in range(20)]
    await asyncio.gather(*(asyncio.sleep(0) for _ in tasks))
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for number in range(1, 20, 2):
        assert await store.get(str(number)) is not None
    await store.close()


async def test_nothing_is_said_to_be_written_that_is_not(path: Path) -> None:
    store = SqliteJobStore(path)
    await store.add([make()])
    other = sqlite3.connect(path)
    other.execute("DROP TABLE history")
    other.commit()
    with pytest.raises(StoreError, match="history"):
        await store.move(make(), State.SUBMITTING)
    assert await store.get("a") == make()
    other.execute("PRAGMA ignore_check_constraints = 1")
    other.execute("UPDATE jobs SET state = 'asleep'")
    other.commit()
    other.close()
    with pytest.raises(ValueError, match="asleep"):
        await store.get("a")
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.get("a")


async def test_what_is_no_json_is_refused_before_it_is_queued(path: Path) -> None:
    store = SqliteJobStore(path)
    with pytest.raises(TypeError):
        await store.add([make(request={"what": object()})])
    with pytest.raises(Conflict):
        await store.add([make(), make()])
    await store.close()


def test_what_cannot_be_opened(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match="newer version"):
        SqliteJobStore(path)
    path.write_text("this is no database, and long enough to be seen as none " * 50)
    with pytest.raises(StoreError, match="not a database"):
        SqliteJobStore(path)
    with pytest.raises(StoreError):
        SqliteJobStore(tmp_path)


async def test_frequent_questions_use_an_index(path: Path) -> None:
    store = SqliteJobStore(path)
    await store.close()
    db = sqlite3.connect(path)
    for rest, index in (
        (f"{LOOKED_AT} AND next_poll <= 1 AND lease_until <= 1 ORDER BY next_poll, seq LIMIT 1", "jobs_due"),
        (f"{LOOKED_AT} AND next_poll >= 0 ORDER BY next_poll", "jobs_due"),
        ("owner = '' AND kind = '' AND (created, id) < (1, '') ORDER BY created DESC, id DESC", "jobs_page"),
        ("fingerprint = 'f' AND fingerprint <> '' AND created >= 1 ORDER BY created DESC, seq DESC", "jobs_same"),
        (f"{OPEN} ORDER BY created, seq", "jobs_open"),
        ("expires <= 1 ORDER BY expires", "jobs_expired"),
        ("deployment = 'd' AND state = 'completed' ORDER BY completed DESC", "jobs_durations"),
        ("lease_until > 0", "jobs_held"),
    ):
        plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM jobs WHERE {rest}"))
        assert f"INDEX {index}" in plan, plan
    db.close()
