"""What is on its way into a database, where the death of this process cannot reach it: a mapped file beside it.

To put an entry there is to copy some hundred bytes in memory, which the system writes to disk when it likes; a commit
is two threads, their locks and a write. So a call ends with the former, and many calls share one of the latter.

The file has two halves: one is filled while what the other holds is being committed. A half begins with a number, each
entry with its length and a checksum that begins with that number, so that what an earlier use of the half has left
there, or a loss of power has mixed up, is no entry. Its owner holds a lock on it: what has none was left behind.
"""

from __future__ import annotations

import glob
import mmap
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from struct import Struct
from zlib import crc32

HALF = 64 * 1024
"""Bytes: a hundred calls."""

_NUMBER = Struct("<Q")
_ENTRY = Struct("<II")

ROOM = HALF - _NUMBER.size - _ENTRY.size
"""The longest entry."""

Batch = tuple[int, list[bytes]]
"""The number of a half, and what was put into it."""


class Journal:
    """One process's. ``put`` into the half that has ``number``, then ``turn`` to the next once that one is free."""

    def __init__(self, beside: Path) -> None:
        """Make it, for the database ``beside`` it. Blocks; raises ``OSError`` where the system cannot."""
        self.path = beside.with_name(f"{beside.stem}.journal-{secrets.token_hex(8)}")
        part = self.path.with_name(f"{self.path.name}.part")  # nobody else may lock it first
        self._file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _lock(self._file)
            _allocate(self._file)
            self._map = mmap.mmap(self._file, 2 * HALF)
            part.rename(self.path)
        except OSError:
            os.close(self._file)
            part.unlink()
            raise
        self.number = self._seed = self._end = self._limit = 0
        self.turn()

    def put(self, entry: bytes) -> bool:
        """Keep it. Whether there was room."""
        end = self._end + _ENTRY.size + len(entry)
        if end > self._limit:
            return False
        self._map[self._end : end] = _ENTRY.pack(len(entry), crc32(entry, self._seed)) + entry
        self._end = end
        return True

    def turn(self) -> None:
        """Begin the other half; what it held is gone."""
        self.number += 1
        self._seed = self.number & 0xFFFFFFFF
        place = self.number % 2 * HALF
        _NUMBER.pack_into(self._map, place, self.number)
        self._end, self._limit = place + _NUMBER.size, place + HALF

    def close(self, *, keep: bool) -> None:
        """Let go of it; ``keep``: for whoever opens the database next."""
        self._map.close()
        if not keep:
            self.path.unlink(missing_ok=True)
        os.close(self._file)


def left_behind(beside: Path) -> Iterator[tuple[Path, list[Batch]]]:
    """The journals whose owners have died, each with what it holds in its order; removed once the next is asked for."""
    for path in sorted(beside.parent.glob(f"{glob.escape(beside.stem)}.journal-{'[0-9a-f]' * 16}")):
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            _lock(file.fileno())
            if os.fstat(file.fileno()).st_nlink:  # else another process has done it meanwhile
                yield path, _batches(file.read())
                path.unlink()


def _lock(file: int) -> None:
    try:
        import fcntl
    except ImportError:  # a system without
        raise OSError("no file can be locked here") from None
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _allocate(file: int) -> None:
    os.ftruncate(file, 2 * HALF)
    if sys.platform == "linux":
        os.posix_fallocate(file, 0, 2 * HALF)  # a full disk is found here, not at a store into memory


def _batches(data: bytes) -> list[Batch]:
    found = []
    for place in range(0, len(data) - _NUMBER.size, HALF):
        (number,) = _NUMBER.unpack_from(data, place)
        if number:
            found.append((number, list(_entries(data[place + _NUMBER.size : place + HALF], number & 0xFFFFFFFF))))
    return sorted(found)


def _entries(half: bytes, seed: int) -> Iterator[bytes]:
    place = 0
    while place + _ENTRY.size <= len(half):
        length, checksum = _ENTRY.unpack_from(half, place)
        place += _ENTRY.size
        entry = half[place : place + length]
        if not length or crc32(entry, seed) != checksum:
            return
        yield entry
        place += length
