"""Pictures: one task each, waited for, kept, and handed out as bytes or as an address of ours."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from engines.codec import CodecError
from engines.pictures import PictureFormat, convert
from gateway.blobs.memory import Once
from gateway.blobs.store import Blob
from gateway.errors import NotFound
from gateway.jobs.job import Job
from gateway.services.caller import Caller
from gateway.services.guards import Guards
from gateway.services.keeping import OUTPUT_CAP
from gateway.services.served import Served
from gateway.services.tasks import Submission, TaskService
from providers.base.contract import ImageRequest, Reference
from providers.base.errors import Broken

CONVERTED_AT_ONCE = 2
"""Pictures; the others wait. One of 50 megapixels takes 200 MB while it is converted."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Finished pictures in order, and who made them."""

    jobs: tuple[Job, ...]
    blobs: tuple[Blob, ...]
    served: Served


class ImageService:
    """``generate`` for the server and for programs alike."""

    def __init__(self, tasks: TaskService, guards: Guards) -> None:
        self._tasks = tasks
        self._guards = guards
        self._converting = asyncio.Semaphore(CONVERTED_AT_ONCE)

    async def submit(self, model: str, request: ImageRequest, n: int, caller: Caller) -> Submission:
        """Hand over the tasks of ``n`` pictures. Raises what ``Guards.screen`` and ``TaskService.submit`` raise."""
        request = await self._guards.screen(model, request, caller)
        shown: dict[str, object] = {"prompt": request.prompt, "size": request.size, "n": n}
        if request.references:
            shown["references"] = await asyncio.to_thread(_digest, request)
        if request.n != n:
            request = replace(request, n=n)
        return await self._tasks.submit(model, "image", [request], shown, caller)

    async def finish(self, submission: Submission, output_format: PictureFormat | None = None) -> Pictures:
        """Wait for all of them. Raises what ``TaskService.finished`` raises.

        A picture of another format than ``output_format`` (png, jpeg, webp) is converted, and kept like that too.
        """
        jobs = await self._tasks.finished(submission.jobs)
        blobs = []
        for job in jobs:
            for place in range(len(job.outputs)):
                blob = await self._tasks.output(job, place)
                if blob is None:
                    raise NotFound(f"The picture of {job.id} is no longer kept.", code="output_expired")
                blobs.append(await self._as(blob, output_format))
        return Pictures(jobs, tuple(blobs), submission.served)

    async def one_by_one(
        self, submission: Submission, output_format: PictureFormat | None = None
    ) -> AsyncIterator[Blob]:
        """Each picture as soon as it and those before it are there."""
        for job in submission.jobs:
            for blob in (await self.finish(Submission((job,), submission.served), output_format)).blobs:
                yield blob

    async def _as(self, blob: Blob, output_format: PictureFormat | None) -> Blob:
        if output_format is None or blob.media_type == f"image/{output_format}":
            return blob
        key = f"{blob.key}_{output_format}"
        if (made := await self._tasks.blobs.get(key)) is not None:
            return made
        async with self._converting:
            data = b"".join([piece async for piece in self._tasks.blobs.read(blob)])
            try:
                converted = await asyncio.to_thread(convert, data, output_format)
            except CodecError as error:
                raise Broken(
                    f"The provider's picture cannot be converted to {output_format}: {error}", sent="yes"
                ) from error
        return await self._tasks.blobs.put(key, Once(converted), f"image/{output_format}", OUTPUT_CAP)

    async def base64(self, blob: Blob) -> AsyncIterator[bytes]:
        """A picture's bytes as base64 text, a piece at a time: of several callers' all could not be held at once."""
        rest, left = b"", blob.size
        async for piece in self._tasks.blobs.read(blob):
            left -= len(piece)
            data = rest + piece
            whole = len(data) // 3 * 3 if left > 0 else len(data)
            yield binascii.b2a_base64(data[:whole], newline=False)
            rest = data[whole:]


def _digest(request: ImageRequest) -> str:
    """Of the pictures that came with a call, so that one with others is known to be another call."""
    digest = hashlib.sha256()
    for each in (*request.references, request.mask or Reference()):
        digest.update(hashlib.sha256(each.data or (each.url or "").encode()).digest())
    return digest.hexdigest()
