"""Test media as a provider: the shared law, and what each variant does."""

from __future__ import annotations

import base64
import io
import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from providers.base.contract import (
    Done,
    Failed,
    ImageRequest,
    Made,
    Reference,
    SpeechRequest,
    TaskProvider,
    TaskRequest,
    VideoRequest,
    Working,
)
from providers.base.errors import Busy, PolicyViolation, ProviderError, Refused, Unsupported
from providers.base.vendor import Resources
from providers.sandbox import VARIANTS, VENDOR, Sandbox, SandboxSettings
from providers.sandbox.kinds import KINDS
from tests.contracts.tasks import TaskContract, watch

ASKED: dict[str, TaskRequest] = {
    "image": ImageRequest("a cat on a mat", size="64x48"),
    "video": VideoRequest("a cat on a mat", seconds=1, size="64x48"),
    "speech": SpeechRequest("The quick brown fox jumped over the lazy dog.", "alloy"),
}


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


Opener = Callable[..., Sandbox]


@pytest.fixture
def opened(clock: Clock) -> Opener:
    chance = itertools.count(1)

    def make(model: str, **settings: Any) -> Sandbox:
        kind, _, variant = model.partition("-")
        return Sandbox(kind, variant, SandboxSettings(**settings), clock=clock, chance=lambda: next(chance))

    return make


class _Enrolled(TaskContract):
    model: str

    @pytest.fixture
    def provider(self, opened: Opener) -> TaskProvider:
        return opened(self.model)

    @pytest.fixture
    def asked(self) -> TaskRequest:
        return ASKED[self.model.partition("-")[0]]

    @pytest.fixture
    def elapse(self, clock: Clock) -> Callable[[], None]:
        def pass_time() -> None:
            clock.now += 0.3

        return pass_time


class TestImage(_Enrolled):
    model, media_type = "image", "image/png"
    takes_mask = True


class TestVideo(_Enrolled):
    model, media_type = "video", "video/mp4"


class TestSpeech(_Enrolled):
    model, media_type = "speech", "audio/wav"


class TestFlaky(_Enrolled):
    model, media_type = "image-flaky", "image/png"
    takes_mask = True


class TestThrottled(_Enrolled):
    model, media_type = "image-throttled", "image/png"
    takes_mask = True


class TestSlow(_Enrolled):
    model, media_type = "image-slow", "image/png"
    takes_mask = True


async def made(provider: Sandbox, clock: Clock, asked: TaskRequest) -> Made:
    task = (await provider.submit(asked)).task
    clock.now += 1000
    state = await provider.poll(task)
    assert isinstance(state, Done)
    (output,) = state.outputs
    assert isinstance(output, Made)
    return output


@pytest.mark.parametrize("model", VENDOR.models)
async def test_every_listed_model_opens(model: str) -> None:
    facts = VENDOR.models[model]
    provider = await VENDOR.open(model, facts.settings(poll_interval=2), Resources())
    assert isinstance(provider, TaskProvider)
    assert provider.poll_interval == 2
    kind = model.partition("-")[0]
    assert provider.makes == {kind}
    assert isinstance(await provider.poll((await provider.submit(ASKED[kind])).task), Working)


def test_all_kinds_in_all_variants() -> None:
    assert len(VENDOR.models) == len(KINDS) * len(VARIANTS) == 15
    assert VENDOR.models["video-fails"].mode == "video_generation"


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
async def test_pictures_come_in_the_format_and_size_asked_for(opened: Opener, clock: Clock, format: str) -> None:
    output = await made(opened("image"), clock, ImageRequest("x", size="48x32", output_format=format))
    assert output.media_type == f"image/{format}"
    with av.open(io.BytesIO(output.data)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (48, 32)


@pytest.mark.parametrize("size", [None, "auto"])
async def test_the_usual_picture_is_1024_square(opened: Opener, clock: Clock, size: str | None) -> None:
    output = await made(opened("image"), clock, ImageRequest("x", size=size))
    with av.open(io.BytesIO(output.data)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (1024, 1024)


async def test_the_usual_video(opened: Opener, clock: Clock) -> None:
    output = await made(opened("video"), clock, VideoRequest("x"))
    with av.open(io.BytesIO(output.data)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, float(stream.duration * stream.time_base)) == (1280, 720, 4)


@pytest.mark.parametrize(("speed", "seconds"), [(0.5, 6), (1.0, 3), (4.0, 0.75)])
async def test_speech_is_as_long_as_its_text_and_speed(
    opened: Opener, clock: Clock, speed: float, seconds: float
) -> None:
    provider = opened("speech")
    task = (await provider.submit(SpeechRequest("y" * 45, "alloy", speed=speed))).task
    clock.now += 1
    state = await provider.poll(task)
    assert isinstance(state, Done)
    assert (state.usage.characters, state.usage.audio_seconds) == (45, seconds)
    samples, rate = soundfile.read(io.BytesIO(state.outputs[0].data))  # type: ignore[union-attr]
    assert len(samples) / rate == seconds


async def test_every_option_moves_what_is_made(opened: Opener, clock: Clock) -> None:
    def asked(**other: Any) -> ImageRequest:
        return ImageRequest("x", size="256x256", **{**other, "extra": {"seed": 1, **other.get("extra", {})}})

    requests = [
        asked(),
        asked(references=(Reference(url="https://example.org/a.png"),)),
        asked(references=(Reference(data=b"1"), Reference(data=b"2"))),
        asked(extra={"seed": 2}),
        asked(extra={"quality": "high"}),
        asked(extra={"style": "vivid"}),
        asked(extra={"background": "transparent"}),
        asked(extra={"moderation": "low"}),
    ]
    outputs = {(await made(opened("image"), clock, each)).data for each in requests}
    assert len(outputs) == len(requests)
    # Who asked moves nothing; without a seed each picture is another.
    assert (await made(opened("image"), clock, asked(extra={"user": "somebody"}))).data in outputs
    first, second = [(await made(opened("image"), clock, ImageRequest("x", size="256x256"))).data for _ in range(2)]
    assert first != second


async def test_a_reference_and_instructions_move_video_and_speech(opened: Opener, clock: Clock) -> None:
    def video(reference: Reference | None) -> VideoRequest:
        return VideoRequest("x", seconds=1, size="256x256", reference=reference, extra={"seed": 1})

    plain, referred = [(await made(opened("video"), clock, video(each))).data for each in (None, Reference(data=b"1"))]
    assert plain != referred
    ways = [("alloy", None), ("echo", None), ("alloy", "cheerful"), ("alloy", "sad")]
    said = {(await made(opened("speech"), clock, SpeechRequest("x", who, instructions=how))).data for who, how in ways}
    assert len(said) > 2


def image(**other: Any) -> ImageRequest:
    return ImageRequest(**{"prompt": "x", **other})


def video(**other: Any) -> VideoRequest:
    return VideoRequest(**{"prompt": "x", **other})


def speech(**other: Any) -> SpeechRequest:
    return SpeechRequest(**{"text": "x", "voice": "alloy", **other})


@pytest.mark.parametrize(
    ("model", "asked", "param"),
    [
        *[("image", image(size=size), "size") for size in ("15x16", "4097x16", "big", "", "16x", "٣٢x32", "-64x64")],
        *[("video", video(size=size), "size") for size in ("auto", "17x16", "16x17", "1922x16", "0x0")],
        *[("video", video(seconds=seconds), "seconds") for seconds in (0, -1, 61)],
        *[("speech", speech(speed=speed), "speed") for speed in (0.2, 4.1, float("nan"))],
        ("image", image(prompt="x" * 32_001), "prompt"),
        ("speech", speech(text="x" * 4097), "input"),
        ("image", image(output_format="gif"), "output_format"),
        ("image", image(extra={"quality": "best"}), "quality"),
        ("image", image(extra={"quality": ["high"]}), "quality"),
        ("image", image(extra={"seed": "one"}), "seed"),
        ("image", image(extra={"seed": True}), "seed"),
        ("video", video(extra={"user": 5}), "user"),
        ("image", video(), "model"),
        ("video", speech(), "model"),
        ("speech", image(), "model"),
    ],
)
async def test_what_is_refused(opened: Opener, model: str, asked: TaskRequest, param: str) -> None:
    with pytest.raises(Refused) as caught:
        opened(model).check(asked)
    assert caught.value.param == param
    assert not isinstance(caught.value, Unsupported)
    with pytest.raises(Refused):
        await opened(model).submit(asked)


def test_the_limits_themselves_are_taken(opened: Opener) -> None:
    opened("image").check(image(prompt="x" * 32_000, size="4096x4096"))
    opened("video").check(video(seconds=60, size="1920x1920"))
    opened("speech").check(speech(text="x" * 4096, speed=0.25))


async def test_progress_follows_the_clock(opened: Opener, clock: Clock) -> None:
    provider = opened("image", seconds=8)
    task = (await provider.submit(ASKED["image"])).task
    assert (await provider.poll(task)).progress == 0.0
    clock.now += 2
    assert (await provider.poll(task)).progress == 0.25
    clock.now -= 60
    assert (await provider.poll(task)).progress == 0.0, "a clock set back is no negative progress"
    clock.now += 66
    assert isinstance(await provider.poll(task), Done)


async def test_no_time_at_all(opened: Opener) -> None:
    provider = opened("speech", seconds=0)
    assert isinstance(await provider.poll((await provider.submit(ASKED["speech"])).task), Done)


async def test_slow_takes_ten_times_as_long(opened: Opener, clock: Clock) -> None:
    provider = opened("video-slow")
    task = (await provider.submit(ASKED["video"])).task
    clock.now += 25
    assert (await provider.poll(task)).progress == 0.5


async def test_it_fails_in_the_end(opened: Opener, clock: Clock) -> None:
    for kind, param in (("video", "prompt"), ("speech", "input")):
        provider = opened(f"{kind}-fails", seconds=10)
        task = (await provider.submit(ASKED[kind])).task
        clock.now += 5
        assert (await provider.poll(task)).progress == 0.5
        clock.now += 5
        state = await provider.poll(task)
        assert isinstance(state, Failed)
        error = state.error
        assert isinstance(error, PolicyViolation)
        assert (error.status, error.code, error.param) == (400, "content_policy_violation", param)
        assert not error.retryable
        assert not error.falls_back


async def test_every_second_look_fails_for_each_task_by_itself(opened: Opener, clock: Clock) -> None:
    provider = opened("image-flaky")
    tasks = [(await provider.submit(ASKED["image"])).task for _ in range(2)]
    for _ in range(2):
        for task in tasks:
            await provider.poll(task)
        for task in tasks:
            with pytest.raises(ProviderError) as caught:
                await provider.poll(task)
            assert caught.value.retryable
            assert caught.value.status == 503


async def test_throttled_waits_and_refuses(opened: Opener, clock: Clock) -> None:
    provider = opened("image-throttled", seconds=10)
    task = (await provider.submit(ASKED["image"])).task
    clock.now += 5
    assert (await provider.poll(task)).progress == 0.0
    clock.now += 2.5
    assert (await provider.poll(task)).progress == 0.5
    await provider.submit(ASKED["image"])
    with pytest.raises(Busy) as caught:
        await provider.submit(ASKED["image"])
    assert caught.value.retry_after == 1
    assert caught.value.sent == "no"
    await provider.submit(ASKED["image"])


@pytest.mark.parametrize("model", ["image", "image-slow", "video-fails"])
async def test_a_task_outlives_the_process(opened: Opener, clock: Clock, model: str) -> None:
    kind = model.partition("-")[0]
    task = (await opened(model, seconds=1).submit(ASKED[kind])).task
    before = await watch(opened(kind), task, lambda: setattr(clock, "now", clock.now + 1))
    again = await opened(kind).poll(task)
    assert type(again) is type(before[-1])
    if isinstance(again, Done):
        assert again == before[-1], "the same media"


async def test_a_cancelled_task_has_failed_and_an_ended_one_has_not(opened: Opener, clock: Clock) -> None:
    provider = opened("image")
    task, other = [(await provider.submit(ASKED["image"])).task for _ in range(2)]
    await provider.cancel(task)
    state = await provider.poll(task)
    assert isinstance(state, Failed)
    assert "cancelled" in str(state.error)
    assert isinstance(await provider.poll(other), Working)
    clock.now += 2
    await provider.cancel(other)
    assert isinstance(await provider.poll(other), Done)


async def test_only_so_many_cancelled_tasks_are_remembered(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.sandbox._REMEMBERED", 2)
    provider = opened("image")
    tasks = [(await provider.submit(ASKED["image"])).task for _ in range(3)]
    for task in tasks:
        await provider.cancel(task)
    assert [type(await provider.poll(task)) for task in tasks] == [Working, Failed, Failed]


def changed(task: str, **fields: Any) -> str:
    known = json.loads(base64.urlsafe_b64decode(task + "=" * (-len(task) % 4)))
    return base64.urlsafe_b64encode(json.dumps({**known, **fields}).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "image"},
        {"kind": "sculpture"},
        {"variant": "odd"},
        {"width": 100_000},
        {"seconds": 10**6},
        {"begun": "now"},
        {"takes": -1},
        {"format": "gif"},
        {"more": 1},
    ],
)
async def test_ids_that_are_not_ours_are_refused(opened: Opener, fields: dict[str, Any]) -> None:
    provider = opened("video")
    task = (await provider.submit(ASKED["video"])).task
    assert isinstance(await provider.poll(changed(task)), Working)
    for work in (provider.poll, provider.cancel):
        with pytest.raises(ProviderError) as caught:
            await work(changed(task, **fields))
        assert not caught.value.retryable


async def test_what_cannot_be_made_has_failed(opened: Opener) -> None:
    provider = opened("video", seconds=0)
    task = changed((await provider.submit(ASKED["video"])).task, width=63)
    state = await provider.poll(task)
    assert isinstance(state, Failed)
    assert state.error.code == "generation_failed"


async def test_media_are_made_off_the_event_loop(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def note(*_: Any, **__: Any) -> bytes:
        threads.append(threading.current_thread())
        return b"picture"

    monkeypatch.setattr("providers.sandbox.kinds.labelled_picture", note)
    provider = opened("image", seconds=0)
    await provider.poll((await provider.submit(ASKED["image"])).task)
    assert threads
    assert threads[0] is not threading.main_thread()


async def test_half_a_surrogate_pair_is_taken(opened: Opener, clock: Clock) -> None:
    assert (await made(opened("image"), clock, ImageRequest("\ud800 cat", size="64x64"))).data
    assert (await made(opened("speech"), clock, SpeechRequest("\ud800 cat", "\udfff"))).data


def picture(colour: str = "red", kind: str = "png") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["image", "video"])
async def test_a_picture_that_came_along_is_shown(opened: Opener, clock: Clock, kind: str) -> None:
    reference = Reference(data=picture())
    bare = replace(ASKED[kind], size="256x192")
    given = replace(bare, references=(reference,)) if kind == "image" else replace(bare, reference=reference)

    async def red(asked: TaskRequest) -> float:
        with av.open(io.BytesIO((await made(opened(kind), clock, asked)).data)) as container:
            shown = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
        return float((np.abs(shown - np.array((255, 0, 0))).max(axis=-1) < 40).mean())

    assert await red(bare) == 0
    assert await red(given) > 0.1


async def test_a_picture_that_cannot_be_read_is_refused_by_name(opened: Opener) -> None:
    broken = Reference(data=picture()[:50])
    for asked, param in (
        (replace(ASKED["image"], references=(broken,)), "image"),
        (replace(ASKED["video"], reference=broken), "input_reference"),
    ):
        with pytest.raises(Refused) as caught:
            await opened("image" if param == "image" else "video").submit(asked)
        assert (caught.value.param, caught.value.sent) == (param, "no")


async def test_a_film_can_be_made_again_with_another_prompt(opened: Opener, clock: Clock) -> None:
    provider = opened("video")
    asked = VideoRequest("a cat", 2, "128x96", Reference(data=picture()), {"seed": -7})
    again = provider.remixed((await provider.submit(asked)).task, "a dog")
    assert (again.prompt, again.seconds, again.size, again.extra) == ("a dog", 2, "128x96", {"seed": -7})
    assert again.reference is not None
    once_more = provider.remixed((await provider.submit(again)).task, "a cat")
    assert replace(once_more, reference=None) == replace(asked, reference=None)
    with pytest.raises(Refused):
        opened("image").remixed("", "x")
