"""What vendors answered once, played again with something wrong in it: cut, of another type, huge, deep, empty."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from engines.media import AudioFormat
from providers.base import registry
from providers.base.answer import Answer
from providers.base.contract import ImageRequest, SpeechProvider, SpeechRequest, TranscriptionRequest, VideoRequest
from providers.base.errors import ProviderError
from providers.base.exchange import Exchange, Reply
from providers.base.vendor import Resources
from providers.base.wire import STREAM_CAP, Wire
from tests.mutated import mutated
from tests.upstreams.every import VOICES

Json = dict[str, Any]
STATUSES = (200, 200, 200, 200, 204, 302, 400, 401, 402, 403, 404, 409, 413, 422, 429, 500, 503)
WAITS = ("", "3", "-1", "nan", "1e400", "9" * 5000, "Wed, 21 Oct 2015 07:28:00 GMT", "é")


class Recorder(Wire):
    """The real connections; ``told`` are the answers, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Reply] = []

    async def call(self, exchange: Exchange) -> Reply:
        self.told.append(await super().call(exchange))
        return self.told[-1]

    async def stream(self, exchange: Exchange, cap: int = STREAM_CAP) -> Any:
        self.told.append(await (await super().stream(exchange, cap)).reply())
        return Played(self.told[-1])


class Played(Answer):
    """An answer that is here, in pieces."""

    def __init__(self, reply: Reply) -> None:
        self._reply, self.status, self.headers = reply, reply.status, reply.headers
        size = max(1, len(reply.body) // 5)
        self._pieces = [reply.body[at : at + size] for at in range(0, len(reply.body), size)]

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def length(self) -> int | None:
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop(0)

    async def reply(self, cap: int = 0) -> Reply:
        return self._reply

    async def aclose(self) -> None:
        self._pieces.clear()


class Player(Wire):
    """Gives ``told`` again, in order, the last one for ever; ``wrong`` of them is spoilt."""

    def __init__(self, told: list[Reply], chance: random.Random) -> None:
        super().__init__()
        wrong = chance.randrange(len(told))
        self._told = [spoilt(each, chance) if place == wrong else each for place, each in enumerate(told)]
        self._place = 0

    async def call(self, exchange: Exchange) -> Reply:
        self._place += 1
        return self._told[min(self._place, len(self._told)) - 1]

    async def stream(self, exchange: Exchange, cap: int = STREAM_CAP) -> Any:
        return Played(await self.call(exchange))


def spoilt(reply: Reply, chance: random.Random) -> Reply:
    """``reply`` with another body, or another status too."""
    status = chance.choice(STATUSES) if chance.random() < 0.5 else reply.status
    headers: dict[str, str] = dict(reply.headers)
    if wait := chance.choice(WAITS):
        headers["retry-after"] = wait
    if chance.random() < 0.2:
        headers["content-type"] = chance.choice(("", "text/html", "application/json", "audio/mpeg", "x"))
    return Reply(reply.vendor, status, headers, _body(reply.body, chance))


def _body(body: bytes, chance: random.Random) -> bytes:
    match chance.randrange(8):
        case 0:
            return b""
        case 1:
            return b"<html><body>502 Bad Gateway</body></html>"
        case 2:
            return json.dumps({"error": {"message": "no", "code": chance.choice([None, 1, "x", []])}}).encode()
    seed = chance.randrange(1 << 30)
    if body.lstrip().startswith(b"data:"):
        events = [each for each in body.replace(b"\r\n", b"\n").split(b"\n\n") if each.strip()]
        place = chance.randrange(len(events))
        events[place] = b"data: " + _json(events[place].removeprefix(b"data:"), seed)
        return b"\n\n".join(events) + b"\n\n"
    return _json(body, seed)


def _json(body: bytes, seed: int) -> bytes:
    try:
        return next(mutated(json.loads(body), 1, seed))
    except ValueError:
        chance = random.Random(seed)
        return body[: chance.randrange(len(body) + 1)] + chance.randbytes(chance.randrange(40))


@dataclass(frozen=True)
class Line:
    """One thing to ask of a vendor. ``kind``: speech, image, video or transcription."""

    vendor: str
    model: str
    settings: Json
    kind: str
    voice: str = "alloy"

    async def ask(self, wire: Wire, format: AudioFormat = AudioFormat.MP3) -> None:
        """All the way; raises what the adapter raises."""
        resources = Resources()
        resources.shared(Wire, lambda: wire)
        vendor = registry.load(self.vendor)
        facts = vendor.models.get(self.model) or vendor.models["*"]
        provider: Any = await vendor.open(self.model, facts.settings(**self.settings), resources)
        try:
            if self.kind == "transcription":
                written = await provider.transcribe(TranscriptionRequest(b"RIFF", "a.wav"))
                assert all([isinstance(piece, bytes) async for piece in written.chunks])
            elif self.kind == "speech" and isinstance(provider, SpeechProvider):
                audio = await provider.speech(SpeechRequest("Good evening to you.", self.voice, format))
                assert all([isinstance(piece, bytes) async for piece in audio.chunks])
            else:
                made = {"image": ImageRequest("a"), "video": VideoRequest("a"), "speech": SpeechRequest("a", "alloy")}
                taken = await provider.submit(made[self.kind])
                assert isinstance(taken.task, str)
                await provider.poll(taken.task)
        finally:
            await resources.close()


def lines(config: str) -> list[Line]:
    """What can be asked of the models of ``every``'s config that have an upstream, and more models of theirs."""
    given: dict[str, Json] = {each["model_name"]: each["litellm_params"] for each in json.loads(config)["model_list"]}
    found: list[Line] = []
    more: Mapping[str, tuple[tuple[str, str], ...]] = {
        "openai": (("gpt-image-2", "image"), ("sora-2", "video"), ("whisper-1", "transcription")),
        "gemini": (("gemini-2.5-flash-image", "image"), ("veo-3.1-generate-preview", "video")),
        "runwayml": (("gen4_image", "image"), ("gen4.5", "video")),
    }
    for name, params in given.items():
        vendor, _, model = params["model"].partition("/")
        if vendor in ("local", "sandbox"):
            continue
        settings = {key: value for key, value in params.items() if key != "model"}
        found.append(Line(vendor, model, settings, "speech", VOICES[name]))
        found += [Line(vendor, other, settings, kind) for other, kind in more.get(name, ())]
    return found


async def record(line: Line) -> list[Reply]:
    """What its vendor's simulator answers."""
    wire = Recorder()
    await line.ask(wire)
    return wire.told


async def spoil(
    line: Line, told: list[Reply], times: int, seed: int, within: Callable[[Awaitable[None]], Awaitable[None]]
) -> Counter[str]:
    """How ``times`` spoilt answers ended. Whatever is neither a result nor a ``ProviderError`` is raised."""
    ends: Counter[str] = Counter()
    for number in range(times):
        chance = random.Random(f"{seed} {line.vendor} {line.model} {line.voice} {number}")
        wire = Player(told, chance)
        try:
            await within(line.ask(wire, chance.choice(list(AudioFormat))))
        except ProviderError as error:
            key = str(line.settings.get("api_key", "sk-none"))
            assert key not in str(error)
            assert len(str(error)) < 4000
            ends[type(error).__name__] += 1
        except Exception as error:
            error.add_note(f"{line.vendor}/{line.model}, seed {seed}, number {number}")
            raise
        else:
            ends["a result"] += 1
    return ends
