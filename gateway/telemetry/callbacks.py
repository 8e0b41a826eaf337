"""Custom loggers: somebody's own Python code that is told of each call, as LiteLLM tells it.

It runs on a thread and an event loop of its own, after the answer: what it waits for, breaks or blocks is nothing that
a caller notices.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from gateway.config.callbacks import Callback
from gateway.services.hooks import HookError, imported
from gateway.telemetry.ended import Ended
from gateway.telemetry.payload import arguments

WAITING = 1000
"""Calls that wait for their loggers; of further ones they are not told, and that is counted and logged."""

AT_ONCE = 32
"""Events that loggers may be busy with at one time."""

TIMEOUT = 30.0
"""Seconds for one event."""

CLOSE_SECONDS = 5.0
"""For what still waits when the server ends."""

Method = Callable[..., Awaitable[Any]]

_SUCCESS, _FAILURE = "async_log_success_event", "async_log_failure_event"
_ELSEWHERE = ("async_pre_call_hook", "async_moderation_hook", "async_post_call_success_hook")

_log = logging.getLogger(__name__)


class Callbacks:
    """An ``Observer``. ``load`` before it, ``close`` at the end. ``texts``: loggers see the texts of callers.

    ``dropped`` counts the calls that there was no room for, ``failed`` the events that a logger did not take.
    """

    def __init__(self, callbacks: Sequence[Callback], folder: Path, *, texts: bool = False) -> None:
        self._callbacks = callbacks
        self._folder = folder
        self._texts = texts
        self._methods: dict[bool, list[tuple[str, Method]]] = {True: [], False: []}
        self._loop = asyncio.new_event_loop()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._thread = threading.Thread(target=self._run, name="callbacks", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()  # of the thread's loop
        self._given = self._done = 0  # each is written by one thread alone
        self.dropped = self.failed = 0

    async def load(self) -> None:
        """Import every logger. Raises ``HookError``: whatever its code may raise."""
        self._thread.start()
        for callback in self._callbacks:
            loading = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._import(callback.path), self._loop))
            await asyncio.wait({loading})
            if (error := loading.exception()) is not None:
                where = f"the callback {callback.path} cannot be loaded"
                raise HookError(f"{where}: {type(error).__name__}: {error}") from error
            success, failure = (_own(loading.result(), name) for name in (_SUCCESS, _FAILURE))
            if success is None and failure is None:
                raise HookError(f"the callback {callback.path} has neither {_SUCCESS} nor {_FAILURE}")
            for name in _ELSEWHERE:
                if _own(loading.result(), name) is not None:
                    _log.warning("%s of %s is not called here: name it under guardrails", name, callback.path)
            for failed, method in ((False, success), (True, failure)):
                if method is not None and callback.wants(failed=failed):
                    self._methods[failed].append((callback.path, method))

    async def close(self) -> None:
        """Wait a little for what is still to be told."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._finish()))
            await asyncio.to_thread(self._thread.join, CLOSE_SECONDS + 1)

    def __call__(self, ended: Ended) -> None:
        """Told of a call; only those for media count."""
        methods = self._methods[ended.failed]
        if not methods or not ended.record.kind:
            return
        if self._given - self._done >= WAITING:
            self.dropped += 1
            if self.dropped & (self.dropped - 1) == 0:  # the 1st, 2nd, 4th, 8th …
                _log.error("callbacks are too slow: they were not told of %d calls so far", self.dropped)
            return
        self._given += 1
        told = arguments(ended, texts=self._texts)
        self._loop.call_soon_threadsafe(self._take, methods, told)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _import(self, path: str) -> Any:
        found = imported(path, self._folder)
        return found() if inspect.isclass(found) else found

    def _take(self, methods: list[tuple[str, Method]], told: dict[str, Any]) -> None:
        task = self._loop.create_task(self._tell(methods, told))
        self._tasks.add(task)
        task.add_done_callback(self._told)

    def _told(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._done += 1

    async def _tell(self, methods: list[tuple[str, Method]], told: dict[str, Any]) -> None:
        async with self._room:
            for path, method in methods:
                task = asyncio.ensure_future(_called(method, told))
                await asyncio.wait({task}, timeout=TIMEOUT)
                if not task.done():
                    task.cancel()
                    task.add_done_callback(_seen)
                    self._broke(path, f"it took more than {TIMEOUT:g} s")
                elif task.cancelled():
                    self._broke(path, "it was cancelled")
                elif (error := task.exception()) is not None:
                    self._broke(path, type(error).__name__, error if isinstance(error, Exception) else None)

    def _broke(self, path: str, why: str, error: Exception | None = None) -> None:
        self.failed += 1
        _log.error("the callback %s failed: %s", path, why, exc_info=error)

    async def _finish(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        self._loop.stop()


async def _called(method: Method, told: dict[str, Any]) -> None:
    await method(**told)


def _own(found: object, name: str) -> Method | None:
    """A method that ``found`` has of its own: LiteLLM's base class has all of them, doing nothing."""
    method = getattr(found, name, None)
    own = inspect.iscoroutinefunction(method) and not method.__module__.startswith("litellm.")
    return method if own else None


def _seen(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()
