"""What keys, budgets, guards, routing and the ledger cost: speech of the sandbox with all of them, and with none.

    python bench/overhead.py --seconds 10 --connections 16

Two servers, asked in turns of a few seconds, so that whatever else the machine does hits both. Prints requests a second
and the processor time of the server for each request. Exits 1 where the first is under --limit of the second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

MODEL = """
model_list:
  - {{model_name: voice, litellm_params: {{model: {model}{settings}}}}}
"""
BARE = MODEL + "general_settings: {{data_dir: {data}, disable_spend_logs: true, max_connections: 10000}}\n"
FULL = (
    MODEL
    + """
  - {{model_name: voice, litellm_params: {{model: {model}{settings}, weight: 2}}}}
  - {{model_name: other, litellm_params: {{model: local/espeak}}}}
router_settings: {{routing_strategy: latency-based-routing, num_retries: 2, fallbacks: [{{voice: [other]}}]}}
litellm_settings: {{max_budget: 1000, max_end_user_budget: 1000}}
guardrails:
  - guardrail_name: words
    litellm_params:
      guardrail: litellm_content_filter
      mode: pre_call
      default_on: true
      blocked_words: [{{keyword: nonsense, action: BLOCK}}]
general_settings: {{data_dir: {data}, master_key: sk-for-the-bench-only, max_connections: 10000}}
"""
)


@dataclass
class Served:
    """One server. ``rates`` are requests a second, ``costs`` milliseconds of processor time for each, by turn."""

    name: str
    base: str
    pid: int
    key: str
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    def spent(self) -> float:
        """Processor seconds so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve(name: str, text: str, stack: ExitStack) -> Served:
    """Start a server; it ends with ``stack``."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    config, log = folder / "config.yaml", folder / "log"
    config.write_text(text.replace("{data}", str(folder)))
    command = [sys.executable, "-m", "gateway", "serve", "-c", str(config), "--port", "0"]
    process = subprocess.Popen(command, stderr=stack.enter_context(log.open("w")))
    stack.callback(process.wait)
    stack.callback(process.terminate)
    while not (found := re.search(r"listening on (\S+)", log.read_text())):
        if process.poll() is not None:
            raise SystemExit(log.read_text())
        time.sleep(0.05)
    return Served(name, found[1], process.pid, "sk-for-the-bench-only")


async def virtual_key(served: Served) -> None:
    """Ask as a virtual key with limits of every kind."""
    limits = {"rpm_limit": 10**6, "max_budget": 1000, "max_characters": 10**9, "models": ["voice"]}
    headers = {"authorization": f"Bearer {served.key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{served.base}/key/generate", json=limits) as answer,
    ):
        served.key = (await answer.json())["key"]


async def turn(served: Served, seconds: float, connections: int) -> None:
    """As many requests as it answers in ``seconds``."""
    headers = {"authorization": f"Bearer {served.key}", "x-litellm-end-user-id": "ann", "x-litellm-tags": "a,b"}
    body = {"model": "voice", "input": "Hello there.", "voice": "alloy", "response_format": "pcm"}
    count, end = 0, time.perf_counter() + seconds
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask() -> None:
            nonlocal count
            while time.perf_counter() < end:
                async with session.post(f"{served.base}/v1/audio/speech", json=body) as answer:
                    sound = await answer.read()
                    if answer.status != 200 or not sound:
                        raise SystemExit(f"{served.name}: {answer.status} {sound[:300]!r}")
                    count += 1

        before, began = served.spent(), time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(connections)))
        served.rates.append(count / (time.perf_counter() - began))
        served.costs.append((served.spent() - before) / count * 1000)


async def run(options: argparse.Namespace, both: list[Served]) -> None:
    """Warm up, then measure in turns."""
    await virtual_key(both[0])
    for each in both:
        await turn(each, 1, options.connections)
        each.rates.clear()
        each.costs.clear()
    for _ in range(options.turns):
        for each in both:
            await turn(each, options.seconds / options.turns, options.connections)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sandbox/speech")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each of the two")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--limit", type=float, default=0.8)
    options = parser.parse_args()
    settings = ", seconds: 0, poll_interval: 0.05" if options.model.startswith("sandbox/") else ""
    with ExitStack() as stack:
        texts = (("everything", FULL), ("nothing", BARE))
        filled = [(name, text.format(model=options.model, settings=settings, data="{data}")) for name, text in texts]
        both = [serve(name, text, stack) for name, text in filled]
        asyncio.run(run(options, both))
    for each in both:
        print(
            f"with {each.name}: {statistics.median(each.rates):.0f} requests a second "
            f"({min(each.rates):.0f} to {max(each.rates):.0f}), "
            f"{statistics.median(each.costs):.2f} ms of processor each"
        )
    ratio = statistics.median(a / b for a, b in zip(both[0].rates, both[1].rates, strict=True))
    print(f"ratio {ratio:.2f}")
    raise SystemExit(ratio < options.limit)


if __name__ == "__main__":
    main()
