"""Ten thousand tasks in flight in one process on SQLite: are they looked at in time, and never too soon?

    python bench/many_jobs.py --jobs 10000 --seconds 60

The worker and its store in real time; the vendor answers at once, and none of its tasks ends while this runs. Prints
how far behind its time each look was, how many there were, and the memory. Exits 1 where a task was looked at twice
within the interval, where the 99th percentile of the lag is over 1 s, or where the process holds 400 MB or more.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

from gateway.jobs.job import Job, State
from gateway.jobs.sqlite import SqliteJobStore
from gateway.jobs.worker import Jobs
from providers.base.contract import Done, Submitted, TaskRequest, TaskState, VideoRequest, Working


class Vendor:
    """Every task goes on for ever."""

    makes = frozenset({"video"})

    def __init__(self, interval: float) -> None:
        self.poll_interval = interval
        self.names = itertools.count()
        self.looks: dict[str, list[float]] = {}

    def check(self, _request: TaskRequest) -> dict[str, str]:
        """Takes anything."""
        return {}

    async def submit(self, _request: TaskRequest) -> Submitted:
        """Begin one."""
        task = str(next(self.names))
        self.looks[task] = [time.time()]
        return Submitted(task)

    async def poll(self, task: str) -> TaskState:
        """Note the look."""
        self.looks[task].append(time.time())
        return Working()

    async def cancel(self, task: str) -> None:
        """Nobody asks for it here."""
        raise NotImplementedError


class Timed(SqliteJobStore):
    """Notes when each look was due, and when it was taken up."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.lags: list[float] = []

    async def claim(self, now: float, limit: int, worker: str, lease: float) -> list[Job]:
        """As in the store."""
        found = await super().claim(now, limit, worker, lease)
        taken = time.time()
        self.lags += [taken - (job.next_poll or taken) for job in found]
        return found


async def keep(_job: Job, _done: Done) -> tuple[str, ...]:
    """Nothing is made here."""
    raise NotImplementedError


async def run(options: Any, folder: str) -> tuple[Vendor, list[float], float]:
    """Submit them evenly, then watch for ``options.seconds``."""
    vendor = Vendor(options.interval)
    store = Timed(Path(folder, "jobs.sqlite"))
    jobs = Jobs(store, provider_of=lambda _: vendor, keep=keep)
    await jobs.start()
    begun = time.perf_counter()
    for first in range(0, options.jobs, 250):
        await asyncio.sleep(begun + options.over * first / options.jobs - time.perf_counter())
        made = [
            Job(f"video_{number}", "video", "film", "bench/film", time.time()) for number in range(first, first + 250)
        ]
        await store.add(made)
        await asyncio.gather(*(jobs.submit(job, vendor, VideoRequest("a film"), added=True) for job in made))
    spent = time.perf_counter() - begun
    store.lags.clear()
    await asyncio.sleep(options.seconds)
    lags = sorted(store.lags)
    assert all(job.state is State.RUNNING for job in await store.unfinished())
    await jobs.close()
    await store.close()
    return vendor, lags, spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--over", type=float, default=15.0, help="seconds in which they are submitted")
    parser.add_argument("--interval", type=float, default=15.0, help="seconds between two looks at one task")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        vendor, lags, spent = asyncio.run(run(options, folder))
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * 4 / 1024
    closest = min(b - a for looks in vendor.looks.values() for a, b in itertools.pairwise(looks))
    p99 = lags[int(len(lags) * 0.99)]
    print(
        f"{options.jobs:,} jobs, submitted in {spent:.1f} s; {len(lags):,} looks in {options.seconds:g} s, lag: median "
        f"{lags[len(lags) // 2] * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms; two looks at one task at least "
        f"{closest:.2f} s apart; resident {memory:.0f} MB"
    )
    raise SystemExit(closest < options.interval or p99 > 1 or memory >= 400)


if __name__ == "__main__":
    main()
