"""``POST /v1/audio/speech`` as OpenAI documents it (https://platform.openai.com/docs/api-reference/audio)."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator

from engines.media import SAMPLE_RATE, AudioFormat, content_type
from gateway.api.auth import KeyCheck
from gateway.api.body import read_body
from gateway.api.caller import Guardrails, caller, passed_on
from gateway.api.errors import error_body, invalid
from gateway.api.http import Call, Endpoint, Header
from gateway.api.served import served_headers
from gateway.api.stream import StreamBroken, send_stream, while_connected
from gateway.config import GeneralSettings
from gateway.ledger.row import own_cost
from gateway.policy.caching import CacheWishes
from gateway.services.speech import Speech, SpeechService, tokens
from providers.base.contract import SpeechRequest
from providers.base.errors import ProviderError


class VoiceId(BaseModel):
    """A custom voice."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(min_length=1, max_length=256)


def _form(value: object) -> str:
    if not isinstance(value, dict):
        return "text"
    return "vendor" if value and "id" not in value else "object"


# Told apart by hand: else a fault in one form is reported for the other ones too.
Voice = Annotated[
    Annotated[str, Field(strict=True, min_length=1, max_length=256), Tag("text")]
    | Annotated[VoiceId, Tag("object")]
    | Annotated[dict[str, Any], Tag("vendor")],
    Discriminator(_form),
]


class CacheControl(BaseModel):
    """LiteLLM's ``cache`` of a call: for the gateway, never for a provider. Times are seconds."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    no_cache: bool = Field(default=False, alias="no-cache", description="Take nothing that is kept.")
    no_store: bool = Field(default=False, alias="no-store", description="Keep nothing of this call.")
    use_cache: bool = Field(default=False, alias="use-cache", description="For `mode: default_off`.")
    ttl: float | None = Field(None, gt=0, description="How long to keep it.")
    s_maxage: float | None = Field(None, ge=0, alias="s-maxage", description="How old what is kept may be.")
    namespace: str = Field("", max_length=256, description="Share answers only with calls of the same.")

    def wishes(self) -> CacheWishes:
        """The same in the policy's words."""
        return CacheWishes(self.no_cache, self.no_store, self.use_cache, self.ttl, self.s_maxage, self.namespace)


class SpeechBody(BaseModel):
    """The JSON body. Fields that OpenAI does not know go to the provider, which refuses what it cannot honour."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, title="CreateSpeechRequest")

    model: Annotated[
        str,
        Field(
            strict=True,
            min_length=1,
            max_length=256,
            description="A name of `model_list`; optional where one model alone speaks.",
        ),
    ] = ""
    input: Annotated[str, Field(strict=True, min_length=1, max_length=4096, description="The text to speak.")]
    voice: Voice | None = Field(
        None,
        description="A voice of the model, one of OpenAI's names, `{id}`, or another object as the model's "
        "provider documents; optional where the config has a default.",
    )
    instructions: Annotated[str, Field(strict=True, max_length=4096)] | None = None
    response_format: AudioFormat | None = Field(None, description="Default: mp3.")
    speed: Annotated[float, Field(strict=True, ge=0.25, le=4.0)] | None = Field(None, description="Default: 1.")
    stream_format: Literal["audio", "sse"] | None = Field(None, description="Default: audio.")
    guardrails: Guardrails = None
    cache: CacheControl | None = Field(None, description="What to do with the cache, where there is one.")

    @field_validator("input")
    @classmethod
    def _speakable(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("it is only white space")
        return text

    def request(self) -> SpeechRequest:
        """The same in the contract's words."""
        described = {"voice": self.voice} if isinstance(self.voice, dict) else {}
        voice = self.voice.id if isinstance(self.voice, VoiceId) else self.voice
        return SpeechRequest(
            text=self.input,
            voice=voice if isinstance(voice, str) else "",
            format=self.response_format or AudioFormat.MP3,
            speed=1.0 if self.speed is None else self.speed,
            instructions=self.instructions or None,
            extra=passed_on(self.model_extra) | described,
        )


def speech_endpoint(service: Callable[[], SpeechService], settings: GeneralSettings, keys: KeyCheck) -> Endpoint:
    """The plain ASGI endpoint. ``service`` is asked for at each call, since it opens after the routes are laid."""
    limit = int(settings.max_request_size_mb * 1024 * 1024)

    async def create_speech(call: Call) -> None:
        raw = await read_body(call, limit, settings.body_timeout)
        try:
            body = SpeechBody.model_validate_json(raw)
        except ValidationError as error:
            raise invalid(error) from None
        model = body.model or service().lone_model()
        call.record.kind, call.record.model = "speech", model
        with while_connected(call):
            who = caller(keys, call, raw, body)
            if body.cache is not None:
                who = replace(who, cache=body.cache.wishes())
            speech = await service().speak(model, body.request(), who)
            try:
                chunks, media, headers, length = _answer(call, speech, sse=body.stream_format == "sse")
                await send_stream(call, chunks, media, headers, settings.stall_timeout, length)
            finally:
                await speech.chunks.aclose()

    return create_speech


def _answer(call: Call, speech: Speech, *, sse: bool) -> tuple[AsyncIterator[bytes], str, list[Header], int | None]:
    """What is sent, its type, its headers and its length."""
    headers = served_headers(speech.served)
    if sse:
        headers.append((b"cache-control", b"no-cache"))
        return _events(call, speech), "text/event-stream; charset=utf-8", headers, None
    if speech.spec.format is AudioFormat.PCM:
        headers.append((b"x-sample-rate", str(SAMPLE_RATE).encode()))
    return speech.chunks, content_type(speech.spec), headers, speech.length


async def _events(call: Call, speech: Speech) -> AsyncIterator[bytes]:
    try:
        async for chunk in speech.chunks:
            yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(chunk).decode("ascii")})
    except ProviderError as error:
        # OpenAI's SDKs raise for an event whose data has an `error`.
        yield _event(error_body(error))
        raise StreamBroken(str(error)) from error
    done: dict[str, Any] = {"type": "speech.audio.done"}
    if (counted := tokens(speech.usage)) is not None:
        given, made = counted
        done["usage"] = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
    if (cost := own_cost(call.record)) is not None:
        done["x_media_gateway_cost"] = {"usd": cost.usd, "certainty": cost.certainty}
    yield _event(done)


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"
