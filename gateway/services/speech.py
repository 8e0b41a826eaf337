"""Text to sound: ask the deployments of a model in turn until one has made its first bytes, in the format asked for."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from engines.codec import Codec, CodecError
from engines.media import SAMPLE_RATE, AudioFormat, AudioSpec, ByteStream
from gateway.errors import InvalidRequest
from gateway.policy.routing import Candidate, Routes
from gateway.services.deployments import Deployment
from providers.base.contract import Audio, SpeechProvider, SpeechRequest, Usage
from providers.base.errors import Broken, ProviderError, Unavailable, Unsupported

_log = logging.getLogger(__name__)

TOKENS_PER_SECOND = 1250 / 60
"""Audio tokens in a second of speech: OpenAI prices gpt-4o-mini-tts at 12 USD a million and 0.015 USD a minute."""

CHARACTERS_PER_TOKEN = 4
"""OpenAI's rule of thumb for English text."""


@dataclass(frozen=True, slots=True)
class Served:
    """Who answered. ``stands_in_for`` and ``reason`` are set where it is not the model asked for."""

    model: str
    provider: str
    stands_in_for: str | None = None
    reason: str | None = None
    dropped: tuple[str, ...] = ()


@dataclass(slots=True)
class Speech:
    """Sound on its way: ``chunks`` has begun, and must be closed by whoever stops reading it."""

    spec: AudioSpec
    chunks: ByteStream
    usage: Usage
    served: Served


class SpeechService:
    """``speak`` for the server and for programs alike."""

    def __init__(self, routes: Routes[Deployment], codec: Codec, *, drop_params: bool = False) -> None:
        self._routes = routes
        self._codec = codec
        self._drop_params = drop_params

    async def speak(self, model: str, request: SpeechRequest) -> Speech:
        """The first deployment of ``model`` that starts to speak.

        ``request.voice`` may be empty: then the deployment's own ``voice`` is used. Raises ``UnknownModel``,
        ``InvalidRequest`` or the ``ProviderError`` of the last deployment asked.
        """
        candidates = self._routes.candidates(model)
        reason = ""
        for place, candidate in enumerate(candidates):
            try:
                return await self._ask(candidate, request, reason)
            except ProviderError as error:
                if not error.falls_back or place == len(candidates) - 1:
                    raise
                reason = error.reason if isinstance(error, Unavailable) else error.code
                _log.info("%s cannot answer (%s), asking the next deployment", candidate.group, error)
        raise AssertionError("a group has at least one deployment")

    async def _ask(self, candidate: Candidate[Deployment], request: SpeechRequest, reason: str) -> Speech:
        entry, provider = candidate.deployment.entry, candidate.deployment.provider
        if not isinstance(provider, SpeechProvider):
            raise InvalidRequest(f"The model '{candidate.group}' does not make speech.", param="model")
        voice = request.voice or entry.voice
        if not voice:
            raise InvalidRequest(
                "Missing required parameter: 'voice'. GET /v1/audio/voices lists the voices there are.",
                param="voice",
                code="missing_required_parameter",
            )
        request, dropped = _without(replace(request, voice=voice), entry.additional_drop_params)
        drop = self._drop_params if entry.drop_params is None else entry.drop_params
        while True:
            try:
                audio = await provider.speech(request)
                break
            except Unsupported as error:
                request, more = _without(request, (error.param or "",)) if drop else (request, ())
                if not more:
                    raise
                dropped += more
        served = Served(
            candidate.group, entry.vendor, candidate.stands_in_for, reason if candidate.stands_in_for else None, dropped
        )
        return await self._begun(audio, request.format, served)

    async def _begun(self, audio: Audio, wished: AudioFormat, served: Served) -> Speech:
        """Wait for the first bytes, so that a failure before them can still be answered, or answered by another."""
        chunks = _Faithful(self._codec.convert(audio.chunks, audio.spec, wished, tempo=audio.tempo))
        try:
            await chunks.begin()
        except BaseException:
            await chunks.aclose()
            raise
        return Speech(AudioSpec(wished, SAMPLE_RATE), chunks, audio.usage, served)


class _Faithful:
    """A stream whose first chunk can be waited for, and whose codec errors are the provider's failure."""

    def __init__(self, chunks: ByteStream) -> None:
        self._chunks = chunks
        self._first: bytes | None = None

    async def begin(self) -> None:
        self._first = await self._next()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        chunk = await self._next() if first is None else first
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        await self._chunks.aclose()

    async def _next(self) -> bytes:
        try:
            return await anext(self._chunks, b"")
        except CodecError as error:
            raise Broken(f"The provider's audio is damaged: {error}", sent="yes") from error


def tokens(usage: Usage) -> tuple[int, int] | None:
    """Input and output tokens: the provider's own, else estimated from the size; ``None`` where that is unknown too."""
    given, made = usage.input_tokens, usage.output_tokens
    if given is None and usage.characters is not None:
        given = math.ceil(usage.characters / CHARACTERS_PER_TOKEN)
    if made is None and usage.audio_seconds is not None:
        made = math.ceil(usage.audio_seconds * TOKENS_PER_SECOND)
    return None if given is None or made is None else (given, made)


def _without(request: SpeechRequest, options: Sequence[str]) -> tuple[SpeechRequest, tuple[str, ...]]:
    """``request`` with ``options`` left out, and which of them it had."""
    dropped = tuple(name for name in options if name in request.extra)
    if dropped:
        request = replace(request, extra={name: v for name, v in request.extra.items() if name not in dropped})
    if "instructions" in options and request.instructions is not None:
        request, dropped = replace(request, instructions=None), (*dropped, "instructions")
    if "speed" in options and request.speed != 1.0:
        request, dropped = replace(request, speed=1.0), (*dropped, "speed")
    return request, dropped
