"""The process dies at every boundary in turn; afterwards nothing was paid twice, and every job has an end."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from gateway.jobs.job import TERMINAL, State
from gateway.jobs.sqlite import SqliteJobStore
from providers.base.contract import VideoRequest
from tests.contracts.jobs import make
from tests.jobs.fakes import AtOnce, Clock, Fate, Killed, Mortal, Shaky, Shelf, Vendor, jobs_of, until_ended

WRITES = "add move claim release"


class World:
    """What outlives a process: the vendor, the disk and the time."""

    def __init__(self, path: Path, vendor: Vendor, clock: Clock) -> None:
        self.path = path
        self.vendor = vendor
        self.clock = clock
        self.shelf = Shelf()
        self.stores: list[SqliteJobStore] = []
        self.told: dict[str, State] = {}
        """What callers were told before the process died."""

    async def live(self, fate: Fate, names: tuple[str, ...]) -> bool:
        """A process: takes up what was left, submits ``names`` and runs to the end, or until it is killed."""
        store = SqliteJobStore(self.path, self.clock)
        self.stores.append(store)  # never closed by the process itself
        vendor = Mortal(self.vendor, fate, "submit poll cancel")
        jobs = jobs_of(Mortal(store, fate, WRITES), vendor, Mortal(self.shelf, fate, "keep"), self.clock)
        try:
            await jobs.recover()
            calls = (jobs.submit(make(name), vendor, VideoRequest(name)) for name in names)
            answers = await asyncio.gather(*calls, return_exceptions=True)
            for answer in answers:
                if isinstance(answer, Killed):
                    raise answer
            self.told.update((answer.id, answer.state) for answer in answers if not isinstance(answer, BaseException))
            await until_ended(jobs, self.clock)
        except Killed:
            return False
        return True

    async def check(self, names: tuple[str, ...]) -> None:
        store = self.stores[-1]
        assert not await store.unfinished()
        for name in names:
            assert self.vendor.charged.count(name) <= 1, f"{name} was paid for twice"
            job = await store.get(name)
            if job is None:  # died before it was a row: so nothing was sent either
                assert name not in self.vendor.charged
                assert name not in self.told
                continue
            assert job.state in TERMINAL
            if job.state is State.COMPLETED:
                assert [self.shelf.kept[key] for key in job.outputs] == [(job.task or "").encode()]
            else:
                assert job.fault is not None
                assert job.fault.code in ("submission_unknown", "interrupted")
                assert name not in self.told, "what was running must be fetched"
                if job.fault.code == "interrupted":
                    assert name not in self.vendor.charged
            lines = await store.history(name)
            assert [line.before for line in lines[1:]] == [line.after for line in lines[:-1]]
            assert sum(line.after is State.SUBMITTING for line in lines) <= 1
        for store in self.stores:
            await store.close()


@pytest.mark.parametrize("names", [("a",), ("a", "b")], ids=["one", "two"])
async def test_killed_at_every_boundary(tmp_path: Path, names: tuple[str, ...]) -> None:
    end, survived = 1, False
    while not survived:
        clock = Clock()
        world = World(tmp_path / f"{end}.db", Vendor(clock), clock)
        survived = await world.live(Fate(end), names)
        if not survived:
            assert await world.live(Fate(10_000), ())
        await world.check(names)
        end += 1
    assert end > 25
    assert world.told == dict.fromkeys(names, State.RUNNING)


async def test_killed_at_every_boundary_with_a_vendor_that_answers_at_once(tmp_path: Path) -> None:
    end, survived = 1, False
    while not survived:
        clock = Clock()
        world = World(tmp_path / f"{end}.db", AtOnce(clock), clock)
        survived = await world.live(Fate(end), ("a",))
        if not survived:
            assert await world.live(Fate(10_000), ())
        await world.check(("a",))
        end += 1
    assert end > 9
    assert world.told == {"a": State.COMPLETED}


@pytest.mark.parametrize("seed", range(12))
async def test_killed_again_and_again_with_a_shaky_vendor(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    clock = Clock()
    world = World(tmp_path / "jobs.db", Shaky(clock, chance), clock)
    names = ("a", "b", "c")
    await world.live(Fate(chance.randint(1, 60)), names)
    for _ in range(4):
        await world.live(Fate(chance.randint(1, 30)), ())
    assert await world.live(Fate(10_000), ())
    await world.check(names)
