"""Films: begun, looked at, listed, fetched, made again with another prompt, forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any

from gateway.api.bodies import RemixBody, VideoBody, video_object
from gateway.blobs.files import FileBlobs
from gateway.blobs.store import BlobStore
from gateway.build import Services
from gateway.data import DataFolderError
from gateway.errors import InvalidRequest, NotFound
from gateway.jobs.job import TERMINAL, Job, State
from gateway.jobs.sqlite import SqliteJobStore
from gateway.jobs.store import JobStore
from gateway.ledger.cost import expected
from gateway.ledger.row import cost_by_now
from gateway.sdk.answers import VideoDeleted, VideoObject
from gateway.sdk.calls.call import HOLLOW, HOUSE, Call, told, unknown, upload, whole
from gateway.sdk.house import shown, split
from gateway.services.videos import Variant, completed, found, listed
from providers.base.contract import VideoRequest

_MOST = 100


async def video(prompt: object, model: object, options: Mapping[str, Any]) -> VideoObject:
    """``gateway.sdk.video_generation``."""
    with told(model):
        call = Call("video", model, options)
        services = await call.opened(lasting=True)
        call.fields["input_reference"] = await upload(call.fields.get("input_reference"))
        body = call.body(VideoBody, prompt=prompt)
        submission = await services.videos.create(call.group, body.request(), call.caller)
        job = submission.jobs[0]
        return _film(job, call.hidden(submission.served, cost_by_now(call.caller.record)))


async def video_remix(video_id: object, prompt: object, options: Mapping[str, Any]) -> VideoObject:
    """``gateway.sdk.video_remix``."""
    with told():
        services = await HOUSE.services(lasting=True)
        job = await services.videos.get(str(video_id), "")
        call = Call("video", _called(job), options)
        call.account.pop("custom_llm_provider", None)  # the film knows it
        body = call.body(RemixBody, prompt=prompt)
        await HOUSE.attend(services, job, call.account)
        submission = await services.videos.remix(job.id, body.prompt, call.caller)
        return _film(submission.jobs[0], call.hidden(submission.served, cost_by_now(call.caller.record)))


async def video_status(video_id: object, options: Mapping[str, Any]) -> VideoObject:
    """``gateway.sdk.video_status``."""
    with told():
        try:
            services = await HOUSE.services(lasting=True)
        except DataFolderError:
            async with _beside() as (store, _):
                job = await found(store, str(video_id), "")
            _account(job, options)
            return _seen(job)
        job = await services.videos.get(str(video_id), "")
        account = _account(job, options)
        if job.state not in TERMINAL:
            await HOUSE.attend(services, job, account)
        return _seen(job, services)


async def video_list(after: object, limit: object, order: object, options: Mapping[str, Any]) -> list[VideoObject]:
    """``gateway.sdk.video_list``."""
    with told():
        if not isinstance(limit, int) or not 1 <= limit <= _MOST:
            raise InvalidRequest(f"limit must be a whole number from 1 to {_MOST}.", param="limit")
        if order not in ("asc", "desc"):
            raise InvalidRequest("order must be asc or desc.", param="order")
        given = {name: value for name, value in options.items() if name != "timeout" and value is not None}
        provider = given.pop("custom_llm_provider", None)
        for name, value in given.items():
            if value or name not in HOLLOW:
                raise unknown(name)
        films: list[VideoObject] = []
        place, more = None if after is None else str(after), True
        while more and len(films) < limit:
            jobs, services, more = await _page(place, limit, newest_first=order == "desc")
            place = jobs[-1].id if jobs else place
            of = [job for job in jobs if provider in (None, job.deployment.partition("/")[0])]
            films += [_seen(job, services) for job in of]
        return films[:limit]


async def video_content(video_id: object, variant: object, options: Mapping[str, Any]) -> bytes:
    """``gateway.sdk.video_content``."""
    with told():
        if variant not in (None, "video", "thumbnail", "spritesheet"):
            raise InvalidRequest("variant must be video, thumbnail or spritesheet.", param="variant")
        wished: Variant = variant or "video"
        try:
            services = await HOUSE.services(lasting=True)
        except DataFolderError:
            async with _beside() as (store, blobs):
                job = await found(store, str(video_id), "")
                _account(job, options)
                completed(job)
                blob = await blobs.get(job.outputs[0])
                if blob is None or wished != "video":
                    raise
                return await whole(blobs.read(blob))
        _account(await services.videos.get(str(video_id), ""), options)
        return await whole(services.blobs.read(await services.videos.content(str(video_id), "", wished)))


async def video_delete(video_id: object, options: Mapping[str, Any]) -> VideoDeleted:
    """``gateway.sdk.video_delete``."""
    with told():
        services = await HOUSE.services(lasting=True)
        job = await services.videos.get(str(video_id), "")
        account = _account(job, options)
        if job.state not in TERMINAL:
            await HOUSE.attend(services, job, account)
        await services.videos.delete(job.id, "")
        return VideoDeleted(job.id)


def _called(job: Job) -> str:
    """The model of a film, as ``<vendor>/<model>``."""
    return job.deployment.partition("@")[0]


def _account(job: Job, options: Mapping[str, Any]) -> dict[str, Any]:
    """What is given with a look at a film: keys and addresses. Raises ``InvalidRequest`` for anything else."""
    given = {name: value for name, value in options.items() if name != "timeout" and (value or name not in HOLLOW)}
    account, others = split(_called(job), given)
    for name in others:
        raise unknown(name)
    account.pop("custom_llm_provider", None)  # the film knows it
    return account


def _seen(job: Job, services: Services | None = None) -> VideoObject:
    """A film as it stands. What it costs is known where its model is among ``services``."""
    deployments = () if services is None else services.catalog.deployments()
    price = next((each.price for each in deployments if each.key == job.deployment), None)
    asked, seconds = job.request, job.request.get("seconds")
    cost = None
    if job.state not in (State.FAILED, State.CANCELLED):
        request = VideoRequest(str(asked.get("prompt")), None if seconds is None else int(seconds), asked.get("size"))
        cost = expected(price, [request])[1]
    hidden = {
        "response_cost": None if cost is None else cost.usd,
        "cost_certainty": "unknown" if cost is None else cost.certainty,
        "model_id": job.deployment,
        "custom_llm_provider": job.deployment.partition("/")[0],
    }
    return _film(job, hidden)


def _film(job: Job, hidden: dict[str, Any]) -> VideoObject:
    made = video_object(job)
    names = {each.name for each in fields(VideoObject)}
    seconds = made["seconds"]
    made["model"] = shown(job.model)
    made["usage"] = None if seconds is None else {"duration_seconds": float(seconds)}
    return VideoObject(**{name: value for name, value in made.items() if name in names}, _hidden_params=hidden)


async def _page(after: str | None, limit: int, *, newest_first: bool) -> tuple[list[Job], Services | None, bool]:
    """Some films, the services that know their models, and whether there are more behind them."""
    try:
        services = await HOUSE.services(lasting=True)
    except DataFolderError:
        async with _beside() as (store, _):
            jobs, more = await listed(store, "", after, limit, newest_first=newest_first)
        return jobs, None, more
    jobs, more = await services.videos.page("", after, limit, newest_first=newest_first)
    return jobs, services, more


@asynccontextmanager
async def _beside() -> AsyncIterator[tuple[JobStore, BlobStore]]:
    """A folder that another process has: what that one has written there. Raises ``NotFound``."""
    folder = await HOUSE.folder()
    if not await asyncio.to_thread(folder.jobs.exists):
        raise NotFound("No video was found.", param="video_id", code="video_not_found")
    store = await asyncio.to_thread(SqliteJobStore, folder.jobs)
    blobs = await asyncio.to_thread(FileBlobs, folder.blobs)
    try:
        yield store, blobs
    finally:
        await blobs.close()
        await store.close()
