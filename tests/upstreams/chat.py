"""A server that is compatible with OpenAI's ``/v1/chat/completions``, with audio output.

with Chat() as chat:                 # chat.base, chat.key
    chat.next(Fault(...))
    ... chat.ledger, chat.requests
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from engines.codec import wav_header
from engines.synthetic import voice_like
from tests.upstreams.threaded import Threaded

Json = dict[str, Any]
KEY = "sk-chat-0123456789abcdefghij"
VOICES = (
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "fable",
    "marin",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
)
_KNOWN = frozenset(
    """
    model messages modalities audio stream stream_options temperature top_p seed max_completion_tokens service_tier user
    """.split()
)


def error(message: str, code: str | None = None, param: str | None = None, type: str = "invalid_request_error") -> Json:
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


@dataclass(frozen=True)
class Fault:
    """What goes otherwise, for one call."""

    status: int = 0
    body: Json | None = None
    headers: tuple[tuple[str, str], ...] = ()
    text: bool = False  # no sound
    ends: str | None = "stop"
    done: bool = True  # ``data: [DONE]``
    mid: bool = False  # an error in the middle
    wav: bool = False
    whole: bool = False  # this server does not stream


def check(body: Any) -> tuple[str, str] | None:
    """What is wrong, and where."""
    if not isinstance(body, dict):
        return "The body has to be an object.", ""
    for name in body:
        if name not in _KNOWN:
            return f"Unrecognized request argument supplied: {name}", name
    if "audio" not in body.get("modalities", []):
        return "This model requires that either input content or output modality contain audio.", "modalities"
    voice = body.get("audio", {}).get("voice")
    if voice not in VOICES and not (isinstance(voice, dict) and str(voice.get("id")).startswith("voice_")):
        return f"Invalid value: '{voice}'.", "audio.voice"
    if body.get("stream") and body["audio"].get("format") != "pcm16":
        return "audio.format has to be 'pcm16' when stream=true.", "audio.format"
    if not all(isinstance(each.get("content"), str) and each.get("role") for each in body.get("messages", [{}])):
        return "Invalid messages.", "messages"
    return None


class Chat(Threaded):
    """``ledger`` has what was billed."""

    def __init__(self, *, hold: bool = False) -> None:
        super().__init__(hold=hold)
        self.key = KEY
        self.ledger: list[Json] = []
        self._faults: deque[Fault] = deque()

    def next(self, fault: Fault) -> None:
        self._faults.append(fault)

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/chat/completions", self._complete)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await self.asked(request))
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response(error("Incorrect API key provided.", "invalid_api_key"), status=401)
        if (wrong := check(body)) is not None:
            return web.json_response(error(wrong[0], "invalid_value", wrong[1]), status=400)
        fault = self._faults.popleft() if self._faults else Fault()
        if fault.status:
            return web.json_response(fault.body, status=fault.status, headers=dict(fault.headers))
        sound = b"" if fault.text else voice_like(body["messages"][-1]["content"], manner=str(body["audio"]["voice"]))
        used = {"prompt_tokens": 40, "completion_tokens": len(sound) // 2400 + 3}
        used["total_tokens"] = sum(used.values())
        self.ledger.append({"body": body, "usage": used})
        if fault.whole or not body.get("stream"):
            return web.json_response(self._whole(body, sound, used))
        return await self._stream(request, fault, (body, sound, used))

    def _whole(self, body: Json, sound: bytes, used: Json) -> Json:
        data = base64.b64encode(wav_header(size=len(sound)) + sound).decode()
        audio = {"id": "audio_1", "data": data, "transcript": "x", "expires_at": 1_900_000_000}
        message = {"role": "assistant", "content": None, "audio": audio, "refusal": None}
        choices = [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}]
        return {**self._head(body, "chat.completion"), "choices": choices, "usage": used}

    def _head(self, body: Json, kind: str) -> Json:
        return {"id": "chatcmpl-1", "object": kind, "created": 1_790_000_000, "model": body["model"]}

    def _deltas(self, fault: Fault, sound: bytes) -> Iterator[Json]:
        yield {"role": "assistant", "content": None, "audio": {"id": "audio_1", "transcript": "The"}}
        if fault.text:
            yield {"content": "I would rather write."}
        sound = wav_header(size=len(sound)) + sound if fault.wav else sound
        for start in range(0, len(sound), 9600):
            yield {"audio": {"data": base64.b64encode(sound[start : start + 9600]).decode()}}
        yield {"audio": {"expires_at": 1_900_000_000}}

    async def _stream(self, request: web.Request, fault: Fault, made: tuple[Json, bytes, Json]) -> web.StreamResponse:
        body, sound, used = made
        head = self._head(body, "chat.completion.chunk")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)

        async def send(chunk: Json) -> None:
            await response.write(f"data: {json.dumps({**head, **chunk})}\n\n".encode())

        try:
            for place, delta in enumerate(self._deltas(fault, sound)):
                if self.pace and delta.get("audio", {}).get("data"):
                    await asyncio.sleep(self.pace)
                await send({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
                if self.held and place == 1:
                    await self.go.wait()
                if fault.mid and place == 2:
                    await response.write(f"data: {json.dumps(error('The server had an error.'))}\n\n".encode())
                    return response
            if fault.ends:
                await send({"choices": [{"index": 0, "delta": {}, "finish_reason": fault.ends}]})
            if body.get("stream_options", {}).get("include_usage"):
                await send({"choices": [], "usage": used})
            if fault.done:
                await response.write(b"data: [DONE]\n\n")
        except (asyncio.CancelledError, ConnectionError):
            self.hung_up.set()
            raise
        return response
