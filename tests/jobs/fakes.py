"""A vendor with a ledger, a clock that is moved by hand, and a process that can be killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from gateway.jobs.job import TERMINAL, Job
from gateway.jobs.store import JobStore
from gateway.jobs.worker import Jobs
from providers.base.contract import Done, Failed, Made, Submitted, TaskRequest, TaskState, VideoRequest, Working
from providers.base.errors import Broken, Gone, ProviderError

REQUEST = VideoRequest("a cat")


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Vendor:
    """A task ends ``seconds`` after it was submitted. ``charged`` are the prompts that were paid for, each time."""

    makes = frozenset({"video"})
    poll_interval = 5.0

    def __init__(self, clock: Clock, seconds: float = 12.0) -> None:
        self.clock = clock
        self.seconds = seconds
        self.progress: float | None = 0.5
        self.charged: list[str] = []
        self.ends: dict[str, float] = {}
        self.looks: dict[str, list[float]] = {}
        self.cancelled: list[str] = []
        self.refuse: BaseException | None = None
        self.polls: list[TaskState | Exception] = []
        """What the next polls answer instead."""

    def check(self, request: TaskRequest) -> dict[str, str]:
        return {}

    async def submit(self, request: TaskRequest) -> Submitted:
        if self.refuse is not None:
            raise self.refuse
        assert isinstance(request, VideoRequest)
        task = f"task{len(self.charged)}"
        self.charged.append(request.prompt)
        self.ends[task] = self.clock() + self.seconds
        return Submitted(task)

    async def poll(self, task: str) -> TaskState:
        self.looks.setdefault(task, []).append(self.clock())
        if self.polls:
            answer = self.polls.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if task in self.cancelled:
            return Failed(Broken("cancelled"))
        if self.clock() >= self.ends[task]:
            return Done((Made(task.encode(), "video/mp4"),))
        return Working(self.progress)

    async def cancel(self, task: str) -> None:
        self.cancelled.append(task)


class AtOnce(Vendor):
    """Answers a submission with what it has made."""

    async def submit(self, request: TaskRequest) -> Submitted:
        task = (await super().submit(request)).task
        return Submitted(task, done=Done((Made(task.encode(), "image/png"),)))

    async def poll(self, task: str) -> TaskState:
        self.looks.setdefault(task, []).append(self.clock())
        return Failed(Gone("it came with the answer"))


class Slow(Vendor):
    """Submitting and polling wait for ``go``."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.at_once = self.most = 0

    async def submit(self, request: TaskRequest) -> Submitted:
        self.asked.set()
        await self.go.wait()
        return await super().submit(request)

    async def poll(self, task: str) -> TaskState:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.asked.set()
        await self.go.wait()
        await asyncio.sleep(0)
        self.at_once -= 1
        return await super().poll(task)


class Shelf:
    """Where outputs are kept. ``faults`` are raised by the next calls."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.faults: list[Exception] = []
        self.calls = 0

    async def keep(self, job: Job, done: Done) -> tuple[str, ...]:
        self.calls += 1
        if self.faults:
            raise self.faults.pop(0)
        for number, output in enumerate(done.outputs):
            assert isinstance(output, Made)
            self.kept[f"{job.id}/{number}"] = output.data
        return tuple(f"{job.id}/{number}" for number in range(len(done.outputs)))


def jobs_of(store: JobStore, vendor: Any, shelf: Any, clock: Clock, **given: Any) -> Jobs:
    jobs = Jobs(store, **{"provider_of": lambda job: vendor, "keep": shelf.keep, "now": clock, **given})
    jobs.chance.seed(7)
    return jobs


async def until_ended(jobs: Jobs, clock: Clock, turns: int = 60) -> None:
    """Let time jump from look to look until every job has ended."""
    for _ in range(turns):
        due = await jobs.store.next_due()
        if due is None:
            break
        clock.now = max(clock.now, due)
        await jobs.turn()
    assert not await jobs.store.unfinished()


class Killed(BaseException):
    """The process is no more."""


class Fate:
    """Kills the process at its ``end``-th boundary: the moment before or after a commit or a call of the vendor."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.passed = 0

    def boundary(self) -> None:
        self.passed += 1
        if self.passed >= self.end:
            raise Killed


class Mortal:
    """Anything with async methods; around each call of one of ``names`` its process may die."""

    def __init__(self, inner: Any, fate: Fate, names: str) -> None:
        self._inner = inner
        self._fate = fate
        self._names = names.split()

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._inner, name)
        if name not in self._names:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._fate.boundary()
            answer = await method(*args, **kwargs)
            self._fate.boundary()
            return answer

        return call


class Shaky(Vendor):
    """Now and then a look fails, or the answer to a submission is lost after it was charged."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        super().__init__(clock, chance.uniform(1, 30))
        self._chance = chance

    async def submit(self, request: TaskRequest) -> Submitted:
        submitted = await super().submit(request)
        if self._chance.random() < 0.2:
            raise ProviderError("the connection broke", sent="maybe")
        return submitted

    async def poll(self, task: str) -> TaskState:
        if self._chance.random() < 0.3:
            raise ProviderError("no answer")
        return await super().poll(task)


def ended(job: Job | None) -> bool:
    return job is not None and job.state in TERMINAL


async def read(jobs: Jobs, job_id: str = "a") -> Job:
    job = await jobs.store.get(job_id)
    assert job is not None
    return job
