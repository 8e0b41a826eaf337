"""Answers of vendors that somebody has been at: does each become a result or a mapped error, in time?

    python -m bench.mutated_answers --seed 1        # from the root of the repository

What each vendor's simulator answers is written down and played again, cut, of another type, huge, NaN, deep or empty,
with other statuses and headers: to the adapters 20,000 times, and through a gateway over sockets 300 times. Exits
with the traceback, seed and number of the first that ends otherwise, or after 20 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from engines.media import AudioFormat
from providers.base.exchange import Reply
from providers.runwayml import Runway
from tests.chaos.spoilt import Line as Asked
from tests.chaos.spoilt import lines, record, spoil, spoilt
from tests.serving import config_of, serving
from tests.upstreams.every import every
from tests.upstreams.server import Line, Step, Upstream, reply

HANG = 20.0


async def _within(work: Awaitable[None]) -> None:
    async with asyncio.timeout(HANG):
        await work


def _step(told: list[Reply], chance: random.Random) -> Step:
    """A task's looks have the second answer."""

    async def step(line: Line) -> bool:
        found = spoilt(told[min(len(told) - 1, line.request.method == "GET")], chance)
        kind = found.headers.get("content-type", "").encode("latin-1", "ignore").decode("latin-1")
        wait = found.headers.get("retry-after", "")
        return await reply(found.status, found.body, content_type=kind, retry_after=wait)(line)

    return step


async def _through_the_gateway(asked: list[Asked], told: list[list[Reply]], times: int, seed: int) -> Counter[str]:
    ends: Counter[str] = Counter()
    spoken = [
        (line, answers[-1:] if line.vendor == "vertex_ai" else answers)
        for line, answers in zip(asked, told, strict=True)
        if line.kind == "speech"
    ]
    for number, (line, answers) in enumerate(spoken):
        chance = random.Random(seed * 100 + number)
        async with Upstream(_step(answers, chance)) as upstream:
            base = upstream.url(urlsplit(line.settings["api_base"]).path)
            params = {**line.settings, "model": f"{line.vendor}/{line.model}", "api_base": base.rstrip("/")}
            if line.vendor == "runwayml":
                params["polling_timeout"] = 1  # else it is asked after for ten minutes, whatever the looks say
            config = {"model_list": [{"model_name": "m", "litellm_params": params}]}
            config["router_settings"] = {"num_retries": 0, "disable_cooldowns": True}  # type: ignore[assignment]
            with serving(config_of(json.dumps(config))) as running:
                async with httpx.AsyncClient(base_url=running.base, timeout=HANG) as client:
                    for _ in range(-(-times // len(spoken))):
                        format = chance.choice(list(AudioFormat)).value
                        ends[await _end(client, line.voice, format)] += 1
    return ends


async def _end(client: httpx.AsyncClient, voice: str, format: str) -> str:
    body = {"model": "m", "input": "Good evening to you.", "voice": voice, "response_format": format}
    try:
        answer = await client.post("/v1/audio/speech", json=body)
    except httpx.ReadTimeout as error:
        raise AssertionError(f"{voice} {format} hangs") from error
    except httpx.RemoteProtocolError:
        return "cut off"  # after its first sound: nobody takes it for whole
    if answer.status_code == 200:
        return "a result"
    error = answer.json()["error"]
    assert error["code"] not in (None, "internal_error"), answer.text
    assert answer.status_code != 500 or error["code"] == "generation_failed", answer.text
    return f"{answer.status_code} {error['code']}"


async def _all(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder, every(Path(folder)) as vendors:
        asked = lines(vendors.config)
        told = [await record(each) for each in asked]
        begun = time.perf_counter()
        ends: Counter[str] = Counter()
        for line, answers in zip(asked, told, strict=True):
            ends += await spoil(line, answers, -(-options.answers // len(asked)), options.seed, _within)
        print(f"adapters: {ends.total():,} answers, {time.perf_counter() - begun:.0f} s: {dict(ends)}", flush=True)
        ends = await _through_the_gateway(asked, told, options.calls, options.seed)
        print(f"gateway: {ends.total()} calls: {dict(ends)}")


def main() -> None:
    """Ask and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--answers", type=int, default=20_000)
    parser.add_argument("--calls", type=int, default=300)
    Runway.poll_interval = property(lambda _: 0.02, lambda *_: None)  # type: ignore[assignment, method-assign]
    asyncio.run(_all(parser.parse_args()))


if __name__ == "__main__":
    main()
