"""Videos: a task that is answered at once, looked at, listed, fetched and deleted by the key that made it."""

from __future__ import annotations

import base64
import binascii

from gateway.blobs.store import Blob
from gateway.errors import InvalidRequest, NotFound
from gateway.jobs.errors import UnknownJob
from gateway.jobs.job import TERMINAL, Job, State
from gateway.services.tasks import Caller, Submission, TaskService
from providers.base.contract import VideoRequest


def _ours(video: str) -> str:
    """An id of ours, also where LiteLLM has wrapped it: ``video_`` and base64 of ``litellm:…;video_id:<id>``."""
    try:
        text = base64.b64decode(video.removeprefix("video_") + "==").decode()
    except (binascii.Error, UnicodeDecodeError):
        return video
    wrapped = next((part for part in text.split(";") if part.startswith("video_id:")), None)
    return video if wrapped is None or not text.startswith("litellm:") else wrapped.removeprefix("video_id:")


class VideoService:
    """Everything that ``/v1/videos`` does. Another key's video is as if it were not there."""

    def __init__(self, tasks: TaskService) -> None:
        self._tasks = tasks

    async def create(self, model: str, request: VideoRequest, caller: Caller) -> Submission:
        """Hand the task over. Raises what ``TaskService.submit`` raises."""
        shown = {"prompt": request.prompt, "size": request.size, "seconds": request.seconds}
        return await self._tasks.submit(model, "video", [request], shown, caller)

    async def get(self, video: str, owner: str) -> Job:
        """One video. Raises ``NotFound``."""
        job = await self._tasks.store.get(_ours(video))
        if job is None or job.kind != "video" or job.owner != owner:
            raise NotFound(f"No video '{video[:200]}' was found.", param="video_id", code="video_not_found")
        return job

    async def page(self, owner: str, after: str | None, limit: int, *, newest_first: bool) -> tuple[list[Job], bool]:
        """Some of the owner's videos, and whether there are more behind them. Raises ``InvalidRequest``."""
        try:
            return await self._tasks.store.list(owner, "video", after, limit, newest_first)
        except UnknownJob:
            raise InvalidRequest(f"No video '{(after or '')[:200]}' was found.", param="after") from None

    async def content(self, video: str, owner: str) -> Blob:
        """The finished film. Raises ``NotFound``, or ``InvalidRequest`` where it is not there yet, or never will be."""
        job = await self.get(video, owner)
        if job.fault is not None:
            raise InvalidRequest(f"The video failed: {job.fault.message}", code=job.fault.code)
        if job.state is not State.COMPLETED:
            raise InvalidRequest(
                f"The video is not ready yet: its status is {job.state}. Ask again when it is completed.",
                code="video_not_ready",
            )
        blob = await self._tasks.output(job)
        if blob is None:
            raise NotFound("The video is no longer kept.", code="output_expired")
        return blob

    async def delete(self, video: str, owner: str) -> None:
        """Forget it; one that still runs is cancelled at its vendor first. Raises ``NotFound``."""
        job = await self.get(video, owner)
        if job.state not in TERMINAL:
            job = await self._tasks.cancel(job)
        await self._tasks.forget(job)
