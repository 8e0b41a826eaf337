"""OpenAI's media API on a real socket, as OpenAI, Azure OpenAI and a server that is like them speak it.

    with OpenAI() as openai:                     # openai.base (with /v1), openai.azure, openai.key
        openai.next(QUOTA)                       # instead of the next answer; where="look" | "content" for a film's
        openai.advance(60)                       # its clock, for all films
        ... openai.ledger, openai.requests

``strict=False``: a server of somebody else's, that takes any field and any model, and gives pictures by address.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from engines.codec import Encoder
from engines.media import AudioFormat, AudioSpec
from engines.pictures import sniff_picture
from engines.synthetic import labelled_picture, labelled_video, voice_like
from tests.upstreams.threaded import OnThread, Site

KEY = "sk-proj-0123456789abcdefABCDEF"
TOKEN = "eyJ0eXAiOiJKV1QifQ.azure.0123456789"
DEPLOYMENT = "my-deployment"
Where = Literal["create", "look", "content"]
Json = dict[str, Any]

VOICES = set("alloy ash ballad coral echo fable onyx nova sage shimmer verse marin cedar".split())
SPEAKERS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
PAINTERS = ("gpt-image-1.5", "gpt-image-2", "gpt-image-1-mini", "chatgpt-image-latest")
WRITERS = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe")
TYPES = {"mp3": "audio/mpeg", "opus": "audio/opus", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav"}
TYPES["pcm"] = "audio/pcm"
PICTURE_FIELDS = set(
    "model prompt n size quality output_format output_compression background moderation stream partial_images user "
    "safety_identifier complexity".split()
)
SPOKEN_FIELDS = {"model", "input", "voice", "instructions", "response_format", "speed", "stream_format"}
WRITTEN_FIELDS = set(
    "model language languages[] keywords[] prompt response_format temperature include[] timestamp_granularities[] "
    "stream chunking_strategy".split()
)


@dataclass(frozen=True)
class Fault:
    """Instead of the answer, for one request. ``made``: what was asked is done (and billed) all the same."""

    status: int = 0
    body: Json | str = ""
    made: bool = False
    drop: bool = False  # the connection ends without an answer
    cut: bool = False  # the connection ends in the middle of the answer
    change: Json = field(default_factory=dict)  # set in the real answer's JSON
    headers: dict[str, str] = field(default_factory=dict)


def wrong(message: str, param: str | None = None, code: str | None = None, status: int = 400, **more: str) -> Fault:
    """An error as OpenAI words it."""
    error = {"message": message, "type": more.pop("type", "invalid_request_error"), "param": param, "code": code}
    return Fault(status, {"error": error}, headers=more)


QUOTA = wrong("You exceeded your current quota.", None, "insufficient_quota", 429, type="insufficient_quota")
SLOW_DOWN = wrong(
    "Rate limit reached.", None, "rate_limit_exceeded", 429, type="requests", **{"retry-after-ms": "2500"}
)
FORBIDDEN = wrong("Project does not have access.", None, "model_not_found", 403)
BROKEN = wrong("The server had an error.", None, None, 500, type="server_error")
OVERLOADED = Fault(503, "<html><body>overloaded</body></html>")
GATEWAY_TIMEOUT = Fault(504, "upstream request timeout", made=True)
BLOCKED = wrong("Your request was rejected by the safety system.", None, "moderation_blocked")
DROPPED = Fault(drop=True, made=True)
CUT = Fault(cut=True, made=True)
GARBAGE = Fault(200, '{"data": [{"b64', made=True, headers={"Content-Type": "application/json"})
NO_PICTURE = Fault(change={"data": [{"b64_json": "aGVsbG8="}]})


class Refusal(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


def need(good: object, message: str, param: str | None = None, code: str | None = None) -> None:
    if not good:
        raise Refusal(wrong(message, param, code))


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Json
    files: dict[str, list[tuple[str, bytes]]]


@dataclass
class Film:
    id: str
    body: Json
    made: float
    fails: Json | None = None


class OpenAI(OnThread):
    """The server, on a thread of its own. ``seconds`` a film takes; ``pause`` seconds between two pieces of sound.

    ``drawing`` is set when a picture is asked for, and paid; it is answered once ``may_draw`` is set.
    """

    def __init__(self, *, strict: bool = True, seconds: float = 0.05, pause: float = 0.001) -> None:
        self.strict, self.seconds, self.pause, self.key, self.base, self.azure = strict, seconds, pause, KEY, "", ""
        self.ledger: list[Json] = []
        self.requests: list[Asked] = []
        self.films: dict[str, Film] = {}
        self.hung_up = threading.Event()
        self.fail_next: Json | None = None
        self.drawing = threading.Event()
        self.may_draw = threading.Event()
        self.may_draw.set()
        self._pictures: dict[str, bytes] = {}
        self._ahead = 0.0
        self._faults: dict[Where, deque[Fault]] = {"create": deque(), "look": deque(), "content": deque()}

    def next(self, fault: Fault, where: Where = "create") -> None:
        self._faults[where].append(fault)

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    async def _open(self) -> None:
        app = web.Application(client_max_size=128 * 2**20)
        dated = f"/openai/deployments/{DEPLOYMENT}"
        for root in ("/v1", "/openai/v1", dated):
            for path, work in (
                ("/audio/speech", self._speech),
                ("/audio/transcriptions", self._transcript),
                ("/audio/translations", self._transcript),
                ("/images/generations", self._pictures_of),
                ("/images/edits", self._pictures_of),
            ):
                app.router.add_post(root + path, self._route("create", work))
        for root in ("/v1", "/openai/v1", "/openai"):
            app.router.add_get(f"{root}/models", self._route("look", self._models))
            app.router.add_get(f"{root}/models/{{id}}", self._route("look", self._models))
            app.router.add_post(f"{root}/videos", self._route("create", self._film))
            app.router.add_get(f"{root}/videos/{{id}}", self._route("look", self._look))
            app.router.add_get(f"{root}/videos/{{id}}/content", self._route("content", self._content))
            app.router.add_delete(f"{root}/videos/{{id}}", self._route("look", self._delete))
        app.router.add_get("/out/{name}", self._out)
        self._site = Site(app)
        self.azure = await self._site.open()
        self.base = f"{self.azure}/v1"

    def _route(
        self, where: Where, work: Callable[[web.Request, Asked], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            fault = self._faults[where].popleft() if self._faults[where] else Fault()
            try:
                asked = await _asked(request)
                self.requests.append(asked)
                self._let_in(request)
                instead = (fault.status or fault.drop) and not fault.made
                response: web.StreamResponse = web.Response() if instead else await work(request, asked)
            except Refusal as refusal:
                fault, response = refusal.fault, web.Response()
            if fault.cut:
                assert isinstance(response, web.Response) and isinstance(response.body, bytes)  # noqa: PT018
                return await _half(request, response, response.body)
            if fault.drop:
                assert request.transport is not None
                request.transport.close()
            elif fault.status:
                text = fault.body if isinstance(fault.body, str) else json.dumps(fault.body)
                kind = "application/json" if isinstance(fault.body, dict) else "text/html"
                headers = {"Content-Type": kind, **fault.headers}
                return web.Response(status=fault.status, body=text.encode(), headers=headers)
            elif fault.change:
                assert isinstance(response, web.Response)
                return web.json_response({**json.loads(response.text or ""), **fault.change})
            return response

        return answer

    def _let_in(self, request: web.Request) -> None:
        given = request.headers
        if request.path.startswith("/openai"):
            if request.path.startswith("/openai/v1"):
                pass
            elif not re.fullmatch(r"\d{4}-\d\d-\d\d(-preview)?", request.query.get("api-version", "")):
                raise Refusal(Fault(404, {"error": {"code": "404", "message": "Resource not found"}}))
            if given.get("api-key") != self.key and given.get("Authorization") != f"Bearer {TOKEN}":
                raise Refusal(Fault(401, {"error": {"code": "401", "message": f"Access denied: {given!r}"}}))
        elif given.get("Authorization") != f"Bearer {self.key}" and (self.strict or "Authorization" in given):
            shown = given.get("Authorization", "")
            raise Refusal(wrong(f"Incorrect API key provided: {shown}.", None, "invalid_api_key", 401))

    def _model(self, asked: Asked, known: tuple[str, ...]) -> str:
        model = asked.body.get("model")
        need(isinstance(model, str), "you must provide a model parameter", "model")
        if self.strict and not asked.path.startswith("/openai") and model not in known:
            raise Refusal(wrong(f"The model `{model}` does not exist.", None, "model_not_found", 404))
        return str(model)

    def _known(self, given: Json, known: set[str]) -> None:
        for name in given if self.strict else ():
            need(name in known, f"Unknown parameter: '{name}'.", name, "unknown_parameter")

    async def _speech(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        body, model = asked.body, self._model(asked, SPEAKERS)
        self._known(body, SPOKEN_FIELDS)
        text, voice, form = body.get("input"), body.get("voice"), body.get("response_format", "mp3")
        need(isinstance(text, str) and 0 < len(text) <= 4096, "String should have 1 to 4096 characters", "input")
        named = isinstance(voice, str) and (voice in VOICES or not self.strict)
        own = isinstance(voice, dict) and set(voice) == {"id"} and str(voice["id"]).startswith("voice_")
        need(named or own or not self.strict, f"Invalid voice: {voice!r}", "voice", "invalid_value")
        need(form in TYPES, f"Invalid value: {form!r}", "response_format", "invalid_value")
        speed = body.get("speed", 1.0)
        need(isinstance(speed, int | float) and 0.25 <= speed <= 4, "speed should be 0.25 to 4", "speed")
        need(model not in ("tts-1", "tts-1-hd") or "instructions" not in body, "not for this model", "instructions")
        self.ledger.append({"model": model, "characters": len(str(text))})
        response = web.StreamResponse(headers={"Content-Type": TYPES[form]})
        await response.prepare(request)
        pcm = voice_like(str(text), float(speed), manner=json.dumps([voice, body.get("instructions")]))
        try:
            async for piece in _encoded(pcm, AudioFormat(form)):
                await response.write(piece)
                await asyncio.sleep(self.pause)
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up.set()
            raise
        await response.write_eof()
        return response

    async def _pictures_of(self, request: web.Request, asked: Asked) -> web.Response:
        body, model, edits = asked.body, self._model(asked, PAINTERS), request.path.endswith("/edits")
        self._known(body, PICTURE_FIELDS | ({"input_fidelity", "images", "mask"} if edits else set()))
        need(body.get("prompt"), "Missing required parameter: 'prompt'.", "prompt", "missing_required_parameter")
        count, size = int(body.get("n", 1)), body.get("size", "auto")
        need(1 <= count <= 10, "n must be 1 to 10", "n")
        sides = re.fullmatch(r"(\d+)x(\d+)", size)
        good = size == "auto" or (sides and not int(sides[1]) % 16 and not int(sides[2]) % 16)
        need(good, f"Invalid size: {size}", "size", "invalid_value")
        form = body.get("output_format", "png")
        need(form in ("png", "jpeg", "webp"), f"Invalid value: {form}", "output_format", "invalid_value")
        if edits:
            self._check_edit(asked)
        width, height = (int(sides[1]) // 8, int(sides[2]) // 8) if sides else (128, 128)
        self.ledger.append({"model": model, "images": count})
        self.drawing.set()
        while not self.may_draw.is_set():
            await asyncio.sleep(0.01)
        made = [labelled_picture(f"{body['prompt']} {each}", width, height, form) for each in range(count)]
        by_address = not self.strict and body.get("response_format") != "b64_json"
        data = [{"url": self._kept(each)} if by_address else {"b64_json": base64.b64encode(each).decode()}
                for each in made]  # fmt: skip
        usage = {"input_tokens": 12, "output_tokens": 4160 * count, "total_tokens": 12 + 4160 * count}
        usage["input_tokens_details"] = {"text_tokens": 12, "image_tokens": 0}
        answer = {"created": int(time.time()), "data": data, "output_format": form, "size": size, "usage": usage}
        return web.json_response(answer, headers={"x-request-id": f"req_{secrets.token_hex(8)}"})

    def _check_edit(self, asked: Asked) -> None:
        files, images = asked.files, asked.body.get("images")
        given = files.get("image", []) + files.get("image[]", [])
        need(bool(given) != bool(images), "Missing required parameter: 'image'.", "image")
        need(len(files.get("image", [])) < 2, "several pictures are image[]", "image")
        for name, data in given:
            kind = sniff_picture(data)
            need(kind in ("image/png", "image/jpeg", "image/webp"), "Invalid image file", "image")
            need(name.rpartition(".")[2] in ("png", "jpg", "webp"), "unsupported file type", "image")
        for each in images or ():
            need(isinstance(each, dict) and set(each) == {"image_url"}, "Invalid type for 'images'", "images")

    def _kept(self, data: bytes) -> str:
        name = f"{secrets.token_hex(8)}.png"
        self._pictures[name] = data
        return f"{self.azure}/out/{name}?sig={secrets.token_hex(8)}"

    async def _out(self, request: web.Request) -> web.Response:
        if "Authorization" in request.headers or "api-key" in request.headers:
            return web.Response(status=403)
        return web.Response(body=self._pictures[request.match_info["name"]])

    async def _models(self, request: web.Request, asked: Asked) -> web.Response:
        entries = [{"id": name, "object": "model", "created": 1, "owned_by": "system"}
                   for name in (*SPEAKERS, *PAINTERS, *WRITERS, "sora-2")]  # fmt: skip
        if (name := request.match_info.get("id")) is None:
            return web.json_response({"object": "list", "data": entries})
        found = next((each for each in entries if each["id"] == name), None)
        if found is None:
            raise Refusal(wrong(f"The model '{name}' does not exist", "model", "model_not_found", 404))
        return web.json_response(found)

    async def _film(self, request: web.Request, asked: Asked) -> web.Response:
        body = asked.body
        self._model(asked, ("sora-2", "sora-2-pro"))
        need(request.content_type == "multipart/form-data", "multipart/form-data is needed")
        self._known(body, {"model", "prompt", "seconds", "size", "input_reference[image_url]"})
        need(body.get("prompt"), "Missing required parameter: 'prompt'.", "prompt")
        need(body.get("seconds", "4") in ("4", "8", "12") or not self.strict, "Invalid value", "seconds")
        sizes = ("720x1280", "1280x720", "1024x1792", "1792x1024")
        need(body.get("size", sizes[0]) in sizes or not self.strict, "Invalid value", "size", "invalid_value")
        name = f"video_{secrets.token_hex(12)}"
        self.films[name] = Film(name, body, time.monotonic() + self._ahead, self.fail_next)
        self.fail_next = None
        self.ledger.append({"model": body["model"], "seconds": int(body.get("seconds", "4"))})
        return web.json_response(self._view(self.films[name]))

    def _view(self, film: Film) -> Json:
        past = (time.monotonic() + self._ahead - film.made) / self.seconds
        status = "queued" if past < 0.1 else "in_progress" if past < 1 else "failed" if film.fails else "completed"
        body = film.body
        return {
            "id": film.id, "object": "video", "model": body["model"], "status": status, "created_at": int(time.time()),
            "progress": int(min(1.0, past) * 100), "completed_at": int(time.time()) if past >= 1 else None,
            "expires_at": None, "prompt": body["prompt"], "remixed_from_video_id": None,
            "error": film.fails if status == "failed" else None,
            "seconds": body.get("seconds", "4"), "size": body.get("size", "720x1280"),
        }  # fmt: skip

    def _found(self, request: web.Request) -> Film:
        film = self.films.get(request.match_info["id"])
        if film is None:
            raise Refusal(wrong("Video not found", None, None, 404))
        return film

    async def _look(self, request: web.Request, asked: Asked) -> web.Response:
        return web.json_response(self._view(self._found(request)), headers={"openai-poll-after-ms": "1500"})

    async def _content(self, request: web.Request, asked: Asked) -> web.Response:
        film = self._view(self._found(request))
        need(film["status"] == "completed", "Video is not ready yet.")
        width, height = (int(side) // 16 * 2 for side in film["size"].split("x"))
        body = labelled_video(film["prompt"], width, height, int(film["seconds"]))
        return web.Response(body=body, content_type="video/mp4")

    async def _delete(self, request: web.Request, asked: Asked) -> web.Response:
        film = self._found(request)
        del self.films[film.id]
        return web.json_response({"id": film.id, "deleted": True, "object": "video.deleted"})

    async def _transcript(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        self._model(asked, WRITERS)
        self._known(asked.body, WRITTEN_FIELDS)
        files = asked.files.get("file", [])
        need(len(files) == 1, "Missing required parameter: 'file'.", "file")
        name, data = files[0]
        ending = name.rpartition(".")[2]
        need(ending in ("flac", "mp3", "mp4", "m4a", "ogg", "wav", "webm"), f"Unrecognized file format: {name}", "file")
        form = asked.body.get("response_format", "json")
        need(form in ("json", "text", "srt", "vtt", "verbose_json"), "Invalid value", "response_format")
        text = f"{len(data)} bytes of {ending}" + (" in English" if request.path.endswith("translations") else "")
        self.ledger.append({"model": asked.body["model"], "bytes": len(data)})
        if asked.body.get("stream") == "true":
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
            await response.prepare(request)
            events = [{"type": "transcript.text.delta", "delta": word} for word in text.split(" ")]
            for event in [*events, {"type": "transcript.text.done", "text": text}]:
                await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
                await asyncio.sleep(self.pause)
            await response.write_eof()
            return response
        if form in ("json", "verbose_json"):
            more = {"language": "english", "duration": 1.0, "segments": []} if form == "verbose_json" else {}
            return web.json_response({"text": text, **more})
        line = {"text": f"{text}\n", "srt": f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n"}
        line["vtt"] = f"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{text}\n"
        kind = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}[form]
        return web.Response(body=line[form].encode(), headers={"Content-Type": f"{kind}; charset=utf-8"})


async def _half(request: web.Request, whole: web.Response, body: bytes) -> web.StreamResponse:
    part = web.StreamResponse(headers=whole.headers)
    part.content_length = len(body)
    await part.prepare(request)
    await part.write(body[: len(body) // 2])
    assert request.transport is not None
    request.transport.abort()
    return part


async def _asked(request: web.Request) -> Asked:
    body: Json = {}
    files: dict[str, list[tuple[str, bytes]]] = {}
    if request.content_type == "multipart/form-data":
        async for part in await request.multipart():
            data = bytes(await part.read())
            if part.filename:
                files.setdefault(part.name, []).append((part.filename, data))
            elif part.name.endswith("[]"):
                body.setdefault(part.name, []).append(data.decode())
            else:
                body[part.name] = data.decode()
    elif request.method == "POST":
        try:
            body = json.loads(await request.read())
        except ValueError:
            raise Refusal(wrong("We could not parse the JSON body of your request.")) from None
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Asked(request.method, request.path_qs, headers, body, files)


async def _encoded(pcm: bytes, form: AudioFormat) -> AsyncIterator[bytes]:
    encoder = Encoder(form, AudioSpec(AudioFormat.PCM))
    for start in range(0, len(pcm), 9600):
        if piece := await asyncio.to_thread(encoder.feed, pcm[start : start + 9600]):
            yield piece
    if piece := encoder.finish():
        yield piece
