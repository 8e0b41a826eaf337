"""Text to sound: ask the deployments of a model in turn until one has made its first bytes, in the format asked for."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from engines.codec import Codec
from engines.media import MIME, AudioFormat, AudioSpec
from gateway.blobs.store import Blob
from gateway.errors import InvalidRequest, NotFound
from gateway.ledger.cost import cost, failed, maybe, units, with_usage
from gateway.ledger.quote import quoted
from gateway.record import Used
from gateway.services.asking import Asker, Turn
from gateway.services.caching import SpeechCache
from gateway.services.caller import Caller
from gateway.services.flow import Flow
from gateway.services.guards import Guards
from gateway.services.options import without
from gateway.services.served import Served
from gateway.services.tasks import TEMPO, Submission, TaskService
from providers.base.contract import Audio, Checked, SpeechProvider, SpeechRequest, SpeechTasks, Usage, speaks
from providers.base.errors import Broken, ProviderError, Unavailable, Unsupported

TOKENS_PER_SECOND = 1250 / 60
"""Audio tokens in a second of speech: OpenAI prices gpt-4o-mini-tts at 12 USD a million and 0.015 USD a minute."""

CHARACTERS_PER_TOKEN = 4
"""OpenAI's rule of thumb for English text."""

_MADE = {known: AudioSpec(known) for known in AudioFormat}


@dataclass(slots=True)
class Speech:
    """Sound on its way: ``chunks`` has begun, and must be closed by whoever stops reading it.

    ``length`` is how many bytes there are in all, where that is known.
    """

    spec: AudioSpec
    chunks: Flow
    usage: Usage
    served: Served
    length: int | None = None


class SpeechService:
    """``speak`` for the server and for programs alike."""

    def __init__(
        self,
        asker: Asker,
        codec: Codec,
        tasks: TaskService,
        guards: Guards,
        *,
        drop_params: bool = False,
        cache: SpeechCache | None = None,
    ) -> None:
        self._asker = asker
        self._codec = codec
        self._tasks = tasks
        self._guards = guards
        self._drop_params = drop_params
        self._cache = cache

    def lone_model(self) -> str:
        """The one model that speaks, for a caller who names none. Raises ``InvalidRequest`` where there are more."""
        routes = self._asker.fleet.routes
        speaking = [
            group
            for group in routes.groups()
            if isinstance(routes.deployments(group)[0].provider, SpeechProvider | SpeechTasks)
        ]
        if len(speaking) != 1:
            raise InvalidRequest(
                "Missing required parameter: 'model'.", param="model", code="missing_required_parameter"
            )
        return speaking[0]

    async def speak(self, model: str, request: SpeechRequest, caller: Caller | None = None) -> Speech:
        """The first deployment of ``model`` that starts to speak.

        ``request.voice`` may be empty: then the deployment's own ``voice`` is used. Raises ``UnknownModel``,
        ``InvalidRequest`` or the ``ProviderError`` of the last deployment asked; also what ``Guards.screen`` raises
        and, where tasks are made, ``TaskService.finished``.
        """
        caller = caller or Caller()
        request = await self._guards.screen(model, request, caller)
        if caller.retry and (joined := await self._tasks.joined(caller, _shown(request))) is not None:
            return await self._from_tasks(joined, request)
        async with await self._tasks.admit(caller, model, [request]) as admitted, self._tasks.handing.alone(caller):
            # Budgets may have been waited for: another try of this call may have been handed over meanwhile.
            if caller.retry and (joined := await self._tasks.joined(caller, _shown(request))) is not None:
                admitted.release()
                return await self._from_tasks(joined, request)
            if self._cache is None or caller.dry_run:
                speech = await self._made(model, request, caller)
            else:
                speech = await self._cached(self._cache, model, request, caller)
            speech.chunks.at_end.append(admitted.carry(caller.record, speech.usage))
            return speech

    async def _cached(self, cache: SpeechCache, model: str, request: SpeechRequest, caller: Caller) -> Speech:
        """From the cache, or made and kept there."""
        fleet = self._asker.fleet
        group = fleet.routes.group(model)
        tags = caller.wishes.tags if fleet.rules.tagged else frozenset()  # they pick who answers
        place = cache.place((group, *sorted(tags)), request, caller.cache)
        if place is None:
            return await self._made(model, request, caller)
        if (kept := await cache.find(place)) is not None:
            caller.record.cached = True
            caller.record.used = with_usage(Used(characters=len(request.text)), kept.usage)
            caller.record.served_by(kept.served.model, kept.served.deployment, kept.served.provider)
            return Speech(_MADE[request.format], Flow(kept.chunks), kept.usage, kept.served)
        speech = await self._made(model, request, caller)
        chunks, speech.served = cache.keep(place, speech.chunks, speech.usage, speech.served)
        speech.chunks = Flow(chunks)
        return speech

    def _made(self, model: str, request: SpeechRequest, caller: Caller) -> Awaitable[Speech]:
        about = (caller.record, caller.wishes)
        return self._asker.first(model, "speech", about, partial(self._ask, request, caller))

    async def _ask(self, request: SpeechRequest, caller: Caller, turn: Turn) -> Speech:
        entry, provider = turn.deployment.entry, turn.deployment.provider
        wished = request
        if not request.voice and "voice" not in request.extra:
            request = replace(request, voice=entry.voice or "")
            if not request.voice:
                raise InvalidRequest(
                    "Missing required parameter: 'voice'. GET /v1/audio/voices lists the voices there are.",
                    param="voice",
                    code="missing_required_parameter",
                )
        request, dropped = without(request, entry.additional_drop_params)
        if not speaks(provider):
            parts = provider.parts(request) if isinstance(provider, SpeechTasks) else [request]
            shown = {**_shown(wished), TEMPO: request.speed / parts[0].speed}
            made = await self._tasks.submit_to(turn, "speech", parts, (shown, caller))
            turn.commit()
            served = replace(made.served, dropped=dropped + made.served.dropped)
            return await self._from_tasks(replace(made, served=served), request)
        drop = self._drop_params if entry.drop_params is None else entry.drop_params
        price, record = turn.deployment.price, caller.record
        if caller.dry_run:
            raise quoted(entry, price, [await _checked(provider, request, drop)])
        used = units(price, request)
        record.asks()
        try:
            audio, more = await _begin(provider, request, drop)
            record.served_by(turn.group, turn.deployment.key, entry.vendor)
            speech = await self._begun(audio, request.format, turn.served(dropped + more))
        except BaseException as error:
            whole = cost(price, used)
            record.costs.append(failed(error, whole) if isinstance(error, ProviderError) else maybe(whole))
            raise
        turn.held = True
        speech.chunks.at_end.append(turn.let_go)
        record.used, record.price, record.usage = used, price, speech.usage
        return speech

    async def _from_tasks(self, submission: Submission, request: SpeechRequest) -> Speech:
        """Wait for the tasks, and take their sounds, one after another, from where they are kept."""
        sounds = []
        for job in await self._tasks.finished(submission.jobs):
            blob = await self._tasks.output(job)
            if blob is None:
                raise NotFound(f"The sound of {job.id} is no longer kept.", code="output_expired")
            spec = next((AudioSpec(known) for known in AudioFormat if MIME[known].startswith(blob.media_type)), None)
            if spec is None:
                raise Broken(f"The provider made {blob.media_type}, which is no sound.", sent="yes")
            sounds.append((blob, spec))
        usage, tempo = Usage(characters=len(request.text)), float(submission.jobs[0].request.get(TEMPO, 1.0))
        if len(sounds) == 1:
            blob, spec = sounds[0]
            audio = Audio(spec, self._tasks.blobs.read(blob), usage, tempo)
        else:
            audio = Audio(AudioSpec(AudioFormat.PCM), self._samples(sounds), usage, tempo)
        return await self._begun(audio, request.format, submission.served)

    async def _samples(self, sounds: Sequence[tuple[Blob, AudioSpec]]) -> Any:
        """Several sounds as one, decoded, so that they are encoded in one go."""
        for blob, spec in sounds:
            chunks = self._codec.convert(self._tasks.blobs.read(blob), spec, AudioFormat.PCM)
            try:
                async for chunk in chunks:
                    yield chunk
            finally:
                await chunks.aclose()

    async def _begun(self, audio: Audio, wished: AudioFormat, served: Served) -> Speech:
        """Wait for the first bytes, so that a failure before them can still be answered, or answered by another."""
        made = self._codec.convert(audio.chunks, audio.spec, wished, tempo=audio.tempo)
        chunks = Flow(made)
        try:
            await chunks.begin()
        except BaseException:
            await chunks.aclose()
            raise
        length = audio.length if made is audio.chunks else None  # else it is made anew
        return Speech(_MADE[wished], chunks, audio.usage, served, length)


def _shown(request: SpeechRequest) -> dict[str, Any]:
    """What the rows of a call's tasks keep of it, and a retry is compared with. Of a described voice it is a digest:
    there may be a whole sound in it."""
    described = json.dumps(request.extra["voice"], sort_keys=True) if "voice" in request.extra else ""
    voice = f"sha256:{hashlib.sha256(described.encode()).hexdigest()}" if described else request.voice
    return {"prompt": request.text, "voice": voice, "speed": request.speed}


async def _begin(provider: SpeechProvider, request: SpeechRequest, drop: bool | None) -> tuple[Audio, tuple[str, ...]]:
    """The provider's sound, and what was left out for it where ``drop`` allows that."""
    dropped: tuple[str, ...] = ()
    while True:
        try:
            return await provider.speech(request), dropped
        except Unsupported as error:
            request, more = without(request, (error.param or "",)) if drop else (request, ())
            if not more:
                raise
            dropped += more


async def _checked(provider: SpeechProvider, request: SpeechRequest, drop: bool | None) -> SpeechRequest:
    """The request as it would be made, refused where that is known without asking anybody."""
    if provider.readiness().state == "unavailable":
        raise Unavailable("The model cannot answer now.", reason="unavailable")
    while isinstance(provider, Checked):
        try:
            provider.check(request)
            break
        except Unsupported as error:
            request, more = without(request, (error.param or "",)) if drop else (request, ())
            if not more:
                raise
    return request


def tokens(usage: Usage) -> tuple[int, int] | None:
    """Input and output tokens: the provider's own, else estimated from the size; ``None`` where that is unknown too."""
    given, made = usage.input_tokens, usage.output_tokens
    if given is None and usage.characters is not None:
        given = math.ceil(usage.characters / CHARACTERS_PER_TOKEN)
    if made is None and usage.audio_seconds is not None:
        made = math.ceil(usage.audio_seconds * TOKENS_PER_SECOND)
    return None if given is None or made is None else (given, made)
