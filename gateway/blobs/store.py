"""What a blob store is: bytes under a key, written once, read in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import BinaryIO, NamedTuple, Protocol

from engines.media import ByteStream


class TooBig(Exception):
    """More bytes came than the cap allows; nothing was kept."""


class Blob(NamedTuple):
    """What is known of one. ``size`` in bytes; ``tag`` is another one each time that it is put."""

    key: str
    size: int
    media_type: str
    tag: str


class BlobStore(Protocol):
    """Keys are ours: letters, digits and ``_``, never a caller's text."""

    async def put(self, key: str, chunks: AsyncIterator[bytes], media_type: str, cap: int) -> Blob:
        """Keep the bytes; durable when it returns. Putting again replaces. Raises ``TooBig`` over ``cap`` bytes."""

    async def get(self, key: str) -> Blob | None:
        """What is known of a blob, if it is there."""

    def read(self, blob: Blob, start: int = 0, length: int | None = None) -> ByteStream:
        """Its bytes from ``start``, in pieces. Raises ``FileNotFoundError`` while reading where it has gone."""

    def open(self, blob: Blob) -> BinaryIO:
        """Its bytes as a file, for work on a thread. Blocks; raises ``FileNotFoundError`` where it has gone."""

    async def remove(self, key: str) -> None:
        """Forget it. Harmless where it is not there."""

    async def close(self) -> None:
        """Let go of everything. Twice is harmless."""
