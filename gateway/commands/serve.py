"""``media-gateway serve``: in this process, or as the parent of several."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from gateway.commands.shared import fail
from gateway.config import Config
from gateway.data import DataFolder, DataFolderError, data_folder
from gateway.workers.crew import Crew, Place
from gateway.workers.listening import listen, url
from gateway.workers.marks import supported
from gateway.workers.supervisor import Supervisor

_log = logging.getLogger(__name__)


def serve_here(config: Config, address: tuple[str, int], place: Place | None, *, everybody: bool) -> None:
    """Run the server in this process. ``place``: as one of several; ``everybody``: see ``make_server``."""
    from gateway.server import make_server

    crew = None if place is None else Crew(place, DataFolder(data_folder(config.general)).workers)
    server = make_server(config, *address, everybody=everybody, crew=crew)
    try:
        server.run()
    except SystemExit:  # uvicorn's way of saying that it could not start; it has logged why
        raise typer.Exit(1) from None


def supervise(config: Config, workers: int, address: tuple[str, int], options: Sequence[str]) -> NoReturn:
    """Run the server as ``workers`` processes. ``options`` are those of the command that each of them needs."""
    if not supported():
        fail("--workers needs locks of files, which this system does not have: serve with one")
    folder = DataFolder(data_folder(config.general))
    try:
        folder.open()  # and hold it: the workers inherit the lock
        sockets = listen(*address)
    except DataFolderError as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error}")
    command = [sys.executable, "-P", "-m", "gateway", "serve", "--config", str(config.path), *options]

    async def run() -> int:
        parent = Supervisor(command, workers, sockets, folder.lock())

        async def say() -> None:
            if await parent.serving():
                for each in sockets:
                    _log.info("listening on %s with %d workers", url(each), workers)
                _log.info(
                    "each worker counts for itself: limits of requests (rpm, max_parallel_requests), cool-downs, "
                    "and what the cache keeps"
                )

        saying = asyncio.create_task(say())
        code = await parent.run()
        await saying
        return code

    raise typer.Exit(asyncio.run(run()))
