"""When observers are told of calls: of several at once, soon after their answers have gone out.

Told one by one, each right after its call, they find the processor's caches full of something else and take up to three
times as long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import product

from gateway.telemetry.ended import Ended, Observer
from gateway.telemetry.line import CallLine

AT_ONCE = 16
"""Calls that observers are told of in one go: so many hold up the others by less than a millisecond."""

LATEST = 0.01
"""Seconds until they are told, however few there are."""


class Telling:
    """``later`` for each call; ``now`` before anybody looks at what observers have counted, and at the end."""

    def __init__(self) -> None:
        self.observers: tuple[Observer, ...] = (CallLine(),)
        self._untold: list[Ended] = []
        self._timer: asyncio.TimerHandle | None = None

    def later(self, ended: Ended) -> None:
        """A call has ended."""
        self._untold.append(ended)
        if len(self._untold) == 1:
            self._timer = asyncio.get_running_loop().call_later(LATEST, self.now)
        elif len(self._untold) == AT_ONCE:
            asyncio.get_running_loop().call_soon(self.now)  # not before what the last of them sent has left

    def now(self) -> None:
        """Tell what was not told yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        untold, self._untold = self._untold, []
        _tell(product(self.observers, untold))


def _tell(left: Iterator[tuple[Observer, Ended]]) -> None:
    """One that fails takes nothing from the others: they are told at the loop's next turn."""
    try:
        for observe, ended in left:
            observe(ended)
    except BaseException:
        asyncio.get_running_loop().call_soon(_tell, left)
        raise
