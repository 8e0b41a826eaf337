"""Whether the deployments would answer: their vendors are asked, at no cost, with bounds on how many and how long."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.config import GeneralSettings
from gateway.services.deployments import Deployment
from providers.base.contract import Probed, Readiness
from providers.base.errors import ProviderError

_log = logging.getLogger(__name__)

FRESH_SECONDS = 10.0
"""How long what was found out is told again without asking."""

PROBE_SECONDS = 10.0
"""How long a vendor may take to answer, unless ``model_info.health_check_timeout`` says otherwise."""

State = Literal["healthy", "unhealthy", "unknown"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found out of one deployment. ``at`` is since the epoch; ``detail`` says why, or what is known."""

    deployment: Deployment
    state: State
    detail: str
    at: float


class Health:
    """``check`` for ``/health``; between ``start`` and ``close`` also in the background, where the config says so.

    Nobody is asked twice within ``FRESH_SECONDS``, however many want to know. ``now`` is a steady clock, in seconds.
    ``watches``: the background is this process's to look after.
    """

    def __init__(
        self,
        deployments: Sequence[Deployment],
        settings: GeneralSettings,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        watches: bool = True,
    ) -> None:
        self._deployments = deployments
        self._interval = settings.health_check_interval if watches and settings.background_health_checks else None
        self._places = asyncio.Semaphore(settings.health_check_concurrency)
        self._now = now
        self._sleep = sleep
        self._found: dict[str, tuple[float, Checked]] = {}
        self._under_way: dict[str, asyncio.Task[Checked]] = {}
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to check in the background."""
        if self._interval is not None:
            self._watching = asyncio.create_task(self._watch(self._interval))

    async def close(self) -> None:
        """Stop whatever is under way."""
        tasks = [*self._under_way.values(), *([self._watching] if self._watching else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def check(self, group: str | None = None) -> list[Checked]:
        """How every deployment stands, or those of one group; what is not known yet is asked for."""
        chosen = [each for each in self._deployments if group in (None, each.entry.model_name)]
        return await asyncio.gather(*(self._latest(each) for each in chosen))

    async def _watch(self, interval: float) -> None:
        while True:
            await asyncio.gather(*(self._renewed(each) for each in self._deployments if _watched(each)))
            await self._sleep(interval)

    async def _latest(self, deployment: Deployment) -> Checked:
        at, found = self._found.get(deployment.key, (0.0, None))
        kept = FRESH_SECONDS
        if self._interval is not None and _watched(deployment):
            kept = max(kept, 2 * self._interval)  # the next round may take its time
        if found is not None and self._now() - at < kept:
            return found
        return await self._renewed(deployment)

    async def _renewed(self, deployment: Deployment) -> Checked:
        """One question at a time: who comes while it is under way gets its answer."""
        task = self._under_way.get(deployment.key)
        if task is None:
            task = asyncio.create_task(self._ask(deployment))
            self._under_way[deployment.key] = task
            task.add_done_callback(lambda _: self._under_way.pop(deployment.key, None))
        return await asyncio.shield(task)

    async def _ask(self, deployment: Deployment) -> Checked:
        async with self._places:
            state, detail = await _asked(deployment)
        found = Checked(deployment, state, detail, time.time())
        _, before = self._found.get(deployment.key, (0.0, None))
        self._found[deployment.key] = self._now(), found
        _tell(found, before)
        return found


def _watched(deployment: Deployment) -> bool:
    return not deployment.entry.model_info.get("disable_background_health_check", False)


async def _asked(deployment: Deployment) -> tuple[State, str]:
    provider = deployment.provider
    known = provider.readiness()
    if known.state == "unavailable":
        return "unhealthy", known.detail
    if not isinstance(provider, Probed):
        return "unknown", "This provider cannot be asked at no cost, so nobody was."
    seconds = float(deployment.entry.model_info.get("health_check_timeout", PROBE_SECONDS))
    task = asyncio.ensure_future(provider.probe())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # else asyncio complains of it
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        done = task.done()
        task.cancel()
    if not done or task.cancelled():
        return "unhealthy", f"No answer within {seconds:g} s."
    error = task.exception()
    return _told(task.result()) if error is None else ("unhealthy", _worded(deployment, error))


def _told(found: Readiness) -> tuple[State, str]:
    return ("unhealthy" if found.state == "unavailable" else "healthy"), found.detail


def _worded(deployment: Deployment, error: BaseException) -> str:
    """A provider's errors are written to be read; what any other one says may hold anything."""
    if isinstance(error, ProviderError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    _log.error("the check of %s failed: %s at %s", deployment.key, type(error).__name__, place)
    return "The check itself failed. The gateway's log has more."


def _tell(found: Checked, before: Checked | None) -> None:
    """One line where something has changed."""
    known = before.state if before is not None else "healthy"
    if found.state not in (known, "unknown"):
        level = logging.WARNING if found.state == "unhealthy" else logging.INFO
        _log.log(level, "%s is %s: %s", found.deployment.key, found.state, found.detail)
