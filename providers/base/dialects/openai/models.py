"""The models of a server that speaks OpenAI's API, by what they make; ``Everything`` is one that nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pydantic import Field

from providers.base.contract import (
    Audio,
    ImageRequest,
    Readiness,
    SpeechRequest,
    Submitted,
    TaskRequest,
    TaskState,
    Transcript,
    TranscriptionRequest,
    VideoRequest,
    Voice,
)
from providers.base.dialects.openai import films, pictures, speech, transcripts
from providers.base.dialects.openai.host import Host, refused
from providers.base.errors import Refused
from providers.base.exchange import Deadlines
from providers.base.settings import VendorSettings
from providers.base.sieve import LONG

FAMILIES = {
    "gpt-image*": "image_generation",
    "chatgpt-image*": "image_generation",
    "dall-e*": "image_generation",
    "sora*": "video_generation",
    "whisper*": "audio_transcription",
    "gpt-4o-transcribe*": "audio_transcription",
    "gpt-4o-mini-transcribe*": "audio_transcription",
}
"""What models make that are not known one by one, by how their names begin: of other servers, or past."""


class ModelSettings(VendorSettings):
    """``poll_interval``: seconds between two looks at a video. ``max_file_size_mb``: of a sound to be written down.

    ``voices`` are names for voices, or other voices behind OpenAI's names.
    """

    poll_interval: float = Field(5.0, ge=1.0, le=300.0)
    max_file_size_mb: float | None = Field(None, gt=0, allow_inf_nan=False)
    voices: Mapping[str, str] = Field(default_factory=dict)


class Model:
    """What all of them have."""

    makes: frozenset[str] = frozenset()

    def __init__(self, model: str, settings: ModelSettings, host: Host) -> None:
        self.model = model
        self.poll_interval = settings.poll_interval
        self._settings = settings
        self.host = host

    def readiness(self) -> Readiness:
        """Whether there is a key. Nobody is asked whether it is a good one."""
        return Readiness("unavailable", self.host.lacks) if self.host.lacks else Readiness("ready")

    def warm(self) -> None:
        """Nothing to load."""

    def check(self, request: TaskRequest) -> Mapping[str, str]:
        """Raise what is known to be refused; calls nobody."""
        if isinstance(request, SpeechRequest):
            speech.speech_body(self.model, request, self._settings.voices, strict=self.host.strict)
        elif isinstance(request, ImageRequest) and "image" in self.makes:
            pictures.picture_fields(self.model, request, strict=self.host.strict)
        elif isinstance(request, VideoRequest) and "video" in self.makes:
            films.film_form(self.model, request, strict=self.host.strict)
        else:
            raise Refused(f"{self.model} makes {' and '.join(sorted(self.makes))} and nothing else", param="model")
        return {}


async def listed(model: str, host: Host) -> Readiness:
    """What the list of models says, which costs nothing. Raises as a call would: a bad key, no such model."""
    path = f"/models/{quote(model, safe='')}" if host.strict else "/models"
    reply = await host.wire.call(host.exchange("GET", path, deadlines=Deadlines(first_byte=30.0, total=60.0)))
    if reply.ok:
        return Readiness("ready")
    if reply.status == 404 and not host.strict:
        return Readiness("ready", "The server answers, and has no list of models to look into.")
    raise refused(reply)


class Speaks(Model):
    """A ``SpeechProvider``."""

    async def speech(self, request: SpeechRequest) -> Audio:
        """The sound as it comes."""
        body = speech.speech_body(self.model, request, self._settings.voices, strict=self.host.strict)
        return await speech.speak(self.host, body, request)

    def voices(self) -> Sequence[Voice]:
        """OpenAI's names, and those of the config; only the latter where the server is another one."""
        return speech.listed(self._settings.voices, strict=self.host.strict)


class _Tasks(Model):
    most_images = pictures.MOST

    async def submit(self, request: TaskRequest) -> Submitted:
        """Pictures come with the answer, films later."""
        if isinstance(request, ImageRequest) and "image" in self.makes:
            fields: dict[str, Any] = pictures.picture_fields(self.model, request, strict=self.host.strict)
            # What is small takes less than a turn of a thread.
            asked = (
                await asyncio.to_thread(pictures.exchange, self.host, fields, request)
                if request.references
                else pictures.exchange(self.host, fields, request)
            )
            reply = await self.host.order(asked, large=True)
            if reply.spools or len(reply.body) > LONG:
                return await asyncio.to_thread(pictures.drawn, self.host, reply)
            return pictures.drawn(self.host, reply)
        self.check(request)
        assert isinstance(request, VideoRequest)
        return await films.begin(self.host, films.film_form(self.model, request, strict=self.host.strict))

    async def poll(self, task: str) -> TaskState:
        """A look at a film; or the pictures once more, which could not be kept."""
        if (found := pictures.again(self.host, task)) is not None:
            return found
        return await films.look(self.host, task)

    async def cancel(self, task: str) -> None:
        """Delete a film; of pictures there is nothing to stop."""
        if "video" in self.makes and pictures.again(self.host, task) is None:
            await films.drop(self.host, task)


class Draws(_Tasks):
    """A ``TaskProvider`` of pictures, up to ten in one task."""

    makes = frozenset({"image"})


class Films(_Tasks):
    """A ``TaskProvider`` of films."""

    makes = frozenset({"video"})


class Writes(Model):
    """A ``TranscriptionProvider``."""

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        """The text as it comes. Raises ``Refused`` for a file that is larger than ``max_file_size_mb``."""
        transcripts.check_size(request, self._settings.max_file_size_mb)
        return await transcripts.write(self.host, self.model, request)


class Everything(Speaks, _Tasks, Writes):
    """A model of which only its name is known: the server says what it can."""

    makes = frozenset({"image", "video"})
