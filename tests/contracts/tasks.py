"""The law for every model that answers "come back later"."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest

from providers.base.contract import (
    Address,
    Done,
    Failed,
    ImageRequest,
    Made,
    Provider,
    Reference,
    Submitted,
    TaskProvider,
    TaskRequest,
    TaskState,
    Working,
)
from providers.base.errors import ProviderError, Refused, Unsupported

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A png of one pixel."""

LOOKS = 200
"""More than any test provider needs to see a task's end."""


async def look(provider: TaskProvider, task: str) -> TaskState:
    """One look that succeeds; as the worker does, it tries again after a fault that may pass."""
    for _ in range(5):
        try:
            return await provider.poll(task)
        except ProviderError as error:
            assert error.retryable, error
    raise AssertionError("five looks in a row failed")


async def watch(provider: TaskProvider, task: str, elapse: Callable[[], None]) -> list[TaskState]:
    """Every state of a task, the last of them its end."""
    states: list[TaskState] = []
    for _ in range(LOOKS):
        states.append(await look(provider, task))
        if not isinstance(states[-1], Working):
            return states
        elapse()
    raise AssertionError(f"no end after {LOOKS} looks")


class TaskContract:
    """Subclasses have the fixtures ``provider`` (opened), ``asked`` (a request that it takes) and ``elapse``, which
    lets time pass at the vendor, about a tenth of a task each call; ``media_type`` is what comes out. ``takes_mask``:
    of a maker of pictures, whether it takes a mask."""

    media_type: str
    takes_mask = False

    def test_it_is_a_task_provider(self, provider: Provider) -> None:
        assert isinstance(provider, TaskProvider)
        assert provider.makes
        assert provider.makes <= {"speech", "image", "video"}
        assert provider.poll_interval > 0
        assert provider.readiness().state in ("idle", "loading", "ready")
        provider.warm()

    def test_what_it_takes_passes_the_check(self, provider: TaskProvider, asked: TaskRequest) -> None:
        provider.check(asked)

    async def test_an_option_it_cannot_honour_is_named(self, provider: TaskProvider, asked: TaskRequest) -> None:
        unfit = replace(asked, extra={"wobble": 3})
        with pytest.raises(Unsupported) as caught:
            provider.check(unfit)
        assert caught.value.param == "wobble"
        with pytest.raises(Unsupported) as caught:
            await provider.submit(unfit)
        assert caught.value.param == "wobble"
        assert caught.value.sent == "no"

    def test_a_mask_is_taken_or_refused_by_name(self, provider: TaskProvider, asked: TaskRequest) -> None:
        if not isinstance(asked, ImageRequest):
            return
        picture = Reference(data=PIXEL, media_type="image/png")
        masked = replace(asked, references=(picture,), mask=picture)
        if self.takes_mask:
            provider.check(masked)
        else:
            with pytest.raises(Unsupported) as caught:
                provider.check(masked)
            assert caught.value.param == "mask"

    def test_an_empty_prompt_is_refused(self, provider: TaskProvider, asked: TaskRequest) -> None:
        field = "text" if provider.makes == {"speech"} else "prompt"
        with pytest.raises(Refused) as caught:
            provider.check(replace(asked, **{field: " \n"}))
        assert caught.value.param == {"text": "input"}.get(field, field)

    async def test_from_submit_to_the_end(
        self, provider: TaskProvider, asked: TaskRequest, elapse: Callable[[], None]
    ) -> None:
        submitted = await provider.submit(asked)
        assert isinstance(submitted, Submitted)
        assert submitted.task
        *working, end = await watch(provider, submitted.task, elapse)
        assert working, "a task takes time"
        known = [state.progress for state in working if isinstance(state, Working) and state.progress is not None]
        assert all(0 <= progress <= 1 for progress in known)
        assert known == sorted(known), "progress never goes back"
        assert isinstance(end, Done), end
        assert end.outputs
        for output in end.outputs:
            if isinstance(output, Made):
                assert output.data
                assert output.media_type == self.media_type
            else:
                assert isinstance(output, Address)
                assert output.url.startswith(("http://", "https://"))
        assert isinstance(await look(provider, submitted.task), Done), "the end is still there at a second look"

    async def test_two_tasks_are_two(self, provider: TaskProvider, asked: TaskRequest) -> None:
        assert (await provider.submit(asked)).task != (await provider.submit(asked)).task

    @pytest.mark.parametrize("task", ["no-such-task", "", "€", "e30", "W10", "bnVsbA"])
    async def test_an_unknown_task_is_never_a_success(self, provider: TaskProvider, task: str) -> None:
        try:
            state = await provider.poll(task)
        except ProviderError:
            return
        assert isinstance(state, Failed)

    async def test_a_task_can_be_cancelled_twice(
        self, provider: TaskProvider, asked: TaskRequest, elapse: Callable[[], None]
    ) -> None:
        task = (await provider.submit(asked)).task
        await provider.cancel(task)
        await provider.cancel(task)
        assert isinstance((await watch(provider, task, elapse))[-1], Done | Failed)

    async def test_cancelling_what_has_ended_is_harmless(
        self, provider: TaskProvider, asked: TaskRequest, elapse: Callable[[], None]
    ) -> None:
        task = (await provider.submit(asked)).task
        await watch(provider, task, elapse)
        await provider.cancel(task)
        assert isinstance(await look(provider, task), Done)
