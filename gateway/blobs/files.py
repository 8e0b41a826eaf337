"""Blobs in a folder: what is known of each, and all of a small one, in a database; the bytes of the others in files.

Many small blobs share one flush to the disk. File work happens on threads, in pieces: nothing is held whole in memory.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Self, TypeVar

from engines.media import ByteStream
from gateway.blobs.memory import Once
from gateway.blobs.store import Blob, TooBig
from gateway.database import Database, Schema, StoreError
from gateway.ids import token

SMALL = 96 * 1024
"""Bytes of the largest blob that is kept in the database, and of a piece: held for each who writes or reads."""

_AT_HAND = 4 * 1024 * 1024  # bytes of the newest blobs: they are mostly asked for just after they were kept
_KNOWN = 300  # bytes of what is known of one

# What is in a file has no `data`; `digest` is the tag. The newest is last.
_TABLE = """
CREATE TABLE blobs (
    seq INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    digest TEXT NOT NULL,
    data BLOB
);
"""
_DESCRIBE = "SELECT key, size, media_type, digest FROM blobs"
_KEEP = "INSERT OR REPLACE INTO blobs (key, size, media_type, digest, data) VALUES (?, ?, ?, ?, ?)"
_READ = "SELECT substr(data, ?, ?) FROM blobs WHERE key = ? AND data IS NOT NULL"

T = TypeVar("T")


class FileBlobs:
    """``<folder>/blobs.sqlite``, and ``<folder>/<last two letters of the key>/<key>`` for what is not ``SMALL``.

    The row is written last: a blob is there when its row is. The newest small ones are at hand, not where other
    processes with ``mark``s of their own remove outputs too. Opening blocks; raises ``StoreError``. What goes wrong
    later is an ``OSError``.
    """

    def __init__(self, folder: Path, mark: str = "") -> None:
        self._folder = folder
        self._part = f"{mark}.part"
        self._shared = bool(mark)
        self._newest: OrderedDict[str, tuple[Blob, bytes]] = OrderedDict()
        self._at_hand = 0
        self._place = folder / "blobs.sqlite"
        self._file = Database(self._place, Schema(1, _TABLE))
        self._db = self._file.connection

    async def put(self, key: str, chunks: AsyncIterator[bytes], media_type: str, cap: int) -> Blob:
        """Keep the bytes. Those of a file are written beside, flushed to the disk, moved into place."""
        _check(key)
        held: list[bytes] = []
        size = written = 0
        writing: _Writing | None = None
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > cap:
                    raise TooBig(f"over {cap:,} bytes")
                held.append(chunk)
                if size - written > SMALL:
                    writing = writing or _Writing(self._path(key), self._part)
                    await asyncio.to_thread(writing.write, b"".join(held))
                    held, written = [], size
            data = b"".join(held)  # of one piece it is that piece
            if writing is not None:
                await asyncio.to_thread(writing.finish, data)
        except BaseException:
            if writing is not None:
                await asyncio.to_thread(writing.undo)
            raise
        blob = Blob(key, size, media_type, token())
        if writing is None:
            return await self._note(blob, data)
        try:
            return await self._note(blob, None)
        except OSError:
            await asyncio.to_thread(self._path(key).unlink, missing_ok=True)  # nobody would find it
            raise

    async def get(self, key: str) -> Blob | None:
        """Read its description."""
        if (newest := self._newest.get(key)) is not None:
            return newest[0]
        _check(key)
        found = await self._do(lambda: self._db.execute(f"{_DESCRIBE} WHERE key = ?", (key,)).fetchone())
        return None if found is None else Blob(*found)

    def read(self, blob: Blob, start: int = 0, length: int | None = None) -> ByteStream:
        """Its bytes, a piece at a time."""
        length = blob.size - start if length is None else length
        if blob.size > SMALL:
            return _Reading(self._path(blob.key), start, length)
        newest = self._newest.get(blob.key)
        if newest is not None:
            return Once(newest[1][start : start + length])
        return _Row(lambda: self._part_of(blob.key, start, length))

    def open(self, blob: Blob) -> BinaryIO:
        """Its file, or its bytes as one."""
        if blob.size > SMALL:
            return self._path(blob.key).open("rb")
        with self._beside() as db:
            return BytesIO(_found(db.execute(_READ, (1, blob.size, blob.key)).fetchone(), blob.key))

    async def remove(self, key: str) -> None:
        """Delete the row and the file."""
        path = self._path(key)
        self._let_go(key)
        await self._do(lambda: self._db.execute("DELETE FROM blobs WHERE key = ?", (key,)), writes=True)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    def tidy(self) -> list[Blob]:
        """Every blob, the oldest first; what is left of broken-off puts is removed. Blocks; nobody may be putting."""
        with self._beside() as db:
            kept = [Blob(*row) for row in db.execute(f"{_DESCRIBE} ORDER BY seq")]
            files = {path.name: path for path in self._folder.glob("*/*")}
            for name in files.keys() - {blob.key for blob in kept if blob.size > SMALL}:
                files[name].unlink()
            gone = [(blob.key,) for blob in kept if blob.size > SMALL and blob.key not in files]
            with db:
                db.executemany("DELETE FROM blobs WHERE key = ?", gone)
        return [blob for blob in kept if (blob.key,) not in gone]

    async def close(self) -> None:
        """Finish what was asked for, then close the database. Twice is harmless."""
        await self._file.close()

    async def _note(self, blob: Blob, data: bytes | None) -> Blob:
        await self._do(lambda: self._db.execute(_KEEP, (*blob, data)), writes=True)
        if not self._shared:
            self._let_go(blob.key)
            self._newest[blob.key] = (blob, data or b"")
            self._at_hand += len(data or b"") + _KNOWN
            while self._at_hand > _AT_HAND:
                self._let_go(next(iter(self._newest)))
        return blob

    def _let_go(self, key: str) -> None:
        if (newest := self._newest.pop(key, None)) is not None:
            self._at_hand -= len(newest[1]) + _KNOWN

    async def _part_of(self, key: str, start: int, length: int) -> bytes:
        query = (start + 1, length, key)
        return _found(await self._do(lambda: self._db.execute(_READ, query).fetchone()), key)

    async def _do(self, run: Callable[[], T], *, writes: bool = False) -> T:
        try:
            return await self._file.do(run, writes=writes)
        except StoreError as error:
            raise OSError(errno.EIO, str(error)) from error

    @contextmanager
    def _beside(self) -> Iterator[sqlite3.Connection]:
        """The database for another thread than its own."""
        with closing(sqlite3.connect(self._place, timeout=10)) as db:
            yield db

    def _path(self, key: str) -> Path:
        _check(key)
        return self._folder / key[-2:] / key


def _check(key: str) -> None:
    if not key.replace("_", "").isalnum() or not key.isascii():
        raise ValueError("not a key of ours")


def _found(row: tuple[bytes] | None, key: str) -> bytes:
    if row is None:
        raise FileNotFoundError(key)
    return row[0]


class _Writing:
    """A blob on its way to a file. Every method blocks."""

    def __init__(self, path: Path, suffix: str) -> None:
        self._path, self._part = path, path.with_suffix(suffix)
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        if self._file is None:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        self._file.write(data)

    def finish(self, rest: bytes) -> None:
        self.write(rest)
        assert self._file is not None
        _flush(self._file)
        self._part.replace(self._path)
        with suppress(OSError):  # a folder cannot be flushed on every system
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def undo(self) -> None:
        if self._file is not None:
            self._file.close()
        self._part.unlink(missing_ok=True)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


class _Row:
    """One reader of a row."""

    def __init__(self, read: Callable[[], Awaitable[bytes]]) -> None:
        self._read: Callable[[], Awaitable[bytes]] | None = read

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        read, self._read = self._read, None
        if read is None or not (data := await read()):
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        self._read = None


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
        piece = self._file.read(min(SMALL, self._left))
        self._left -= len(piece)
        return piece

    async def aclose(self) -> None:
        self._left = 0
        if self._file is not None:
            self._file.close()
