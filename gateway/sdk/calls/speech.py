"""Speech, whole or as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from engines.media import SAMPLE_RATE, AudioFormat, AudioSpec, content_type
from gateway.api.speech import SpeechBody
from gateway.errors import InvalidRequest
from gateway.ledger.row import cost_by_now
from gateway.sdk.calls.call import HOUSE, Call, told, whole
from gateway.sdk.sounds import SpeechResponse
from gateway.services.speech import Speech, tokens
from providers.base.contract import Usage

_DEFAULT_VOICE = "alloy"
_SSE = "stream_format must be 'audio' here; with stream=True the sound comes as it is made."
_BROKEN = "The sound was closed, or broke off, before its end."


async def speech(model: object, text: object, voice: object, options: Mapping[str, Any]) -> SpeechResponse | Sound:
    """``gateway.sdk.speech``."""
    with told(model):
        call = Call("speech", model, options)
        services = await call.opened()
        stream = call.fields.pop("stream", False)
        if not isinstance(stream, bool):
            raise InvalidRequest("stream must be true or false.", param="stream")
        if voice is None and call.group != call.model:
            voice = _DEFAULT_VOICE
        body = call.body(SpeechBody, input=text, voice=voice)
        if body.stream_format == "sse":
            raise InvalidRequest(_SSE, param="stream_format")
        made = await services.speech.speak(call.group, body.request(), call.caller)
        if stream:
            return Sound(made, call)
        content = await whole(made.chunks)
        hidden = call.hidden(made.served, cost_by_now(call.caller.record))
        return SpeechResponse(content, _headers(made.spec, hidden), _counted(made.usage), hidden)


def _headers(spec: AudioSpec, hidden: Mapping[str, Any]) -> dict[str, str]:
    rate = {"x-sample-rate": str(SAMPLE_RATE)} if spec.format is AudioFormat.PCM else {}
    return {"content-type": content_type(spec), **rate, **hidden["additional_headers"]}


def _counted(usage: Usage) -> dict[str, int] | None:
    if (counted := tokens(usage)) is None:
        return None
    return {"input_tokens": counted[0], "output_tokens": counted[1], "total_tokens": sum(counted)}


class Sound:
    """A ``Source``. Nothing is fetched ahead of who reads."""

    def __init__(self, made: Speech, call: Call) -> None:
        self.hidden = call.hidden(made.served, None)
        self.headers = _headers(made.spec, self.hidden)
        self.usage: dict[str, int] | None = None
        self._made = made
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._reading: asyncio.Task[Any] | None = None
        self._closing = self.over = self._ended = False
        HOUSE.open.add(self)

    async def piece(self) -> bytes:
        """The next bytes; none at the end. Raises what ``told`` raises, once, then ``RuntimeError``."""
        self._check()
        async with self._lock:
            if self._ended:
                return b""
            self._check()
            self._reading = asyncio.current_task()
            try:
                with told(self._call.model):
                    chunk = await anext(self._made.chunks, b"")
            except BaseException as error:
                closed = self._closing and isinstance(error, asyncio.CancelledError)
                self._call.caller.record.code = getattr(error, "code", None) or "interrupted"
                await self._finish()
                if closed:
                    raise RuntimeError(_BROKEN) from None
                raise
            finally:
                self._reading = None
            if not chunk:
                self._ended = True
                await self._finish()
            return chunk

    async def aclose(self) -> None:
        """Stop, in the middle of a ``piece`` too."""
        if self.over or asyncio.get_running_loop() is not self._loop:
            return
        if self._reading is not None:
            self._closing = True
            self._reading.cancel()
        async with self._lock:
            if not self.over:
                self._call.caller.record.code = "client_gone"  # it is not known what is charged for the rest
                await self._finish()

    def _check(self) -> None:
        """Of another loop: it was closed together with that one."""
        if asyncio.get_running_loop() is not self._loop or (self.over and not self._ended):
            raise RuntimeError(_BROKEN)

    async def _finish(self) -> None:
        try:
            await self._made.chunks.aclose()
        finally:
            self.hidden |= self._call.hidden(self._made.served, cost_by_now(self._call.caller.record))
            self.usage = _counted(self._made.usage)
            self.over = True
            HOUSE.open.discard(self)
