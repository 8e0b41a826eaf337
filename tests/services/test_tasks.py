"""Tasks on behalf of a caller, without HTTP."""

from __future__ import annotations

import asyncio
import importlib
import time
from pathlib import Path

import pytest

from gateway.build import open_services
from gateway.errors import NotFound, TaskFailed, UnknownModel
from gateway.jobs.job import Job, State
from gateway.services.caller import Caller
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


async def test_pictures_that_come_with_the_answer_as_many_in_a_task_as_it_makes() -> None:
    vendor = importlib.import_module("providers.scripted")
    asked = vendor.Scripted.asked
    text = "model_list: [{model_name: painter, params: {model: scripted/painter}}]"
    async with open_services(config_of(text)) as services:
        asked.clear()
        submission = await services.images.submit("painter", ImageRequest("x"), 7, Caller())
        assert [each.n for each in asked] == [3, 3, 1]
        assert {job.state for job in submission.jobs} == {State.COMPLETED}
        pictures = await services.images.finish(submission)
        assert [blob.media_type for blob in pictures.blobs] == ["image/png"] * 7
        assert len({blob.key for blob in pictures.blobs}) == 7


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


KEYED = Caller("anna", "/images/generations", key="one", retry=True)


async def test_two_calls_with_one_key_are_one(tmp_path: Path) -> None:
    """Also where the second comes before anything of the first is written down."""
    async with open_services(config(), tmp_path) as services:
        calls = (services.images.submit("endless", ImageRequest("x", "64x64"), 1, KEYED) for _ in range(4))
        assert len({made.jobs[0].id for made in await asyncio.gather(*calls)}) == 1
        assert len(await services.images._tasks.store.unfinished()) == 1


async def test_a_retry_waits_while_the_first_try_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first deployment refuses; before the second has it, the call has but rows that came to nothing."""
    monkeypatch.setattr(Busy, "falls_back", True)  # as a vendor's refusal does
    text = """
model_list:
  - {model_name: full, params: {model: sandbox/image-throttled, seconds: 9999}}
  - {model_name: spare, params: {model: sandbox/image, seconds: 9999}}
litellm_settings: {fallbacks: [{full: [spare]}]}
"""
    async with open_services(config_of(text), tmp_path) as services:
        store = services.images._tasks.store
        request, jobs = ImageRequest("x", "64x64"), []
        for number in range(9):
            caller = Caller("anna", "/images/generations", key=f"{number}", retry=True)
            calls = []
            for _ in range(30):  # one at every moment of the first
                calls.append(asyncio.create_task(services.images.submit("full", request, 1, caller)))
                await asyncio.sleep(0)
            jobs.append({each.jobs[0].id for each in await asyncio.gather(*calls)})
        assert [len(each) for each in jobs] == [1] * 9
        assert len(await store.unfinished()) == 9


@pytest.mark.parametrize("steps", range(12))
@pytest.mark.parametrize("kept", [False, True])
async def test_a_caller_who_leaves_while_it_is_handed_over_loses_nothing(
    tmp_path: Path, steps: int, kept: bool
) -> None:
    async with open_services(config(), tmp_path if kept else None) as services:
        store = services.images._tasks.store
        call = asyncio.create_task(services.images.submit("endless", ImageRequest("x", "64x64"), 2, KEYED))
        for _ in range(steps):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        async with asyncio.timeout(10):
            while any(job.state in (State.CREATED, State.SUBMITTING) for job in await store.unfinished()):
                await asyncio.sleep(0)
        again = await services.images.submit("endless", ImageRequest("x", "64x64"), 2, KEYED)
        assert len(await store.unfinished()) == len(again.jobs) == 2


async def test_a_retry_of_a_call_that_was_refused_is_a_new_call() -> None:
    async with open_services(config()) as services:
        submit, request = services.images.submit, ImageRequest("x", "64x64")
        await submit("throttled", request, 2, Caller())
        with pytest.raises(Busy):
            await submit("throttled", request, 1, KEYED)
        made = await submit("throttled", request, 1, KEYED)
        assert (await services.images.finish(made)).jobs[0].state is State.COMPLETED
        assert (await submit("throttled", request, 1, KEYED)).jobs[0].id == made.jobs[0].id


@pytest.mark.parametrize("n", [1, 3])
async def test_a_single_task_is_about_to_be_sent_from_its_first_row_on(tmp_path: Path, n: int) -> None:
    async with open_services(config(), tmp_path) as services:
        made = await services.images.submit("quick", ImageRequest("x", "64x64"), n, Caller())
        for job in made.jobs:
            lines = [line.after for line in await services.images._tasks.store.history(job.id)]
            first = [State.SUBMITTING] if n == 1 else [State.CREATED, State.SUBMITTING]
            assert lines[: len(first) + 1] == [*first, State.RUNNING]


@pytest.mark.parametrize(("sent", "code"), [(0, "interrupted"), (1, "submission_unknown")])
async def test_a_call_that_was_interrupted_in_part_is_not_to_be_repeated(tmp_path: Path, sent: int, code: str) -> None:
    async with open_services(config(), tmp_path) as services:
        made = await services.images.submit("quick", ImageRequest("x", "64x64"), sent, KEYED) if sent else None
        rows = [] if made is None else [*made.jobs]
        rows += [Job("img_left", "image", "quick", "sandbox/image", time.time(), batch="b", request={})]
        await services.images._tasks.store.add(rows[sent:])
        await services.images._tasks._jobs.recover()  # what the next start does
        with pytest.raises(TaskFailed) as caught:
            await services.images._tasks.finished(rows)
        assert caught.value.code == code
