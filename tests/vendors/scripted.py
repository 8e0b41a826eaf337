"""A made-up vendor: the model's name picks what happens. ``tests/conftest.py`` makes it ``providers.scripted``."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from PIL import Image

from engines.codec import Encoder
from engines.media import AudioFormat, AudioSpec
from engines.speech import Voice
from providers.base.contract import (
    Audio,
    Done,
    ImageRequest,
    Made,
    Provider,
    Readiness,
    SpeechRequest,
    Submitted,
    TaskRequest,
    TaskState,
    Usage,
    VideoRequest,
)
from providers.base.errors import Broken, Busy, PolicyViolation, RateLimited, Refused, Unavailable, UpstreamDown
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts, Resources, Vendor
from tests.sound import tone

SECOND = tone(1)
FAULTS = {
    "unavailable": Unavailable("out of order", reason="scripted"),
    "busy": Busy("full", retry_after=6.2),
    "refuses": Refused("not that", param="input"),
    "crash": RuntimeError("secret detail"),
    "down": UpstreamDown("it failed (503)", sent="yes"),
    "unsure": UpstreamDown("the line broke", sent="maybe"),
    "throttled": RateLimited("slower", sent="yes", retry_after=33.2),
    "forbids": PolicyViolation("not that", sent="yes", param="input"),
}
CALLS: Counter[str] = Counter()
"""How often each model was asked."""


class ScriptedSettings(VendorSettings):
    """``chunks`` seconds of sound."""

    chunks: int = 3


class Stream:
    """Sound by the second. What became of it is noted on the class, for tests to read."""

    live: ClassVar[set[Stream]] = set()
    made: ClassVar[int] = 0

    def __init__(self, chunks: list[bytes], error: Exception | None = None) -> None:
        self.chunks, self.error = chunks, error
        Stream.live.add(self)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        if self.chunks:
            Stream.made += 1
            return self.chunks.pop(0)
        Stream.live.discard(self)
        if self.error:
            raise self.error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        Stream.live.discard(self)


class Silent(Stream):
    """Never sends a byte."""

    async def __anext__(self) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError


class Mortal(Stream):
    """Sends nothing until it is killed, and then that its line broke. ``dying``: those who come later die at once."""

    waiting: ClassVar[list[asyncio.Future[None]]] = []
    dying: ClassVar[bool] = False

    @classmethod
    def kill(cls) -> None:
        cls.dying = True
        while cls.waiting:
            if not (each := cls.waiting.pop()).done():
                each.set_result(None)

    async def __anext__(self) -> bytes:
        if not Mortal.dying:
            Mortal.waiting.append(asyncio.get_running_loop().create_future())
            await Mortal.waiting[-1]
        raise FAULTS["unsure"]


class Scripted:
    """One model of the vendor. ``asked`` are the requests that reached it."""

    asked: ClassVar[list[TaskRequest]] = []

    def __init__(self, model: str, settings: ScriptedSettings) -> None:
        self.model, self.settings = model, settings
        self.loaded = model != "loading"

    def readiness(self) -> Readiness:
        if self.model == "unavailable":
            return Readiness("unavailable", "out of order.")
        return Readiness("ready" if self.loaded else "loading")

    def warm(self) -> None:
        return

    def voices(self) -> Sequence[Voice]:
        return [Voice("v", "V", "en")]

    async def speech(self, request: SpeechRequest) -> Audio:
        Scripted.asked.append(request)
        CALLS[self.model] += 1
        if self.model in FAULTS:
            raise FAULTS[self.model]
        return self._audio(request)

    def _audio(self, request: SpeechRequest) -> Audio:
        chunks = [SECOND] * self.settings.chunks
        spec = AudioSpec(AudioFormat.PCM)
        match self.model:
            case "breaks-first":
                return Audio(spec, Stream([], Broken("it broke", sent="yes")), Usage())
            case "breaks-midway":
                return Audio(spec, Stream(chunks, Broken("it broke", sent="yes")), Usage())
            case "mortal":
                return Audio(spec, Mortal([]), Usage())
            case "silent":
                return Audio(spec, Silent([]), Usage())
            case "damaged":
                return Audio(AudioSpec(AudioFormat.MP3), Stream([b"<html>" * 99]), Usage())
            case "mp3":
                encoder = Encoder(AudioFormat.MP3, spec)
                parts = [encoder.feed(chunk) for chunk in chunks]
                return Audio(AudioSpec(AudioFormat.MP3), Stream([*parts, encoder.finish()]), Usage())
            case "endless":
                return Audio(spec, Stream([SECOND] * 100_000), Usage())
        return Audio(spec, Stream(chunks), Usage(characters=len(request.text), input_tokens=7, output_tokens=9))


class Errand:
    """Makes pictures and films as tasks: a grey dot, at the first look."""

    makes = frozenset({"image", "video"})
    poll_interval = 0.02

    def readiness(self) -> Readiness:
        return Readiness("ready")

    def warm(self) -> None:
        return

    def check(self, request: TaskRequest) -> Mapping[str, str]:
        return {}

    def remixed(self, task: str, prompt: str) -> VideoRequest:
        return VideoRequest(prompt)

    async def submit(self, request: TaskRequest) -> Submitted:
        Scripted.asked.append(request)
        return Submitted("1")

    async def poll(self, task: str) -> TaskState:
        file = io.BytesIO()
        Image.new("L", (1, 1)).save(file, "png")
        return Done((Made(file.getvalue(), "image/png"),))

    async def cancel(self, task: str) -> None:
        return


class Painter(Errand):
    """Answers at once with all the pictures of a task, up to three."""

    makes = frozenset({"image"})
    most_images = 3

    async def submit(self, request: TaskRequest) -> Submitted:
        Scripted.asked.append(request)
        assert isinstance(request, ImageRequest)
        file = io.BytesIO()
        Image.new("L", (1, 1)).save(file, "png")
        return Submitted("1", done=Done((Made(file.getvalue(), "image/png"),) * request.n))

    async def poll(self, task: str) -> TaskState:
        raise AssertionError("it is over")


class Mute:
    """A model that makes something else."""

    def readiness(self) -> Readiness:
        return Readiness("ready")

    def warm(self) -> None:
        return


class Tasked(Mute):
    """Takes tasks for pictures and speech, or fails at that as the rest of its name says; done at the first look."""

    makes = frozenset({"image", "speech"})
    poll_interval = 0.01
    slow: ClassVar[asyncio.Event] = asyncio.Event()

    def __init__(self, model: str) -> None:
        self.model = model

    def check(self, request: TaskRequest) -> Mapping[str, str]:
        return {}

    async def submit(self, request: TaskRequest) -> Submitted:
        CALLS[self.model] += 1
        behaviour = self.model.removeprefix("task-")
        if behaviour in FAULTS:
            raise FAULTS[behaviour]
        if behaviour == "second-fails" and CALLS[self.model] % 2 == 0:
            raise FAULTS["down"]
        if behaviour == "slow":
            await Tasked.slow.wait()
        return Submitted("t")

    async def poll(self, task: str) -> TaskState:
        made = (b"<html>", "text/html") if self.model == "task-nonsense" else (SECOND, "audio/pcm")
        return Done((Made(*made),))

    async def cancel(self, task: str) -> None:
        return


async def _open(model: str, settings: ScriptedSettings, _resources: Resources) -> Provider:
    if model.startswith("task-"):
        return Tasked(model)
    return {"mute": Mute, "errand": Errand, "painter": Painter}.get(model, lambda: Scripted(model, settings))()


VENDOR = Vendor(name="scripted", models={"*": Facts("audio_speech", ScriptedSettings)}, open=_open)
