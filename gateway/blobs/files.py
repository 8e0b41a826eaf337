"""Blobs as files in a folder. File work happens on threads, in pieces: nothing is held whole in memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

from engines.media import ByteStream
from gateway.blobs.store import Blob, TooBig

_PIECE = 96 * 1024  # held for each who writes or reads
_RECENT = 4096  # descriptions, of some 300 bytes


class FileBlobs:
    """``<folder>/<first two letters of the key>/<key>``, with what is known of it in ``<key>.json`` beside it.

    The description is written last and moved into place: a blob is there when its description is. The newest
    descriptions are at hand, since an output is asked for just after it was kept; not where other processes with
    ``mark``s of their own remove outputs too.
    """

    def __init__(self, folder: Path, mark: str = "") -> None:
        self._folder = folder
        self._part = f"{mark}.part"
        self._shared = bool(mark)
        self._recent: OrderedDict[str, Blob] = OrderedDict()

    async def put(self, key: str, chunks: AsyncIterator[bytes], media_type: str, cap: int) -> Blob:
        """Keep the bytes: written beside, flushed to the disk, moved into place."""
        path = self._path(key)
        part = path.with_suffix(self._part)
        writing = _Writing(part)
        held, size = bytearray(), 0
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > cap:
                    raise TooBig(f"over {cap:,} bytes")
                held += chunk
                if len(held) >= _PIECE:  # a small output takes one turn of a thread, not one a step
                    await asyncio.to_thread(writing.write, held)
                    held = bytearray()
            blob = await asyncio.to_thread(writing.finish, held, path, media_type)
        except BaseException:
            await asyncio.to_thread(writing.undo)
            raise
        if not self._shared:
            self._recent[key] = blob
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return blob

    async def get(self, key: str) -> Blob | None:
        """Read its description."""
        if (recent := self._recent.get(key)) is not None:
            return recent
        try:
            text = await asyncio.to_thread(self._path(key).with_suffix(".json").read_text)
        except FileNotFoundError:
            return None
        known = json.loads(text)
        return Blob(key, known["size"], known["media_type"], known["digest"])

    def read(self, blob: Blob, start: int = 0, length: int | None = None) -> ByteStream:
        """Its bytes, a piece at a time."""
        return _Reading(self._path(blob.key), start, blob.size - start if length is None else length)

    def open(self, blob: Blob) -> BinaryIO:
        """Its file."""
        return self._path(blob.key).open("rb")

    async def remove(self, key: str) -> None:
        """Delete both files."""
        self._recent.pop(key, None)
        path = self._path(key)
        for each in (path.with_suffix(".json"), path):
            await asyncio.to_thread(each.unlink, missing_ok=True)

    def tidy(self) -> list[Blob]:
        """Every blob, the oldest first; what is left of broken-off puts is removed. Blocks; nobody may be putting."""
        found = []
        for path in [*self._folder.glob("*/*")]:
            note = path.with_suffix(".json")
            if path.suffix == ".part" or not note.exists() or not path.with_suffix("").exists():
                path.unlink()
            elif not path.suffix:
                known = json.loads(note.read_text())
                blob = Blob(path.name, known["size"], known["media_type"], known["digest"])
                found.append((note.stat().st_mtime_ns, blob))
        return [blob for _, blob in sorted(found, key=lambda each: each[0])]

    def _path(self, key: str) -> Path:
        if not key.replace("_", "").isalnum() or not key.isascii():
            raise ValueError("not a key of ours")
        return self._folder / key[-2:] / key


class _Writing:
    """A blob on its way to the disk. Every method blocks."""

    def __init__(self, part: Path) -> None:
        self._part = part
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes | bytearray) -> None:
        if self._file is None:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)

    def finish(self, rest: bytes | bytearray, path: Path, media_type: str) -> Blob:
        self.write(rest)
        assert self._file is not None
        _flush(self._file)
        self._part.replace(path)
        blob = Blob(path.name, self._size, media_type, self._digest.hexdigest())
        note = self._part.with_suffix(".json.part")
        with note.open("wb") as known:
            text = json.dumps({"size": blob.size, "media_type": media_type, "digest": blob.digest})
            known.write(text.encode())
            _flush(known)
        note.replace(path.with_suffix(".json"))
        with suppress(OSError):  # a folder cannot be flushed on every system
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return blob

    def undo(self) -> None:
        if self._file is not None:
            self._file.close()
        self._part.unlink(missing_ok=True)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


class _Reading:
    """One reader of one file."""

    def __init__(self, path: Path, start: int, length: int) -> None:
        self._path, self._start, self._left = path, start, length
        self._file: BinaryIO | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await asyncio.to_thread(self._piece) if self._left > 0 else b""
        if not piece:
            await self.aclose()
            raise StopAsyncIteration
        return piece

    def _piece(self) -> bytes:
        if self._file is None:
            self._file = self._path.open("rb")
            self._file.seek(self._start)
        piece = self._file.read(min(_PIECE, self._left))
        self._left -= len(piece)
        return piece

    async def aclose(self) -> None:
        self._left = 0
        if self._file is not None:
            self._file.close()
