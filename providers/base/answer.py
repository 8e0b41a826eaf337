"""One request under way, and its answer while the body is still coming."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Self

import aiohttp
from aiohttp.client_proto import ResponseHandler

from providers.base import errors
from providers.base.connector import PIECE
from providers.base.errors import ProviderError, Sent
from providers.base.exchange import MIB, Deadlines, Reply
from providers.base.sending import Response
from providers.base.waiting import Deadline, Watch


class Flight(Deadline):
    """One request under way: what is known of it, and when what is awaited of it must be there."""

    def __init__(self, vendor: str, deadlines: Deadlines, watch: Watch) -> None:
        self.vendor = vendor
        self.deadlines = deadlines
        self.sent: Sent = "no"
        self.ends = watch.now() + deadlines.total
        super().__init__(watch, self.ends)

    def until_head(self) -> Self:
        """The time until the answer's head."""
        self.at = self.ends
        return self

    def leaves(self) -> None:
        """The first byte is about to be written. From here on the vendor's own slowness counts."""
        self.sent = "maybe"
        self.move(min(self.ends, self._watch.now() + self.deadlines.first_byte))

    def until_piece(self) -> Self:
        """The time until the next piece of the body."""
        self.at = min(self.ends, self._watch.now() + self.deadlines.idle)
        return self

    def error(self, fault: Exception) -> ProviderError:
        """The same in our words. Nothing of the fault's own text is kept: it may hold an address with its query."""
        if isinstance(fault, ProviderError):
            return fault
        if isinstance(fault, ValueError) and not isinstance(fault, aiohttp.ClientConnectorError):
            return errors.Unavailable(f"{self.vendor}: its address or a header is malformed.", reason="settings")
        error, words = next((error, words) for kind, error, words in _WORDS if isinstance(fault, kind))
        return error(f"{self.vendor}{words}", sent=self.sent)


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
FAULTS = (aiohttp.ClientError, OSError, ValueError, ProviderError)


class Answer:
    """An answer whose body is still coming: a ``ByteStream`` with a head. Somebody must read it to its end or close it.

    ``headers`` have names in lower case; ``length`` is the body's size in bytes where it is said and nothing is
    compressed. ``whole``: all of the body was there with the head.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse | Response,
        connection: ResponseHandler | None,
        flight: Flight,
        cap: int,
    ) -> None:
        flight.sent = "yes"
        self.status = response.status
        self.length = None if "Content-Encoding" in response.headers else response.content_length
        self._response = response
        self._flight = flight
        self._cap = cap
        self._taken = 0
        self._over = False
        self._connection = connection
        # All of a short one is mostly there with its head: nothing can happen to it then.
        self.whole = response.content.is_eof()
        self._lost = connection.closed if connection is not None and not self.whole else None
        if self._lost is not None:
            self._wake = partial(_wake, response.content)
            self._lost.remove_done_callback(_seen)  # one for the many answers of a kept connection
            self._lost.add_done_callback(_seen)
            self._lost.add_done_callback(self._wake)

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """By name, in lower case."""
        return _lower(self._response)

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case; ``""`` where none is said."""
        return self._response.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece. Raises ``BadAnswer`` (cut short, too large), ``UpstreamTimeout``, ``UpstreamDown``."""
        if self._over:
            raise StopAsyncIteration
        body = self._response.content
        try:
            if not self._taken and (self.length or 0) > self._cap:
                raise self._too_large()
            if body.total_bytes > self._taken:
                piece = body.read_nowait(PIECE)
            elif body.is_eof():
                piece = b""
            else:
                with self._flight.until_piece():
                    piece = await body.readany()
            self._taken += len(piece)
            if self._taken > self._cap:
                raise self._too_large()
            if not piece and self._was_reset():
                raise errors.BadAnswer(f"{self._flight.vendor} ended its answer early.", sent="yes")
        except BaseException as fault:
            await self.aclose()
            if isinstance(fault, FAULTS):
                raise self._flight.error(fault) from None
            raise
        if not piece:
            await self.aclose()
            raise StopAsyncIteration
        return piece

    async def reply(self, cap: int = 8 * MIB) -> Reply:
        """The whole of it, of at most ``cap`` bytes. Raises as reading does."""
        self._cap = min(self._cap, cap)
        body = b"".join([piece async for piece in self])
        return Reply(self._flight.vendor, self.status, self.headers, body)

    async def aclose(self) -> None:
        """Hang up, unless the body has ended: then the connection is kept for the next."""
        if not self._over:
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


def _lower(response: aiohttp.ClientResponse | Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers
