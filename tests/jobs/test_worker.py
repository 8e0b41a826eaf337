"""What becomes of a task: submitted once, looked at in time, kept, waited for, cancelled."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise
from math import nan

import pytest

from gateway.jobs.errors import Conflict, SubmissionUnknown, UnknownJob
from gateway.jobs.job import Job, State
from gateway.jobs.look import ABSENT, TRIES
from gateway.jobs.memory import MemoryJobStore
from gateway.jobs.worker import Jobs
from providers.base.contract import Failed, TaskState, Working
from providers.base.errors import BadAnswer, Broken, ProviderError, Refused
from tests.contracts.jobs import RUN, brought, make
from tests.jobs.fakes import REQUEST, AtOnce, Clock, Shelf, Slow, Vendor, jobs_of, read, until_ended


async def turn(jobs: Jobs, clock: Clock) -> Job:
    """One look, when it is due."""
    clock.now = max(clock.now, await jobs.store.next_due() or 0.0)
    await jobs.turn()
    return await read(jobs)


async def test_from_submission_to_the_kept_output(jobs: Jobs, vendor: Vendor, shelf: Shelf, clock: Clock) -> None:
    job = await jobs.submit(make(), vendor, REQUEST)
    assert (job.state, job.task, job.submitted) == (State.RUNNING, "task0", 1000.0)
    job = await turn(jobs, clock)
    assert (job.state, job.progress, job.polls, job.looked) == (State.RUNNING, 0.5, 1, clock.now)
    await until_ended(jobs, clock)
    job = await read(jobs)
    assert (job.state, job.progress, job.outputs) == (State.COMPLETED, 1.0, ("a/0",))
    assert (job.done, job.completed, job.expires) == (clock.now, clock.now, clock.now + 100)
    assert shelf.kept == {"a/0": b"task0"}
    assert vendor.charged == ["a cat"]
    looks = [1000.0, *vendor.looks["task0"]]
    assert all(later - sooner >= 5 for sooner, later in pairwise(looks))


async def test_looks_are_aimed_once_the_deployment_is_known(jobs: Jobs, vendor: Vendor, clock: Clock) -> None:
    vendor.progress, late = None, []
    for number in range(40):
        job = await jobs.submit(make(str(number)), vendor, REQUEST)
        await until_ended(jobs, clock)
        late.append(vendor.looks[job.task or ""][-1] - vendor.ends[job.task or ""])
    assert late[0] > 3
    assert max(late[-10:]) < 2


async def test_a_row_that_was_added_before_is_submitted(jobs: Jobs, vendor: Vendor) -> None:
    await jobs.store.add([make("a", batch="x"), make("b", batch="x")])
    assert (await jobs.submit(make("a", batch="x"), vendor, REQUEST, added=True)).state is State.RUNNING
    with pytest.raises(Conflict):
        await jobs.submit(make("a", batch="x"), vendor, REQUEST, added=True)
    assert len(vendor.charged) == 1


async def test_two_submissions_of_one_job_at_once(jobs: Jobs, vendor: Vendor) -> None:
    answers = await asyncio.gather(*(jobs.submit(make(), vendor, REQUEST) for _ in range(3)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "Conflict", "Job"]
    assert len(vendor.charged) == 1


@pytest.mark.parametrize(
    "error", [Refused("no such size", sent="yes", param="size"), ProviderError("no route", sent="no")]
)
async def test_a_refusal_fails_the_job_and_is_told(jobs: Jobs, vendor: Vendor, error: ProviderError) -> None:
    vendor.refuse = error
    with pytest.raises(type(error)) as caught:
        await jobs.submit(make(), vendor, REQUEST)
    assert caught.value is error
    job = await read(jobs)
    assert job.state is State.FAILED
    assert job.fault is not None
    assert (job.fault.message, job.fault.code, job.fault.status) == (str(error), error.code, error.status)
    assert job.fault.param == error.param


@pytest.mark.parametrize(
    ("error", "raised"),
    [(ProviderError("cut off", sent="maybe"), SubmissionUnknown), (KeyError("id"), KeyError)],
)
async def test_what_may_have_been_charged_is_not_repeated(
    jobs: Jobs, vendor: Vendor, error: Exception, raised: type[Exception]
) -> None:
    vendor.refuse = error
    with pytest.raises(raised):
        await jobs.submit(make(), vendor, REQUEST)
    job = await read(jobs)
    assert job.state is State.FAILED
    assert job.fault is not None
    assert (job.fault.code, job.fault.status) == ("submission_unknown", 502)
    assert "not repeated" in job.fault.message
    assert job.expires is not None


async def test_a_submission_outlives_its_caller(store: MemoryJobStore, shelf: Shelf, clock: Clock) -> None:
    vendor = Slow(clock)
    jobs = jobs_of(store, vendor, shelf, clock)
    caller = asyncio.create_task(jobs.submit(make(), vendor, REQUEST))
    await vendor.asked.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert (await read(jobs)).state is State.SUBMITTING
    vendor.go.set()
    await jobs.close()
    assert (await read(jobs)).state is State.RUNNING


async def test_cancelling_waits_for_the_submission(store: MemoryJobStore, shelf: Shelf, clock: Clock) -> None:
    vendor = Slow(clock)
    jobs = jobs_of(store, vendor, shelf, clock)
    caller = asyncio.create_task(jobs.submit(make(), vendor, REQUEST))
    await vendor.asked.wait()
    cancelling = asyncio.create_task(jobs.cancel(make()))
    vendor.go.set()
    assert (await cancelling).state is State.CANCELLED
    assert vendor.cancelled == ["task0"]
    await caller


async def test_cancelling(jobs: Jobs, vendor: Vendor, store: MemoryJobStore, clock: Clock) -> None:
    job = await jobs.submit(make(), vendor, REQUEST)
    await turn(jobs, clock)  # the caller's copy is old now
    job = await jobs.cancel(job)
    assert job.state is State.CANCELLED
    assert job.expires == clock.now + 100
    assert await jobs.cancel(job) == job
    assert vendor.cancelled == ["task0"]
    assert (await jobs.cancel(await brought(store, make("new")))).state is State.CANCELLED
    sent = await brought(store, make("sent"), State.SUBMITTING)
    assert await jobs.cancel(sent) == sent
    with pytest.raises(UnknownJob):
        await jobs.cancel(make("nobody"))


async def test_cancelling_loses_against_the_end(
    jobs: Jobs, vendor: Vendor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the vendor is asked to stop it, a look finds it done; and the vendor's refusal to stop changes nothing."""
    job = await jobs.submit(make(), vendor, REQUEST)

    async def cancel(task: str) -> None:
        clock.now += 60
        await jobs.turn()
        raise ProviderError("too late")

    monkeypatch.setattr(vendor, "cancel", cancel)
    assert (await jobs.cancel(job)).state is State.COMPLETED


async def test_a_look_that_comes_after_the_cancelling_changes_nothing(
    store: MemoryJobStore, shelf: Shelf, clock: Clock
) -> None:
    vendor = Slow(clock)
    jobs = jobs_of(store, vendor, shelf, clock)
    await brought(store, make(), *RUN, task="task0", submitted=1000.0, next_poll=1000.0)
    vendor.ends["task0"] = 0.0
    looking = asyncio.create_task(jobs.turn())
    await vendor.asked.wait()
    await jobs.cancel(await read(jobs))
    vendor.go.set()
    await looking
    assert (await read(jobs)).state is State.CANCELLED


async def test_progress_never_goes_back(jobs: Jobs, vendor: Vendor, clock: Clock) -> None:
    await jobs.submit(make(), vendor, REQUEST)
    vendor.polls = [Working(progress) for progress in (0.2, 0.1, None, nan, 0.6, -1.0, 7.0, 0.3)]
    seen = [(await turn(jobs, clock)).progress for _ in range(8)]
    assert seen == [0.2, 0.2, 0.2, 0.2, 0.6, 0.6, 1.0, 1.0]


async def test_the_vendor_says_when_to_come_back(jobs: Jobs, vendor: Vendor, clock: Clock) -> None:
    await jobs.submit(make(), vendor, REQUEST)
    vendor.polls = [Working(None, check_after=30)]
    job = await turn(jobs, clock)
    assert job.next_poll is not None
    assert job.next_poll >= clock.now + 30


async def test_a_failed_task(jobs: Jobs, vendor: Vendor, clock: Clock) -> None:
    await jobs.submit(make(), vendor, REQUEST)
    vendor.polls = [Failed(Broken("the picture was refused", sent="yes"))]
    job = await turn(jobs, clock)
    assert job.state is State.FAILED
    assert job.fault is not None
    assert (job.fault.code, job.fault.message) == ("generation_failed", "the picture was refused")


async def test_failed_looks_do_not_fail_the_job(
    jobs: Jobs, vendor: Vendor, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await jobs.submit(make(), vendor, REQUEST)
    vendor.polls = [*(ProviderError("no answer") for _ in range(10)), ValueError("not JSON"), Working(0.1)]
    gaps = []
    for _ in range(11):
        job = await turn(jobs, clock)
        assert job.state is State.RUNNING
        assert job.next_poll is not None
        gaps.append(job.next_poll - clock.now)
    assert job.errors == 11
    assert gaps[0] < 6
    assert max(gaps) <= 66
    assert [record.levelno for record in caplog.records if record.levelno > logging.INFO] == [logging.WARNING]
    assert (await turn(jobs, clock)).errors == 0
    await until_ended(jobs, clock)
    assert (await read(jobs)).state is State.COMPLETED


async def test_outputs_are_tried_again_with_fresh_addresses(
    jobs: Jobs, vendor: Vendor, shelf: Shelf, clock: Clock
) -> None:
    await jobs.submit(make(), vendor, REQUEST)
    clock.now += 60
    shelf.faults = [OSError("disk full"), ProviderError("403")]
    for tries in (1, 2):
        job = await turn(jobs, clock)
        assert (job.state, job.tries, job.done) == (State.STORING, tries, 1060.0)
    vendor.polls = [ProviderError("no answer"), Working(1.0)]
    assert (await turn(jobs, clock)).tries == 2
    assert (await turn(jobs, clock)).state is State.STORING
    job = await turn(jobs, clock)
    assert (job.state, job.done, job.completed) == (State.COMPLETED, 1060.0, clock.now)
    assert len(vendor.looks["task0"]) == 5


async def test_outputs_that_can_not_be_kept_are_lost_at_last(
    jobs: Jobs, vendor: Vendor, shelf: Shelf, clock: Clock
) -> None:
    await jobs.submit(make(), vendor, REQUEST)
    clock.now += 60
    shelf.faults = [OSError("disk full")] * TRIES
    await until_ended(jobs, clock)
    job = await read(jobs)
    assert (job.state, job.tries, shelf.calls) == (State.FAILED, TRIES, TRIES)
    assert job.fault is not None
    assert job.fault.code == "output_lost"


async def test_a_provider_that_is_gone_is_waited_for(store: MemoryJobStore, shelf: Shelf, clock: Clock) -> None:
    vendor = Vendor(clock)
    jobs = jobs_of(store, vendor, shelf, clock, provider_of=lambda job: vendor if clock.now > 2000 else None)
    await jobs.submit(make(), vendor, REQUEST)
    for errors in (1, 2):
        job = await turn(jobs, clock)
        assert (job.state, job.errors, job.next_poll) == (State.RUNNING, errors, clock.now + ABSENT)
    assert [line.note for line in await store.history("a")].count("d is not configured") == 1
    await until_ended(jobs, clock)
    assert (await read(jobs)).state is State.COMPLETED
    assert (await jobs.cancel(await read(jobs))).state is State.COMPLETED


async def test_what_vanishes_during_a_look(
    jobs: Jobs, vendor: Vendor, store: MemoryJobStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await jobs.submit(make(), vendor, REQUEST)
    clock.now += 60

    async def poll(task: str) -> TaskState:
        await store.remove("a")
        raise ValueError("not JSON")

    monkeypatch.setattr(vendor, "poll", poll)
    await jobs.turn()
    assert await store.get("a") is None


async def test_what_comes_with_the_answer_is_kept_and_never_looked_at(
    store: MemoryJobStore, shelf: Shelf, clock: Clock
) -> None:
    vendor = AtOnce(clock)
    jobs = jobs_of(store, vendor, shelf, clock)
    job = await jobs.submit(make(), vendor, REQUEST)
    assert (job.state, job.task, job.progress, job.next_poll) == (State.COMPLETED, "task0", 1.0, None)
    assert [shelf.kept[key] for key in job.outputs] == [b"task0"]
    assert await jobs.wait("a", 1) == job
    assert await store.next_due() is None
    assert vendor.looks == {}


@pytest.mark.parametrize("fault", [OSError("disk full"), BadAnswer("no picture", sent="yes")])
async def test_what_came_and_cannot_be_kept_is_looked_at_and_not_repeated(
    store: MemoryJobStore, shelf: Shelf, clock: Clock, fault: Exception
) -> None:
    vendor = AtOnce(clock)
    shelf.faults.append(fault)
    jobs = jobs_of(store, vendor, shelf, clock)
    assert (await jobs.submit(make(), vendor, REQUEST)).state is State.RUNNING
    await until_ended(jobs, clock)
    job = await read(jobs)
    assert (job.state, job.task) == (State.FAILED, "task0")
    assert job.fault is not None
    assert job.fault.code == "output_expired"
    assert (len(vendor.charged), len(vendor.looks["task0"])) == (1, 1)
