"""Vertex AI on Google Cloud: Gemini's voices, Cloud Text-to-Speech's, Gemini's pictures, and films by Veo.

https://cloud.google.com/vertex-ai/generative-ai/docs. A voice such as ``en-US-Wavenet-D`` is Cloud Text-to-Speech's,
whatever the model; every other voice of a Gemini model is Gemini's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from engines.media import AudioFormat
from providers.base import errors, sieve
from providers.base.answer import Answer
from providers.base.auth.google import FILE_VARIABLE
from providers.base.contract import (
    Address,
    Audio,
    Failed,
    Provider,
    Readiness,
    SpeechRequest,
    Submitted,
    TaskRequest,
    TaskState,
    Voice,
)
from providers.base.dialects import gemini_pictures, gemini_speech, generate_content, google, operations, veo
from providers.base.dialects.options import flag
from providers.base.exchange import Exchange, Reply
from providers.base.price import Price
from providers.base.vendor import Facts, Resources, Vendor
from providers.vertex_ai import cloud
from providers.vertex_ai.account import LOCATION_VARIABLE, PROJECT_VARIABLE, Account, VertexSettings

# What other documents call a model of Vertex AI's, and what it is called there.
NAMES = {
    "gemini-2.5-flash-preview-tts": "gemini-2.5-flash-tts",
    "gemini-2.5-pro-preview-tts": "gemini-2.5-pro-tts",
}

_NAME = "Vertex AI"
_LARGEST = 7_000_000  # bytes of a picture that stands in a request
_OPTIONS = {**veo.OPTIONS, "generateAudio": flag}
_OPERATION = re.compile(
    r"projects/[\w.:-]{1,100}/locations/[\w-]{1,40}/publishers/google/models/[\w.-]{1,128}/operations/[\w.-]{1,256}",
    re.ASCII,
)


class _Vertex:
    """What all models have."""

    def __init__(self, model: str, account: Account) -> None:
        self._model = model
        self._account = account

    def readiness(self) -> Readiness:
        """Always ready: whether there are credentials is known when they are first asked for."""
        return Readiness("ready")

    def warm(self) -> None:
        """Nothing to load."""

    async def probe(self) -> Readiness:
        """Whether Google signs us in and knows the model; asking for its description is free."""
        headers = await self._account.headers()
        url = f"{self._account.root}/publishers/google/models/{quote(self._model, safe='')}"
        return google.known(await self._account.wire.call(Exchange(_NAME, "GET", url, headers)))


class CloudSpeech(_Vertex):
    """A model of Cloud Text-to-Speech (``chirp``) as a ``SpeechProvider``."""

    def voices(self) -> Sequence[Voice]:
        """Those behind OpenAI's names, then the names."""
        return cloud.listed()

    def check(self, request: SpeechRequest) -> None:
        """Raise what is known to be refused."""
        cloud.cloud_body(self._model, request)

    async def probe(self) -> Readiness:
        """Whether Google signs us in and lists its voices, which is free."""
        return await cloud.known(self._account)

    async def speech(self, request: SpeechRequest) -> Audio:
        """Ask for it; speeds above 2 are left to the gateway."""
        return await cloud.speak(self._account, self._model, request)


class GeminiSpeech(_Vertex):
    """A Gemini model as a ``SpeechProvider``."""

    def voices(self) -> Sequence[Voice]:
        """Gemini's, then OpenAI's names."""
        return generate_content.listed()

    def check(self, request: SpeechRequest) -> None:
        """Raise what is known to be refused."""
        make = cloud.cloud_body if cloud.is_cloud_voice(request) else generate_content.speech_body
        make(self._model, request)

    async def speech(self, request: SpeechRequest) -> Audio:
        """Ask for it. The speed of Gemini's voices is left to the gateway."""
        if cloud.is_cloud_voice(request):
            return await cloud.speak(self._account, self._model, request)
        return await gemini_speech.speak(_NAME, self._model, request, self._send)

    async def _send(self, body: Mapping[str, Any]) -> Answer:
        name = await self._account.model(quote(self._model, safe=""))
        headers = await self._account.headers()
        url = f"{self._account.root}/{name}:streamGenerateContent?alt=sse"
        return await self._account.wire.stream(
            Exchange(_NAME, "POST", url, headers, json=body, deadlines=gemini_speech.DEADLINES)
        )


class VertexImages(_Vertex):
    """A Gemini model that draws, as a ``TaskProvider``: the picture comes with the answer."""

    makes = frozenset({"image"})
    poll_interval = 1.0  # nobody is asked

    def check(self, request: TaskRequest) -> Mapping[str, str]:
        """Raise what Google would refuse; which size is made for OpenAI's others."""
        return gemini_pictures.plan(self._model, request, _LARGEST).adjusted

    async def submit(self, request: TaskRequest) -> Submitted:
        """Ask for the picture."""
        plan = gemini_pictures.plan(self._model, request, _LARGEST)
        headers = await self._account.headers()  # what fails here is surely not sent
        name = await self._account.model(quote(self._model, safe=""))

        async def send(body: Mapping[str, Any]) -> Reply:
            url = f"{self._account.root}/{name}:generateContent"
            deadlines, cap = gemini_pictures.DEADLINES, gemini_pictures.CAP
            exchange = Exchange(_NAME, "POST", url, headers, json=body, deadlines=deadlines, cap=cap)
            return await sieve.call(self._account.wire, exchange)

        return await gemini_pictures.draw(_NAME, plan, send)

    async def poll(self, task: str) -> TaskState:
        """It was in the answer."""
        return gemini_pictures.lost(_NAME, task)

    async def cancel(self, task: str) -> None:
        """There is nothing to stop."""


class VertexVideo(_Vertex):
    """One of Veo's models as a ``TaskProvider``. Its task is the operation's name; films come in its answer."""

    makes = frozenset({"video"})

    def __init__(self, model: str, account: Account, poll_interval: float) -> None:
        super().__init__(model, account)
        self.poll_interval = poll_interval

    def check(self, request: TaskRequest) -> Mapping[str, str]:
        """Raise what Google would refuse; nothing is made otherwise than asked."""
        veo.film_body(self._model, request, _OPTIONS)
        return {}

    async def submit(self, request: TaskRequest) -> Submitted:
        """Begin an operation."""
        body = veo.film_body(self._model, request, _OPTIONS)
        await self._account.headers()  # what fails here is surely not sent
        name = await self._account.model(quote(self._model, safe=""))
        return await operations.begun(_NAME, lambda: self._call(f"{name}:predictLongRunning", body), _OPERATION)

    async def poll(self, task: str) -> TaskState:
        """One look."""
        if not _OPERATION.fullmatch(task):
            return Failed(errors.Gone(f"{_NAME} no longer knows the task.", sent="yes"))
        model = task.partition("/operations/")[0]
        reply = await self._call(f"{model}:fetchPredictOperation", {"operationName": task})
        return await operations.looked(_NAME, reply, Address)

    async def cancel(self, task: str) -> None:
        """Google's operations of films cannot be stopped: it goes on there, and nobody looks at it any more."""

    async def _call(self, path: str, body: Mapping[str, Any]) -> Reply:
        headers = await self._account.headers()
        url = f"{self._account.root}/{path}"
        return await self._account.wire.call(
            Exchange(_NAME, "POST", url, headers, json=body, deadlines=operations.DEADLINES, cap=operations.CAP)
        )


async def _open(model: str, settings: VertexSettings, resources: Resources) -> Provider:
    model = NAMES.get(model, model)
    # Models from 3.8 on, and those of pictures from 3 on, are in no single region.
    drawing = gemini_pictures.draws(model)
    account = Account(settings, "global" if drawing or generate_content.verbatim(model) else "us-central1", resources)
    if drawing:
        return VertexImages(model, account)
    if model.startswith("veo-"):
        return VertexVideo(model, account, settings.poll_interval)
    return (GeminiSpeech if model.startswith("gemini-") else CloudSpeech)(model, account)


def _tokens(given: float, made: float) -> Price:
    """Of a million tokens in and out. What the voices of Cloud Text-to-Speech cost is not known: they report none."""
    source = "LiteLLM's map of prices"
    return Price(
        per_input_token=given / 1e6, per_output_token=made / 1e6, source=source, as_of="2026-11-20", exact=False
    )


_FLASH, _PRO = _tokens(0.50, 10), _tokens(1, 20)
_SPEECH: Mapping[str, tuple[str, Price | None]] = {
    "gemini-3.8-flash-tts": ("speech, word for word, 30 voices", None),
    "gemini-3.8-flash-lite-tts": ("the same, cheaper", None),
    "gemini-3.1-flash-tts-preview": ("speech, 30 voices", None),
    "gemini-2.5-flash-tts": ("speech, 30 voices, not streamed by Google", _FLASH),
    "gemini-2.5-pro-tts": ("the same, better and slower", _PRO),
    "gemini-2.5-flash-preview-tts": ("another name of gemini-2.5-flash-tts", _FLASH),
    "gemini-2.5-pro-preview-tts": ("another name of gemini-2.5-pro-tts", _PRO),
    "chirp": ("the voices of Cloud Text-to-Speech", None),
    "*": ("any other Gemini model that speaks (gemini-…) or draws (with -image in its name)", None),
}
_IMAGES = ("gemini-2.5-flash-image", "gemini-3.1-flash-image", "gemini-3-pro-image")
_FILMS = ("veo-3.1-generate-preview", "veo-3.1-fast-generate-preview")

VENDOR = Vendor(
    name="vertex_ai",
    models={
        name: Facts(
            "audio_speech",
            VertexSettings,
            *known,
            formats=(AudioFormat.PCM,),
            streams=None if name == "*" else not name.startswith(("gemini-2.5-", "chirp")),
        )
        for name, known in _SPEECH.items()
    }
    | {name: Facts("image_generation", VertexSettings, "pictures") for name in _IMAGES}
    | {name: Facts("video_generation", VertexSettings, "films of 4, 6 or 8 s") for name in _FILMS},
    open=_open,
    env={
        "vertex_credentials": (FILE_VARIABLE,),
        "vertex_project": (PROJECT_VARIABLE,),
        "vertex_location": (LOCATION_VARIABLE,),
    },
    docs="https://cloud.google.com/vertex-ai/generative-ai/docs",
)
