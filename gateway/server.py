"""Running the application on a socket with uvicorn: its limits, its log, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
import threading
from types import FrameType

import uvicorn

from gateway.api.fastlane import Fastlane
from gateway.api.protocol import limited
from gateway.app import create_app
from gateway.config import Config
from gateway.slack import Slack
from gateway.workers.accepting import Accepting
from gateway.workers.crew import LEAVE, NOW, READY, Crew
from gateway.workers.listening import url as url

_log = logging.getLogger(__name__)

_GIVE_BACK = 50  # ticks, of a tenth of a second
_PLACES = 8  # connections that can be taken in one turn of the loop


class Server(uvicorn.Server):
    """uvicorn's server that first finishes what is under way.

    At the first SIGTERM or SIGINT ``/readyz`` turns to 503 and new calls are refused; once the calls under way have
    ended, or after ``drain_timeout`` seconds, the sockets are closed. A second signal closes them at once.
    """

    def __init__(self, config: uvicorn.Config, lane: Fastlane, drain_timeout: float, crew: Crew | None = None) -> None:
        super().__init__(config)
        self._lane = lane
        self._drain_timeout = drain_timeout
        self._drain: asyncio.Task[None] | None = None
        self._slack: Slack | None = None
        self._signals = 0  # of this process's own: a parent's word and the system's may be about one thing
        self._crew = crew
        self._let_go = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open everything and listen; then say where."""
        await super().startup(sockets if self._crew is None else [])
        if not self.started:
            return
        if threading.current_thread() is threading.main_thread():  # else the process is somebody else's
            # What is there now stays: looking through it again and again would cost each call a little.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 20)
        self._slack = Slack()
        if self._crew is not None:
            self._serve_with(self._crew)
        else:
            for listener in [*self.servers]:
                for each in listener.sockets:
                    _log.info("listening on %s", url(each))
                    await self._listen_more(each.fileno())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal: drain first, leave on the second."""
        self._signals += 1
        if self._signals > 1 or not self.started:
            super().handle_exit(sig, frame)
            return
        if self._crew is None:
            _log.info("shutting down: finishing the calls under way")
        self._lane.draining = True  # not passed on to uvicorn, which would end the process by the signal

    def _serve_with(self, crew: Crew) -> None:
        """Take connections where the parent listens, and do as it says."""

        for each in crew.place.listening:
            self.servers.append(Accepting(socket.socket(fileno=each), self._protocol))  # type: ignore[arg-type]
        crew.control.setblocking(False)  # noqa: FBT003 - its only argument
        asyncio.get_running_loop().add_reader(crew.control, self._told)
        crew.control.send(READY)

    async def _listen_more(self, listening: int) -> None:
        """Wait for connections in several places at once: libuv takes one a turn of the loop from each, and under load
        a turn takes milliseconds."""
        for _ in range(_PLACES - 1):
            also = socket.socket(fileno=os.dup(listening))
            more = await asyncio.get_running_loop().create_server(
                self._protocol, sock=also, backlog=self.config.backlog
            )
            self.servers.append(more)

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes them."""
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    def _told(self) -> None:
        """The parent says something, or is gone."""
        assert self._crew is not None
        said = b""
        with contextlib.suppress(ConnectionError):
            said = self._crew.control.recv(64)
        if not said:
            _log.error("the parent of this worker is gone: finishing the calls under way")
            asyncio.get_running_loop().remove_reader(self._crew.control)
        self._lane.draining = True
        if not said or LEAVE in said:
            self._let_go.set()
        if NOW in said:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if counter % _GIVE_BACK == 0 and self._slack is not None:
            asyncio.get_running_loop().run_in_executor(None, self._slack.give_back)
        if self._lane.draining and self._drain is None:
            self._drain = asyncio.create_task(self._finish())
        return await super().on_tick(counter)

    async def _finish(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_timeout):
                await self._lane.idle()
        if self._crew is not None and self._crew.leads:
            await self._let_go.wait()  # the others' calls may wait for tasks, which this one looks at
        self.should_exit = True


def allow_files(connections: int) -> None:
    """Take as many open files as ``connections`` may need, each with one to a provider, where the system lets us."""
    if sys.platform == "win32":
        return
    import resource

    need = 2 * connections + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < need:
        _log.warning("max_connections is %d, but only %d files may be open", connections, hard)
        need = hard
    if soft != resource.RLIM_INFINITY and soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


def make_server(config: Config, host: str, port: int, *, everybody: bool = False, crew: Crew | None = None) -> Server:
    """A server for ``config``, not yet listening. ``port`` 0 takes a free one; ``everybody``: see ``KeyCheck``.

    ``crew``: it is one of several processes, and listens where their parent does.
    """
    lane = create_app(config, everybody=everybody, crew=crew)
    allow_files(config.general.max_connections)
    settings = uvicorn.Config(
        lane,
        host=host,
        port=port,
        http=limited(config.general),  # type: ignore[arg-type]  # a class, made at run time
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    return Server(settings, lane, config.general.drain_timeout, crew)
