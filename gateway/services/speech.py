"""Text to sound: ask the deployments of a model in turn until one has made its first bytes, in the format asked for."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Self

from engines.codec import Codec, CodecError
from engines.media import MIME, SAMPLE_RATE, AudioFormat, AudioSpec, ByteStream
from gateway.errors import InvalidRequest, NotFound
from gateway.policy.routing import Candidate, Routes
from gateway.services.deployments import Deployment
from gateway.services.options import without
from gateway.services.served import Served
from gateway.services.tasks import Caller, Submission, TaskService
from providers.base.contract import Audio, SpeechProvider, SpeechRequest, TaskProvider, Usage
from providers.base.errors import Broken, ProviderError, Unavailable, Unsupported

_log = logging.getLogger(__name__)

TOKENS_PER_SECOND = 1250 / 60
"""Audio tokens in a second of speech: OpenAI prices gpt-4o-mini-tts at 12 USD a million and 0.015 USD a minute."""

CHARACTERS_PER_TOKEN = 4
"""OpenAI's rule of thumb for English text."""


@dataclass(slots=True)
class Speech:
    """Sound on its way: ``chunks`` has begun, and must be closed by whoever stops reading it."""

    spec: AudioSpec
    chunks: ByteStream
    usage: Usage
    served: Served


class SpeechService:
    """``speak`` for the server and for programs alike."""

    def __init__(
        self, routes: Routes[Deployment], codec: Codec, tasks: TaskService, *, drop_params: bool = False
    ) -> None:
        self._routes = routes
        self._codec = codec
        self._tasks = tasks
        self._drop_params = drop_params

    async def speak(self, model: str, request: SpeechRequest, caller: Caller | None = None) -> Speech:
        """The first deployment of ``model`` that starts to speak.

        ``request.voice`` may be empty: then the deployment's own ``voice`` is used. Raises ``UnknownModel``,
        ``InvalidRequest`` or the ``ProviderError`` of the last deployment asked; where that makes tasks, also what
        ``TaskService.finished`` raises.
        """
        caller = caller or Caller()
        if (joined := await self._tasks.joined(caller, {"prompt": request.text})) is not None:
            return await self._from_task(joined, request)
        candidates = self._routes.candidates(model)
        reason = ""
        for place, candidate in enumerate(candidates):
            try:
                return await self._ask(candidate, request, reason, caller)
            except ProviderError as error:
                if not error.falls_back or place == len(candidates) - 1:
                    raise
                reason = error.reason if isinstance(error, Unavailable) else error.code
                _log.info("%s cannot answer (%s), asking the next deployment", candidate.group, error)
        raise AssertionError("a group has at least one deployment")

    async def _ask(
        self, candidate: Candidate[Deployment], request: SpeechRequest, reason: str, caller: Caller
    ) -> Speech:
        entry, provider = candidate.deployment.entry, candidate.deployment.provider
        tasked = isinstance(provider, TaskProvider) and "speech" in provider.makes
        if not tasked and not isinstance(provider, SpeechProvider):
            raise InvalidRequest(f"The model '{candidate.group}' does not make speech.", param="model")
        voice = request.voice or entry.voice
        if not voice:
            raise InvalidRequest(
                "Missing required parameter: 'voice'. GET /v1/audio/voices lists the voices there are.",
                param="voice",
                code="missing_required_parameter",
            )
        request = replace(request, voice=voice)
        if not isinstance(provider, SpeechProvider):
            about = ({"prompt": request.text}, caller, reason)
            return await self._from_task(await self._tasks.submit_to(candidate, "speech", [request], about), request)
        request, dropped = without(request, entry.additional_drop_params)
        drop = self._drop_params if entry.drop_params is None else entry.drop_params
        while True:
            try:
                audio = await provider.speech(request)
                break
            except Unsupported as error:
                request, more = without(request, (error.param or "",)) if drop else (request, ())
                if not more:
                    raise
                dropped += more
        why = reason if candidate.stands_in_for else None
        key = candidate.deployment.key
        caller.record.served_by(candidate.group, key, entry.vendor)
        served = Served(candidate.group, entry.vendor, candidate.stands_in_for, why, dropped, deployment=key)
        return await self._begun(audio, request.format, served)

    async def _from_task(self, submission: Submission, request: SpeechRequest) -> Speech:
        """Wait for the task, and take its sound from where it is kept."""
        (job,) = await self._tasks.finished(submission.jobs)
        blob = await self._tasks.output(job)
        if blob is None:
            raise NotFound(f"The sound of {job.id} is no longer kept.", code="output_expired")
        spec = next((AudioSpec(known) for known in AudioFormat if MIME[known].startswith(blob.media_type)), None)
        if spec is None:
            raise Broken(f"The provider made {blob.media_type}, which is no sound.", sent="yes")
        audio = Audio(spec, self._tasks.blobs.read(blob), Usage(characters=len(request.text)))
        return await self._begun(audio, request.format, submission.served)

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
