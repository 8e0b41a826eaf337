"""A small request on a connection of aiohttp's pool, without what its ``ClientSession`` does for each.

Cookies, redirects, authentication, a task that writes the body: nothing of that is needed here. Pool, addresses, TLS
and the parser are aiohttp's; what is used of it beyond its documentation is tested in ``test_wire``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDictProxy
from yarl import URL

from providers.base.connector import UNREAD
from providers.base.exchange import Deadlines

_KEPT = 256  # origins whose requests are remembered


class Leaving(Protocol):
    """A request under way: ``leaves`` is called before its first byte is written."""

    deadlines: Deadlines

    def leaves(self) -> None:
        """It is about to be written."""


@lru_cache(64)
def connecting(seconds: float) -> aiohttp.ClientTimeout:
    """aiohttp's words for the time that a connection may take; all others are ours."""
    return aiohttp.ClientTimeout(total=None, sock_connect=seconds)


class Response:
    """The head of an answer, and its body as it comes: what ``Answer`` needs of aiohttp's ``ClientResponse``."""

    def __init__(
        self,
        status: int,
        headers: CIMultiDictProxy[str],
        content: aiohttp.StreamReader,
        connection: Connection | None,
        protocol: ResponseHandler,
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self.protocol = protocol
        said = headers.get("content-length")
        self.content_length = int(said) if said is not None and said.isdigit() else None
        self._connection = connection
        content.on_eof(self._ended)

    def close(self) -> None:
        """Hang up, unless the body has ended."""
        if self._connection is not None:
            if self.content.exception() is None:
                self.content.set_exception(aiohttp.ClientConnectionError("Connection closed"))
            self._connection.close()
            self._connection = None

    def _ended(self) -> None:
        if self._connection is not None:
            self._connection.release()
            self._connection = None


class Sender:
    """The small requests of one session's connections."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        assert session.connector is not None
        self._session = session
        self._connector = session.connector
        self._origins: dict[URL, tuple[aiohttp.ClientRequest, Mapping[str, str]]] = {}

    async def send(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | None,
        flight: Leaving,
    ) -> Response:
        """Send it, and wait for the head of its answer.

        Raises what aiohttp's requests raise, ``ValueError`` where a header cannot be sent. Nothing is tried again.
        """
        origin, common = self._origin(url)
        every = {**common, **headers}
        if url.user is not None or url.password is not None:
            if "Authorization" in every:
                raise ValueError  # it can have only one of them
            every["Authorization"] = aiohttp.encode_basic_auth(url.user or "", url.password or "")
        head = _head(method, url, every, body)
        connection = await self._connector.connect(origin, traces=[], timeout=connecting(flight.deadlines.connect))
        try:
            protocol = connection.protocol
            assert protocol is not None
            protocol.set_response_params(skip_payload=method == "HEAD", read_until_eof=True, read_bufsize=UNREAD)
            flight.leaves()
            write(protocol.transport, head, body)
            message, content = await protocol.read()
            while 100 <= message.code < 200:
                message, content = await protocol.read()
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientResponseError(origin.request_info, (), status=error.code) from error
        except BaseException:
            connection.close()
            raise
        return Response(message.code, message.headers, content, connection, protocol)

    def _origin(self, url: URL) -> tuple[aiohttp.ClientRequest, Mapping[str, str]]:
        """A request that is never sent, since the connector asks one where to connect; and the headers of all there."""
        place = url.origin()
        if (known := self._origins.get(place)) is None:
            if len(self._origins) >= _KEPT:
                self._origins.clear()
            request = aiohttp.ClientRequest("GET", place, session=self._session)
            known = request, {"Host": request.headers["Host"], "Accept": "*/*", **self._session.headers}
            self._origins[place] = known
        return known


def write(transport: asyncio.Transport | None, head: bytes, body: bytes | None) -> None:
    """Hand a request to its connection: small enough not to wait for it."""
    if transport is None or transport.is_closing():
        raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")
    transport.write(head if body is None else head + body)


def _head(method: str, url: URL, headers: Mapping[str, str], body: bytes | None) -> bytes:
    lines = [f"{method} {url.raw_path_qs} HTTP/1.1", *map(": ".join, headers.items())]
    if body is not None or method == "POST":
        lines.append(f"Content-Length: {len(body or b'')}")
    text = "\r\n".join(lines)
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1 or "\0" in text:
        raise ValueError
    return f"{text}\r\n\r\n".encode()
