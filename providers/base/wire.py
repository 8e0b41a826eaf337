"""One HTTP exchange: ``call``, ``stream``, ``download``. The only HTTP client in the house.

Nothing is tried twice here, nothing is logged, redirects are followed for downloads alone, and every failure says by
``sent`` whether the vendor may have taken the request: ``"no"`` while there was no connection, ``"maybe"`` once the
request began to be written, ``"yes"`` once an answer came.
"""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import Any, Self
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from providers.base import errors
from providers.base.egress import Egress, GuardedResolver, is_plain, place
from providers.base.errors import ProviderError, Sent
from providers.base.exchange import MIB, Deadlines, Exchange, Fetch, Reply
from providers.base.refusals import refusal

REDIRECTS = (301, 302, 303, 307, 308)
STREAM_CAP = 256 * MIB
"""Bytes of the longest body that is passed through."""


class _Lost(aiohttp.ClientError):
    """A connection that broke, in a form that aiohttp does not try again."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp sends GET, PUT and DELETE a second time when a kept connection breaks. What is sent is ours to decide."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Lost from error


class _Request(aiohttp.ClientRequest):
    """One that says when it begins to be written: there is a connection then."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        _FLIGHT.get().leaves()
        return await super().send(conn)


class _Flight:
    """One request under way: what is known of it, and when it is over."""

    def __init__(self, vendor: str, deadlines: Deadlines) -> None:
        self.vendor = vendor
        self.deadlines = deadlines
        self.sent: Sent = "no"
        self.ends = asyncio.get_running_loop().time() + deadlines.total
        self._clock: asyncio.Timeout | None = None

    def clock(self) -> asyncio.Timeout:
        """The time until the answer's head."""
        self._clock = asyncio.timeout_at(self.ends)
        return self._clock

    def leaves(self) -> None:
        """The first byte is about to be written. From here on the vendor's own slowness counts."""
        self.sent = "maybe"
        if self._clock is not None:
            self._clock.reschedule(min(self.ends, asyncio.get_running_loop().time() + self.deadlines.first_byte))

    def idle_clock(self) -> asyncio.Timeout:
        """The time until the next piece of the body."""
        return asyncio.timeout_at(min(self.ends, asyncio.get_running_loop().time() + self.deadlines.idle))

    def error(self, fault: Exception) -> ProviderError:
        """The same in our words. Nothing of the fault's own text is kept: it may hold an address with its query."""
        if isinstance(fault, ProviderError):
            return fault
        if isinstance(fault, ValueError) and not isinstance(fault, aiohttp.ClientConnectorError):
            return errors.Unavailable(f"{self.vendor}: its address or a header is malformed.", reason="settings")
        error, words = next((error, words) for kind, error, words in _WORDS if isinstance(fault, kind))
        return error(f"{self.vendor}{words}", sent=self.sent)


_FLIGHT: ContextVar[_Flight] = ContextVar("flight")
"""The request that the running task makes: aiohttp has no cheaper way to hand it on."""

_WORDS: tuple[tuple[type[Exception], type[ProviderError], str], ...] = (
    (aiohttp.ClientConnectorDNSError, errors.UpstreamDown, ": the name of its server cannot be resolved."),
    (aiohttp.ClientConnectorCertificateError, errors.UpstreamDown, ": its certificate is not to be trusted."),
    (aiohttp.ClientConnectorSSLError, errors.UpstreamDown, ": no secure connection could be made."),
    (aiohttp.ClientConnectorError, errors.UpstreamDown, " cannot be reached."),
    (TimeoutError, errors.UpstreamTimeout, " did not answer in time."),
    (aiohttp.ClientPayloadError, errors.BadAnswer, " ended its answer early."),
    (aiohttp.ClientResponseError, errors.BadAnswer, " answered with something that is not HTTP."),
    (Exception, errors.UpstreamDown, " broke off the connection."),
)
_FAULTS = (aiohttp.ClientError, OSError, ValueError, ProviderError)


class Answer:
    """An answer whose body is still coming: a ``ByteStream`` with a head. Somebody must read it to its end or close it.

    ``headers`` have names in lower case; ``length`` is the body's size in bytes where it is said.
    """

    def __init__(self, response: aiohttp.ClientResponse, flight: _Flight, cap: int) -> None:
        flight.sent = "yes"
        self.status = response.status
        self.headers: Mapping[str, str] = _lower(response)
        self._response = response
        self._flight = flight
        self._cap = cap
        self._taken = 0
        self._over = False
        # Kept since the response lets go of it at the body's end: it knows how the connection ended.
        self._connection = response.connection.protocol if response.connection is not None else None
        self._lost = self._connection.closed if self._connection is not None else None
        self._wake = partial(_wake, response.content)
        if self._lost is not None:
            self._lost.remove_done_callback(_seen)  # one for the many answers of a kept connection
            self._lost.add_done_callback(_seen)
            self._lost.add_done_callback(self._wake)

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case; ``""`` where none is said."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def length(self) -> int | None:
        """Bytes, unless compressed."""
        return None if "content-encoding" in self.headers else self._response.content_length

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece. Raises ``BadAnswer`` (cut short, too large), ``UpstreamTimeout``, ``UpstreamDown``."""
        if self._over:
            raise StopAsyncIteration
        try:
            if not self._taken and (self.length or 0) > self._cap:
                raise self._too_large()
            body = self._response.content
            piece = body.read_nowait()
            if not piece and not body.at_eof():
                async with self._flight.idle_clock():
                    piece = await body.readany()
            self._taken += len(piece)
            if self._taken > self._cap:
                raise self._too_large()
            if not piece and self._was_reset():
                raise errors.BadAnswer(f"{self._flight.vendor} ended its answer early.", sent="yes")
        except BaseException as fault:
            await self.aclose()
            if isinstance(fault, _FAULTS):
                raise self._flight.error(fault) from None
            raise
        if not piece:
            await self.aclose()
            raise StopAsyncIteration
        return piece

    async def reply(self, cap: int = 8 * MIB) -> Reply:
        """The whole of it, of at most ``cap`` bytes. Raises as reading does."""
        self._cap = min(self._cap, cap)
        body = bytearray()
        async for piece in self:
            body += piece
        return Reply(self._flight.vendor, self.status, self.headers, bytes(body))

    async def aclose(self) -> None:
        """Hang up, unless the body has ended: then the connection is kept for the next."""
        self._over = True
        self.hang_up()

    def hang_up(self) -> None:
        """The same from outside: whoever still reads gets ``UpstreamDown``, not an early end."""
        if self._lost is not None:
            self._lost.remove_done_callback(self._wake)
        self._response.close()

    def _too_large(self) -> ProviderError:
        return errors.BadAnswer(f"{self._flight.vendor} answered with more than {self._cap} bytes.", sent="yes")

    def _was_reset(self) -> bool:
        """A body with no length ends where the connection does, also where that was broken off."""
        return self._connection is not None and isinstance(self._connection.exception(), OSError)


def _seen(lost: asyncio.Future[None]) -> None:
    """How a connection ended is known by other ways; asyncio complains of what nobody looked at."""
    if not lost.cancelled():
        lost.exception()


def _wake(body: aiohttp.StreamReader, _: asyncio.Future[None]) -> None:
    """aiohttp hangs up on a body that turns into garbage and leaves its reader waiting."""
    if not body.is_eof() and body.exception() is None:
        body.set_exception(aiohttp.ClientPayloadError())


def _lower(response: aiohttp.ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _form(exchange: Exchange) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for part in exchange.form:
        form.add_field(part.name, part.value, filename=part.filename, content_type=part.media_type)
    return form


def _characters(value: object) -> int:
    """About how long a body is: what its texts have."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_characters, value.values()))
    return sum(map(_characters, value)) if isinstance(value, list | tuple) else 0


class Wire:
    """The connections of the house. Made once, shared by all deployments (``resources.shared(Wire, Wire)``).

    ``limit`` bounds the connections of one policy (the vendors' servers are one, each ``Egress`` is another, since a
    kept connection must not serve a policy that would not have made it). ``resolver`` replaces the system's.
    """

    def __init__(
        self, *, limit: int = 256, resolver: AbstractResolver | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._limit = limit
        self._resolver = resolver
        self._tls = tls
        self._sessions: dict[Egress | None, tuple[aiohttp.ClientSession, AbstractResolver]] = {}
        self._answers: WeakSet[Answer] = WeakSet()  # aiohttp forgets to wake who reads from a pool that closes
        self._closed = False

    async def call(self, exchange: Exchange) -> Reply:
        """One request and its whole answer, whatever its status.

        Raises ``UpstreamDown``, ``UpstreamTimeout``, ``BadAnswer``, ``Unavailable`` (malformed settings).
        """
        return await (await self._send(exchange, "gzip, deflate", exchange.cap)).reply(exchange.cap)

    async def stream(self, exchange: Exchange, cap: int = STREAM_CAP) -> Answer:
        """One request; returns when the head of its answer is there, whatever its status. Raises as ``call`` does.

        An answer of another status than the wished one is best taken whole, with ``await answer.reply()``.
        """
        return await self._send(exchange, "identity", cap)

    async def download(self, fetch: Fetch) -> Answer:
        """Get an output or a reference: guarded, redirects followed and each checked, headers for the first host alone.

        The status is one of the 200s. Raises ``AddressRefused`` (``OutputRefused`` for a vendor's), ``Gone`` (no such
        output any more), ``Refused`` (a caller's address answers with a status of the 400s), and as ``call`` does.
        """
        flight = _Flight(fetch.vendor, fetch.deadlines)
        try:
            url = fetch.url
            fetch.egress.check_url(url)
            for _ in range(fetch.hops + 1):
                headers = {"Accept-Encoding": "identity", **(fetch.headers if place(url) == place(fetch.url) else {})}
                answer = await self._open(flight, fetch.egress, "GET", url, cap=fetch.cap, headers=headers)
                if answer.status not in REDIRECTS or "location" not in answer.headers:
                    return await _downloaded(answer, fetch)
                await answer.aclose()
                url = fetch.egress.follow(url, answer.headers["location"])
        except errors.AddressRefused as refused:
            if fetch.param is None:
                raise errors.OutputRefused(f"{fetch.vendor}: {refused}", sent="yes") from None
            raise errors.AddressRefused(str(refused), param=fetch.param) from None
        raise errors.BadAnswer(f"{fetch.vendor}: more than {fetch.hops} redirects.", sent="yes")

    async def close(self) -> None:
        """Close every connection; harmless twice. What is still under way fails."""
        self._closed = True
        for answer in tuple(self._answers):
            answer.hang_up()
        while self._sessions:
            session, resolver = self._sessions.popitem()[1]
            await session.close()
            await resolver.close()

    async def _send(self, exchange: Exchange, encoding: str, cap: int) -> Answer:
        flight = _Flight(exchange.vendor, exchange.deadlines)
        if exchange.egress is not None:
            exchange.egress.check_url(exchange.url)
        headers = {"Accept-Encoding": encoding, **exchange.headers}
        body: dict[str, Any] = {"json": exchange.json, "data": _form(exchange) if exchange.form else exchange.data}
        if _characters(exchange.json) > MIB // 4:
            # Written on a thread and handed out in pieces: a picture in it would hold up everybody else.
            text = await asyncio.to_thread(json.dumps, exchange.json)
            body = {"data": io.BytesIO(text.encode())}
            headers = {"Content-Type": "application/json", **headers}
        elif exchange.data is not None and len(exchange.data) > MIB:
            body = {"data": io.BytesIO(exchange.data)}
        return await self._open(
            flight, exchange.egress, exchange.method, exchange.url, headers=headers, cap=cap, **body
        )

    async def _open(
        self, flight: _Flight, egress: Egress | None, method: str, url: str, cap: int, **more: Any
    ) -> Answer:
        try:
            session = self._session(egress)
            # One that is signed for a single use need not be remembered.
            address = _address.__wrapped__(url) if "?" in url else _address(url)
            _FLIGHT.set(flight)
            async with flight.clock():
                response = await session.request(
                    method,
                    address,
                    timeout=_timeout(flight.deadlines.connect),
                    allow_redirects=False,
                    middlewares=() if method == "POST" else (_once,),
                    **more,
                )
        except _FAULTS as fault:
            # Without its cause: that one's text has addresses and headers in it.
            raise flight.error(fault) from None
        answer = Answer(response, flight, cap)
        self._answers.add(answer)
        return answer

    def _session(self, egress: Egress | None) -> aiohttp.ClientSession:
        if self._closed:
            raise errors.Unavailable("The gateway is shutting down.", reason="closing")
        if egress not in self._sessions:
            resolver = GuardedResolver(egress, self._resolver)
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._limit,
                    resolver=resolver,
                    ssl=self._tls or True,
                    ttl_dns_cache=30,
                    keepalive_timeout=30,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "media-gateway"},
                trust_env=False,
                request_class=_Request,
            )
            self._sessions[egress] = session, resolver
        return self._sessions[egress][0]


@lru_cache(1024)
def _address(url: str) -> URL:
    """Sent as it is written: signatures are made over the very characters. Raises ``ValueError``."""
    if not (is_plain(url) and url.lower().startswith(("http://", "https://"))):
        raise ValueError
    return URL(url, encoded=True)


@lru_cache(64)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect)


async def _downloaded(answer: Answer, fetch: Fetch) -> Answer:
    """The answer, if it is the thing itself."""
    if 200 <= answer.status < 300 and answer.status != 206:
        return answer
    await answer.aclose()
    if fetch.param is not None and 300 <= answer.status < 500:
        message = f"The address in {fetch.param} answered {answer.status}."
        raise errors.Refused(message, param=fetch.param)
    if answer.status in (401, 403, 404, 410):
        raise errors.Gone(f"{fetch.vendor}: the output is not at its address any more ({answer.status}).", sent="yes")
    raise refusal(fetch.vendor, answer.status, answer.headers)
