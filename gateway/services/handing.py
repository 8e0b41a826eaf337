"""Calls whose tasks are being handed over now, in this process and in others: a client's retry of one waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar

from gateway.services.caller import Caller
from gateway.workers.crew import Crew

T = TypeVar("T")

_FREE = nullcontext()
_PAUSE = 0.05  # seconds between two looks at what another process hands over


class Handing:
    """By fingerprint. Of two retries that come to two processes of a ``crew`` at once, one waits for the other."""

    def __init__(self, crew: Crew | None) -> None:
        self._crew = crew
        self._under_way: dict[str, set[asyncio.Future[Any]]] = {}

    def under_way(self) -> list[asyncio.Future[Any]]:
        """All of this process's."""
        return [each for some in self._under_way.values() for each in some]

    def busy(self, call: str) -> bool:
        """Whether somebody hands over this call now."""
        return call in self._under_way or (self._crew is not None and self._crew.elsewhere(call))

    async def over(self, call: str) -> None:
        """Wait for whoever hands over this call now."""
        if handing := self._under_way.get(call):
            await asyncio.wait(handing)
        while self._crew is not None and self._crew.elsewhere(call):  # noqa: ASYNC110 - nobody tells of its end
            await asyncio.sleep(_PAUSE)

    async def wait_for(self, call: str, task: asyncio.Task[T]) -> T:
        """Wait for ``task``, which hands over this call; it goes on to its end when the caller is cancelled."""
        self._begin(call, task)
        try:
            return await asyncio.shield(task)
        finally:
            # At once where it has ended: before the next deployment is asked, or a retry could come between.
            if task.done():
                self._end(call, task)
            else:
                task.add_done_callback(partial(self._end, call))

    @contextmanager
    def all_attempts(self, call: str) -> Iterator[None]:
        """A retry of the call waits for all of its attempts: it must not come into a pause between two."""
        over = asyncio.get_running_loop().create_future()
        self._begin(call, over)
        try:
            yield
        finally:
            self._end(call, over)
            over.set_result(None)

    def alone(self, caller: Caller) -> AbstractAsyncContextManager[None]:
        """From looking for a first try until the call is handed over, no other process does the same for a retry."""
        if self._crew is None or not caller.retry or caller.dry_run:
            return _FREE
        return self._claimed(self._crew, caller.fingerprint)

    @asynccontextmanager
    async def _claimed(self, crew: Crew, call: str) -> AsyncIterator[None]:
        holder = object()
        while True:
            await self.over(call)
            if crew.claim(call, holder):
                break
        try:
            yield
        finally:
            crew.drop(call, holder)

    def _begin(self, call: str, handing: asyncio.Future[Any]) -> None:
        self._under_way.setdefault(call, set()).add(handing)
        if self._crew is not None:
            self._crew.share(call, handing)

    def _end(self, call: str, handing: asyncio.Future[Any]) -> None:
        some = self._under_way[call]
        some.discard(handing)
        if not some:
            del self._under_way[call]
        if self._crew is not None:
            self._crew.drop(call, handing)
