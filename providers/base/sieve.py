"""Answers in JSON with media in them: their long strings, which are base64, go to the disk as they come."""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path

from providers.base.errors import BadAnswer
from providers.base.exchange import MIB, Exchange, Reply
from providers.base.packed import unpacked
from providers.base.spool import Spool
from providers.base.wire import Wire

LONG = 128 * 1024
"""Bytes of the longest string that stays in an answer."""

_BATCH = LONG  # bytes for one turn of a thread; in an answer of fewer nothing is long
_REST_CAP = 8 * MIB  # of what is no media


async def call(wire: Wire, exchange: Exchange) -> Reply:
    """``Wire.call`` of an answer that may hold media. Its ``json()`` has other words in the place of strings over
    ``LONG``: under these, ``Reply.spools`` has what they are, where they are base64."""
    answer = await wire.stream(exchange, exchange.cap)
    if not 200 <= answer.status < 300:
        return await answer.reply()
    sieve, size = None, 0
    held: list[bytes] = []
    try:
        async for piece in answer:
            held.append(piece)
            size += len(piece)
            if size >= _BATCH:
                sieve = sieve or _Sieve(exchange.vendor, wire.spool)
                await asyncio.to_thread(sieve.feed, b"".join(held))
                held, size = [], 0
        rest = b"".join(held)  # of one piece it is that piece
        if sieve is None:
            return Reply(exchange.vendor, answer.status, answer.headers, rest)
        await asyncio.to_thread(sieve.feed, rest)
    except OSError as error:
        raise BadAnswer(f"The answer of {exchange.vendor} cannot be kept on the disk.", sent="maybe") from error
    finally:
        await answer.aclose()
    return Reply(exchange.vendor, answer.status, answer.headers, bytes(sieve.rest), sieve.spools)


class _Sieve:
    """JSON in pieces. ``rest`` is the text, with names of ``spools`` in the place of its long strings."""

    def __init__(self, vendor: str, folder: Path | None) -> None:
        self.rest = bytearray()
        self.spools: dict[str, Spool] = {}
        self._vendor, self._folder = vendor, folder
        self._mark = secrets.token_hex(8)  # so that nothing in the answer is taken for a name
        self._start = -1  # of the string that we are in, within ``rest``; -1: in none
        self._escaped = False
        self._count = 0
        self._name = ""  # of the string that we are in, if it is long
        self._waiting = bytearray()  # base64 that is still to be decoded

    def feed(self, piece: bytes) -> None:
        """The next piece; blocks. Raises ``BadAnswer``, ``OSError``."""
        place = 0
        while place < len(piece):
            if self._start < 0:
                end = piece.find(b'"', place) + 1 or len(piece)
                self.rest += piece[place:end]
                if piece[end - 1 : end] == b'"':
                    self._start = len(self.rest)
            else:
                quote = self._quote(piece, place)
                end = len(piece) if quote < 0 else quote
                self._text(piece[place:end])
                if quote >= 0:
                    self._decode(last=True)
                    self._name, self._start = "", -1
                    self.rest += b'"'
                    end += 1
            place = end
        self._decode(last=False)
        if len(self.rest) > _REST_CAP:
            raise BadAnswer(f"{self._vendor} answered with more than {_REST_CAP} bytes beside media.", sent="yes")

    def _quote(self, piece: bytes, place: int) -> int:
        """Where the string ends; -1: not in this piece."""
        if self._escaped:
            place, self._escaped = place + 1, False
        while True:
            quote = piece.find(b'"', place)
            slash = piece.find(b"\\", place, len(piece) if quote < 0 else quote)
            if slash < 0:
                return quote
            if slash + 1 == len(piece):
                self._escaped = True
                return -1
            place = slash + 2

    def _text(self, text: bytes) -> None:
        if self._name:
            self._waiting += text
            return
        self.rest += text
        if len(self.rest) - self._start > LONG:
            self._name = f"{self._mark}/{self._count}"
            self._count += 1
            self.spools[self._name] = Spool(self._folder)
            self._waiting[:] = self.rest[self._start :]
            self.rest[self._start :] = self._name.encode()

    def _decode(self, *, last: bool) -> None:
        text, kept = bytes(self._waiting), b""
        self._waiting.clear()
        if (spool := self.spools.get(self._name)) is None:
            return
        if not last and (slash := text.find(b"\\", max(0, len(text) - 5))) >= 0:  # perhaps half of \u002b
            text, kept = text[:slash], text[slash:]
        try:
            if b"\\" in text:
                text = json.loads(b'"%b"' % text).encode()
            if not last:
                whole = max(0, len(text) - 4) // 4 * 4  # the last four may be padded
                text, kept = text[:whole], text[whole:] + kept
            data = unpacked(text.decode())
            if not last and len(data) * 4 != len(text) * 3:
                raise ValueError("padding inside")
        except ValueError:
            del self.spools[self._name]  # some other text: what comes of it yet is dropped
            return
        spool.write(data)
        self._waiting += kept
