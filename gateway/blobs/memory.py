"""Blobs in memory, for tests and for programs that keep nothing."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import BinaryIO, Self

from engines.media import ByteStream
from gateway.blobs.store import Blob, TooBig
from gateway.ids import token


class MemoryBlobs:
    """A dict with the manners of a ``BlobStore``."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Blob, bytes]] = {}

    async def put(self, key: str, chunks: AsyncIterator[bytes], media_type: str, cap: int) -> Blob:
        """Keep the bytes."""
        data = bytearray()
        async for chunk in chunks:
            data += chunk
            if len(data) > cap:
                raise TooBig(f"over {cap:,} bytes")
        blob = Blob(key, len(data), media_type, token())
        self._held[key] = (blob, bytes(data))
        return blob

    async def get(self, key: str) -> Blob | None:
        """What is known of it."""
        return self._held[key][0] if key in self._held else None

    def read(self, blob: Blob, start: int = 0, length: int | None = None) -> ByteStream:
        """Its bytes, in one piece."""
        if blob.key not in self._held:
            raise FileNotFoundError(blob.key)
        data = self._held[blob.key][1]
        return Once(data[start : None if length is None else start + length])

    def open(self, blob: Blob) -> BinaryIO:
        """Its bytes as a file."""
        if blob.key not in self._held:
            raise FileNotFoundError(blob.key)
        return io.BytesIO(self._held[blob.key][1])

    async def remove(self, key: str) -> None:
        """Forget it."""
        self._held.pop(key, None)

    async def close(self) -> None:
        """Nothing to let go of."""


class Once:
    """A ``ByteStream`` of bytes at hand."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data, self._data = self._data, b""
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        """Drop what is left."""
        self._data = b""
