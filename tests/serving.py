"""The real server on a real socket, on a thread of its own."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.config import Config, parse_config
from gateway.server import Server, make_server, url


@dataclass
class Running:
    """A server under way. ``base`` is ``http://127.0.0.1:port``."""

    server: Server
    base: str = ""
    loop: asyncio.AbstractEventLoop | None = None
    ready: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    def call(self, work) -> None:
        """Run ``work`` on the server's event loop and wait for it."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (work(), done.set()))
        assert done.wait(10)


def config_of(text: str) -> Config:
    return parse_config(text, "test.yaml")


@contextmanager
def serving(config: Config) -> Iterator[Running]:
    """Serve ``config`` for the length of the ``with``; its data in a folder of its own, unless it names one."""
    with tempfile.TemporaryDirectory() as folder:
        if config.general.data_dir is None:
            config = replace(config, general=config.general.model_copy(update={"data_dir": Path(folder)}))
        with _serving(config) as running:
            yield running


@contextmanager
def _serving(config: Config) -> Iterator[Running]:
    running = Running(make_server(config, "127.0.0.1", 0))
    started = running.server.startup

    async def startup(sockets=None) -> None:
        await started(sockets)
        running.loop = asyncio.get_running_loop()
        running.base = url(running.server.servers[0].sockets[0])
        running.ready.set()

    running.server.startup = startup
    thread = threading.Thread(target=running.server.run)
    thread.start()
    try:
        assert running.ready.wait(30)
        yield running
    finally:
        running.server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
