"""RunwayML's API on a real socket: strict checks, tasks that take time, signed outputs, a ledger of what was billed.

    with Runway(seconds=60) as runway:           # runway.base, runway.key
        runway.next(DAILY_LIMIT)                 # the next create; where="poll" | "delete" | "download" | "account" for those
        runway.next(fails("SAFETY.INPUT.TEXT"))  # how the next task that is made will go
        runway.advance(60)                       # its clock, for all tasks
        ... runway.ledger, runway.deleted, runway.requests, runway.fast_polls(5.0)

Faults and plans wait in lines of their own; what is let in and what it costs stands in ``runway_rules``.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Literal, get_args

from aiohttp import web

from engines.codec import Encoder
from engines.media import AudioFormat, AudioSpec
from engines.synthetic import labelled_picture, labelled_video, voice_like
from tests.upstreams.runway_rules import MODELS, Json, credits_for, validate
from tests.upstreams.threaded import OnThread, Site

KEY = "key_" + "0123456789abcdef" * 8
VERSION = "2024-11-06"
DOCS = "https://docs.example.test/api"
Where = Literal["create", "poll", "delete", "download", "account"]
PLACES = get_args(Where)


# What may go wrong, and how a task may go.


@dataclass(frozen=True)
class Fault:
    """Instead of the answer, for one request; ``made``: what was asked is done (and billed) all the same."""

    status: int = 0
    body: str | Json = ""
    made: bool = False
    drop: bool = False  # the connection ends without an answer
    cut: bool = False  # the connection ends in the middle of the answer
    delay: float = 0.0  # seconds before the answer, after the work
    change: Json = field(default_factory=dict)  # set in the real answer's JSON
    headers: dict[str, str] = field(default_factory=dict)


FINE = Fault()  # to let a request pass before one that fails
OUT_OF_CREDITS = Fault(400, {"error": "You do not have enough credits to run this task.", "docUrl": DOCS})
UNAUTHORIZED = Fault(401, {"error": "The API key is not valid."})
DAILY_LIMIT = Fault(429, {"error": "Your daily task limit has been reached."})
BAD_GATEWAY = Fault(502, "<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>")
UNAVAILABLE = Fault(503, {"error": "The service is shedding load."})
OVERLOADED = Fault(504, "upstream request timeout")
DROP_BEFORE = Fault(drop=True)
DROP_AFTER = Fault(drop=True, made=True)
CUT = Fault(cut=True, made=True)
GARBAGE = Fault(200, '{"id": "3f0e', made=True, headers={"Content-Type": "application/json"})
UNKNOWN_STATUS = Fault(change={"status": "HIBERNATING"})


def invalid(*issues: Json) -> Fault:
    """400, as for a body that does not pass."""
    return Fault(400, {"error": "Validation of body failed", "issues": [*issues], "docUrl": DOCS})


def delay(seconds: float) -> Fault:
    """The proper answer, late."""
    return Fault(delay=seconds)


@dataclass(frozen=True)
class Plan:
    """How a task goes; ``seconds`` (``None``: the server's) come after those ``throttled``."""

    ends: Literal["SUCCEEDED", "FAILED", "CANCELLED"] = "SUCCEEDED"
    code: str | None = None
    throttled: float = 0.0
    seconds: float | None = None


def fails(code: str | None) -> Plan:
    return Plan("FAILED", code)


def cancelled() -> Plan:
    return Plan("CANCELLED")


def throttled(seconds: float) -> Plan:
    return Plan(throttled=seconds)


def takes(seconds: float) -> Plan:
    return Plan(seconds=seconds)


KINDS = {"speech": ("mp3", "audio/mpeg"), "image": ("png", "image/png"), "video": ("mp4", "video/mp4")}


@lru_cache(maxsize=64)
def _media(kind: str, prompt: str, ratio: str, seconds: int) -> bytes:
    """A picture or clip has an eighth of the width that was asked for."""
    width, height = (int(side) // 16 * 2 for side in ratio.split(":"))
    if kind == "image":
        return labelled_picture(prompt, width, height)
    if kind == "video":
        return labelled_video(prompt, width, height, seconds)
    encoder = Encoder(AudioFormat.MP3, AudioSpec(AudioFormat.PCM))
    return encoder.feed(voice_like(prompt[:60])) + encoder.finish()


@dataclass
class Task:
    """``made`` by the server's own clock; ``plan.seconds`` are set."""

    id: str
    entry: Json
    plan: Plan
    made: float
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def kind(self) -> str:
        return str(self.entry["endpoint"]).rpartition("_")[2]

    @property
    def path(self) -> str:
        return f"/out/{self.id}/0.{KINDS[self.kind][0]}"

    def media(self) -> bytes:
        body = self.entry["body"]
        ratio = body.get("ratio", "")
        size = ratio if re.fullmatch(r"\d{3,}:\d{3,}", ratio) else "720:720"  # the others are "auto" or a shape
        return _media(self.kind, body.get("promptText", ""), size, int(body.get("duration", 5)))

    def status(self, now: float) -> tuple[str, float]:
        """With the part that is done."""
        seconds = self.plan.seconds or 0.0
        past = now - self.made - self.plan.throttled
        if past < 0:
            return "THROTTLED", 0.0
        if past >= seconds:
            return self.plan.ends, 1.0
        return ("RUNNING", past / seconds) if past >= seconds / 5 else ("PENDING", 0.0)

    def view(self, now: float, sign: Callable[[str], str]) -> Json:
        status, progress = self.status(now)
        whole = self.entry["credits"]
        answer = {
            "id": self.id,
            "createdAt": self.created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "status": status,
        }
        if status in ("PENDING", "THROTTLED"):
            return {**answer, "estimatedCost": {"credits": whole}}
        if status == "RUNNING":
            return {**answer, "progress": round(progress, 4), "estimatedCost": {"credits": whole}}
        if status == "SUCCEEDED":
            return {**answer, "output": [sign(self.path)], "cost": {"credits": whole}}
        code = self.plan.code
        refunded = (code or "").startswith(("SAFETY.OUTPUT", "INPUT_PREPROCESSING.SAFETY"))
        answer["cost"] = {"credits": 0 if refunded else whole}
        if status == "FAILED":
            answer |= {"failure": "The task did not succeed."} | ({"failureCode": code} if code else {})
        return answer


@dataclass(frozen=True)
class Asked:
    """One request. ``headers`` have names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


class Runway(OnThread):
    """The server, on a thread of its own. ``key=None`` lets every key of the right form in; ``seconds`` a task takes.

    ``ledger`` has what was billed: id, endpoint, model, body, key, credits. ``polls``: when each task was asked after.
    ``deleted``: the status each task had when it was deleted. ``balance``: the credits that the account says it has.
    """

    def __init__(self, *, key: str | None = KEY, seconds: float = 0.05) -> None:
        self.key, self.seconds, self.base = key, seconds, ""
        self.balance = 12_000
        self.ledger: list[Json] = []
        self.requests: list[Asked] = []
        self.polls: dict[str, list[float]] = defaultdict(list)
        self.deleted: dict[str, str] = {}
        self.tasks: dict[str, Task] = {}
        self._ahead = 0.0
        self._signatures: set[str] = set()
        self._plans: deque[Plan] = deque()
        self._faults: dict[Where, deque[Fault]] = {each: deque() for each in PLACES}

    def next(self, what: Fault | Plan, where: Where = "create") -> None:
        """A fault for the next request of its kind, or a plan for the next task made; several wait in line."""
        if isinstance(what, Plan):
            self._plans.append(what)
        else:
            self._faults[where].append(what)

    def advance(self, seconds: float) -> None:
        """Let all tasks get on as if so much time had passed."""
        self._ahead += seconds

    def expire_outputs(self) -> None:
        """Every output address given so far is refused from now on."""
        self._signatures.clear()

    def fast_polls(self, minimum: float) -> list[tuple[str, float]]:
        """The tasks asked after again in less than ``minimum`` seconds, each with how many it was."""
        gaps = [(task, b - a) for task, times in [*self.polls.items()] for a, b in pairwise(times)]
        return [(task, gap) for task, gap in gaps if gap < minimum]

    async def _open(self) -> None:
        app = web.Application(client_max_size=64 * 2**20)
        for endpoint in MODELS:
            app.router.add_post(endpoint, self._route("create", self._create))
        app.router.add_get("/v1/tasks/{id}", self._route("poll", self._poll), allow_head=False)
        app.router.add_delete("/v1/tasks/{id}", self._route("delete", self._delete))
        app.router.add_get("/v1/organization", self._route("account", self._account), allow_head=False)
        app.router.add_get("/out/{id}/{name}", self._route("download", self._download))
        self._site = Site(app)
        self.base = await self._site.open()

    def _now(self) -> float:
        return time.monotonic() + self._ahead

    def _route(
        self, where: Where, work: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.requests.append(
                Asked(request.method, request.path_qs, headers, await request.read(), time.monotonic())
            )
            if where != "download" and (refusal := self._refusal(request)) is not None:
                return refusal
            if where == "poll":
                self.polls[request.match_info["id"]].append(time.monotonic())
            fault = self._faults[where].popleft() if self._faults[where] else FINE
            instead = fault.drop or fault.status
            response = web.Response() if instead and not fault.made else await work(request)
            return await _spoilt(request, response, fault)

        return answer

    def _refusal(self, request: web.Request) -> web.Response | None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not key.startswith("key_") or self.key not in (None, key):
            return web.json_response(UNAUTHORIZED.body, status=401)
        if request.headers.get("X-Runway-Version") != VERSION:
            return web.json_response({"error": f"X-Runway-Version has to be {VERSION}."}, status=400)
        if request.method == "POST" and request.content_type != "application/json":
            return web.json_response({"error": "The body has to be application/json."}, status=400)
        return None

    async def _create(self, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read())
        except ValueError:
            return web.json_response({"error": "The body is not JSON."}, status=400)
        if issues := validate(request.path, body):
            return web.json_response(invalid(*issues).body, status=400)
        entry = {"id": str(uuid.uuid4()), "endpoint": request.path, "model": body["model"], "body": body}
        entry |= {"credits": credits_for(body), "key": request.headers["Authorization"].removeprefix("Bearer ")}
        plan = self._plans.popleft() if self._plans else Plan()
        plan = plan if plan.seconds is not None else replace(plan, seconds=self.seconds)
        self.tasks[entry["id"]] = Task(entry["id"], entry, plan, self._now())
        self.ledger.append(entry)
        return web.json_response({"id": entry["id"], "estimatedCost": {"credits": entry["credits"]}})

    async def _poll(self, request: web.Request) -> web.Response:
        task = self.tasks.get(request.match_info["id"])
        if task is None:
            return web.json_response({"error": "Could not find Task"}, status=404)
        return web.json_response(task.view(self._now(), self._signed))

    def _signed(self, path: str) -> str:
        signature = secrets.token_urlsafe(12)
        self._signatures.add(signature)
        return f"{self.base}{path}?_jwt={signature}"

    async def _delete(self, request: web.Request) -> web.Response:
        task = self.tasks.pop(request.match_info["id"], None)
        if task is None:
            return web.json_response({"error": "Could not find Task"}, status=404)
        self.deleted[task.id] = task.status(self._now())[0]
        return web.Response(status=204)

    async def _account(self, _: web.Request) -> web.Response:
        limits = {"maxConcurrentGenerations": 1, "maxDailyGenerations": None}
        tier = {"maxMonthlyCreditSpend": 10_000, "models": {"gen4_turbo": limits}}
        usage = {"models": {"gen4_turbo": {"dailyGenerations": 3}}}
        return web.json_response({"creditBalance": self.balance, "tier": tier, "usage": usage})

    async def _download(self, request: web.Request) -> web.Response:
        if "Authorization" in request.headers or request.query.get("_jwt") not in self._signatures:
            return web.Response(status=403, text="Access denied")
        task = self.tasks.get(request.match_info["id"])
        if task is None or request.path != task.path:
            return web.Response(status=404, text="Not found")
        return web.Response(body=task.media(), content_type=KINDS[task.kind][1])


async def _spoilt(request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
    """The answer after the fault has had its way with it."""
    await asyncio.sleep(fault.delay)
    if fault.status:
        text = fault.body if isinstance(fault.body, str) else json.dumps(fault.body)
        kind = "application/json" if isinstance(fault.body, dict) else "text/html"
        response = web.Response(
            status=fault.status, body=text.encode(), headers={"Content-Type": kind, **fault.headers}
        )
    elif fault.change:
        response = web.json_response({**json.loads(response.text or "{}"), **fault.change}, status=response.status)
    if not (fault.drop or fault.cut) or request.transport is None:
        return response
    if not fault.cut:
        request.transport.close()
        return response
    body = response.body if isinstance(response.body, bytes) else b""
    part = web.StreamResponse(status=response.status, headers=response.headers)
    part.content_length = len(body)
    await part.prepare(request)
    await part.write(body[: len(body) // 2])
    request.transport.close()
    return part
