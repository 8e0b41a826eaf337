"""The parent of several workers: it listens, starts them, starts again those that end, and passes on signals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.workers.crew import DRAIN, LEAVE, NOW, PLACE, READY, Place

TRIES = 5
"""How often in a row a worker may end before it serves, where it has served before."""

STEADY = 60.0
"""Seconds after which a worker that ends is none that ends again and again."""

_PAUSE = 0.25  # seconds before a worker is started again, the first time
_LONGEST = 30.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Worker:
    """One process. ``serving`` is done once it serves; ``code`` once it has ended."""

    process: asyncio.subprocess.Process
    control: socket.socket
    serving: asyncio.Task[bool]

    def say(self, what: bytes) -> None:
        with contextlib.suppress(OSError):  # it has just ended
            self.control.send(what)


class Supervisor:
    """``of`` workers, each started by ``command``, on ``sockets``. ``lock`` is the descriptor of the data folder's.

    The first is started alone: it makes what is not there, and takes up what an earlier run left, while nobody else
    lives. What it cannot do, nobody could: the server ends then.
    """

    def __init__(self, command: Sequence[str], of: int, sockets: Sequence[socket.socket], lock: int) -> None:
        self._command = command
        self._of = of
        self._listening = tuple(each.fileno() for each in sockets)
        self._lock = lock
        self._workers: dict[int, _Worker] = {}
        self._served: set[int] = set()
        self._first_serves = asyncio.Event()
        self._all_serve = asyncio.Event()
        self._stopping = asyncio.Event()
        self._failed = False
        self._folder = ""

    async def run(self) -> int:
        """Until a signal says so, or a worker cannot be started. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        with tempfile.TemporaryDirectory(prefix="media-gateway-") as self._folder:
            leader = asyncio.create_task(self._keep(0))
            begun = await self._waited(self._first_serves)
            await asyncio.gather(*(self._keep(number) for number in range(1, self._of) if begun))
            if 0 in self._workers:
                self._workers[0].say(LEAVE)
            await leader
        return 1 if self._failed else 0

    async def serving(self) -> bool:
        """Wait until all serve. False: it has ended before."""
        return await self._waited(self._all_serve)

    async def _waited(self, event: asyncio.Event) -> bool:
        """Wait for it. False: the server ends before."""
        waits = [asyncio.create_task(each.wait()) for each in (event, self._stopping)]
        await asyncio.wait(waits, return_when="FIRST_COMPLETED")
        for each in waits:
            each.cancel()
        return event.is_set()

    def _signalled(self) -> None:
        if not self._stopping.is_set():
            _log.info("shutting down: the workers finish the calls under way")
        self._end(NOW if self._stopping.is_set() else DRAIN)

    def _end(self, how: bytes) -> None:
        self._stopping.set()
        for worker in self._workers.values():
            worker.say(how)

    async def _keep(self, number: int) -> None:
        """One worker after another, until the server ends."""
        short = failures = 0
        while not self._stopping.is_set():
            begun = time.monotonic()
            worker = self._workers[number] = await self._start(number)
            if self._stopping.is_set():
                worker.say(DRAIN)
            code = await worker.process.wait()
            served = await worker.serving
            worker.control.close()
            if self._stopping.is_set():
                if code:
                    _log.error("worker %d (pid %d) ended with %s", number, worker.process.pid, _told(code))
                    self._failed = True
                return
            failures = 0 if served else failures + 1
            if not served and (number not in self._served or failures >= TRIES):
                _log.error("worker %d cannot be started (it ended with %s): the server ends", number, _told(code))
                self._failed = True
                self._end(DRAIN)
                return
            short = 0 if time.monotonic() - begun >= STEADY else short + 1
            pause = min(_LONGEST, _PAUSE * 2 ** max(0, short - 1))
            text = "worker %d (pid %d) ended with %s: it is started again in %g s"
            _log.error(text, number, worker.process.pid, _told(code), pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _start(self, number: int) -> _Worker:
        ours, its = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - its only argument
        place = Place(number, self._of, its.fileno(), self._listening, self._folder)
        path = os.pathsep.join(each for each in sys.path if each)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path, PLACE: place.told()},
                pass_fds=(*self._listening, its.fileno(), self._lock),
                start_new_session=True,  # a terminal's Ctrl-C is the parent's to pass on
            )
        finally:
            its.close()
        return _Worker(process, ours, asyncio.create_task(self._heard(number, ours)))

    async def _heard(self, number: int, control: socket.socket) -> bool:
        """Wait until it says that it serves. False: it has ended before."""
        try:
            said = await asyncio.get_running_loop().sock_recv(control, 1)
        except OSError:
            said = b""
        if said != READY:
            return False
        self._served.add(number)
        if number == 0:
            self._first_serves.set()
        if len(self._served) == self._of:
            self._all_serve.set()
        return True


def _told(code: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name if code < 0 else f"code {code}"
    return f"signal {-code}"
