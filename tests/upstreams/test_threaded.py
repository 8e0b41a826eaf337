"""A simulated vendor that closes leaves no connection behind."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from contextlib import suppress

import pytest
from aiohttp import web

from tests.upstreams.threaded import Site


@pytest.mark.parametrize("turns", range(6))
async def test_who_comes_in_the_last_moment_is_hung_up_on(turns: int) -> None:
    """However far the server has got with taking the connection."""
    site = Site(web.Application())
    await site.open()
    with socket.create_connection(site.base.removeprefix("http://").split(":"), timeout=10) as caller:
        for _ in range(turns):
            await asyncio.sleep(0)
        with warnings.catch_warnings(record=True) as left, pytest.MonkeyPatch.context() as patch:
            warnings.simplefilter("always")
            patch.setattr("sys.unraisablehook", left.append)
            await site.close()
            gc.collect()
        assert [str(each.message) for each in left] == []
        with suppress(ConnectionError):  # never taken
            assert await asyncio.to_thread(caller.recv, 1) == b""
