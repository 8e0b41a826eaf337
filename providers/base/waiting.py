"""Deadlines for many waits: one timer of the loop's for all of them, where ``asyncio.timeout`` sets one for each.

Nearly no wait meets its deadline, so nearly all that is done for one is to note it and to forget it.
"""

from __future__ import annotations

import asyncio
from math import inf
from types import TracebackType


class Deadline:
    """A ``with`` around what is awaited: ``TimeoutError`` where that is not over by ``at`` (the loop's time).

    It may be used again, when it is over.
    """

    def __init__(self, watch: Watch, at: float) -> None:
        self._watch = watch
        self.at = at

    def move(self, at: float) -> None:
        """Let it end at another moment."""
        self.at = at
        self._watch.add(self)

    def expire(self) -> None:
        """It is over."""
        self._late = True
        self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling, self._late = task, task.cancelling(), False
        self._watch.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.forget(self)
        # Where he was cancelled by somebody else too, that counts.
        if self._late and self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error


class Watch:
    """The deadlines of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._waiting: set[Deadline] = set()
        self.forget = self._waiting.discard  # it is over, whatever came of it
        self._next = inf
        self._timer: asyncio.TimerHandle | None = None

    def add(self, deadline: Deadline) -> None:
        """It begins, or ends at another moment."""
        self._waiting.add(deadline)
        if deadline.at < self._next:
            self._look_at(deadline.at)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._next, self._timer = inf, None

    def _look_at(self, at: float) -> None:
        self.close()
        self._next, self._timer = at, self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self.close()
        now = self.now()
        for each in [each for each in self._waiting if each.at <= now]:
            self._waiting.discard(each)
            each.expire()
        if self._waiting:
            self._look_at(min(each.at for each in self._waiting))
