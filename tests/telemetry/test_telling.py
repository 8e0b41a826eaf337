"""Observers hear of every call, whatever becomes of one of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.telemetry.ended import Ended
from gateway.telemetry.telling import AT_ONCE, Telling
from tests.telemetry.records import ended


@pytest.mark.parametrize("calls", [1, AT_ONCE])
async def test_soon_though_nobody_asks(calls: int) -> None:
    telling, told = Telling(), asyncio.Queue[Ended]()
    telling.observers = (told.put_nowait,)
    made = [ended() for _ in range(calls)]
    for each in made:
        telling.later(each)
    async with asyncio.timeout(10):
        assert [await told.get() for _ in made] == made


async def test_an_observer_that_fails_takes_nothing_from_the_others() -> None:
    telling, first, second = Telling(), list[Ended](), list[Ended]()
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))

    def broken(call: Ended) -> None:
        first.append(call)
        if len(first) == 2:
            raise ZeroDivisionError

    telling.observers = (broken, second.append)
    made = [ended() for _ in range(AT_ONCE)]
    for each in made:
        telling.later(each)
    async with asyncio.timeout(10):
        while len(second) < len(made):
            await asyncio.sleep(0)
    assert (first, second) == (made, made)
    assert [type(fault["exception"]) for fault in faults] == [ZeroDivisionError]
