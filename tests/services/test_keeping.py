"""Outputs are kept all at once, in order, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.blobs.memory import MemoryBlobs
from gateway.blobs.store import Blob
from gateway.jobs.job import Job
from gateway.services.keeping import keeper
from providers.base.contract import Done, Made
from providers.base.errors import BadAnswer

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
JOB = Job("img_1", "image", "m", "d", 0.0)


class Together(MemoryBlobs):
    """Nothing is kept before all of it has begun to be."""

    def __init__(self, of: int) -> None:
        super().__init__()
        self.begun = asyncio.Barrier(of)

    async def put(self, key: str, chunks: AsyncIterator[bytes], media_type: str, cap: int) -> Blob:
        await self.begun.wait()
        return await super().put(key, chunks, media_type, cap)


async def test_several_are_kept_at_once_and_in_order() -> None:
    blobs, sizes = Together(3), {}
    made = [PNG + bytes([place]) for place in range(3)]
    async with asyncio.timeout(10):
        keys = await keeper(blobs, None, (), sizes)(JOB, Done(tuple(Made(each, "image/png") for each in made)))
    assert keys == ("img_1_0", "img_1_1", "img_1_2")
    assert [await anext(blobs.read(await blobs.get(key))) for key in keys] == made
    assert sizes == {"image": sum(map(len, made))}


async def test_where_one_cannot_be_kept_the_others_have_ended_too() -> None:
    blobs = Together(2)
    made = (Made(b"what is this", ""), Made(PNG, "image/png"), Made(PNG, "image/png"))
    with pytest.raises(BadAnswer, match="no known kind"):
        async with asyncio.timeout(10):
            await keeper(blobs, None, (), {})(JOB, Done(made))
    assert [await blobs.get(f"img_1_{place}") is not None for place in range(3)] == [False, True, True]
