"""Bytes that are too many for memory, on their way: in a file without a name."""

from __future__ import annotations

import asyncio
import tempfile
import weakref
from pathlib import Path
from typing import Self

from engines.media import ByteStream

_PIECE = 128 * 1024


class Spool:
    """Bytes in a file that has no name and is gone with this object. ``write`` and ``read`` block."""

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - it lives on
        self.size = 0
        weakref.finalize(self, self._file.close)

    def write(self, data: bytes) -> None:
        """Add to its end."""
        left = memoryview(data)
        while left:  # a disk that is nearly full takes a part
            left = left[self._file.write(left) :]
        self.size += len(data)

    def read(self, start: int, count: int) -> bytes:
        """At most so many bytes from there."""
        self._file.seek(start)
        return self._file.read(count)

    def chunks(self) -> ByteStream:
        """All of it, a piece at a time."""
        return _Chunks(self)


class _Chunks:
    def __init__(self, spool: Spool) -> None:
        self._spool: Spool | None = spool
        self._place = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = b"" if self._spool is None else await asyncio.to_thread(self._spool.read, self._place, _PIECE)
        if not piece:
            await self.aclose()
            raise StopAsyncIteration
        self._place += len(piece)
        return piece

    async def aclose(self) -> None:
        self._spool = None
