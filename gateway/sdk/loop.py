"""One event loop on a thread of its own, for callers with none, with one that runs, or with a new one each time."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401 - before ``_at_exit``, or its threads would end first
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# At exit threads stop taking work before ``atexit`` begins; what is open needs them to close.
_at_exit: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)


class Background:
    """Begins with the first call, ends with the program. ``closing`` is awaited on the loop before it ends.

    Connections belong to the loop that made them, so every call runs here, from whichever loop it comes. A forked
    child begins its own.
    """

    def __init__(self, closing: Callable[[], Awaitable[None]]) -> None:
        self._closing = closing
        self._lock = threading.Lock()
        self._pid = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._posted: set[asyncio.Task[None]] = set()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """What ``call`` returns or raises; blocks. Interrupted, it cancels the call."""
        loop = self._running()
        if threading.current_thread() is self._thread:
            call.close()
            raise RuntimeError("A function that waits was called from within a call; await its async form instead.")
        future = asyncio.run_coroutine_threadsafe(call, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def hop(self, call: Coroutine[Any, Any, T]) -> T:
        """The same, awaited on the caller's loop; who is cancelled cancels the call."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, self._running()))

    def post(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin ``call``, and wait for nothing; once the loop has ended there is nothing to do.

        No lock is taken: a finalizer may ask for this, in the middle of anything.
        """
        loop = self._loop
        if loop is None or self._pid != os.getpid():
            return

        def begin() -> None:
            task = loop.create_task(call())
            self._posted.add(task)
            task.add_done_callback(self._posted.discard)

        with contextlib.suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(begin)

    def close(self) -> None:
        """Close what is open and end the thread; the next call begins anew. Twice is harmless."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None or self._pid != os.getpid():
                return
            assert self._loop is not None
            assert self._end is not None
            self._loop.call_soon_threadsafe(self._end.set)
            thread.join()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._thread is None or self._pid != os.getpid():
                ready = threading.Event()
                self._thread = threading.Thread(
                    target=lambda: asyncio.run(self._serve(ready)), name="media-gateway", daemon=True
                )
                self._thread.start()
                ready.wait()
                if self._pid == 0:
                    _at_exit(self.close)
                self._pid = os.getpid()
            assert self._loop is not None
            return self._loop

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        ready.set()
        await self._end.wait()
        await self._closing()
