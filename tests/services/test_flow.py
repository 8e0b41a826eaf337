"""A stream on its way to a caller: its first bytes, its end, and its faults."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from engines.codec import CodecError
from gateway.services.flow import Flow
from providers.base.errors import Broken

Stream = importlib.import_module("providers.scripted").Stream


async def begun(stream: Any) -> tuple[Flow, list[str]]:
    flow, done = Flow(stream), list[str]()
    await flow.begin()
    flow.at_end.append(lambda: done.append("first"))
    flow.at_end.append(lambda: done.append("second"))
    return flow, done


@pytest.mark.parametrize("chunks", [[], [b"one"], [b"one", b"", b"two"], [b"", b"one"]])
async def test_all_of_it_passes_and_its_end_is_told_once(chunks: list[bytes]) -> None:
    flow, done = await begun(Stream([*chunks]))
    assert not done
    assert b"".join([chunk async for chunk in flow]) == b"".join(chunks)
    assert sorted(done) == ["first", "second"], "at its end: nobody has closed it yet"
    await flow.aclose()
    assert len(done) == 2


async def test_closed_early_its_end_is_told_too() -> None:
    stream = Stream([b"one", b"two"])
    flow, done = await begun(stream)
    assert await anext(flow) == b"one"
    assert not done
    await flow.aclose()
    assert (sorted(done), stream in Stream.live) == (["first", "second"], False)


async def test_damaged_sound_is_the_provider_s_fault() -> None:
    flow, done = await begun(Stream([b"one"], CodecError("no sound")))
    assert await anext(flow) == b"one"
    with pytest.raises(Broken, match="no sound"):
        await anext(flow)
    assert not done, "not ended: it is to be closed"
    await flow.aclose()
    assert len(done) == 2
