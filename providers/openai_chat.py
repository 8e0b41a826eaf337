"""Chat models that speak, of OpenAI or of any server that is compatible with it, as ``/v1/audio/speech``.

https://platform.openai.com/docs/guides/audio. The model is told to read the text aloud; it may not keep to every word.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from pydantic import Field, SecretStr

from engines.media import AudioFormat
from providers.base import errors
from providers.base.answer import Answer
from providers.base.contract import Audio, Provider, Readiness, SpeechRequest, Usage, Voice
from providers.base.dialects.chat_audio import VOICES, Chunks, chat_body, refused
from providers.base.dialects.event_sound import EventSound
from providers.base.exchange import Deadlines, Exchange
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts, Resources, Vendor
from providers.base.wire import Wire

API = "https://api.openai.com/v1"
KEY_VARIABLE, BASE_VARIABLES = "OPENAI_API_KEY", ("OPENAI_BASE_URL", "OPENAI_API_BASE")

_NAME = "The chat model"
_DEADLINES = Deadlines(first_byte=120.0, idle=120.0, total=900.0)


class ChatSettings(VendorSettings):
    """``api_base`` is what ``/chat/completions`` stands under; ``voices`` are the server's, where not OpenAI's."""

    api_key: SecretStr | None = None
    api_base: str | None = Field(None, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    voices: tuple[str, ...] = Field((), max_length=1000)


class ChatSpeech:
    """One model as a ``SpeechProvider``."""

    def __init__(self, model: str, settings: ChatSettings, wire: Wire) -> None:
        self._model = model
        self._wire = wire
        base = settings.api_base or next(filter(None, map(os.environ.get, BASE_VARIABLES)), API)
        self._base = base.rstrip("/")
        # OpenAI's own key is not shown to a server that the config names without one.
        shared = settings.api_base is None or self._base == API
        variable = os.environ.get(KEY_VARIABLE) if shared else None
        self._key = settings.api_key or (SecretStr(variable) if variable else None)
        self._voices = settings.voices or VOICES
        self._closed = bool(settings.voices) or self._base == API

    def readiness(self) -> Readiness:
        """Whether there is a key, where there has to be one."""
        if self._key is None and self._base == API:
            return Readiness("unavailable", f"no API key: set {KEY_VARIABLE} or api_key in the config.")
        return Readiness("ready")

    def warm(self) -> None:
        """Nothing to load."""

    def voices(self) -> Sequence[Voice]:
        """Those of the config, else OpenAI's."""
        return [Voice(name, name, "mul") for name in self._voices]

    def check(self, request: SpeechRequest) -> dict[str, Any]:
        """Raise what is known to be refused; what would be sent."""
        voice = request.voice.lower() if request.voice.lower() in self._voices else request.voice
        if self._closed and voice not in self._voices and not voice.startswith("voice_"):
            there = ", ".join(self._voices[:50])
            raise errors.Refused(f"{self._model} has no voice {voice[:100]!r}; it has {there}", param="voice")
        return chat_body(self._model, replace(request, voice=voice))

    async def speech(self, request: SpeechRequest) -> Audio:
        """Ask for it. The speed is left to the gateway."""
        body = self.check(request)
        if self._key is None and self._base == API:
            raise errors.Unavailable("There is no key for OpenAI in this gateway.", reason="no_key")
        answer = await self._send(body)
        if answer.status != 200:
            raise refused(await answer.reply())
        usage = Usage(characters=len(request.text))
        reader = Chunks(_NAME, usage)
        events = _Whole(answer) if answer.content_type == "application/json" else answer
        sound = EventSound(events, reader, usage, request.speed)
        if await sound.begin() and reader.spec is not None:
            return Audio(reader.spec, sound, usage, request.speed)
        await sound.aclose()
        raise reader.silence()

    async def _send(self, body: Mapping[str, Any]) -> Answer:
        headers = {} if self._key is None else {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        url = f"{self._base}/chat/completions"
        return await self._wire.stream(Exchange(_NAME, "POST", url, headers, json=body, deadlines=_DEADLINES))


class _Whole:
    """A completion that came whole, from a server that does not stream, as one event."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._begun = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        begun, self._begun = self._begun, True
        piece = await anext(self._answer)
        return (b"" if begun else b"data: ") + piece.replace(b"\n", b" ")

    async def aclose(self) -> None:
        await self._answer.aclose()


async def _open(model: str, settings: ChatSettings, resources: Resources) -> Provider:
    return ChatSpeech(model, settings, resources.shared(Wire, Wire))


VENDOR = Vendor(
    name="openai_chat",
    models={"*": Facts("audio_speech", ChatSettings, "any chat model with audio output", formats=(AudioFormat.PCM,))},
    open=_open,
    env={"api_key": (KEY_VARIABLE,), "api_base": BASE_VARIABLES},
    docs="https://platform.openai.com/docs/guides/audio",
)
