"""Deadlines that share one timer."""

from __future__ import annotations

import asyncio

import pytest

from providers.base.waiting import Deadline, Watch


async def test_each_ends_at_its_own_moment() -> None:
    watch, ended = Watch(), list[str]()

    async def wait(name: str, at: float) -> None:
        with pytest.raises(TimeoutError), Deadline(watch, at):
            await asyncio.Event().wait()
        ended.append(name)

    now = watch.now()
    await asyncio.gather(wait("late", now + 0.03), wait("early", now + 0.01), wait("past", now - 1))
    assert ended == ["past", "early", "late"]
    watch.close()


async def test_one_that_is_over_in_time_ends_nothing() -> None:
    watch = Watch()
    with Deadline(watch, watch.now() + 0.01):
        pass
    with pytest.raises(TimeoutError), Deadline(watch, watch.now() + 0.02) as _:
        await asyncio.Event().wait()
    watch.close()


async def test_one_that_is_moved() -> None:
    watch = Watch()
    deadline = Deadline(watch, watch.now() + 60)

    async def wait() -> None:
        with deadline:
            deadline.move(watch.now() + 0.01)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await wait()
    watch.close()


async def test_who_is_cancelled_meanwhile_is_cancelled() -> None:
    watch, task = Watch(), asyncio.current_task()
    assert task is not None

    async def wait() -> None:
        with Deadline(watch, watch.now() - 1):
            waiting.cancel()
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert waiting.cancelled()
    watch.close()
