"""Videos: a task that is answered at once, looked at, listed, fetched and deleted by the key that made it."""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import replace
from typing import Literal

from engines.codec import CodecError
from engines.pictures import spritesheet, thumbnail
from gateway.blobs.memory import Once
from gateway.blobs.store import Blob
from gateway.errors import InvalidRequest, NotFound
from gateway.jobs.errors import UnknownJob
from gateway.jobs.job import TERMINAL, Job, State
from gateway.jobs.store import JobStore
from gateway.services.caller import Caller
from gateway.services.guards import Guards
from gateway.services.keeping import OUTPUT_CAP
from gateway.services.tasks import Submission, TaskService
from providers.base.contract import Remixer, VideoRequest
from providers.base.errors import Broken

Variant = Literal["video", "thumbnail", "spritesheet"]


def _ours(video: str) -> str:
    """An id of ours, also where LiteLLM has wrapped it: ``video_`` and base64 of ``litellm:…;video_id:<id>``."""
    try:
        text = base64.b64decode(video.removeprefix("video_") + "==").decode()
    except (binascii.Error, UnicodeDecodeError):
        return video
    wrapped = next((part for part in text.split(";") if part.startswith("video_id:")), None)
    return video if wrapped is None or not text.startswith("litellm:") else wrapped.removeprefix("video_id:")


def unsupported(model: str, verb: str) -> InvalidRequest:
    """What a model cannot do with a video."""
    return InvalidRequest(
        f"The model '{model}' cannot {verb} a video. Make a new one: POST /v1/videos.",
        param="video_id" if verb == "remix" else "video",
        code="unsupported_operation",
    )


async def found(store: JobStore, video: str, owner: str) -> Job:
    """One video. Raises ``NotFound``."""
    job = await store.get(_ours(video))
    if job is None or job.kind != "video" or job.owner != owner:
        raise NotFound(f"No video '{video[:200]}' was found.", param="video_id", code="video_not_found")
    return job


async def listed(
    store: JobStore, owner: str, after: str | None, limit: int, *, newest_first: bool
) -> tuple[list[Job], bool]:
    """Some of the owner's videos, and whether there are more behind them. Raises ``InvalidRequest``."""
    try:
        return await store.list(owner, "video", after, limit, newest_first)
    except UnknownJob:
        raise InvalidRequest(f"No video '{(after or '')[:200]}' was found.", param="after") from None


def completed(job: Job) -> None:
    """Raise ``InvalidRequest`` for a film that is not there yet, or never will be."""
    if job.fault is not None:
        raise InvalidRequest(f"The video failed: {job.fault.message}", code=job.fault.code)
    if job.state is not State.COMPLETED:
        raise InvalidRequest(
            f"The video is not ready yet: its status is {job.state}. Ask again when it is completed.",
            code="video_not_ready",
        )


class VideoService:
    """Everything that ``/v1/videos`` does. Another key's video is as if it were not there."""

    def __init__(self, tasks: TaskService, guards: Guards) -> None:
        self._tasks = tasks
        self._guards = guards
        self._drawing = asyncio.Lock()  # one film is decoded at a time, and each once

    async def create(self, model: str, request: VideoRequest, caller: Caller) -> Submission:
        """Hand the task over. Raises what ``Guards.screen`` and ``TaskService.submit`` raise."""
        request = await self._guards.screen(model, request, caller)
        shown = {"prompt": request.prompt, "size": request.size, "seconds": request.seconds}
        return await self._tasks.submit(model, "video", [request], shown, caller)

    async def remix(self, video: str, prompt: str, caller: Caller) -> Submission:
        """The same film with another prompt, by the model that made it.

        Raises ``NotFound``, ``InvalidRequest`` (not finished, or a model that cannot), and as ``create`` does.
        """
        job = await self.get(video, caller.owner)
        caller.record.model = job.model
        prompt = (await self._guards.screen(job.model, VideoRequest(prompt), caller, "avideo_remix")).prompt
        holder = self._tasks.holder(job)
        if holder is None or not isinstance(holder.provider, Remixer):
            raise unsupported(job.model, "remix")
        completed(job)
        request = holder.provider.remixed(job.task or "", prompt)
        shown = {**job.request, "prompt": prompt, "remixed_from_video_id": job.id}
        # It is as long as the film that it is made from.
        paid = replace(request, seconds=request.seconds or job.request.get("seconds"))
        leave = self._tasks.admission.enter(caller.record.who)
        try:
            return await self._tasks.submit_again(job, "video", [request], [paid], (shown, caller))
        finally:
            leave()

    async def get(self, video: str, owner: str) -> Job:
        """One video. Raises ``NotFound``."""
        return await found(self._tasks.store, video, owner)

    async def page(self, owner: str, after: str | None, limit: int, *, newest_first: bool) -> tuple[list[Job], bool]:
        """As ``listed``."""
        return await listed(self._tasks.store, owner, after, limit, newest_first=newest_first)

    async def content(self, video: str, owner: str, variant: Variant = "video") -> Blob:
        """The finished film, a picture of it (webp), or a sheet of pictures (jpeg).

        Raises ``NotFound``, or ``InvalidRequest`` where it is not there yet, or never will be.
        """
        job = await self.get(video, owner)
        completed(job)
        film = await self._tasks.output(job)
        if film is None:
            raise NotFound("The video is no longer kept.", code="output_expired")
        return film if variant == "video" else await self._drawn(job, film, variant)

    async def _drawn(self, job: Job, film: Blob, variant: Variant) -> Blob:
        """A picture of the film: made when it is first asked for, and kept as long as the film."""
        blobs, key = self._tasks.blobs, f"{film.key}_{variant}"
        make, media_type = (thumbnail, "image/webp") if variant == "thumbnail" else (spritesheet, "image/jpeg")

        def work() -> bytes:
            with blobs.open(film) as file:
                return make(file)

        async with self._drawing:
            if (made := await blobs.get(key)) is not None:
                return made
            try:
                data = await asyncio.to_thread(work)
            except CodecError as error:
                raise Broken(f"No {variant} can be made of the provider's video: {error}", sent="yes") from error
            except FileNotFoundError:
                raise NotFound("The video is no longer kept.", code="output_expired") from None
            blob = await blobs.put(key, Once(data), media_type, OUTPUT_CAP)
        if await self._tasks.store.get(job.id) is None:  # forgotten meanwhile
            await blobs.remove(key)
        return blob

    async def delete(self, video: str, owner: str) -> None:
        """Forget it; one that still runs is cancelled at its vendor first. Raises ``NotFound``."""
        job = await self.get(video, owner)
        if job.state not in TERMINAL:
            job = await self._tasks.cancel(job)
        await self._tasks.forget(job)
