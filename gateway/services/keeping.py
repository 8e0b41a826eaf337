"""Copying what a vendor made into our own store, before its addresses expire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence

from engines.media import MIME, ByteStream, sniff
from engines.pictures import sniff_media
from gateway.blobs.memory import Once
from gateway.blobs.store import BlobStore, TooBig
from gateway.jobs.job import Job
from providers.base.contract import Address, Done, Made
from providers.base.egress import Egress
from providers.base.errors import BadAnswer
from providers.base.exchange import Fetch
from providers.base.wire import Wire

OUTPUT_CAP = 2 << 30
"""Bytes of the largest output that is kept."""

_HEAD = 64
"""Bytes that show what a file is."""


def keeper(
    blobs: BlobStore, wire: Wire, allow: Sequence[str], sizes: MutableMapping[str, int]
) -> Callable[[Job, Done], Awaitable[tuple[str, ...]]]:
    """What the worker calls when a vendor is done: keeps its outputs in order, returns their keys.

    ``allow`` are the private hosts and networks that outputs may be fetched from (``egress_allow``). The bytes that
    were kept are added to ``sizes``, by the kind of job.
    """

    async def keep_one(job: Job, place: int, output: Address | Made) -> str:
        key, claimed = f"{job.id}_{place}", ""
        source: ByteStream
        if isinstance(output, Address):
            egress = Egress(allow=tuple(allow), trusted=output.trusted)
            source = await wire.download(Fetch(output.url, egress, OUTPUT_CAP, headers=output.headers))
        else:
            data, claimed = output.data, output.media_type
            source = Once(data) if isinstance(data, bytes) else data.chunks()
        try:
            head, media_type = await _told(source, claimed)
            blob = await blobs.put(key, _whole(head, source), media_type, OUTPUT_CAP)
            sizes[job.kind] = sizes.get(job.kind, 0) + blob.size
        except TooBig as error:
            raise BadAnswer(f"The provider made a file of {error}.", sent="yes") from None
        finally:
            await source.aclose()
        return key

    async def keep(job: Job, done: Done) -> tuple[str, ...]:
        if len(done.outputs) == 1:
            return (await keep_one(job, 0, done.outputs[0]),)
        keeping = (keep_one(job, place, output) for place, output in enumerate(done.outputs))
        keys: list[str] = []
        for kept in await asyncio.gather(*keeping, return_exceptions=True):  # at once: they share flushes
            if isinstance(kept, BaseException):
                raise kept
            keys.append(kept)
        return tuple(keys)

    return keep


async def _told(source: ByteStream, claimed: str) -> tuple[bytes, str]:
    """The first bytes, and what they show the file to be: what a server says of it counts for nothing."""
    head = b""
    while len(head) < _HEAD and (piece := await anext(source, b"")):
        head += piece
    sound = sniff(head[:12])
    media_type = sniff_media(head) or (MIME[sound] if sound is not None else claimed)
    if not media_type:
        raise BadAnswer("The provider made a file that is no known kind of media.", sent="yes")
    return head, media_type


async def _whole(head: bytes, rest: ByteStream) -> AsyncIterator[bytes]:
    yield head
    async for piece in rest:
        yield piece
