"""OpenAI's SDK over lines that lose answers, to the gateway and from there to Runway: what each call cost and came to."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
from aiohttp import web

from tests.chaos.line import Line
from tests.chaos.story import MODELS, Gateways, rows_of
from tests.upstreams.runway import Runway, takes

CONFIG = """
model_list:
  - {{model_name: speech, litellm_params: {{model: runwayml/{speech}, api_key: {key}, api_base: "{base}"}}}}
  - {{model_name: image, litellm_params: {{model: runwayml/{image}, api_key: {key}, api_base: "{base}"}}}}
  - {{model_name: video, litellm_params: {{model: runwayml/{video}, api_key: {key}, api_base: "{base}"}}}}
general_settings: {{data_dir: {data}, max_connections: 10000}}
"""
PATIENCE = 2.0
"""Seconds that a client waits for an answer before it tries again."""
SETTLED = 300.0
PROMPT = re.compile(rb"(speech|image|video) \d+")


def of_client(request: web.Request, body: bytes) -> str:
    """A try of a call: what is asked for (a form's boundary is another each time), and how many-th try it is."""
    prompt = PROMPT.search(body)
    return f"{prompt[0].decode()} {request.headers.get('x-stainless-retry-count')}" if prompt else ""


def of_gateway(request: web.Request, body: bytes) -> str:
    """A submission by what is made."""
    return json.loads(body)["promptText"] if body else ""


@dataclass
class Call:
    """One logical call: ``n`` things of a kind. ``end``: "ok", an error's code, or "connection"."""

    number: int
    kind: str
    n: int
    end: str = ""
    made: str = ""

    @property
    def prompt(self) -> str:
        return f"{self.kind} {self.number}"


@dataclass
class Losses:
    """What became of all calls. ``wrong`` says what must not be."""

    calls: list[Call]
    ends: Counter[str] = field(default_factory=Counter)
    charges: Counter[int] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    client: Counter[str] = field(default_factory=Counter)
    upstream: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


async def lose(count: int, client: float, upstream: float, seed: int, at_once: int, folder: Path) -> Losses:
    """``count`` calls of mixed kinds; ``client`` and ``upstream`` are the parts of answers that fail on either line."""
    chance = random.Random(seed)
    calls = [
        Call(number, kind, chance.choice((1, 1, 2)) if kind == "image" else 1)
        for number, kind in enumerate(chance.choices([*MODELS], k=count))
    ]
    found = Losses(calls)
    with Runway() as runway:
        for _ in range(2 * count):
            runway.next(takes(chance.choice((0.0, 0.1, 0.5))))
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            far = await enter(Line(runway.base, upstream, seed, of_gateway))
            runway.base = far.base  # where its outputs are
            base = await enter(gateway(folder, runway, far))
            near = await enter(Line(base, client, seed, of_client))
            sdk = await enter(
                openai.AsyncOpenAI(base_url=near.base + "/v1", api_key="k", max_retries=5, timeout=PATIENCE)
            )
            slots = asyncio.Semaphore(at_once)

            async def make(call: Call) -> None:
                async with slots:
                    await ask(sdk, call)

            await asyncio.gather(*(make(call) for call in calls))
            rows = await settled(folder / "data")
            await films(base, calls)
            found.client, found.upstream = near.count, far.count
        judge(found, rows, runway)
    return found


@asynccontextmanager
async def gateway(folder: Path, runway: Runway, far: Line) -> AsyncIterator[str]:
    """A gateway in a process of its own; its address."""
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(**MODELS, key=runway.key, base=far.base, data=folder / "data"))
    gateways = Gateways()
    try:
        up = await asyncio.to_thread(gateways.start, config, 0, None)
        yield up["base"]
    finally:
        await asyncio.to_thread(gateways.end)
        await asyncio.to_thread(gateways.close)


async def ask(sdk: openai.AsyncOpenAI, call: Call) -> None:
    """One call as a user makes it."""
    try:
        match call.kind:
            case "speech":
                sound = await sdk.audio.speech.create(model="speech", input=call.prompt, voice="alloy")
                assert sound.content[:1] == b"\xff", "an answer that is no mp3"
            case "image":
                pictures = await sdk.images.generate(
                    model="image", prompt=call.prompt, n=call.n, size="1024x1024", response_format="b64_json"
                )
                assert [base64.b64decode(each.b64_json)[1:4] for each in pictures.data] == [b"PNG"] * call.n
            case _:
                video = await sdk.videos.create(model="video", prompt=call.prompt, size="1280x720", seconds="4")
                call.made = video.id
        call.end = "ok"
    except openai.APIConnectionError:
        call.end = "connection"
    except openai.APIStatusError as error:
        call.end = str(error.code)
        if call.end == "submission_unknown":
            assert error.response.headers["x-should-retry"] == "false"


async def settled(data: Path) -> list[dict[str, Any]]:
    """The rows, once all have ended."""
    async with asyncio.timeout(SETTLED):
        while True:
            rows = await asyncio.to_thread(rows_of, data)
            if not any(row["open"] for row in rows):
                return rows
            await asyncio.sleep(0.1)


async def films(base: str, calls: list[Call]) -> None:
    """Each video that was begun is there, or says why not."""
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="k") as sdk:
        for call in calls:
            if call.made:
                video = await sdk.videos.retrieve(call.made)
                call.end = "ok" if video.status == "completed" else f"{video.status} {video.error and video.error.code}"
                if call.end == "ok":
                    film = await sdk.videos.download_content(call.made)
                    assert film.content[4:8] == b"ftyp", "an answer that is no film"


def judge(found: Losses, rows: list[dict[str, Any]], runway: Runway) -> None:
    """Count, and say what is wrong: a second charge, a task that nobody knows of, an output that is not there."""
    charges = Counter(entry["body"]["promptText"] for entry in runway.ledger)
    known = Counter(row["prompt"] for row in rows if row["task"] or row["code"] == "submission_unknown")
    for call in found.calls:
        paid = charges.pop(call.prompt, 0)
        found.charges[paid / call.n] += 1
        found.ends[call.end] += 1
        if paid > call.n:
            found.wrong.append(f"{call}: {paid} charges")
        if call.end == "ok" and paid != call.n:
            found.wrong.append(f"{call}: {paid} charges, and it succeeded")
        if paid > known[call.prompt]:
            found.wrong.append(f"{call}: {paid} charges, {known[call.prompt]} rows")
        if call.end not in ("ok", "connection", "submission_unknown", "failed submission_unknown", "output_lost"):
            found.wrong.append(f"{call}: it ended otherwise")
    found.wrong += [f"charged for what nobody asked: {prompt}" for prompt in charges]
    found.wrong += [f"{row['id']}: submitted {row['sent']} times" for row in rows if row["sent"] > 1]
    tasks = {row["task"] for row in rows if row["task"]}
    found.wrong += [f"{task}: a task of no call" for task in tasks - {entry["id"] for entry in runway.ledger}]
    found.rows = Counter(f"{row['state']} {row['code']}".strip() for row in rows)
