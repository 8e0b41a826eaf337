"""Giving memory back: glibc keeps what was freed for later, in holes between what is still in use."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

SLACK = 16 * 1024 * 1024
"""Bytes over those of the start that are not worth looking for."""


class Slack:
    """Of this process, as it is when this is made. Where there is no glibc nothing is done."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._trim = getattr(libc, "malloc_trim", None)
        self._rest = resident()

    def give_back(self) -> bool:
        """Whether it was tried. Blocks: under a millisecond where there is little, some 50 for each 100 MB."""
        if self._trim is None or resident() < self._rest + SLACK:
            return False
        self._trim(0)
        return True


def resident() -> int:
    """Bytes that the process has in memory; 0 where nobody says."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
