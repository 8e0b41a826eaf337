"""A line that loses answers: HTTP passed on to a server, whose answer is lost, cut in half, or comes too late."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import aiohttp
from aiohttp import web

from tests.upstreams.threaded import Site

# What becomes of an answer, as parts of those that fail.
FATES = {"lost": 0.4, "cut": 0.2, "late": 0.4}
_OWN = ("host", "connection", "keep-alive", "transfer-encoding", "content-length")


class Line:
    """A port of 127.0.0.1 that leads to ``target`` (``http://host:port``); ``loss`` is the part of answers that fail.

    ``name`` gives a request a name, from which (and ``seed``) its fate follows however the requests are mixed; those
    it returns "" for take theirs in the order in which they come. A late answer comes when nobody waits any more.
    """

    def __init__(self, target: str, loss: float, seed: int, name: Callable[[web.Request, bytes], str]) -> None:
        self.target, self.loss, self.base = target, loss, ""
        self.count = Counter[str]()
        self._seed = seed
        self._name = name
        self._chance = random.Random(seed)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(force_close=True, limit=0)  # aiohttp repeats what breaks on a kept connection
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._site = Site(app, cancels=True)
        self.base = await self._site.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._site.close()
        await self._session.close()

    def _fate(self, name: str) -> str:
        chance = random.Random(f"{self._seed} {name}") if name else self._chance
        if chance.random() >= self.loss:
            return "fine"
        return chance.choices([*FATES], [*FATES.values()])[0]

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fate = self._fate(self._name(request, body))
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
        url = self.target + request.path_qs
        async with self._session.request(request.method, url, headers=headers, data=body) as found:
            answer = web.Response(status=found.status, body=await found.read())
            answer.headers.update({name: value for name, value in found.headers.items() if name.lower() not in _OWN})
        self.count[fate] += 1
        if fate == "late":
            await asyncio.Event().wait()  # until the other side hangs up
        if fate == "fine" or request.transport is None:
            return answer
        part = web.StreamResponse(status=answer.status, headers=answer.headers)
        part.content_length = len(answer.body)
        if fate == "cut":
            with suppress(ConnectionError):  # hung up already
                await part.prepare(request)
                await part.write(answer.body[: len(answer.body) // 2])
        if request.transport is not None:
            request.transport.close()
        return part
