"""Google's Gemini API on a real socket: strict checks, speech in events or whole, pictures, films
as operations, files with a key.

    with Gemini() as gemini:                 # gemini.base, gemini.key
        gemini.next(SILENT)                  # the next call for speech or a picture; where="submit" | "poll" | "download" for those
        gemini.advance(60)                   # its clock, for all operations
        ... gemini.ledger, gemini.requests

Both versions of the API, both spellings of each field in a request, and, with ``snake=True``, in the answers too.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from engines.codec import wav_header
from engines.synthetic import labelled_picture, labelled_video, voice_like
from tests.upstreams.gemini_rules import (
    FILM_PARAMETERS,
    RATIOS,
    Invalid,
    Json,
    check_film,
    check_picture,
    check_speech,
    snaked,
)
from tests.upstreams.threaded import Threaded

Where = Literal["speech", "submit", "poll", "download"]

KEY = "AIza-0123456789abcdefghijklmnopqrstuv"
SPEECH_MODELS = frozenset(
    """
    gemini-2.5-flash-preview-tts gemini-2.5-pro-preview-tts gemini-3.1-flash-tts-preview gemini-3.8-flash-tts
    gemini-3.8-flash-lite-tts
    """.split()
)
FILM_MODELS = frozenset("veo-3.1-generate-preview veo-3.1-fast-generate-preview veo-3.1-lite-generate-preview".split())
IMAGE_MODELS = frozenset(
    """
    gemini-2.5-flash-image gemini-3.1-flash-image gemini-3.1-flash-lite-image gemini-3-pro-image gemini-nano-banana-2.1
    """.split()
)
TYPES = {"gemini-2": "audio/L16;codec=pcm;rate=24000", "gemini-3": "audio/l16; rate=24000; channels=1"}
STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


def error(code: int, message: str, *details: Json, status: str = "") -> Json:
    body: Json = {"code": code, "message": message, "status": status or STATUS[code]}
    return {"error": body | ({"details": list(details)} if details else {})}


@dataclass(frozen=True)
class Fault:
    """What goes otherwise, for one call. ``status``: an error; the others are in the sound, or in what stands for it."""

    status: int = 0
    body: Json | str = ""
    headers: tuple[tuple[str, str], ...] = ()
    silent: str = ""  # the reason for an end without sound
    text: bool = False  # a text where sound should be
    block: str = ""  # the prompt is blocked
    ends: str | None = "STOP"  # the reason for the end of the sound
    mid: Json | None = None  # an error in the middle of the stream
    cut: bool = False  # the connection ends in the middle
    wav: bool = False  # files, also in a stream
    mime: str = ""
    junk: str = ""  # what stands where a picture should be, in base64 or not
    thinks: bool = False  # an attempt of its own stands before the picture
    operation: Json | None = None  # what stands in an operation that is done, instead of the film


SILENT = Fault(silent="OTHER")
TALKS = Fault(silent="STOP", text=True)
BAD_KEY = Fault(
    400,
    error(
        400,
        "API key not valid. Please pass a valid API key.",
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
    ),
)
QUOTA = Fault(
    429,
    error(429, "Quota exceeded.", {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "19s"}),
)
OVERLOADED = Fault(503, error(503, "The model is overloaded. Please try again later."))
NO_BILLING = Fault(400, error(400, "Enable billing.", status="FAILED_PRECONDITION"))
BAD_GATEWAY = Fault(502, "<html><head><title>502 Bad Gateway</title></head></html>")


@dataclass
class Operation:
    name: str
    entry: Json
    fault: Fault
    made: float


class Gemini(Threaded):
    """The server, on a thread of its own. ``seconds`` is how long a film takes; ``hold`` keeps each stream after its
    first piece until ``release``. ``ledger`` has what was billed."""

    film_parameters = FILM_PARAMETERS

    def __init__(self, *, seconds: float = 60.0, snake: bool = False, hold: bool = False) -> None:
        super().__init__(hold=hold)
        self.key, self.seconds, self.snake = KEY, seconds, snake
        self.ledger: list[Json] = []
        self.operations: dict[str, Operation] = {}
        self._ahead = 0.0
        self._faults: dict[Where, deque[Fault]] = {each: deque() for each in ("speech", "submit", "poll", "download")}

    def next(self, fault: Fault, where: Where = "speech") -> None:
        """Faults wait in line, one for each call of their kind."""
        self._faults[where].append(fault)

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    def routes(self, router: web.UrlDispatcher) -> None:
        v = "/{version:v1|v1beta}"
        router.add_post(v + "/models/{model}:generateContent", self.route("speech", self._whole))
        router.add_post(v + "/models/{model}:streamGenerateContent", self.route("speech", self._stream))
        router.add_post(v + "/models/{model}:predictLongRunning", self.route("submit", self._submit))
        router.add_get(v + "/models/{model}/operations/{id}", self.route("poll", self._poll), allow_head=False)
        router.add_get(v + "/models/{model}", self.route("poll", self._model), allow_head=False)
        router.add_get(v + "/files/{id}:download", self.route("download", self._download), allow_head=False)

    def route(
        self, where: Where, work: Callable[[web.Request, Fault], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            await self.asked(request)
            refusal = self.refusal(request)
            if refusal is not None:
                return self.told(refusal)
            fault = self._faults[where].popleft() if self._faults[where] else Fault()
            if fault.status:
                return self.told(fault)
            try:
                return await work(request, fault)
            except Invalid as wrong:
                return self.told(Fault(400, error(400, str(wrong))))

        return answer

    def refusal(self, request: web.Request) -> Fault | None:
        """Who has no key."""
        if "key" in request.query or request.headers.get("x-goog-api-key") != self.key:
            return BAD_KEY
        if request.method == "POST" and request.content_type != "application/json":
            return Fault(400, error(400, "The body has to be application/json."))
        return None

    def told(self, fault: Fault) -> web.Response:
        headers = dict(fault.headers)
        if isinstance(fault.body, str):
            return web.Response(status=fault.status, text=fault.body, content_type="text/html", headers=headers)
        return web.json_response(fault.body, status=fault.status, headers=headers)

    def spoken(self, request: web.Request) -> tuple[str, Json, bytes]:
        model = request.match_info["model"]
        if model not in self.speech_models():
            raise web.HTTPNotFound(
                text=json.dumps(error(404, f"models/{model} is not found.")), content_type="application/json"
            )
        return model, check_speech(model, json.loads(self.requests[-1].body)), b""

    def speech_models(self) -> frozenset[str]:
        return SPEECH_MODELS

    def answers(self, model: str, asked: Json, fault: Fault, piece: int) -> Iterator[Json]:
        """The answers of a stream; with a ``piece`` that is large enough there is one with sound."""
        given = {"promptTokenCount": len(asked["text"]) // 4 + 1}
        given["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": given["promptTokenCount"]}]
        if fault.block:
            yield {"promptFeedback": {"blockReason": fault.block}, "usageMetadata": given}
            return
        if fault.silent:
            self.ledger.append({"model": model, **asked, "tokens": 0})
            content = {"role": "model", "parts": [{"text": "Sure! Here you are."}]} if fault.text else {}
            metadata = given | {"candidatesTokenCount": 6 if fault.text else 0}
            yield {
                "candidates": [{"index": 0, "content": content, "finishReason": fault.silent}],
                "usageMetadata": metadata,
            }
            return
        sound = voice_like(asked["text"], manner=str(asked["voices"]))
        mime = fault.mime or TYPES[model[:8]]
        if fault.wav:
            sound, mime = wav_header(size=len(sound)) + sound, "audio/wav"
        tokens = len(sound) // 1920
        self.ledger.append({"model": model, **asked, "tokens": tokens})
        for start in range(0, len(sound), piece):
            data = base64.b64encode(sound[start : start + piece]).decode()
            part = {"inlineData": {"mimeType": mime, "data": data}}
            yield {
                "candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}],
                "usageMetadata": given,
                "modelVersion": model,
                "responseId": "r-123",
            }
        made = {
            "candidatesTokenCount": tokens,
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": tokens}],
            "totalTokenCount": given["promptTokenCount"] + tokens,
        }
        end = {"index": 0} | ({"finishReason": fault.ends} if fault.ends else {})
        yield {"candidates": [end], "usageMetadata": given | made}

    async def _draw(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        model = request.match_info["model"]
        asked = check_picture(model, json.loads(self.requests[-1].body))
        given = {"promptTokenCount": len(asked["text"]) // 4 + 1 + 258 * len(asked["pictures"])}
        if fault.block:
            return web.json_response({"promptFeedback": {"blockReason": fault.block}, "usageMetadata": given})
        tokens = (
            1290
            if model.startswith("gemini-2")
            else {"2K": 1680, "4K": 2520}.get(asked["config"].get("imageSize"), 1120)
        )
        self.ledger.append({"model": model, **asked, "tokens": 0 if fault.silent else tokens})
        if fault.cut and request.transport is not None:
            request.transport.close()
        parts: list[Json] = [{"text": "Sure! Here you are."}] if fault.text or "TEXT" in asked["modalities"] else []
        metadata = given | {"candidatesTokenCount": tokens, "totalTokenCount": given["promptTokenCount"] + tokens}
        if fault.silent:
            metadata = given
        else:
            width, height = map(int, RATIOS[asked["config"].get("aspectRatio", "1:1")][tokens != 1290].split("x"))
            times = {"2K": 2, "4K": 4}.get(asked["config"].get("imageSize"), 1)
            texts = ["A first attempt.", asked["text"]] if fault.thinks else [asked["text"]]
            for each in texts:
                data = fault.junk or base64.b64encode(labelled_picture(each, width * times, height * times)).decode()
                thought = {"thought": True} if each != asked["text"] else {}
                parts.append({"inlineData": {"mimeType": "image/png", "data": data}} | thought)
        content = {"role": "model", "parts": parts} if parts else {}
        found = {
            "candidates": [{"index": 0, "content": content, "finishReason": fault.silent or "STOP"}],
            "usageMetadata": metadata,
            "modelVersion": model,
            "responseId": f"picture-{len(self.ledger)}",
        }
        return web.json_response(snaked(found) if self.snake else found)

    async def _whole(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if request.match_info["model"] in IMAGE_MODELS:
            return await self._draw(request, fault)
        model, asked, _ = self.spoken(request)
        answers = list(
            self.answers(
                model, asked, Fault(wav=model.startswith("gemini-3.8")) if not fault.silent else fault, 1 << 30
            )
        )
        whole = answers[0] | {"usageMetadata": answers[-1]["usageMetadata"]}
        whole["candidates"][0]["finishReason"] = answers[-1]["candidates"][0].get("finishReason")
        return web.json_response(snaked(whole) if self.snake else whole)

    async def _stream(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        model, asked, _ = self.spoken(request)
        if request.query.get("alt") != "sse":
            raise Invalid("This server streams events only.")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            piece = 1 << 30 if model.startswith("gemini-2") else 9600
            for place, found in enumerate(self.answers(model, asked, fault, piece)):
                text = json.dumps(snaked(found) if self.snake else found)
                if self.pace:
                    await asyncio.sleep(self.pace)
                await response.write(f"data: {text}\r\n\r\n".encode())
                if self.held and not place:
                    await self.go.wait()
                if fault.mid is not None:
                    await response.write(f"data: {json.dumps(fault.mid)}\r\n\r\n".encode())
                    return response
                if fault.cut and place == 2 and request.transport is not None:
                    request.transport.close()
                    return response
        except (asyncio.CancelledError, ConnectionError):
            self.hung_up.set()
            raise
        return response

    async def _submit(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        model = request.match_info["model"]
        if model not in FILM_MODELS:
            return web.json_response(error(404, f"models/{model} is not found."), status=404)
        entry = {"model": model, **check_film(json.loads(self.requests[-1].body), self.film_parameters)}
        name = f"models/{model}/operations/op{len(self.operations) + 1}"
        self.operations[name] = Operation(name, entry, fault, time.monotonic() + self._ahead)
        self.ledger.append(entry)
        return web.json_response({"name": name})

    async def _poll(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        operation = self.operations.get(request.path.removeprefix(f"/{request.match_info['version']}/"))
        if operation is None:
            return web.json_response(error(404, "Requested entity was not found."), status=404)
        if time.monotonic() + self._ahead < operation.made + self.seconds:
            return web.json_response({"name": operation.name})
        uri = f"{self.base}/v1beta/files/{operation.name.rpartition('/')[2]}:download?alt=media"
        found: Json = operation.fault.operation or {
            "response": {
                "@type": "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse",
                "generateVideoResponse": {"generatedSamples": [{"video": {"uri": uri}}]},
            }
        }
        return web.json_response({"name": operation.name, "done": True, **found})

    async def _model(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        model = request.match_info["model"]
        if model not in self.speech_models() | FILM_MODELS | IMAGE_MODELS:
            return web.json_response(error(404, f"models/{model} is not found."), status=404)
        name = request.path.strip("/").partition("/")[2]
        return web.json_response({"name": name, "displayName": model, "version": "001"})

    async def _download(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        operation = next(
            (each for each in self.operations.values() if each.name.endswith(f"/{request.match_info['id']}")), None
        )
        if operation is None or request.query.get("alt") != "media":
            return web.json_response(error(404, "File not found."), status=404)
        film = labelled_video(operation.entry["instance"]["prompt"], 64, 48, 1)
        return web.Response(body=film, content_type="video/mp4")
