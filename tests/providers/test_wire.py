"""One HTTP exchange, over real sockets: what each failure says, and that nothing is sent twice."""

from __future__ import annotations

import asyncio
import base64
import gc
import gzip
import socket
import traceback
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler

from providers.base import errors
from providers.base.answer import Answer
from providers.base.connector import PIECE, UNREAD
from providers.base.egress import Egress
from providers.base.exchange import Deadlines, Exchange, Fetch, Part, Reply
from providers.base.wire import Wire
from tests.upstreams.server import Line, Step, Upstream, chunked, cut, flood, opened, raw, reply, reset, silence

LOOPBACK = Egress(allow=["127.0.0.0/8"])
SHORT = Deadlines(connect=0.2, first_byte=0.05, idle=0.05, total=5.0)
STALLS = Deadlines(first_byte=5.0, idle=0.05, total=5.0)
CANARY = "sk-canary-0123456789abcdef"


def post(upstream: Upstream, path: str = "/v1/make", **more: Any) -> Exchange:
    return Exchange("Vendor", "POST", upstream.url(path), **{"json": {"a": 1}, **more})


def fetch(upstream: Upstream, path: str = "/o.mp4", **more: Any) -> Fetch:
    return Fetch(upstream.url(path), LOOPBACK, vendor="Vendor", **{"cap": 1000, **more})


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Unknown(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise OSError(-2, f"no such name: {host}")

    async def close(self) -> None: ...


class Inward(AbstractResolver):
    """Every name leads into a private network."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="10.0.0.1", port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None: ...


# What goes out and what comes back.


async def test_a_reader_who_stops_holds_little() -> None:
    body = bytes(range(256)) * 16_384
    async with Upstream(reply(200, body)) as upstream, opened() as wire:
        answer = await wire.stream(post(upstream))
        pieces = [await anext(answer)]
        connection = answer._connection
        assert connection is not None
        async with asyncio.timeout(10):
            while not connection._reading_paused:
                await asyncio.sleep(0)
        assert answer._response.content._size <= PIECE + 2 * UNREAD
        pieces += [piece async for piece in answer]
        assert b"".join(pieces) == body
        assert max(map(len, pieces)) <= PIECE + 2 * UNREAD


async def test_an_answer_of_one_read_is_whole_with_its_head() -> None:
    body = bytes(PIECE * 3 // 4)
    async with Upstream(reply(200, body)) as upstream, opened() as wire:
        for _ in range(2):
            answer = await wire.stream(post(upstream))
            assert answer.whole
            assert [piece async for piece in answer] == [body]
        assert upstream.connections == 1


async def test_a_call() -> None:
    async with Upstream(reply(201, {"id": 7}, X_Request_Id="r1", Set_Cookie="a=b")) as upstream, opened() as wire:
        answer = await wire.call(post(upstream, "/v1/make?x=%2F", headers={"Authorization": "Bearer k"}))
        assert (answer.status, answer.ok, answer.json(), answer.headers["x-request-id"]) == (201, True, {"id": 7}, "r1")
        await wire.call(post(upstream))
        first, second = upstream.requests
        assert (first.method, first.path, first.json()) == ("POST", "/v1/make?x=%2F", {"a": 1})
        assert first.headers["authorization"] == "Bearer k"
        assert first.headers["content-type"] == "application/json"
        assert first.headers["user-agent"] == "media-gateway"
        assert "cookie" not in second.headers
        assert upstream.connections == 1


async def test_what_goes_to_a_stranger_s_address_is_guarded() -> None:
    async with Upstream() as upstream, opened() as wire:
        assert (await wire.call(post(upstream, egress=LOOPBACK))).ok
        with pytest.raises(errors.AddressRefused, match="https only"):
            await wire.call(post(upstream, egress=Egress()))
        assert len(upstream.requests) == 1
    async with opened(resolver=Inward()) as wire:
        with pytest.raises(errors.AddressRefused, match="private network"):
            await wire.call(Exchange("Vendor", "POST", "https://example.com/", egress=Egress()))


@pytest.mark.parametrize("size", [300_000, 3_000_000])
async def test_a_large_body(size: int) -> None:
    """Whole, with its length, once (and aiohttp has no warning about it: that would be an error here)."""
    body = {"pictures": [{"uri": "é" * size}], "n": 1}
    async with Upstream() as upstream, opened() as wire:
        await wire.call(post(upstream, json=body))
        await wire.call(post(upstream, json=None, data=b"\0" * size, headers={"Content-Type": "audio/x"}))
        first, second = upstream.requests
        assert first.json() == body
        assert first.headers["content-type"] == "application/json"
        assert int(first.headers["content-length"]) == len(first.body)
        assert (second.body, second.headers["content-type"]) == (b"\0" * size, "audio/x")


async def test_bytes_and_forms() -> None:
    async with Upstream() as upstream, opened() as wire:
        await wire.call(post(upstream, json=None, data=b"\0raw", headers={"Content-Type": "audio/x"}))
        form = (Part("prompt", "a cat"), Part("image", b"\x89PNG", "a.png", "image/png"))
        await wire.call(post(upstream, json=None, form=form))
        await wire.call(Exchange("Vendor", "DELETE", upstream.url("/t/1")))
        data, parts, bare = upstream.requests
        assert (data.body, data.headers["content-type"]) == (b"\0raw", "audio/x")
        assert parts.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert b'name="prompt"' in parts.body
        assert b'name="image"; filename="a.png"' in parts.body
        assert b"\x89PNG" in parts.body
        assert (bare.method, bare.body) == ("DELETE", b"")


async def test_credentials_in_an_address() -> None:
    """They are sent as a header, unless there is one already; a header with a line end in it is not sent at all."""
    async with Upstream() as upstream, opened() as wire:
        url = upstream.url("/v1/make").replace("http://", "http://ann:s%C3%A9same@")
        assert (await wire.call(Exchange("Vendor", "POST", url, json={}))).ok
        (sent,) = upstream.requests
        assert sent.headers["authorization"] == "Basic " + base64.b64encode("ann:sésame".encode()).decode()
        assert "ann" not in sent.headers["host"]
        for place, headers in ((url, {"Authorization": "Bearer k"}), (upstream.url("/"), {"X-Key": "k\r\nX-More: 1"})):
            with pytest.raises(errors.Unavailable, match="malformed") as caught:
                await wire.call(Exchange("Vendor", "POST", place, headers, json={}))
            assert caught.value.sent == "no"
        assert len(upstream.requests) == 1


async def test_an_answer_of_any_status_is_an_answer() -> None:
    for status in (204, 301, 400, 401, 429, 500, 503):
        async with Upstream(reply(status, location="/elsewhere")) as upstream, opened() as wire:
            answer = await wire.call(post(upstream))
            assert (answer.status, answer.ok, answer.body) == (status, status == 204, b"")
            assert len(upstream.requests) == 1


async def test_the_same_header_twice_is_one() -> None:
    head = b"HTTP/1.1 200 OK\r\nVia: a\r\nvia: b\r\ncontent-length: 0\r\n\r\n"
    async with Upstream(raw(head)) as upstream, opened() as wire:
        assert (await wire.call(post(upstream))).headers["via"] == "a, b"


@pytest.mark.parametrize("body", [b"<html>", b"", b"{", b"\xff\xfe\x00", b"[" * 200_000])
def test_what_is_no_json_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(errors.BadAnswer, match=r"Vendor answered 200 with") as caught:
        Reply("Vendor", 200, {}, body).json()
    assert caught.value.sent == "yes"


@pytest.mark.parametrize(
    "body", [b'\xef\xbb\xbf{"a": "\xc3\xa9"}', '{"a": "é"}'.encode("utf-16"), b'{"a": "\\u00e9", "a": "\\u00e9"}']
)
def test_json_as_vendors_write_it(body: bytes) -> None:
    assert Reply("Vendor", 200, {}, body).json() == {"a": "é"}


async def test_half_a_character_goes_out_and_comes_back() -> None:
    async with Upstream(reply(200, b'{"cut": "\\ud83d"}')) as upstream, opened() as wire:
        answer = await wire.call(post(upstream, json={"cut": "\ud83d", "whole": "\U0001f600"}))
        assert answer.json() == {"cut": "\ud83d"}
        assert upstream.requests[0].json() == {"cut": "\ud83d", "whole": "\U0001f600"}


async def test_compressed_answers_are_unpacked_and_bounded_by_what_they_become() -> None:
    small, bomb = gzip.compress(b'{"a": 1}'), gzip.compress(b"\0" * 30_000_000)
    steps = (reply(200, small, content_encoding="gzip"), reply(200, bomb, content_encoding="gzip"))
    async with Upstream(*steps) as upstream, opened() as wire:
        assert (await wire.call(post(upstream))).json() == {"a": 1}
        with pytest.raises(errors.BadAnswer, match="more than 100000 bytes"):
            await wire.call(post(upstream, cap=100_000))


@pytest.mark.parametrize("step", [reply(200, b"x" * 101), chunked([b"x" * 50] * 3), flood(), cut(b"x" * 101)])
async def test_an_answer_that_is_too_large(step: Step) -> None:
    async with Upstream(step) as upstream, opened() as wire:
        with pytest.raises(errors.BadAnswer, match="more than 100 bytes") as caught:
            await wire.call(post(upstream, cap=100))
        assert caught.value.sent == "yes"
        answer = await wire.download(fetch(upstream, cap=100))
        with pytest.raises(errors.BadAnswer, match="more than 100 bytes"):
            await answer.reply()
        answer = await wire.stream(post(upstream), cap=100)
        with pytest.raises(errors.BadAnswer, match="more than 100 bytes"):
            await answer.reply()


async def test_an_answer_of_just_the_size() -> None:
    async with Upstream(reply(200, b"x" * 100), chunked([b"x" * 50] * 2)) as upstream, opened() as wire:
        assert len((await wire.call(post(upstream, cap=100))).body) == 100
        assert len((await wire.call(post(upstream, cap=100))).body) == 100


# What each failure says of itself.


@pytest.mark.parametrize(
    ("step", "error", "sent"),
    [
        (reset(), errors.UpstreamDown, "maybe"),
        (reset(rst=False), errors.UpstreamDown, "maybe"),
        (silence(), errors.UpstreamTimeout, "maybe"),
        (silence(b"HTTP/1.1 200 OK\r\n"), errors.UpstreamTimeout, "maybe"),
        (silence(b"HTTP/1.1 100 Continue\r\n\r\n"), errors.UpstreamTimeout, "maybe"),
        (raw(b"SSH-2.0-OpenSSH_9\r\n"), errors.BadAnswer, "maybe"),
        (raw(b"\x00\xff\x15\x03" * 50), errors.BadAnswer, "maybe"),
        (raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000 + b"\r\n\r\n"), errors.BadAnswer, "maybe"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5000 + b"\r\n"), errors.BadAnswer, "maybe"),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"), errors.BadAnswer, "maybe"),
        (cut(b"half", declared=8), errors.BadAnswer, "yes"),
        (chunked([b"half"], end=False), errors.BadAnswer, "yes"),
        (reply(200, b"not gzip", content_encoding="gzip"), errors.BadAnswer, "yes"),
        (silence(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), errors.UpstreamTimeout, "yes"),
    ],
)
async def test_failures_after_the_request_left(step: Step, error: type[errors.ProviderError], sent: str) -> None:
    async with Upstream(step) as upstream, opened() as wire:
        late = error is errors.UpstreamTimeout
        deadlines = Deadlines() if not late else STALLS if sent == "yes" else SHORT
        with pytest.raises(error, match="Vendor") as caught:
            await wire.call(post(upstream, deadlines=deadlines))
        assert (type(caught.value), caught.value.sent) == (error, sent)
        assert len(upstream.requests) == 1


async def test_failures_before_anything_was_sent() -> None:
    async with Upstream(raw(b"HTTP/1.1 200 OK\r\n\r\n")) as upstream, opened() as wire:
        with pytest.raises(errors.UpstreamDown, match="cannot be reached") as nobody:
            await wire.call(Exchange("Vendor", "POST", f"http://127.0.0.1:{free_port()}/", json={}))
        with pytest.raises(errors.UpstreamDown, match="[Vv]endor") as plain:
            async with asyncio.timeout(5):
                await wire.call(Exchange("Vendor", "POST", f"https://127.0.0.1:{await hangs_up()}/", json={}))
        for header in ("Bearer k\nX: y", "Bearer \x00"):
            with pytest.raises(errors.Unavailable, match="malformed") as malformed:
                await wire.call(post(upstream, headers={"Authorization": header}))
            assert malformed.value.sent == "no"
        with pytest.raises(errors.Unavailable, match="malformed") as scheme:
            await wire.call(Exchange("Vendor", "POST", "ftp://127.0.0.1/"))
        for url in (
            "http://[",
            "http:///x",
            "nonsense",
            "",
            upstream.url("/a b"),
            upstream.url("/\u00e9"),
            "http://a:b:c/",
        ):
            with pytest.raises(errors.Unavailable, match="malformed"):
                await wire.call(Exchange("Vendor", "POST", url))
        assert not upstream.requests
    async with opened(resolver=Unknown()) as wire:
        with pytest.raises(errors.UpstreamDown, match="cannot be resolved") as unknown:
            await wire.call(Exchange("Vendor", "POST", "http://vendor.example/", json={}))
    assert {each.value.sent for each in (nobody, plain, scheme, unknown)} == {"no"}


async def hangs_up() -> int:
    """A port that answers a TLS hello with plain text."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()
        server.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


async def test_a_full_backlog_is_a_connection_that_does_not_come() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        fill = [socket.socket() for _ in range(4)]
        for each in fill:
            each.setblocking(False)
            each.connect_ex(sock.getsockname())
        async with opened() as wire:
            with pytest.raises(errors.UpstreamTimeout) as caught:
                await wire.call(
                    Exchange("Vendor", "POST", f"http://127.0.0.1:{sock.getsockname()[1]}/", deadlines=SHORT)
                )
        assert caught.value.sent == "no"
        for each in fill:
            each.close()


async def test_waiting_for_a_free_connection_is_not_yet_sent() -> None:
    async with Upstream(silence()) as upstream, opened(limit=1) as wire:
        held = asyncio.create_task(wire.call(post(upstream)))
        while not upstream.requests:
            await asyncio.sleep(0)
        with pytest.raises(errors.UpstreamTimeout) as caught:
            await wire.call(post(upstream, deadlines=Deadlines(total=0.05)))
        assert caught.value.sent == "no"
        assert len(upstream.requests) == 1
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "DELETE"])
@pytest.mark.parametrize("rst", [True, False])
async def test_nothing_is_sent_twice_over_a_connection_that_went_stale(method: str, rst: bool) -> None:
    """aiohttp alone would send all but POST again."""
    async with Upstream(reply(200), reset(rst=rst), reply(200)) as upstream, opened() as wire:
        exchange = Exchange("Vendor", method, upstream.url(), json={"n": 1})
        await wire.call(exchange)
        with pytest.raises(errors.UpstreamDown) as caught:
            await wire.call(exchange)
        assert caught.value.sent == "maybe"
        assert [each.connection for each in upstream.requests] == [0, 0]
        assert (await wire.call(exchange)).status == 200
        assert len(upstream.requests) == 3


# Bodies that take their time.


async def test_a_body_that_turns_into_garbage() -> None:
    async def garbage(line: Line) -> bool:
        await line.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await line.upstream.go.wait()
        await line.send(b"zz\r\n")
        return False

    async with Upstream(garbage) as upstream, opened() as wire:
        answer = await wire.stream(post(upstream))
        assert await anext(answer) == b"one"
        upstream.go.set()
        with pytest.raises(errors.BadAnswer) as caught:
            await anext(answer)
        assert caught.value.sent == "yes"


async def test_a_body_comes_as_it_is_made() -> None:
    turn = asyncio.Semaphore(0)
    async with Upstream(chunked([b"one", b"two", b"three"], before_each=turn.acquire)) as upstream, opened() as wire:
        answer = await wire.stream(post(upstream))
        assert (answer.status, answer.length) == (200, None)
        got = []
        for _ in range(3):
            turn.release()
            got.append(await anext(answer))
        assert got == [b"one", b"two", b"three"]
        with pytest.raises(StopAsyncIteration):
            await anext(answer)
        with pytest.raises(StopAsyncIteration):
            await anext(answer)
        await answer.aclose()


@pytest.mark.parametrize("promise", [True, False])
async def test_a_slow_reader_gets_everything_though_the_vendor_has_hung_up(promise: bool) -> None:
    whole = bytes(3_000_000)
    packed = gzip.compress(whole)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n"
    length = b"content-length: %d\r\n" % len(packed) if promise else b""
    async with Upstream(raw(head + length + b"\r\n" + packed)) as upstream, opened() as wire:
        answer = await wire.stream(post(upstream))
        size = 0
        async for piece in answer:
            size += len(piece)
            await asyncio.sleep(0.001)
        assert size == len(whole)


async def test_a_kept_connection_gathers_nothing() -> None:
    turn = asyncio.Semaphore(0)
    async with Upstream(chunked([b"x"], before_each=turn.acquire)) as upstream, opened() as wire:
        for _ in range(20):
            answer = await wire.stream(post(upstream))
            turn.release()
            assert (await answer.reply()).body == b"x"
            assert answer._lost is not None
            assert len(answer._lost._callbacks) == 1  # type: ignore[attr-defined]
        assert upstream.connections == 1


async def test_a_body_read_to_its_end_gives_its_connection_back() -> None:
    async with Upstream(reply(200, b"abc", content_type="Audio/MPEG; x=y")) as upstream, opened() as wire:
        for _ in range(3):
            answer = await wire.stream(post(upstream))
            assert (answer.content_type, answer.length) == ("audio/mpeg", 3)
            assert [piece async for piece in answer] == [b"abc"]
        assert upstream.connections == 1
        assert upstream.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("read", [0, 1])
async def test_closing_hangs_up_on_the_vendor(read: int) -> None:
    async with Upstream(flood()) as upstream, opened() as wire:
        answer = await wire.stream(post(upstream))
        for _ in range(read):
            await anext(answer)
        await answer.aclose()
        await answer.aclose()
        async with asyncio.timeout(5):
            await upstream.hung_up.wait()


async def test_cancelling_hangs_up_on_the_vendor() -> None:
    async with Upstream(silence(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")) as upstream, opened() as wire:
        answer = await wire.stream(post(upstream))
        assert await anext(answer) == b"half"
        reading = asyncio.ensure_future(anext(answer))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        async with asyncio.timeout(5):
            await upstream.hung_up.wait()


async def test_cancelling_before_the_answer_hangs_up_too() -> None:
    async with Upstream(silence()) as upstream, opened() as wire:
        calling = asyncio.create_task(wire.call(post(upstream)))
        while not upstream.requests:
            await asyncio.sleep(0)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        async with asyncio.timeout(5):
            await upstream.hung_up.wait()


@pytest.mark.parametrize("more", [{}, {"json": None, "form": (Part("a", "1"),)}], ids=["small", "a form"])
async def test_what_came_for_a_caller_who_has_left_does_not_wait_for_the_collector(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    connections: list[weakref.ref[ResponseHandler]] = []
    received = ResponseHandler.data_received
    async with Upstream(reply(200, b"x" * 10_000)) as upstream, opened() as wire:
        calling = asyncio.create_task(wire.call(post(upstream, **more)))

        def in_between(self: ResponseHandler, data: bytes) -> None:
            received(self, data)
            connections.append(weakref.ref(self))
            calling.cancel()  # the answer is there, and nobody has looked at it yet

        monkeypatch.setattr(ResponseHandler, "data_received", in_between)
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(asyncio.CancelledError):
                await calling
            async with asyncio.timeout(1):
                while connections[0]() is not None:
                    await asyncio.sleep(0)
        finally:
            gc.enable()


async def test_a_slow_body_within_its_deadlines() -> None:
    pieces = chunked([b"x"] * 15, before_each=lambda: asyncio.sleep(0.02))
    deadlines = Deadlines(first_byte=0.25, idle=5.0, total=10.0)
    async with Upstream(pieces) as upstream, opened() as wire:
        assert (await wire.call(post(upstream, deadlines=deadlines))).body == b"x" * 15


async def test_a_body_that_dribbles_meets_the_total() -> None:
    pieces = chunked([b"x"] * 1000, before_each=lambda: asyncio.sleep(0.01))
    async with Upstream(pieces) as upstream, opened() as wire:
        with pytest.raises(errors.UpstreamTimeout) as caught:
            await wire.call(post(upstream, deadlines=Deadlines(idle=5.0, total=0.15)))
        assert caught.value.sent == "yes"


async def test_a_body_that_stalls_meets_the_idle_deadline_only_while_somebody_reads() -> None:
    step = silence(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
    async with Upstream(step) as upstream, opened() as wire:
        answer = await wire.stream(post(upstream, deadlines=STALLS))
        await asyncio.sleep(0.1)  # a listener that takes its time is no stall of the vendor's
        assert await anext(answer) == b"half"
        with pytest.raises(errors.UpstreamTimeout):
            await anext(answer)
        await asyncio.wait_for(upstream.hung_up.wait(), 5)


async def test_closing_the_wire_ends_what_is_under_way() -> None:
    wire = Wire()
    async with Upstream(silence(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), silence()) as upstream:
        answer = await wire.stream(post(upstream))
        await anext(answer)
        reading = asyncio.ensure_future(anext(answer))
        calling = asyncio.create_task(wire.call(post(upstream)))
        while len(upstream.requests) < 2:
            await asyncio.sleep(0)
        await wire.close()
        with pytest.raises(errors.UpstreamDown) as read:
            await reading
        with pytest.raises(errors.UpstreamDown) as called:
            await calling
        assert (read.value.sent, called.value.sent) == ("yes", "maybe")
        with pytest.raises(errors.Unavailable, match="shutting down"):
            await wire.call(post(upstream))
        await wire.close()


async def test_many_at_once_share_a_small_pool() -> None:
    async with Upstream(reply(200, {"ok": True})) as upstream, opened(limit=8) as wire:
        answers = await asyncio.gather(*(wire.call(post(upstream, json={"n": n})) for n in range(200)))
        assert all(each.json() == {"ok": True} for each in answers)
        assert sorted(each.json()["n"] for each in upstream.requests) == list(range(200))
        assert upstream.connections <= 8


async def test_closing_the_wire_between_two_reads_is_no_early_end() -> None:
    async with Upstream(flood()) as upstream:
        wire = Wire()
        answer = await wire.stream(post(upstream))
        await anext(answer)
        await wire.close()
        with pytest.raises(errors.UpstreamDown):
            await anext(answer)


# Downloads.


async def test_a_download_carries_nothing_of_ours() -> None:
    signed = "/o.mp4?_jwt=a%2Fb%20c+d&X=~(1)'"
    async with Upstream(reply(200, b"media", content_type="video/mp4")) as upstream, opened() as wire:
        await wire.call(post(upstream, headers={"Authorization": f"Bearer {CANARY}"}))
        answer = await wire.download(fetch(upstream, signed))
        assert (answer.status, answer.content_type, answer.length) == (200, "video/mp4", 5)
        assert (await answer.reply()).body == b"media"
        got = upstream.requests[-1]
        assert (got.method, got.path) == ("GET", signed)
        assert set(got.headers) == {"host", "accept", "accept-encoding", "user-agent"}


async def test_a_scheme_in_capitals() -> None:
    async with Upstream(reply(200, b"media")) as upstream, opened() as wire:
        answer = await wire.download(Fetch(upstream.url().replace("http", "HTTP"), LOOPBACK, cap=100))
        assert (await answer.reply()).body == b"media"


async def test_redirects_are_followed_five_times() -> None:
    hops = [reply(status, location=f"/{status}") for status in (301, 302, 303, 307, 308)]
    async with Upstream(*hops, reply(200, b"media")) as upstream, opened() as wire:
        assert (await (await wire.download(fetch(upstream))).reply()).body == b"media"
        assert [each.path for each in upstream.requests] == ["/o.mp4", "/301", "/302", "/303", "/307", "/308"]
        assert {each.method for each in upstream.requests} == {"GET"}
    async with Upstream(reply(302, location="/again")) as upstream, opened() as wire:
        with pytest.raises(errors.BadAnswer, match="more than 5 redirects"):
            await wire.download(fetch(upstream))
        assert len(upstream.requests) == 6


async def test_a_redirect_to_another_allowed_host() -> None:
    async with (
        Upstream(reply(200, b"media"), host="127.0.0.2") as second,
        Upstream(reply(302, location=second.url("/x"))) as first,
        opened() as wire,
    ):
        assert (await (await wire.download(fetch(first))).reply()).body == b"media"
        assert "referer" not in second.requests[0].headers


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (cut(b"half", declared=8), errors.BadAnswer),
        (cut(b"half", declared=8, rst=True), errors.BadAnswer),
        (cut(b"half", rst=True), errors.BadAnswer),
        (chunked([b"half"], end=False), errors.BadAnswer),
        (silence(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), errors.UpstreamTimeout),
    ],
)
async def test_a_download_is_never_silently_short(step: Step, error: type[errors.ProviderError]) -> None:
    async with Upstream(step) as upstream, opened() as wire:
        deadlines = STALLS if error is errors.UpstreamTimeout else Deadlines()
        answer = await wire.download(fetch(upstream, deadlines=deadlines))
        got = [await anext(answer)]
        upstream.go.set()
        with pytest.raises(error):
            got.extend([piece async for piece in answer])
        assert b"".join(got) == b"half"


async def test_a_body_may_end_with_its_connection() -> None:
    async with Upstream(cut(b"whole")) as upstream, opened() as wire:
        assert (await (await wire.download(fetch(upstream))).reply()).body == b"whole"


@pytest.mark.parametrize(
    ("status", "error", "caller"),
    [
        (206, errors.BadAnswer, errors.BadAnswer),
        (304, errors.BadAnswer, errors.Refused),
        (302, errors.BadAnswer, errors.Refused),
        (401, errors.Gone, errors.Refused),
        (403, errors.Gone, errors.Refused),
        (404, errors.Gone, errors.Refused),
        (410, errors.Gone, errors.Refused),
        (429, errors.RateLimited, errors.Refused),
        (500, errors.UpstreamDown, errors.UpstreamDown),
        (503, errors.UpstreamDown, errors.UpstreamDown),
    ],
)
async def test_a_download_that_is_none(status: int, error: type[errors.ProviderError], caller: Any) -> None:
    async with Upstream(reply(status, b"")) as upstream, opened() as wire:
        with pytest.raises(error) as caught:
            await wire.download(fetch(upstream))
        assert type(caught.value) is error
        with pytest.raises(caller) as caught:
            await wire.download(fetch(upstream, param="image_url"))
        assert type(caught.value) is caller


# What may never be seen.

Ask = Callable[[Wire, str], Awaitable[Any]]


async def ask_call(wire: Wire, url: str) -> Reply:
    header = {"Authorization": f"Bearer {CANARY}", "X-Key": CANARY}
    exchange = Exchange("Vendor", "POST", url, header, json={"k": CANARY}, deadlines=SHORT, cap=100)
    assert CANARY not in repr(exchange)
    return await wire.call(exchange)


async def ask_download(wire: Wire, url: str) -> Reply:
    asked = Fetch(url, LOOPBACK, cap=100, deadlines=SHORT)
    assert CANARY not in repr(asked)
    answer: Answer = await wire.download(asked)
    return await answer.reply()


@pytest.mark.parametrize("ask", [ask_call, ask_download])
@pytest.mark.parametrize(
    "step",
    [
        reset(),
        silence(),
        raw(f"garbage {CANARY}\r\n\r\n".encode()),
        cut(b"x", declared=9),
        flood(),
        reply(200, CANARY, content_encoding="gzip"),
        reply(302, location=f"http://user:{CANARY}@127.0.0.1/"),
        reply(302, location=f"https://10.0.0.1/?_jwt={CANARY}"),
        reply(302, location=f"/again?_jwt={CANARY}"),
        reply(403, CANARY),
        reply(500, CANARY, x_key=CANARY),
    ],
)
async def test_no_error_shows_a_key(ask: Ask, step: Step, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in its words nor in the traceback that a log would show."""
    async with Upstream(step) as upstream, opened() as wire:
        for url in (upstream.url(f"/x?key={CANARY}"), f"http://127.0.0.1:1/?key={CANARY}"):
            try:
                await ask(wire, url)
            except errors.ProviderError as error:
                shown = "".join(traceback.format_exception(error)) + str(error) + repr(error)
                assert CANARY not in shown
                assert "_jwt" not in shown
    assert CANARY not in caplog.text


async def test_the_headers_of_a_download_stay_with_its_host() -> None:
    async with Upstream(reply(200, b"film")) as elsewhere:
        steps = (reply(302, location="/b"), reply(302, location=elsewhere.url("/c")))
        async with Upstream(*steps) as upstream, opened() as wire:
            answer = await wire.download(fetch(upstream, headers={"x-key": CANARY}))
            assert (await answer.reply()).body == b"film"
            assert [each.headers.get("x-key") for each in upstream.requests] == [CANARY, CANARY]
            assert "x-key" not in elsewhere.requests[0].headers
            assert elsewhere.requests[0].headers["accept-encoding"] == "identity"
    assert CANARY not in repr(fetch(upstream, headers={"x-key": CANARY}))
