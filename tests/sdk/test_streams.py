"""Speech as it is made: its first bytes before the others exist, no further ahead than who reads, and stopped early."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from providers.scripted import Stream

import gateway
from gateway import sdk
from tests.sound import hear
from tests.upstreams.gemini import Gemini

TEXT = "Have a wonderful day!"
FORMATS = ["mp3", "opus", "aac", "flac", "wav", "pcm"]


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    """Of two seconds it sends a fifth of one, and no more until ``release``."""
    with Gemini(hold=True) as server:
        yield server


def asked(gemini: Gemini, **more: Any) -> dict[str, Any]:
    account = {"api_key": gemini.key, "api_base": gemini.base}
    return {"model": "gemini/gemini-3.1-flash-tts-preview", "input": TEXT, "stream": True, **account, **more}


@pytest.mark.parametrize("format", FORMATS)
def test_the_first_sound_is_there_before_the_rest_is_made(gemini: Gemini, format: str) -> None:
    with gateway.speech(**asked(gemini, response_format=format)) as sound:
        pieces = sound.iter_bytes()
        some = next(pieces)
        while len(some) < 100:  # more than a header
            some += next(pieces)
        assert (sound.usage, sound.is_closed, "content-length" in sound.headers) == (None, False, False)
        with pytest.raises(sdk.BadRequestError, match="read to its end"):
            gateway.completion_cost(sound)
        gemini.release()
        assert hear(some + b"".join(pieces), format).seconds == pytest.approx(2.2, abs=0.1)
    assert sound.usage
    cost = sound.usage["input_tokens"] * 1e-06 + sound.usage["output_tokens"] * 2e-05
    assert gateway.completion_cost(sound) == sound._hidden_params["response_cost"] == pytest.approx(cost)
    with pytest.raises(RuntimeError, match="not kept"):
        sound.read()


async def test_the_same_awaited(gemini: Gemini, tmp_path: Path) -> None:
    async with await gateway.aspeech(**asked(gemini)) as sound:
        pieces = sound.aiter_bytes()
        some = await anext(pieces)
        gemini.release()
        assert hear(some + b"".join([piece async for piece in pieces]), "mp3").seconds == pytest.approx(2.2, abs=0.1)
    assert gateway.completion_cost(sound) > 0
    whole = await gateway.aspeech(**asked(gemini))
    await whole.astream_to_file(tmp_path / "speech.mp3", chunk_size=1000)
    assert hear((tmp_path / "speech.mp3").read_bytes(), "mp3").seconds == pytest.approx(2.2, abs=0.1)


@pytest.mark.parametrize("format", FORMATS)
def test_collected_it_is_the_sound_that_comes_whole(format: str) -> None:
    call: dict[str, Any] = {"model": "scripted/ok", "input": "Hello.", "response_format": format}
    whole, sound = gateway.speech(**call), gateway.speech(**call, stream=True)

    async def awaited() -> bytes:
        return await (await gateway.aspeech(**call, stream=True)).aread()

    assert hear(sound.content, format).seconds == pytest.approx(hear(whole.content, format).seconds)
    assert sound.content_type == whole.content_type
    assert (sound.headers["Content-Length"], sound.usage) == (str(len(sound.content)), whole.usage)
    assert sound.read() == sound.response.content == b"".join(sound.iter_bytes(1000)) == sound.content
    assert asyncio.run(sound.aread()) == sound.content
    assert hear(asyncio.run(awaited()), format).seconds == pytest.approx(hear(whole.content, format).seconds)
    assert {len(piece) for piece in [*gateway.speech(**call, stream=True).iter_bytes(100)][:-1]} == {100}


def test_nothing_is_made_ahead_of_who_reads() -> None:
    """Of a hundred thousand seconds; one second is one piece of the vendor's."""
    Stream.made = 0
    with gateway.speech("scripted/endless", "Hello.", response_format="pcm", stream=True) as sound:
        for place, piece in enumerate(sound.iter_bytes()):
            assert piece
            assert Stream.made <= place + 2
            if place == 20:
                break
        assert Stream.made >= 20
    assert not Stream.live
    assert sound._hidden_params["additional_headers"]["x-media-gateway-model"] == "scripted/endless"


def _breaks(call: dict[str, Any]) -> None:
    for _ in gateway.speech(**call).iter_bytes():
        break


def _with(call: dict[str, Any]) -> None:
    with gateway.speech(**call) as sound:
        pass
    with pytest.raises(RuntimeError, match="closed, or broke off"):
        sound.read()


def _forgets(call: dict[str, Any]) -> None:
    gateway.speech(**call)


def _closes_all(call: dict[str, Any]) -> None:
    sound = gateway.speech(**call)
    pieces = sound.iter_bytes()
    next(pieces)
    sdk.close()
    with pytest.raises(RuntimeError, match="closed, or broke off"):
        next(pieces)


def _reconfigures(call: dict[str, Any]) -> None:
    sound = gateway.speech(**call)
    gateway.configure(None)
    with pytest.raises(RuntimeError, match="closed, or broke off"):
        sound.read()


def _awaits(call: dict[str, Any]) -> None:
    async def cell() -> None:
        async with await gateway.aspeech(**call) as sound:
            async for _ in sound.aiter_bytes():
                break

    asyncio.run(cell())


def _is_cancelled(call: dict[str, Any]) -> None:
    async def cell() -> None:
        sound = await gateway.aspeech(**call)
        pieces = sound.aiter_bytes(9_000_000)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await anext(pieces)
        await sound.aclose()
        with pytest.raises(RuntimeError, match="closed, or broke off|not kept"):
            await sound.aread()

    asyncio.run(cell())


def _closed_by_another(call: dict[str, Any]) -> None:
    sound, wrong = gateway.speech(**call), []
    first = threading.Event()

    def read() -> None:
        try:
            for _ in sound.iter_bytes():
                first.set()
        except RuntimeError as error:
            wrong.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    assert first.wait(10)
    sound.close()
    reader.join(10)
    assert wrong == ["The sound was closed, or broke off, before its end."]


@pytest.mark.parametrize(
    "leave",
    [_breaks, _with, _forgets, _closes_all, _reconfigures, _awaits, _is_cancelled, _closed_by_another],
    ids=lambda each: each.__name__,
)
def test_who_leaves_stops_the_vendor(gemini: Gemini, leave: Callable[[dict[str, Any]], None]) -> None:
    leave(asked(gemini, response_format="pcm"))
    assert gemini.hung_up.wait(10)


def test_what_fails_before_the_first_byte_is_raised_by_the_call_and_what_fails_later_by_the_reading() -> None:
    with pytest.raises(sdk.APIConnectionError):
        gateway.speech("scripted/down", "Hello.", stream=True, max_retries=0)
    with gateway.speech("scripted/breaks-midway", "Hello.", response_format="pcm", stream=True) as sound:
        heard = []
        with pytest.raises(sdk.APIError, match="it broke"):
            heard.extend(sound.iter_bytes())
        with pytest.raises(RuntimeError, match="not kept"):
            sound.read()
    for wrong, param in (({"stream": 1}, "stream"), ({"stream_format": "sse", "stream": True}, "stream_format")):
        with pytest.raises(sdk.BadRequestError) as caught:
            gateway.speech("scripted/ok", "Hello.", **wrong)  # type: ignore[arg-type]
        assert caught.value.param == param
    with pytest.raises(ValueError, match="chunk_size"):
        next(gateway.speech("scripted/ok", "Hello.").iter_bytes(0))
