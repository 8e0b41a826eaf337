"""The law for every store of jobs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.jobs.errors import Conflict, IllegalMove, UnknownJob
from gateway.jobs.job import MOVES, TERMINAL, Fault, Job, State
from gateway.jobs.store import JobStore

RUN = (State.SUBMITTING, State.RUNNING)


def make(name: str = "a", **fields: Any) -> Job:
    given: dict[str, Any] = {"kind": "video", "model": "m", "deployment": "d", "created": 1000.0, **fields}
    return Job(id=name, **given)


async def brought(store: JobStore, job: Job, *states: State, **changes: Any) -> Job:
    """The job, added and moved on; ``changes`` come with the last move."""
    await store.add([job])
    for state in states[:-1]:
        job = await store.move(job, state)
    return await store.move(job, states[-1], **changes) if states else job


async def completed(store: JobStore, job: Job, **changes: Any) -> Job:
    return await brought(store, job, *RUN, State.STORING, State.COMPLETED, **changes)


class JobStoreContract:
    """Subclasses have a fixture ``store`` (empty), whose clock stands at 1000."""

    async def test_what_is_added_is_there(self, store: JobStore) -> None:
        job = make(
            owner="o",
            batch="b",
            fingerprint="f",
            request={"prompt": "Grüße", "n": 2, "deep": {"list": [1, None]}},
            fault=Fault("m", "c", "k", 502, "p"),
            outputs=("x", "y"),
            looked=1.5,
        )
        await store.add([job, make("b")])
        assert await store.get("a") == job
        assert await store.get("b") == make("b")
        assert await store.get("c") is None

    async def test_all_are_added_or_none(self, store: JobStore) -> None:
        await store.add([make("a")])
        for batch in ([make("b"), make("a")], [make("c"), make("c")]):
            with pytest.raises(Conflict):
                await store.add(batch)
        assert await store.get("b") is None
        assert await store.get("c") is None
        assert not await store.history("b")
        await store.add([])

    async def test_a_move_changes_the_row_and_is_remembered(self, store: JobStore) -> None:
        job = await brought(store, make(), State.SUBMITTING)
        assert job == make(state=State.SUBMITTING, version=1)
        job = await store.move(job, State.RUNNING, "taken", task="t", next_poll=5.0)
        job = await store.move(job, State.RUNNING, progress=0.5)
        assert (job.task, job.progress, job.next_poll, job.version) == ("t", 0.5, 5.0, 3)
        fault = Fault("why", "code", "server_error", 502)
        job = await store.move(job, State.FAILED, fault=fault, outputs=("k",))
        assert job.next_poll is None
        assert await store.get("a") == job
        assert job.fault == fault
        lines = [(line.job, line.at, line.before, line.after, line.note) for line in await store.history("a")]
        assert lines == [
            ("a", 1000.0, None, State.CREATED, ""),
            ("a", 1000.0, State.CREATED, State.SUBMITTING, ""),
            ("a", 1000.0, State.SUBMITTING, State.RUNNING, "taken"),
            ("a", 1000.0, State.RUNNING, State.FAILED, ""),
        ]

    @pytest.mark.parametrize("state", list(State))
    async def test_only_the_moves_of_the_table(self, store: JobStore, state: State) -> None:
        await store.add([make(str(number), state=state) for number in range(len(State))])
        for number, to in enumerate(State):
            job = make(str(number), state=state)
            if to in MOVES[state]:
                assert (await store.move(job, to)).state is to
            else:
                with pytest.raises(IllegalMove):
                    await store.move(job, to)
                assert await store.get(job.id) == job

    async def test_only_the_first_of_two_moves(self, store: JobStore) -> None:
        old = await brought(store, make(), *RUN)
        new = await store.move(old, State.RUNNING, progress=0.5)
        with pytest.raises(Conflict):
            await store.move(old, State.CANCELLED)
        with pytest.raises(Conflict):
            await store.move(make("nobody"), State.SUBMITTING)
        assert await store.get("a") == new
        assert len(await store.history("a")) == 3

    async def test_of_many_movers_at_once_one_wins(self, store: JobStore) -> None:
        jobs = [make(str(number)) for number in range(5)]
        await store.add(jobs)
        moves = [store.move(job, State.SUBMITTING, str(mover)) for mover in range(8) for job in jobs]
        answers = await asyncio.gather(*moves, return_exceptions=True)
        assert sum(isinstance(answer, Job) for answer in answers) == 5
        assert sum(isinstance(answer, Conflict) for answer in answers) == 35
        assert all([len(await store.history(job.id)) == 2 for job in jobs])

    async def test_claims_what_is_due_once(self, store: JobStore) -> None:
        for name, at in (("late", 30.0), ("soon", 20.0), ("first", 10.0), ("later", 99.0)):
            await brought(store, make(name), *RUN, next_poll=at)
        await brought(store, make("new"))
        await brought(store, make("storing"), *RUN, State.STORING, next_poll=15.0)
        await completed(store, make("ended"), next_poll=1.0)
        assert await store.next_due() == 10
        assert [job.id for job in await store.claim(30, 3, "w", 60)] == ["first", "storing", "soon"]
        assert await store.next_due() == 30
        assert [job.id for job in await store.claim(30, 9, "v", 60)] == ["late"]
        assert await store.claim(30, 9, "v", 60) == []
        assert await store.next_due() == 90

    async def test_a_lease_ends_by_itself_or_with_the_next_time(self, store: JobStore) -> None:
        job = await brought(store, make(), *RUN, next_poll=10.0)
        assert await store.claim(10, 1, "w", 60) == [job]
        job = await store.move(job, State.RUNNING, progress=0.1)
        assert await store.claim(11, 1, "v", 60) == []
        assert await store.next_due() == 70
        assert await store.claim(70, 1, "v", 60) == [job]
        job = await store.move(job, State.STORING, next_poll=75.0)
        assert await store.next_due() == 75
        assert await store.claim(75, 1, "w", 60) == [job]
        await store.release()
        assert await store.claim(75, 1, "v", 60) == [job]
        await store.move(job, State.COMPLETED)
        assert await store.next_due() is None

    async def test_pages(self, store: JobStore) -> None:
        for name, created in (("c", 1.0), ("a", 2.0), ("b", 2.0), ("d", 3.0)):
            await store.add([make(name, created=created, owner="me")])
        await store.add([make("x", owner="you"), make("y", owner="me", kind="image")])

        async def page(after: str | None, limit: int, descending: bool) -> tuple[str, bool]:
            rows, more = await store.list("me", "video", after, limit, descending)
            return "".join(job.id for job in rows), more

        assert await page(None, 3, False) == ("cab", True)
        assert await page("b", 3, False) == ("d", False)
        assert await page(None, 4, True) == ("dbac", False)
        assert await page("b", 1, True) == ("a", True)
        assert await page("c", 9, True) == ("", False)
        for other in ("x", "y", "nobody"):
            with pytest.raises(UnknownJob):
                await page(other, 1, True)

    async def test_the_same_call_s_newest_batch(self, store: JobStore) -> None:
        await store.add([make("a", fingerprint="f", batch="1", created=10.0)])
        await store.add([make("z", fingerprint="f", batch="2", created=20.0)])
        await store.add([make("b", fingerprint="f", batch="2", created=20.0), make("none", created=30.0)])
        assert [job.id for job in await store.same("f", 0)] == ["z", "b"]
        assert [job.id for job in await store.same("f", 20)] == ["z", "b"]
        assert await store.same("f", 20.5) == []
        assert await store.same("g", 0) == []
        assert await store.same("", 0) == []

    async def test_what_has_not_ended(self, store: JobStore) -> None:
        await brought(store, make("run", created=3.0), *RUN)
        await store.add([make("new", created=4.0), *(make(str(state), state=state) for state in TERMINAL)])
        await brought(store, make("sent", created=1.0), State.SUBMITTING)
        await brought(store, make("kept", created=2.0), *RUN, State.STORING)
        assert [job.id for job in await store.unfinished()] == ["sent", "kept", "run", "new"]
        assert [(job.id, by) for job, by in await store.handing()] == [("sent", ""), ("new", "")]
        living = {State.CREATED: 1, State.SUBMITTING: 1, State.RUNNING: 1, State.STORING: 1}
        assert await store.living() == living
        states = await store.states(["run", "failed", "gone"])
        assert states == {"run": State.RUNNING, "failed": State.FAILED}

    async def test_what_has_expired_is_removed_and_its_history_kept(self, store: JobStore) -> None:
        for name, expires in (("b", 20.0), ("a", 10.0), ("c", 30.0), ("d", None)):
            await completed(store, make(name), expires=expires)
        await store.add([make("e", expires=1.0)])
        assert [job.id for job in await store.expired(20, 9)] == ["a", "b"]
        assert [job.id for job in await store.expired(30, 1)] == ["a"]
        await store.remove("a")
        await store.remove("a")
        assert await store.get("a") is None
        assert len(await store.history("a")) == 5
        assert [job.id for job in await store.expired(20, 9)] == ["b"]

    async def test_how_long_tasks_took(self, store: JobStore) -> None:
        for number in range(4):
            job = make(str(number), submitted=10.0, looked=12.0 + number if number else None, done=15.0 + number)
            await completed(store, job, completed=20.0 - number)
        await completed(store, make("other", deployment="e", submitted=1.0, done=2.0), completed=3.0)
        await brought(store, make("run", submitted=1.0), *RUN)
        assert list(await store.durations("d")) == [(0, 5), (3, 6), (4, 7), (5, 8)]
        assert list(await store.durations("d", 1)) == [(0, 5)]
        assert list(await store.durations("none")) == []

    async def test_closing_twice_is_harmless(self, store: JobStore) -> None:
        await store.add([make(request={})])
        await store.close()
        await store.close()
