"""What is held for callers is bounded: readers who stop, large pictures, conversions; and it is given back."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event, Lock

import httpx
import pytest

from gateway import slack
from gateway.api.http import Call
from gateway.api.protocol import UNSENT, Cycle
from gateway.blobs.files import FileBlobs
from gateway.blobs.memory import MemoryBlobs, Once
from gateway.record import Record
from gateway.server import allow_files
from gateway.services import images
from providers.base.connector import PIECE
from tests.conftest import KEY
from tests.serving import Running, config_of, serving
from tests.upstreams.server import Line, Upstream

CONFIG = """
model_list:
  - {{model_name: voice, litellm_params: {{model: openai/tts-1, api_base: "{base}", api_key: none}}}}
  - {{model_name: painter, litellm_params: {{model: openai/gpt-image-1, api_base: "{base}", api_key: none}}}}
general_settings: {{master_key: {key}}}
"""
PICTURE = b"\x89PNG\r\n\x1a\n" + os.urandom(1_000_000)
STOPPED = 270  # more than aiohttp's own pools and ours used to have


async def vendor(line: Line) -> bool:
    """Sound that has no end for "more", else a little; or a picture."""
    asked = line.request.json()
    if "prompt" in asked:
        body = json.dumps({"data": [{"b64_json": base64.b64encode(PICTURE).decode()}]}).encode()
    elif asked["input"] != "more":
        body = b"\0" * 4800
    else:
        await line.head(200, {"transfer-encoding": "chunked"})
        while not line.reader.at_eof():
            await line.send(b"10000\r\n%s\r\n" % (b"\0" * 65_536))
        return False
    await line.head(200, {"content-length": str(len(body))})
    await line.send(body)
    return True


@asynccontextmanager
async def gateway() -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
    async with Upstream(vendor) as upstream:
        with serving(config_of(CONFIG.format(base=upstream.url("/v1"), key=KEY))) as running:
            headers = {"authorization": f"Bearer {KEY}"}
            async with httpx.AsyncClient(base_url=running.base, headers=headers, timeout=30) as client:
                yield running, client


def spoken(text: str) -> dict[str, str]:
    return {"model": "voice", "input": text, "voice": "alloy", "response_format": "pcm"}


async def test_readers_who_stop_hold_up_nobody_and_little_is_held_for_them() -> None:
    async with gateway() as (running, client):
        body = json.dumps(spoken("more")).encode()
        head = f"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        loop, readers = asyncio.get_running_loop(), []
        try:
            for _ in range(STOPPED):
                readers.append(socket.socket())
                readers[-1].setblocking(False)
                readers[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                await loop.sock_connect(readers[-1], ("127.0.0.1", running.port))
                await loop.sock_sendall(readers[-1], f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            for each in readers:
                async with asyncio.timeout(10):
                    assert (await loop.sock_recv(each, 12)) == b"HTTP/1.1 200"
            answer = await client.post("/v1/audio/speech", json=spoken("a little"))
            assert (answer.status_code, len(answer.content)) == (200, 4800)
            held: list[int] = []

            def look() -> None:
                held[:] = [each.transport.get_write_buffer_size() for each in running.server.server_state.connections]

            async with asyncio.timeout(30):
                while sum(size > UNSENT for size in held) < STOPPED:  # until nobody can take more
                    await asyncio.to_thread(running.call, look)
            assert max(held) <= UNSENT + 2 * PIECE + 100
        finally:
            for each in readers:
                each.close()


@pytest.mark.parametrize("form", ["b64_json", "url", "events"])
async def test_large_pictures_come_out_as_they_went_in(form: str) -> None:
    async with gateway() as (_, client):
        asked = {"model": "painter", "prompt": "A lake", "size": "1024x1024"}
        asked |= {"stream": True} if form == "events" else {"response_format": form}
        answer = await client.post("/v1/images/generations", json=asked)
        assert answer.status_code == 200
        if form == "events":
            assert "content-length" not in answer.headers
            made = json.loads(answer.text.partition("data: ")[2])
        else:
            assert int(answer.headers["content-length"]) == len(answer.content)
            assert answer.json().keys() == {"created", "data", "output_format", "size"}
            (made,) = answer.json()["data"]
        if form == "url":
            assert (await client.get(made["url"])).content == PICTURE
        else:
            assert base64.b64decode(made["b64_json"]) == PICTURE


async def test_pictures_are_read_in_pieces(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    blob = await blobs.put("a_0", Once(PICTURE), "image/png", 1 << 30)
    service = images.ImageService(_Tasks(blobs), None)
    pieces = [piece async for piece in service.base64(blob)]
    assert max(map(len, pieces)) <= 128 * 1024
    assert b"".join(pieces) == base64.b64encode(PICTURE)


async def test_few_pictures_are_converted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, go, counts = Lock(), Event(), [0, 0]

    def convert(data: bytes, _form: str) -> bytes:
        with lock:
            counts[0] += 1
            counts[1] = max(counts)
        assert go.wait(10)
        with lock:
            counts[0] -= 1
        return data

    monkeypatch.setattr(images, "convert", convert)
    blobs = MemoryBlobs()
    service = images.ImageService(_Tasks(blobs), None)
    kept = [await blobs.put(f"a_{each}", Once(PICTURE), "image/png", 1 << 30) for each in range(6)]
    made = asyncio.gather(*(service._as(each, "webp") for each in kept))
    async with asyncio.timeout(10):
        while counts[0] < images.CONVERTED_AT_ONCE:
            await asyncio.to_thread(lambda: None)
        for _ in range(50):  # turns in which more of them could begin
            await asyncio.to_thread(lambda: None)
    go.set()
    assert [each.media_type for each in await made] == ["image/webp"] * 6
    assert counts == [0, images.CONVERTED_AT_ONCE]


class _Tasks:
    def __init__(self, blobs) -> None:
        self.blobs = blobs


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_memory_is_given_back_where_there_is_some(monkeypatch: pytest.MonkeyPatch) -> None:
    held = slack.resident()
    assert held > 10 * 1024 * 1024
    monkeypatch.setattr(slack, "resident", lambda: held)
    made = slack.Slack()
    assert not made.give_back()
    held += slack.SLACK
    assert made.give_back()


@pytest.fixture
def files() -> AsyncIterator[Callable[[int, int], None]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_files_for_every_connection(files: Callable[[int], None], caplog: pytest.LogCaptureFixture) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files(512)
    allow_files(400)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1056, hard)
    allow_files(10)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1056, hard)  # never fewer
    if hard != resource.RLIM_INFINITY:
        allow_files(hard)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert f"only {hard} files" in caplog.text


def parts_of_calls() -> list[object]:
    return [each for each in gc.get_objects() if type(each) in (Call, Cycle, Record)]


async def test_a_call_that_has_ended_does_not_wait_for_the_collector() -> None:
    """Cycles would: a server collects seldom, and memory that is not used again at once is slow."""
    calls = [
        ("POST", "/v1/audio/speech", spoken("a little"), 200),
        ("POST", "/v1/audio/speech", {"model": "voice"}, 400),
        ("POST", "/v1/images/generations", {"model": "painter", "prompt": "a cat"}, 200),
        ("GET", "/v1/models", None, 200),
        ("GET", "/v1/models/none", None, 404),
    ]
    async with gateway() as (running, client):
        for method, path, body, status in calls:
            assert (await client.request(method, path, json=body)).status_code == status
            gc.collect()
            gc.disable()
            others = parts_of_calls()
            try:
                for _ in range(5):
                    await client.request(method, path, json=body)
                await asyncio.to_thread(running.call, running.server._lane._telling.now)
                left = [type(each) for each in parts_of_calls() if not any(each is other for other in others)]
            finally:
                gc.enable()
            # The connection keeps its last one until the next.
            assert all(left.count(each) <= 1 for each in (Call, Cycle, Record)), (method, path, left)


async def test_a_connection_that_was_reset_is_forgotten() -> None:
    async with gateway() as (running, client):
        assert (await client.post("/v1/audio/speech", json=spoken("little"))).status_code == 200
        (kept,) = running.server.server_state.connections
        assert kept.timeout_keep_alive_task is not None
        running.call(lambda: kept.connection_lost(ConnectionResetError()))
        assert kept.timeout_keep_alive_task is None
        running.call(kept.transport.abort)
