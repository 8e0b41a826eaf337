"""Tasks on behalf of a caller, without HTTP."""

from __future__ import annotations

import asyncio

import pytest

from gateway.build import open_services
from gateway.errors import NotFound, TaskFailed, UnknownModel
from gateway.jobs.job import State
from gateway.services.tasks import Caller
from providers.base.contract import ImageRequest, VideoRequest
from providers.base.errors import Busy
from tests.serving import config_of

CONFIG = """
model_list:
  - {{model_name: quick, params: {{model: sandbox/image, seconds: 0.02, poll_interval: 0.01}}}}
  - {{model_name: endless, params: {{model: sandbox/image, seconds: 9999}}}}
  - {{model_name: film, params: {{model: sandbox/video, seconds: 9999}}}}
  - {{model_name: fails, params: {{model: sandbox/image-fails, seconds: 0.02, poll_interval: 0.01}}}}
  - {{model_name: throttled, params: {{model: sandbox/image-throttled, seconds: 0.02, poll_interval: 0.01}}}}
general_settings: {{{settings}}}
"""


def config(settings: str = ""):
    return config_of(CONFIG.format(settings=settings))


@pytest.mark.parametrize(("settings", "state"), [("on_disconnect: cancel", State.CANCELLED), ("", State.RUNNING)])
async def test_a_caller_who_leaves(settings: str, state: State) -> None:
    async with open_services(config(settings)) as services:
        submission = await services.images.submit("endless", ImageRequest("x", "64x64"), 2, Caller())
        waiting = asyncio.create_task(services.images.finish(submission))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        store = services.images._tasks.store
        assert [(await store.get(job.id)).state for job in submission.jobs] == [state] * 2


async def test_what_has_expired_is_forgotten() -> None:
    async with open_services(config("output_retention_days: 0.0000001")) as services:
        submission = await services.images.submit("quick", ImageRequest("x", "64x64"), 1, Caller())
        pictures = await services.images.finish(submission, "webp")
        assert pictures.blobs[0].media_type == "image/webp"
        assert (await services.images.finish(submission, "webp")).blobs == pictures.blobs  # converted once
        await asyncio.sleep(0.02)  # longer than it is kept
        await services.images._tasks.sweep()
        assert await services.blobs.get(pictures.blobs[0].key) is None
        assert await services.images._tasks.store.get(submission.jobs[0].id) is None


async def test_a_call_that_is_refused_in_part_leaves_nothing_running() -> None:
    """Every third submission to this model is refused."""
    async with open_services(config()) as services:
        with pytest.raises(Busy):
            await services.images.submit("throttled", ImageRequest("x", "64x64"), 4, Caller())
        open_jobs = await services.images._tasks.store.unfinished()
        assert open_jobs == []


async def test_failures_are_told() -> None:
    async with open_services(config()) as services:
        submission = await services.images.submit("fails", ImageRequest("x", "64x64"), 1, Caller())
        with pytest.raises(TaskFailed) as caught:
            await services.images.finish(submission)
        assert (caught.value.status, caught.value.code) == (400, "content_policy_violation")
        with pytest.raises(UnknownModel):
            await services.images.submit("nobody", ImageRequest("x"), 1, Caller())


async def test_a_video_belongs_to_its_owner() -> None:
    async with open_services(config()) as services:
        made = (await services.videos.create("film", VideoRequest("x"), Caller("anna", "/videos", {}))).jobs[0]
        assert (await services.videos.get(made.id, "anna")).id == made.id
        for ask in (services.videos.get, services.videos.content, services.videos.delete):
            with pytest.raises(NotFound):
                await ask(made.id, "berta")
        await services.videos.delete(made.id, "anna")
        with pytest.raises(NotFound):
            await services.videos.get(made.id, "anna")
