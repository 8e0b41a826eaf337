"""Locks on numbers, in one file: the system takes them off when their process ends, however it ends."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path


def supported() -> bool:
    """Whether this system has such locks."""
    try:
        import fcntl  # noqa: F401
    except ImportError:
        return False
    return True


class Marks:
    """POSIX locks of one byte each. They belong to the process, so it opens the file once, and closes it never.

    No call waits for anybody, or for the disk.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, place: int, *, shared: bool = False) -> bool:
        """Lock a place, against everybody or against those who want it alone. False: another process has it."""
        import fcntl

        try:
            fcntl.lockf(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):  # either is how systems say it
            return False
        return True

    def drop(self, place: int) -> None:
        """Let go of it."""
        import fcntl

        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def held(self, place: int) -> bool:
        """Whether another process has it, shared or alone."""
        import fcntl

        # `struct flock`, which Python has no words for; asking by taking it would be in the way of others.
        mac = sys.platform == "darwin"
        asked = (place, 1, 0, fcntl.F_WRLCK, 0) if mac else (fcntl.F_WRLCK, 0, place, 1, 0)
        form = "qqihh" if mac else "hhqqi0q"
        found = struct.unpack(form, fcntl.fcntl(self._file, fcntl.F_GETLK, struct.pack(form, *asked)))
        return bool((found[3] if mac else found[0]) != fcntl.F_UNLCK)
