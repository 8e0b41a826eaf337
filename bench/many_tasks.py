"""Many requests for pictures at once, each a task of some seconds: how long after its task is done is it answered?

    python bench/many_tasks.py --requests 1000 --seconds 4

Starts a server of its own with a sandbox model. Exits 1 where a request failed or the median is over --limit.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

CONFIG = """
model_list:
  - model_name: picture
    litellm_params: {{model: sandbox/image, seconds: {seconds}}}
general_settings: {{max_connections: 10000, data_dir: {data}}}
"""


async def ask(session: aiohttp.ClientSession, base: str, number: int) -> tuple[int, float]:
    """The status, and seconds from the request to its answer."""
    body = {"model": "picture", "prompt": f"picture {number}", "size": "64x64"}
    begun = time.perf_counter()
    async with session.post(f"{base}/v1/images/generations", json=body) as answer:
        await answer.read()
        return answer.status, time.perf_counter() - begun


async def run(base: str, requests: int) -> list[tuple[int, float]]:
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
            memory = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * 4 / 1024
        finally:
            server.terminate()
            server.wait()
    late = sorted(seconds - options.seconds for status, seconds in answers if status == 200)
    failed = len(answers) - len(late)
    print(
        f"{len(answers)} at once, {failed} failed; after the task was done: median {statistics.median(late):.2f} s, "
        f"p99 {late[int(len(late) * 0.99)]:.2f} s; resident {memory:.0f} MB"
    )
    raise SystemExit(failed > 0 or statistics.median(late) > options.limit)


if __name__ == "__main__":
    main()
