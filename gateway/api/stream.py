"""Sending bytes as they come, and stopping the work behind them when nobody listens any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.api.body import ClientGone
from gateway.api.http import Call, Header
from gateway.errors import GatewayError
from providers.base.errors import ProviderError

_log = logging.getLogger(__name__)


class StreamBroken(Exception):
    """The answer had begun when its source failed: the connection is cut, so that the client sees it is incomplete."""


@asynccontextmanager
async def while_connected(call: Call) -> AsyncIterator[None]:
    """Cancel the body of the ``with`` when the caller hangs up; it then ends with ``ClientGone``.

    The request's body must have been read: after that the server's next message is the disconnect.
    """
    task = asyncio.current_task()
    assert task is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await call.receive())["type"] != "http.disconnect":
            pass
        if not call.complete:  # the server says "disconnect" after a complete answer too
            gone = True
            task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone:
            raise
        task.uncancel()
        raise ClientGone from None
    finally:
        watcher.cancel()


async def send_stream(
    call: Call, chunks: AsyncIterator[bytes], media: str, headers: list[Header], stall: float
) -> None:
    """Send ``chunks`` with back-pressure. A reader who takes nothing for ``stall`` seconds is cut off.

    Raises ``StreamBroken`` where the source fails.
    """
    start = [(b"content-type", media.encode()), *headers]
    await call.send({"type": "http.response.start", "status": 200, "headers": start})
    try:
        async for chunk in chunks:
            async with asyncio.timeout(stall):
                await call.send({"type": "http.response.body", "body": chunk, "more_body": True})
    except (GatewayError, ProviderError) as error:
        raise StreamBroken(str(error)) from error
    except TimeoutError:
        raise StreamBroken(f"the client took nothing for {stall:g} s") from None
    await call.send({"type": "http.response.body", "body": b""})
