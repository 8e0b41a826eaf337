"""Wire shapes by themselves: events cut anywhere, and answers with anything wrong in them."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from providers.base import errors
from providers.base.contract import Address, Done, Failed, Usage, Working
from providers.base.dialects.chat_audio import Chunks
from providers.base.dialects.chat_audio import refused as chat_refused
from providers.base.dialects.event_sound import EventSound, Reader
from providers.base.dialects.generate_content import Answers
from providers.base.dialects.google import refused, rpc_refused
from providers.base.dialects.sse import Events
from providers.base.dialects.veo import state_of
from providers.base.exchange import Reply

STREAM = b': hello\r\n\r\nevent: x\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata:two\n\nid: 3\n\ndata: three'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_cut_anywhere(size: int) -> None:
    events = Events("x")
    found = [event for at in range(0, len(STREAM), size) for event in events.feed(STREAM[at : at + size])]
    assert found + events.finish() == [b'{"a":\n1}', b"two", b"three"]
    assert events.finish() == []


def test_an_event_that_is_too_long() -> None:
    with pytest.raises(errors.BadAnswer):
        Events("x", cap=100).feed(b"data: " + b"x" * 100)
    events = Events("x", cap=100)
    with pytest.raises(errors.BadAnswer):
        [events.feed(b"data: 0123456789\n") for _ in range(20)]


class Body:
    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [*pieces]
        self.closed = False

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        if not self.pieces:
            raise StopAsyncIteration
        return self.pieces.pop(0)

    async def aclose(self) -> None:
        self.closed = True


SOUND = base64.b64encode(bytes(480)).decode()
GEMINI = {
    "candidates": [
        {
            "index": 0,
            "finishReason": "STOP",
            "content": {"parts": [{"inlineData": {"mimeType": "audio/L16;rate=24000", "data": SOUND}}]},
        }
    ],
    "promptFeedback": {},
    "usageMetadata": {
        "promptTokenCount": 9,
        "candidatesTokenCount": 52,
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 52}],
    },
}
CHAT = {
    "choices": [{"index": 0, "delta": {"content": None, "audio": {"id": "a", "data": SOUND}}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 4, "completion_tokens": 5},
}
OPERATION = {
    "name": "models/a/operations/b",
    "done": True,
    "response": {
        "generateVideoResponse": {
            "generatedSamples": [{"video": {"uri": "https://example.com/a"}}],
            "raiMediaFilteredCount": 0,
            "raiMediaFilteredReasons": [],
        }
    },
}
ERROR = {
    "error": {
        "code": 429,
        "message": "Quota exceeded.",
        "status": "RESOURCE_EXHAUSTED",
        "param": "voice",
        "details": [{"reason": "x", "retryDelay": "19s", "fieldViolations": [{"field": "voice_name"}]}],
    }
}
JUNK: tuple[Any, ...] = (
    None, True, False, 0, -1, 3.5, 1e308, float("nan"), float("inf"), 10**30, "", "x", "\ud800", "é" * 300, [], {},
    [[]], [None], {"": None}, {"a": {"b": {}}}, "SAFETY", "data", "19s",
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in below:
        yield from places(each, (*path, name))


def changed(good: Any, path: tuple[Any, ...], junk: Any) -> Any:
    copy = json.loads(json.dumps(good))
    if not path:
        return junk
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = junk
    return copy


def every(good: Any) -> Iterator[Any]:
    """One fault at every place, then several at random ones, then texts that are cut short."""
    for path in places(good):
        for junk in JUNK:
            yield changed(good, path, junk)
    chance = random.Random(7)
    for _ in range(200):
        bad = good
        for _ in range(3):
            bad = changed(bad, chance.choice([*places(bad)]), chance.choice(JUNK))
        yield bad


async def listened(reader: Reader, *events: bytes) -> bytes:
    body = Body(*(b"data: " + event + b"\n\n" for event in events))
    sound = EventSound(body, reader, Usage())
    try:
        begun = await sound.begin()
        heard = b"".join([piece async for piece in sound])
        assert bool(heard) is begun
    except errors.ProviderError as error:
        assert error.sent == "yes"
        assert body.closed
        return b""
    return heard


@pytest.mark.parametrize(
    ("good", "make"), [(GEMINI, lambda: Answers("x", Usage())), (CHAT, lambda: Chunks("x", Usage()))]
)
async def test_streams_with_anything_wrong_in_them(good: Any, make: Callable[[], Reader]) -> None:
    right = json.dumps(good).encode()
    assert await listened(make(), right) == bytes(480)
    for bad in every(good):
        event = json.dumps(bad).encode()
        await listened(make(), event)
        await listened(make(), right, event)
    for end in range(0, len(right), 97):
        assert await listened(make(), right[:end]) == b""
    assert await listened(make(), b"[" * 100_000) == b""


def test_operations_with_anything_wrong_in_them() -> None:
    assert isinstance(state_of("x", OPERATION, Address), Done)
    for bad in [*every(OPERATION), *(every({"done": True, **ERROR}))]:
        with suppress(errors.BadAnswer):
            assert isinstance(state_of("x", bad, Address), Done | Failed | Working)


def test_refusals_with_anything_wrong_in_them() -> None:
    assert refused("x", 429, {}, ERROR, {}).retry_after == 19
    for number, bad in enumerate(every(ERROR)):
        status = (400, 401, 404, 429, 500, 504)[number % 6]
        assert isinstance(refused("x", status, {}, bad, {"voice": "voice"}), errors.ProviderError)
        assert isinstance(chat_refused(Reply("x", status, {}, json.dumps(bad).encode())), errors.ProviderError)
        if isinstance(bad, dict) and isinstance(bad.get("error"), dict):
            assert isinstance(rpc_refused("x", bad["error"], {}), errors.ProviderError)


async def test_a_long_event_is_read_on_a_thread_and_handed_on_in_pieces() -> None:
    whole = changed(GEMINI, ("candidates", 0, "content", "parts", 0, "inlineData", "data"), "AAAA" * 100_000)
    body = Body(b"data: " + json.dumps(whole).encode() + b"\n\n")
    sound = EventSound(body, Answers("x", Usage()), Usage())
    pieces = [piece async for piece in sound]
    assert len(pieces) > 10
    assert sum(map(len, pieces)) == 300_000
