"""OpenAI's SDK over a line that loses answers: it tries again by itself, and nothing is charged twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import openai
import pytest

from tests.conftest import KEY
from tests.serving import Running, config_of, serving
from tests.upstreams.runway import Runway

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CALLS = 120


@asynccontextmanager
async def lossy_line(target: int, loss: float, seed: int) -> AsyncIterator[tuple[int, Counter[str]]]:
    """A port that leads to ``target``; each answer is lost with the probability ``loss``, and its connection with it."""
    chance, count, tasks = random.Random(seed), Counter[str](), set[asyncio.Task[None]]()

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, lossy: bool) -> None:
        while data := await source.read(65_536):
            if lossy:
                count["answers"] += 1
                if chance.random() < loss:
                    count["lost"] += 1
                    return
            sink.write(data)
            await sink.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", target)
        both = [
            asyncio.create_task(pass_on(reader, back_writer, lossy=False)),
            asyncio.create_task(pass_on(back_reader, writer, lossy=True)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in both:
                each.cancel()
            for each in (writer, back_writer):
                each.close()
            await asyncio.gather(*both, return_exceptions=True)

    line = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield line.sockets[0].getsockname()[1], count
    finally:
        line.close()
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def served(tmp_path: Path):
    with Runway(seconds=3600) as runway:
        text = f"""
model_list:
  - model_name: film
    litellm_params: {{model: runwayml/veo3.1_fast, api_key: {runway.key}, api_base: "{runway.base}"}}
general_settings: {{master_key: {KEY}, data_dir: {tmp_path}}}
"""
        with serving(config_of(text)) as running:
            yield runway, running


async def test_one_charge_a_call_over_a_lossy_line(served: tuple[Runway, Running]) -> None:
    runway, running = served
    async with (
        lossy_line(running.port, 0.3, seed=5) as (port, count),
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY, max_retries=8) as client,
    ):
        slots = asyncio.Semaphore(40)

        async def create(n: int) -> str:
            async with slots:
                made = await client.videos.create(model="film", prompt=f"film number {n}", size="1280x720", seconds="4")
                return made.id

        ids = await asyncio.gather(*(create(n) for n in range(CALLS)))
    assert count["lost"] > CALLS / 5
    assert len(set(ids)) == CALLS
    charged = Counter(entry["body"]["promptText"] for entry in runway.ledger)
    assert charged == {f"film number {n}": 1 for n in range(CALLS)}
