"""Google's Gemini API: speech through ``streamGenerateContent``, pictures, films (Veo) as long-running operations.

https://ai.google.dev/gemini-api/docs. Files that Veo makes are fetched with the key, which goes to no other host.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr

from engines.media import AudioFormat
from providers.base import errors, sieve
from providers.base.answer import Answer
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
from providers.base.exchange import Exchange, Reply
from providers.base.price import Price, Rate
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts, Resources, Vendor
from providers.base.wire import Wire

API = "https://generativelanguage.googleapis.com"
KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
BASE_VARIABLE = "GOOGLE_GEMINI_BASE_URL"

_NAME = "Gemini"
_FILM = "films of 4, 6 or 8 s"
_OPERATION = re.compile(r"models/[\w.-]{1,128}/operations/[\w.-]{1,256}", re.ASCII)


class GeminiSettings(VendorSettings):
    """``api_base`` with or without the version, which ``api_version`` chooses where it is not in there."""

    api_key: SecretStr | None = None
    api_base: str | None = Field(None, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    api_version: Literal["v1", "v1beta"] = "v1beta"


class GeminiVideoSettings(GeminiSettings):
    """``poll_interval``: seconds between two looks at a film that is being made."""

    poll_interval: float = Field(10.0, ge=1.0, le=300.0)


class Account:
    """Where the API is, and with which key."""

    def __init__(self, settings: GeminiSettings) -> None:
        self.base = (settings.api_base or os.environ.get(BASE_VARIABLE) or API).rstrip("/")
        versioned = self.base.rpartition("/")[2] in ("v1", "v1beta")
        self.root = self.base if versioned else f"{self.base}/{settings.api_version}"
        variable = next((name for name in KEY_VARIABLES if os.environ.get(name)), None)
        self._key = settings.api_key or (SecretStr(os.environ[variable]) if variable else None)

    def readiness(self) -> Readiness:
        """Whether there is a key. Nobody is asked whether it is a good one."""
        if self._key is None:
            return Readiness("unavailable", f"no API key: set {KEY_VARIABLES[0]} or api_key in the config.")
        return Readiness("ready")

    def headers(self) -> dict[str, str]:
        """The key's header. Raises ``Unavailable`` where there is none."""
        if self._key is None:
            raise errors.Unavailable(f"There is no key for {_NAME} in this gateway.", reason="no_key")
        return {"x-goog-api-key": self._key.get_secret_value()}

    async def known(self, model: str, wire: Wire) -> Readiness:
        """Ask for a model's description: free, and only with a key that is good."""
        url = f"{self.root}/models/{quote(model, safe='')}"
        return google.known(await wire.call(Exchange(_NAME, "GET", url, self.headers())))


class _Gemini:
    """What all models have."""

    def __init__(self, model: str, settings: GeminiSettings, wire: Wire) -> None:
        self._model = model
        self._account = Account(settings)
        self._wire = wire

    def readiness(self) -> Readiness:
        """Whether there is a key."""
        return self._account.readiness()

    def warm(self) -> None:
        """Nothing to load."""

    async def probe(self) -> Readiness:
        """Whether Google knows the key and the model."""
        return await self._account.known(self._model, self._wire)


class GeminiSpeech(_Gemini):
    """One model that speaks, as a ``SpeechProvider``."""

    def voices(self) -> Sequence[Voice]:
        """The thirty prebuilt ones, then OpenAI's names."""
        return generate_content.listed()

    def check(self, request: SpeechRequest) -> None:
        """Raise what is known to be refused."""
        generate_content.speech_body(self._model, request)

    async def speech(self, request: SpeechRequest) -> Audio:
        """Ask for it. The speed is left to the gateway: Gemini has none."""
        return await gemini_speech.speak(_NAME, self._model, request, self._send)

    async def _send(self, body: Mapping[str, Any]) -> Answer:
        url = f"{self._account.root}/models/{quote(self._model, safe='')}:streamGenerateContent?alt=sse"
        headers = self._account.headers()
        return await self._wire.stream(
            Exchange(_NAME, "POST", url, headers, json=body, deadlines=gemini_speech.DEADLINES)
        )


class GeminiImages(_Gemini):
    """One model that draws, as a ``TaskProvider``: the picture comes with the answer."""

    makes = frozenset({"image"})
    poll_interval = 1.0  # nobody is asked

    def check(self, request: TaskRequest) -> Mapping[str, str]:
        """Raise what Google would refuse; which size is made for OpenAI's others."""
        return gemini_pictures.plan(self._model, request).adjusted

    async def submit(self, request: TaskRequest) -> Submitted:
        """Ask for the picture."""
        return await gemini_pictures.draw(_NAME, gemini_pictures.plan(self._model, request), self._send)

    async def poll(self, task: str) -> TaskState:
        """It was in the answer."""
        return gemini_pictures.lost(_NAME, task)

    async def cancel(self, task: str) -> None:
        """There is nothing to stop."""

    async def _send(self, body: Mapping[str, Any]) -> Reply:
        url = f"{self._account.root}/models/{quote(self._model, safe='')}:generateContent"
        deadlines, cap = gemini_pictures.DEADLINES, gemini_pictures.CAP
        exchange = Exchange(_NAME, "POST", url, self._account.headers(), json=body, deadlines=deadlines, cap=cap)
        return await sieve.call(self._wire, exchange)


class GeminiVideo(_Gemini):
    """One of Veo's models as a ``TaskProvider``. Its task is the operation's name."""

    makes = frozenset({"video"})

    def __init__(self, model: str, settings: GeminiVideoSettings, wire: Wire) -> None:
        super().__init__(model, settings, wire)
        self.poll_interval = settings.poll_interval

    def check(self, request: TaskRequest) -> Mapping[str, str]:
        """Raise what Google would refuse; nothing is made otherwise than asked."""
        veo.film_body(self._model, request)
        return {}

    async def submit(self, request: TaskRequest) -> Submitted:
        """Begin an operation."""
        body = veo.film_body(self._model, request)
        path = f"models/{quote(self._model, safe='')}:predictLongRunning"
        return await operations.begun(_NAME, lambda: self._call("POST", path, body), _OPERATION)

    async def poll(self, task: str) -> TaskState:
        """One look."""
        if not _OPERATION.fullmatch(task):
            return Failed(errors.Gone(f"{_NAME} no longer knows the task.", sent="yes"))
        return await operations.looked(_NAME, await self._call("GET", task), self._address)

    async def cancel(self, task: str) -> None:
        """Google's operations of films cannot be stopped: it goes on there, and nobody looks at it any more."""

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        url, headers = f"{self._account.root}/{path}", self._account.headers()
        return await self._wire.call(Exchange(_NAME, method, url, headers, json=body, deadlines=operations.DEADLINES))

    def _address(self, uri: str) -> Address:
        base = urlsplit(self._account.base)
        trusted = frozenset({base.netloc}) if self._account.base != API else frozenset()
        ours = uri.startswith(f"{base.scheme}://{base.netloc}/")
        return Address(uri, trusted, self._account.headers() if ours else {})


async def _open(model: str, settings: GeminiSettings, resources: Resources) -> Provider:
    wire = resources.shared(Wire, Wire)
    if isinstance(settings, GeminiVideoSettings):
        return GeminiVideo(model, settings, wire)
    return (GeminiImages if gemini_pictures.draws(model) else GeminiSpeech)(model, settings, wire)


# The list of prices of Google's, for a million tokens in and out, and for a second of film.
_SOURCE, _AS_OF = "https://ai.google.dev/gemini-api/docs/pricing", "2026-11-20"


def _tokens(given: float, made: float) -> Price:
    return Price(per_input_token=given / 1e6, per_output_token=made / 1e6, source=_SOURCE, as_of=_AS_OF)


def _seconds(usd: float, **sizes: float) -> Price:
    rates = tuple(Rate(rate, {"size": size.removeprefix("_")}) for size, rate in sizes.items())
    return Price(per_video_second=usd, rates=rates, size=veo.SIZE, seconds=veo.SECOND, source=_SOURCE, as_of=_AS_OF)


_SPEECH: Mapping[str, tuple[str, Price | None]] = {
    "gemini-3.8-flash-tts": ("speech, word for word, 30 voices", _tokens(0.50, 9)),
    "gemini-3.8-flash-lite-tts": ("the same, cheaper", _tokens(0.50, 6)),  # until the end of 2026; then twice as much
    "gemini-3.1-flash-tts-preview": ("speech, 30 voices", _tokens(1, 20)),
    "gemini-2.5-flash-preview-tts": ("speech, 30 voices, not streamed by Google", _tokens(0.50, 10)),
    "gemini-2.5-pro-preview-tts": ("the same, better and slower", _tokens(1, 20)),
    "*": ("any other model that speaks, or draws (with -image in its name)", None),
}
# What goes in is charged by tokens besides, at prices that are not known here: so these are hints.
_IMAGES = {
    "gemini-2.5-flash-image": Price(per_image=0.039, source=_SOURCE, as_of=_AS_OF, exact=False),
    "gemini-3.1-flash-image": Price(per_output_token=60e-6, source=_SOURCE, as_of=_AS_OF, exact=False),
    "gemini-3.1-flash-lite-image": Price(per_image=0.0336, source=_SOURCE, as_of=_AS_OF, exact=False),
    "gemini-3-pro-image": Price(per_output_token=120e-6, source=_SOURCE, as_of=_AS_OF, exact=False),
    "gemini-nano-banana-2.1": Price(per_image=0.0336, source=_SOURCE, as_of=_AS_OF, exact=False),
}
_FILMS = {
    "veo-3.1-generate-preview": _seconds(0.40, _4k=0.60),
    "veo-3.1-fast-generate-preview": _seconds(0.10, _1080p=0.12, _4k=0.30),
    "veo-3.1-lite-generate-preview": _seconds(0.05, _1080p=0.08, _4k=math.nan),  # nobody says what 4K costs
}

VENDOR = Vendor(
    name="gemini",
    models={
        name: Facts(
            "audio_speech",
            GeminiSettings,
            *known,
            formats=(AudioFormat.PCM,),
            streams=None if name == "*" else not name.startswith("gemini-2.5-"),
        )
        for name, known in _SPEECH.items()
    }
    | {name: Facts("image_generation", GeminiSettings, "pictures", price) for name, price in _IMAGES.items()}
    | {name: Facts("video_generation", GeminiVideoSettings, _FILM, price) for name, price in _FILMS.items()},
    open=_open,
    env={"api_key": KEY_VARIABLES, "api_base": (BASE_VARIABLE,)},
    docs="https://ai.google.dev/gemini-api/docs",
)
