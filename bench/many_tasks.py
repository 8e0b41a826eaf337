"""Many requests for pictures at once, each a task of some seconds: how long after its task is done is it answered?

A sandbox task is done ``--seconds`` after it was submitted, which the job store tells. The other figure, from the
request on, has the time in it that the submissions of all the others took.

    python bench/many_tasks.py --requests 1000 --seconds 4

Starts a server of its own with a sandbox model. Exits 1 where a request failed or the median is over --limit.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp

CONFIG = """
model_list:
  - model_name: picture
    litellm_params: {{model: sandbox/image, seconds: {seconds}}}
general_settings: {{max_connections: 10000, data_dir: {data}}}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """``job`` is its id, found in the address of the picture; times are seconds since the epoch."""

    job: str
    asked: float
    answered: float


async def ask(session: aiohttp.ClientSession, base: str, number: int) -> Answer | None:
    """None: it failed."""
    body = {"model": "picture", "prompt": f"picture {number}", "size": "64x64"}
    asked = time.time()
    async with session.post(f"{base}/v1/images/generations", json=body) as answer:
        made = await answer.json()
        found = re.search(r"img_[0-9a-f]{32}", made["data"][0]["url"]) if answer.status == 200 else None
        return None if found is None else Answer(found[0], asked, time.time())


async def run(base: str, requests: int) -> list[Answer | None]:
    """All of them at once."""
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        return await asyncio.gather(*(ask(session, base, number) for number in range(requests)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--limit", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yaml")
        config.write_text(CONFIG.format(seconds=options.seconds, data=folder))
        command = [sys.executable, "-m", "gateway", "serve", "-c", str(config), "--port", "0"]
        log = Path(folder, "log")
        with log.open("w") as errors:
            server = subprocess.Popen(command, stderr=errors)
        try:
            while not (found := re.search(r"listening on (\S+)", log.read_text())):
                time.sleep(0.05)
            base = found[1]
            answers = asyncio.run(run(base, options.requests))
            with sqlite3.connect(Path(folder, "jobs.sqlite")) as store:
                submitted = dict(store.execute("SELECT id, submitted FROM jobs"))
            memory = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * 4 / 1024
        finally:
            server.terminate()
            server.wait()
    served = [answer for answer in answers if answer is not None]
    late = sorted(each.answered - submitted[each.job] - options.seconds for each in served)
    since = sorted(each.answered - each.asked - options.seconds for each in served)
    failed = len(answers) - len(served)
    print(
        f"{len(answers)} at once, {failed} failed; after the task was done: median {statistics.median(late):.2f} s, "
        f"p99 {late[int(len(late) * 0.99)]:.2f} s; after the request and {options.seconds:g} s: median "
        f"{statistics.median(since):.2f} s; resident {memory:.0f} MB"
    )
    raise SystemExit(failed > 0 or statistics.median(late) > options.limit)


if __name__ == "__main__":
    main()
