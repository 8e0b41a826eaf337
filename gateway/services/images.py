"""Pictures: one task each, waited for, kept, and handed out as bytes or as an address of ours."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.blobs.store import Blob
from gateway.errors import NotFound
from gateway.jobs.job import Job
from gateway.services.served import Served
from gateway.services.tasks import Caller, Submission, TaskService
from providers.base.contract import ImageRequest


@dataclass(frozen=True, slots=True)
class Pictures:
    """Finished pictures in order, and who made them."""

    jobs: tuple[Job, ...]
    blobs: tuple[Blob, ...]
    served: Served


class ImageService:
    """``generate`` for the server and for programs alike."""

    def __init__(self, tasks: TaskService) -> None:
        self._tasks = tasks

    async def submit(self, model: str, request: ImageRequest, n: int, caller: Caller) -> Submission:
        """Hand ``n`` tasks over. Raises what ``TaskService.submit`` raises."""
        shown = {"prompt": request.prompt, "size": request.size}
        return await self._tasks.submit(model, "image", [request] * n, shown, caller)

    async def finish(self, submission: Submission) -> Pictures:
        """Wait for all of them. Raises what ``TaskService.finished`` raises."""
        jobs = await self._tasks.finished(submission.jobs)
        blobs = []
        for job in jobs:
            for place in range(len(job.outputs)):
                blob = await self._tasks.output(job, place)
                if blob is None:
                    raise NotFound(f"The picture of {job.id} is no longer kept.", code="output_expired")
                blobs.append(blob)
        return Pictures(jobs, tuple(blobs), submission.served)

    async def one_by_one(self, submission: Submission) -> AsyncIterator[Blob]:
        """Each picture as soon as it and those before it are there."""
        for job in submission.jobs:
            for blob in (await self.finish(Submission((job,), submission.served))).blobs:
                yield blob

    async def base64(self, blob: Blob) -> str:
        """A picture's bytes as base64 text."""
        data = b"".join([piece async for piece in self._tasks.blobs.read(blob)])
        return base64.b64encode(data).decode("ascii")
