"""From the end of a task to the look that finds it, for looks at least 5 s apart: aimed, beside a fixed beat of 5 s.

    python bench/aimed_looks.py

The worker itself on a clock that is moved by hand, with tasks that take 10 to 30 s and report their progress in
different ways. Seconds; what keeping the output takes is not in them (see many_tasks.py). Exits 1 where a task was
looked at twice within 5 s, or where the median with an even progress is over --limit.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from gateway.jobs.job import Job
from gateway.jobs.sqlite import SqliteJobStore
from gateway.jobs.worker import Jobs
from providers.base.contract import Done, Made, Submitted, TaskRequest, TaskState, VideoRequest, Working

INTERVAL = 5.0
Progress = Callable[[float, random.Random], float | None]
"""From the true part done to what the vendor says of it."""

PROGRESS: dict[str, Progress] = {
    "none": lambda _part, _chance: None,
    "even": lambda part, _chance: part,
    "even, in tenths": lambda part, _chance: int(part * 10) / 10,
    "off by up to 5 %": lambda part, chance: min(0.99, max(0.0, part + chance.uniform(-0.05, 0.05))),
    "fast, then slow": lambda part, _chance: part**0.5,
    "slow, then fast": lambda part, _chance: part**2,
    "stuck at a half": lambda _part, _chance: 0.5,
}
DURATIONS: dict[str, Callable[[random.Random], float]] = {
    "10 to 30 s evenly": lambda chance: chance.uniform(10, 30),
    "about 16 s (sd 2)": lambda chance: max(10.0, chance.gauss(16, 2)),
    "12 s or 25 s (sd 0.5)": lambda chance: chance.gauss(12, 0.5) if chance.random() < 0.6 else chance.gauss(25, 0.5),
}


class Vendor:
    """Tasks on the bench's clock."""

    makes = frozenset({"video"})
    poll_interval = INTERVAL

    def __init__(
        self, now: Callable[[], float], seconds: Callable[[], float], progress: Callable[[float], float | None]
    ):
        self.now, self.seconds, self.progress = now, seconds, progress
        self.tasks: dict[str, tuple[float, float]] = {}
        self.looks: dict[str, list[float]] = {}

    def check(self, _request: TaskRequest) -> dict[str, str]:
        """Takes anything."""
        return {}

    async def submit(self, _request: TaskRequest) -> Submitted:
        """Begin one."""
        task = str(len(self.tasks))
        self.tasks[task] = (self.now(), self.now() + self.seconds())
        self.looks[task] = []
        return Submitted(task)

    async def poll(self, task: str) -> TaskState:
        """Note the look."""
        begin, end = self.tasks[task]
        self.looks[task].append(self.now())
        if self.now() >= end:
            return Done((Made(b"film", "video/mp4"),))
        return Working(self.progress((self.now() - begin) / (end - begin)))

    async def cancel(self, task: str) -> None:
        """Nobody asks for it here."""
        raise NotImplementedError


async def late(seconds: Callable[[random.Random], float], progress: Progress, tasks: int) -> list[float]:
    """Seconds between the end of each task and the look that found it, after the first 50 tasks."""
    clock, chance = [1000.0], random.Random(1)
    vendor = Vendor(lambda: clock[0], lambda: seconds(chance), lambda part: progress(part, chance))

    async def keep(_job: Job, _done: Done) -> tuple[str, ...]:
        return ("film",)

    with tempfile.TemporaryDirectory() as folder:
        store = SqliteJobStore(Path(folder, "jobs.sqlite"), lambda: clock[0])
        jobs = Jobs(store, provider_of=lambda _: vendor, keep=keep, now=lambda: clock[0])
        jobs.chance.seed(1)
        for number in range(tasks):
            job = Job(f"video_{number}", "video", "film", "bench/film", clock[0])
            await jobs.submit(job, vendor, VideoRequest("a film"))
            # A new one every 4 s: some five are under way at any time.
            until = clock[0] + 4.0
            while (due := await store.next_due()) is not None and due <= until:
                clock[0] = max(clock[0], due)
                await jobs.turn()
            clock[0] = until
        await store.close()
    for looks in vendor.looks.values():
        for before, after in itertools.pairwise(looks):
            if after - before < INTERVAL - 1e-6:
                raise SystemExit(f"two looks at one task {after - before:.3f} s apart")
    ended = [(vendor.looks[task][-1], end) for task, (_, end) in vendor.tasks.items() if vendor.looks[task]]
    return [look - end for look, end in ended[50:] if look >= end]


def beat(seconds: Callable[[random.Random], float], tasks: int) -> list[float]:
    """The same for a look every 5 s."""
    chance = random.Random(1)
    return [-seconds(chance) % INTERVAL for _ in range(tasks)]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=400)
    parser.add_argument("--limit", type=float, default=1.5)
    options = parser.parse_args()
    print("| tasks take | progress | median | p90 | fixed beat: median | p90 |\n|---|---|---|---|---|---|")
    worst = 0.0
    for name, seconds in DURATIONS.items():
        fixed = sorted(beat(seconds, options.tasks))
        for said, progress in PROGRESS.items():
            found = sorted(asyncio.run(late(seconds, progress, options.tasks)))
            figures = [f"{each[int(len(each) * part)]:.1f}" for each in (found, fixed) for part in (0.5, 0.9)]
            print(f"| {name} | {said} | {' | '.join(figures)} |")
            if said == "even":
                worst = max(worst, statistics.median(found))
    raise SystemExit(worst > options.limit)


if __name__ == "__main__":
    main()
