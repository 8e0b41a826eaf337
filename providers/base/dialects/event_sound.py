"""Sound that comes in base64 inside events, as bytes: shared by who streams JSON instead of audio."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol, Self

from engines.media import AudioFormat, AudioSpec, ByteStream
from providers.base import packed
from providers.base.contract import Usage
from providers.base.dialects.sse import Events
from providers.base.errors import BadAnswer
from providers.base.exchange import json_value

_PIECE = 24_000  # bytes handed on in one go, half a second: some vendors send minutes of sound in one event
_LONG = 1 << 17  # bytes of an event that is read on a thread: it would hold up everybody else


class Reader(Protocol):
    """What one vendor's events mean. ``spec`` is known from the first sound on."""

    vendor: str
    spec: AudioSpec | None

    def read(self, event: bytes) -> bytes:
        """The sound in one event. Raises ``ProviderError`` for an event that says that it failed."""

    def finish(self) -> None:
        """The body is over: raise where the vendor has not said that the sound is whole."""


class EventSound:
    """A ``ByteStream`` of the sound in a body of events; ``usage.audio_seconds`` counts raw samples as they pass.

    ``tempo``: how many times as fast they will be played.
    """

    def __init__(self, body: ByteStream, reader: Reader, usage: Usage, tempo: float = 1.0) -> None:
        self._body = body
        self._reader = reader
        self._usage = usage
        self._tempo = tempo
        self._events = Events(reader.vendor)
        self._waiting: deque[bytes] = deque()  # events of one piece of the body
        self._sound = memoryview(b"")
        self._taken = 0
        self._over = False
        self._ended = False

    async def begin(self) -> bool:
        """Wait for the first sound. Returns whether there is any; if not, the body has come to its end."""
        if not self._sound:
            await self._more()
        return bool(self._sound)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._sound and not self._over:
            await self._more()
        if self._over or not self._sound:
            raise StopAsyncIteration
        piece, self._sound = bytes(self._sound[:_PIECE]), self._sound[_PIECE:]
        self._taken += len(piece)
        spec = self._reader.spec
        if spec is not None and spec.format is AudioFormat.PCM:
            self._usage.audio_seconds = self._taken / spec.bytes_per_second / self._tempo
        return piece

    async def aclose(self) -> None:
        """Hang up."""
        self._over = True
        await self._body.aclose()

    async def _more(self) -> None:
        """Read on until there is sound, or the end."""
        try:
            while not self._sound and not self._over:
                while not self._waiting and not self._ended:
                    piece = await anext(self._body, b"")
                    self._ended = not piece
                    self._waiting += self._events.feed(piece) if piece else self._events.finish()
                if not self._waiting:
                    if not self._over:
                        self._reader.finish()
                    break
                event = self._waiting.popleft()
                read = self._reader.read
                self._sound = memoryview(read(event) if len(event) < _LONG else await asyncio.to_thread(read, event))
        except BaseException:
            await self.aclose()
            raise


def parsed(vendor: str, event: bytes) -> dict[str, Any]:
    """An event's JSON object. Raises ``BadAnswer``."""
    try:
        found = json_value(event)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadAnswer(f"{vendor} sent an event that is no JSON object.", sent="yes")
    return found


def unpacked(vendor: str, text: object) -> bytes:
    """The bytes that ``text`` is in base64. Raises ``BadAnswer``."""
    try:
        return packed.unpacked(text if isinstance(text, str) else "-")
    except ValueError:
        raise BadAnswer(f"{vendor} sent sound that is not base64.", sent="yes") from None


def count(value: object) -> int | None:
    """A number of tokens, where it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None
