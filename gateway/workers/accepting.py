"""Taking connections from a socket that other processes take them from too."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

_PAUSE = 1.0  # seconds without another try where no connection can be taken

_log = logging.getLogger(__name__)


class Accepting:
    """One connection a turn of the loop: else whoever wakes first has them all, and the others nothing to do.

    ``listening`` does not block. ``protocol`` makes one for each connection.
    """

    def __init__(self, listening: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._listening = listening
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[object]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._begin()

    def close(self) -> None:
        """Take no more; those that were taken go on."""
        self._loop.remove_reader(self._listening)
        if self._later is not None:
            self._later.cancel()

    async def wait_closed(self) -> None:
        """As a server of asyncio's: the connections are told by others, so there is nothing to wait for."""

    def _begin(self) -> None:
        self._loop.add_reader(self._listening, self._take)

    def _take(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was first, or the client has gone
        except OSError as error:
            _log.error("no connection can be taken: %s", error)
            self._loop.remove_reader(self._listening)
            self._later = self._loop.call_later(_PAUSE, self._begin)
            return
        connection.setblocking(False)  # noqa: FBT003 - its only argument
        task = self._loop.create_task(self._connect(connection))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # it has gone already
            connection.close()
