"""One HTTP exchange: ``call``, ``stream``, ``download``. The only HTTP client in the house.

Nothing is tried twice here, nothing is logged, redirects are followed for downloads alone, and every failure says by
``sent`` whether the vendor may have taken the request: ``"no"`` while there was no connection, ``"maybe"`` once the
request began to be written, ``"yes"`` once an answer came.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from providers.base import errors
from providers.base.answer import FAULTS, Answer, Flight
from providers.base.connector import UNREAD, Connector
from providers.base.egress import Egress, GuardedResolver, is_plain, place
from providers.base.exchange import MIB, Exchange, Fetch, Reply, json_text
from providers.base.refusals import refusal
from providers.base.sending import Sender, connecting
from providers.base.waiting import Watch

REDIRECTS = (301, 302, 303, 307, 308)
STREAM_CAP = 256 * MIB
"""Bytes of the longest body that is passed through."""


class _Request(aiohttp.ClientRequest):
    """One that says when it begins to be written: there is a connection then."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        _FLIGHT.get().leaves()
        return await super().send(conn)


_FLIGHT: ContextVar[Flight] = ContextVar("flight")
"""The request that the running task makes: aiohttp has no cheaper way to hand it on."""


def _form(exchange: Exchange) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for part in exchange.form:
        form.add_field(part.name, part.value, filename=part.filename, content_type=part.media_type)
    return form


def _characters(value: object) -> int:
    """About how long a body is: what its texts have."""
    count, left = 0, [value]
    while left:
        each = left.pop()
        if isinstance(each, str):
            count += len(each)
        elif isinstance(each, dict):
            left.extend(each.values())
        elif isinstance(each, list | tuple):
            left.extend(each)
    return count


class Wire:
    """The connections of the house. Made once, shared by all deployments (``resources.shared(Wire, Wire)``).

    ``limit`` bounds the connections of one policy (the vendors' servers are one, each ``Egress`` is another, since a
    kept connection must not serve a policy that would not have made it). ``resolver`` replaces the system's. ``spool``
    is the folder for what is too large for memory (``sieve``); ``None``: the system's for such files.
    """

    def __init__(
        self,
        *,
        limit: int = 256,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
        spool: Path | None = None,
    ) -> None:
        self.spool = spool
        self._limit = limit
        self._resolver = resolver
        self._tls = tls
        self._sessions: dict[Egress | None, _Opened] = {}
        self._answers: WeakSet[Answer] = WeakSet()  # aiohttp forgets to wake who reads from a pool that closes
        self._closed = False
        self._watch: Watch | None = None

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
        flight = Flight(fetch.vendor, fetch.deadlines, self._watching())
        try:
            url = fetch.url
            fetch.egress.check_url(url)
            for _ in range(fetch.hops + 1):
                headers = {"Accept-Encoding": "identity", **(fetch.headers if place(url) == place(fetch.url) else {})}
                exchange = Exchange(fetch.vendor, "GET", url, headers, egress=fetch.egress)
                answer = await self._small(flight, exchange, headers, None, fetch.cap)
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
            opened = self._sessions.popitem()[1]
            await opened.session.close()
            await opened.resolver.close()
        if self._watch is not None:
            self._watch.close()

    def _watching(self) -> Watch:
        if self._watch is None:
            self._watch = Watch()
        return self._watch

    async def _send(self, exchange: Exchange, encoding: str, cap: int) -> Answer:
        flight = Flight(exchange.vendor, exchange.deadlines, self._watching())
        if exchange.egress is not None:
            exchange.egress.check_url(exchange.url)
        headers, body = {"Accept-Encoding": encoding}, exchange.data
        if exchange.json is not None:
            headers["Content-Type"] = "application/json"
            large = _characters(exchange.json) > MIB // 4
            # On a thread where a picture in it would hold up everybody else.
            body = await asyncio.to_thread(json_text, exchange.json) if large else json_text(exchange.json)
        headers |= exchange.headers
        if not exchange.form and (body is None or len(body) <= MIB // 4):
            return await self._small(flight, exchange, headers, body, cap)
        data = _form(exchange) if exchange.form else io.BytesIO(body or b"")  # handed out in pieces
        return await self._large(flight, exchange, headers, data, cap)

    async def _small(
        self, flight: Flight, exchange: Exchange, headers: Mapping[str, str], body: bytes | None, cap: int
    ) -> Answer:
        try:
            sender = self._opened(exchange.egress).sender
            address = _address_of(exchange.url)
            with flight.until_head():
                response = await sender.send(exchange.method, address, headers, body, flight)
        except FAULTS as fault:
            raise flight.error(fault) from None
        return self._answer(Answer(response, response.protocol, flight, cap))

    async def _large(
        self,
        flight: Flight,
        exchange: Exchange,
        headers: Mapping[str, str],
        data: aiohttp.FormData | io.BytesIO,
        cap: int,
    ) -> Answer:
        """A form, or a long body: by aiohttp's session, which writes it in pieces. POSTs alone: those it sends once."""
        assert exchange.method == "POST"
        try:
            session = self._opened(exchange.egress).session
            address = _address_of(exchange.url)
            _FLIGHT.set(flight)
            with flight.until_head():
                response = await session.request(
                    exchange.method,
                    address,
                    headers=headers,
                    data=data,
                    timeout=connecting(flight.deadlines.connect),
                    allow_redirects=False,
                )
        except FAULTS as fault:
            # Without its cause: that one's text has addresses and headers in it.
            raise flight.error(fault) from None
        # Kept since the response lets go of it at the body's end: it knows how the connection ended.
        protocol = response.connection.protocol if response.connection is not None else None
        return self._answer(Answer(response, protocol, flight, cap))

    def _answer(self, answer: Answer) -> Answer:
        if not answer.whole:
            self._answers.add(answer)
        return answer

    def _opened(self, egress: Egress | None) -> _Opened:
        if self._closed:
            raise errors.Unavailable("The gateway is shutting down.", reason="closing")
        if (opened := self._sessions.get(egress)) is None:
            opened = self._sessions[egress] = self._open(egress)
        return opened

    def _open(self, egress: Egress | None) -> _Opened:
        resolver = GuardedResolver(egress, self._resolver)
        session = aiohttp.ClientSession(
            connector=Connector(
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
            read_bufsize=UNREAD,
        )
        return _Opened(session, resolver, Sender(session))


class _Opened(NamedTuple):
    """The connections of one policy."""

    session: aiohttp.ClientSession
    resolver: AbstractResolver
    sender: Sender


def _address_of(url: str) -> URL:
    # One that is signed for a single use need not be remembered.
    return _address.__wrapped__(url) if "?" in url else _address(url)


@lru_cache(1024)
def _address(url: str) -> URL:
    """Sent as it is written: signatures are made over the very characters. Raises ``ValueError``."""
    if not (is_plain(url) and url.lower().startswith(("http://", "https://"))):
        raise ValueError
    return URL(url, encoded=True)


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
