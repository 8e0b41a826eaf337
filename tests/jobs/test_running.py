"""The worker as it runs by itself: bounded, waited for, started again."""

from __future__ import annotations

import asyncio

import pytest

from gateway.jobs.errors import StoreError, UnknownJob
from gateway.jobs.job import Job, State
from gateway.jobs.memory import MemoryJobStore
from gateway.jobs.worker import LEASE, Jobs
from providers.base.contract import VideoRequest
from tests.contracts.jobs import RUN, brought, make
from tests.jobs.fakes import REQUEST, Clock, Shelf, Slow, Vendor, ended, jobs_of, read


async def test_no_more_looks_at_once_than_allowed(store: MemoryJobStore, shelf: Shelf, clock: Clock) -> None:
    vendor = Slow(clock)
    vendor.go.set()
    jobs = jobs_of(store, vendor, shelf, clock, concurrency=3)
    for number in range(10):
        await jobs.submit(make(str(number)), vendor, REQUEST)
    clock.now += 100
    await jobs.start()
    await asyncio.gather(*(jobs.wait(str(number), 10) for number in range(10)))
    assert vendor.most == 3
    await jobs.close()


async def test_a_job_in_hand_longer_than_its_lease_is_not_taken_twice(
    store: MemoryJobStore, shelf: Shelf, clock: Clock
) -> None:
    vendor = Slow(clock)
    jobs = jobs_of(store, vendor, shelf, clock)
    await brought(store, make(), *RUN, task="task0", submitted=1000.0, next_poll=1000.0)
    vendor.ends["task0"] = 0.0
    first = asyncio.create_task(jobs.turn())
    await vendor.asked.wait()
    clock.now += LEASE + 1
    second = asyncio.create_task(jobs.turn())
    vendor.go.set()
    await asyncio.gather(first, second)
    assert vendor.most == 1
    assert (await read(jobs)).polls == 1


async def test_a_job_that_is_due_again_before_its_look_has_ended_is_looked_at(
    store: MemoryJobStore, vendor: Vendor, shelf: Shelf, clock: Clock
) -> None:
    """A store that is slow to answer: the row was changed and given back long before the look knows of it."""
    jobs = jobs_of(store, vendor, shelf, clock)
    await jobs.submit(make(), vendor, REQUEST)
    clock.now += 6
    move, moved, answered = store.move, asyncio.Event(), asyncio.Event()

    async def slow(job: Job, state: State, note: str = "", **changes: object) -> Job:
        new = await move(job, state, note, **changes)
        moved.set()
        await answered.wait()
        return new

    store.move = slow
    first = asyncio.create_task(jobs.turn())
    await moved.wait()
    clock.now += 30
    second = asyncio.create_task(jobs.turn())
    await asyncio.sleep(0)  # it has claimed the job
    answered.set()
    await asyncio.gather(first, second)
    assert vendor.looks == {"task0": [1006.0, 1036.0]}


async def test_waiting(jobs: Jobs, vendor: Vendor, clock: Clock) -> None:
    job = await jobs.submit(make(), vendor, REQUEST)
    with pytest.raises(TimeoutError):
        await jobs.wait("a", 0)
    with pytest.raises(UnknownJob):
        await jobs.wait("nobody", 1)
    waiters = [asyncio.create_task(jobs.wait("a", 60)) for _ in range(3)]
    await asyncio.gather(*(asyncio.sleep(0) for _ in waiters))
    waiters[0].cancel()
    clock.now += 60
    await jobs.turn()
    answers = await asyncio.gather(*waiters, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [ended(answer) for answer in answers[1:] if isinstance(answer, Job)] == [True, True]
    assert (await jobs.wait(job.id, 60)).state is State.COMPLETED
    assert not jobs._desk._waiters


async def test_the_worker_runs_by_itself_and_takes_up_what_was_left(
    store: MemoryJobStore, vendor: Vendor, shelf: Shelf, clock: Clock
) -> None:
    await brought(store, make("new"))
    await brought(store, make("sent"), State.SUBMITTING)
    await brought(store, make("run"), *RUN, task="t", submitted=900.0, next_poll=950.0)
    await brought(store, make("kept"), *RUN, State.STORING, task="u", done=900.0, next_poll=950.0)
    await store.claim(960, 9, "somebody who is dead", 3600)
    vendor.ends = {"t": 910.0, "u": 900.0}
    jobs = jobs_of(store, vendor, shelf, clock)
    await jobs.start()
    for name, state, code in (
        ("new", State.FAILED, "interrupted"),
        ("sent", State.FAILED, "submission_unknown"),
        ("run", State.COMPLETED, None),
        ("kept", State.COMPLETED, None),
    ):
        job = await jobs.wait(name, 10)
        assert job.state is state
        assert (job.fault and job.fault.code) == code
    assert vendor.charged == []
    await jobs.submit(make("a"), vendor, VideoRequest("more"))
    clock.now += 60
    jobs.wake()
    assert (await jobs.wait("a", 10)).state is State.COMPLETED
    await jobs.close()
    await jobs.close()


async def test_a_store_that_fails_for_a_while(
    store: MemoryJobStore, vendor: Vendor, shelf: Shelf, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = jobs_of(store, vendor, shelf, clock)
    await jobs.submit(make(), vendor, REQUEST)
    clock.now += 60
    faults = 2
    failed = asyncio.Event()
    claim = store.claim

    async def shaky(now: float, limit: int, worker: str, lease: float) -> list[Job]:
        nonlocal faults
        if faults:
            faults -= 1
            failed.set()
            raise StoreError("disk full")
        return await claim(now, limit, worker, lease)

    monkeypatch.setattr(store, "claim", shaky)
    await jobs.start()
    for _ in range(2):
        await failed.wait()
        failed.clear()
        jobs.wake()
    assert (await jobs.wait("a", 10)).state is State.COMPLETED
    await jobs.close()


async def test_closing_leaves_what_runs_for_the_next_start(store: MemoryJobStore, shelf: Shelf, clock: Clock) -> None:
    vendor = Slow(clock)
    jobs = jobs_of(store, vendor, shelf, clock)
    await brought(store, make(), *RUN, task="t", submitted=900.0, next_poll=950.0)
    vendor.ends["t"] = 0.0
    await jobs.start()
    await vendor.asked.wait()
    await jobs.close()
    assert (await read(jobs)).state is State.RUNNING
    vendor.go.set()
    again = jobs_of(store, vendor, shelf, clock)
    await again.start()
    assert (await again.wait("a", 10)).state is State.COMPLETED
    await again.close()
