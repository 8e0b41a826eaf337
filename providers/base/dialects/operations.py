"""Google's long-running operations that make films, over whichever address they are asked at."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from providers.base import errors
from providers.base.contract import Address, Failed, Submitted, TaskState
from providers.base.dialects.google import member, refused
from providers.base.dialects.veo import PARAMS, state_of
from providers.base.exchange import MIB, Deadlines, Reply

DEADLINES = Deadlines(first_byte=60.0, idle=30.0, total=120.0)
CAP = 256 * MIB
"""Bytes of the largest answer: films may stand in it, in base64."""

_LONG = MIB // 8


async def begun(vendor: str, send: Callable[[], Awaitable[Reply]], name: re.Pattern[str]) -> Submitted:
    """Hand a film over by ``send``, once. ``name`` is what an operation's name looks like."""
    try:
        reply = await send()
    except errors.ProviderError as error:
        if error.sent == "yes":  # half an answer came: the operation may be there
            error.sent = "maybe"
        raise
    if not reply.ok:
        told = _refused(vendor, reply)
        if reply.status in (500, 504):  # it broke at the request, or something gave up waiting for it
            told.sent = "maybe"
        raise told
    try:
        found = member(reply.json(), "name", str) or ""
    except errors.BadAnswer:
        found = ""
    if not name.fullmatch(found):
        raise errors.BadAnswer(f"{vendor} took the task, but its answer has no name.", sent="maybe")
    return Submitted(found)


async def looked(vendor: str, reply: Reply, address: Callable[[str], Address]) -> TaskState:
    """What a look at an operation found. On a thread where there is a film in it."""
    if reply.status == 404:
        return Failed(errors.Gone(f"{vendor} no longer knows the task.", sent="yes"))
    if not reply.ok:
        raise _refused(vendor, reply)
    if len(reply.body) < _LONG:
        return state_of(vendor, reply.json(), address)
    return await asyncio.to_thread(lambda: state_of(vendor, reply.json(), address))


def _refused(vendor: str, reply: Reply) -> errors.ProviderError:
    try:
        body = reply.json()
    except errors.BadAnswer:
        body = None
    return refused(vendor, reply.status, reply.headers, body, PARAMS)
