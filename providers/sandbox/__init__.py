"""Test media from this machine, as tasks: ``sandbox/image``, ``sandbox/video`` and ``sandbox/speech`` need no key.

A variant after the name picks how a task goes (``sandbox/video-fails``). Tasks are kept nowhere: an id says all that
is to be made and when it began, so that a look after a restart finds the task where it would be.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from engines.errors import EngineError
from providers.base.contract import (
    Failed,
    Provider,
    Readiness,
    Submitted,
    TaskRequest,
    TaskState,
    VideoRequest,
    Working,
)
from providers.base.errors import Broken, Busy, PolicyViolation, ProviderError, Refused
from providers.base.price import free
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts, Resources, Vendor
from providers.sandbox.kinds import KINDS, Task, picture_of, remixed

_REMEMBERED = 10_000


class SandboxSettings(VendorSettings):
    """``seconds``: how long a task takes (image 2, video 5, speech 1 when absent; ten times that for ``-slow``).

    ``poll_interval``: seconds between two looks at a task.
    """

    seconds: float | None = Field(None, ge=0, le=86_400, allow_inf_nan=False)
    poll_interval: float = Field(0.5, gt=0, le=3600, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Variant:
    """How tasks go. ``pace`` multiplies their time, of which ``waits`` is the part that they stand in a queue for.

    Every ``look_fails``-th look at a task raises, every ``submit_fails``-th submit is refused (0: none).
    """

    summary: str = ""
    pace: float = 1
    waits: float = 0
    fails: bool = False
    look_fails: int = 0
    submit_fails: int = 0


VARIANTS: Mapping[str, Variant] = {
    "": Variant(),
    "slow": Variant(", ten times as slow", pace=10),
    "fails": Variant(", refused in the end as against the rules", fails=True),
    "flaky": Variant(", every second look at it fails", look_fails=2),
    "throttled": Variant(", queued for half its time, every third one refused as too many", waits=0.5, submit_fails=3),
}


class _Hiccup(ProviderError):
    """The look went wrong; the task did not."""

    status = 503
    code = "provider_unreachable"
    retryable = True


class _Counts:
    """How often something happened to each of the newest tasks; the oldest are forgotten."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: OrderedDict[int, int] = OrderedDict()

    def add(self, key: int) -> int:
        self._counts[key] = self[key] + 1
        self._counts.move_to_end(key)
        if len(self._counts) > self._limit:
            self._counts.popitem(last=False)
        return self._counts[key]

    def __getitem__(self, key: int) -> int:
        return self._counts.get(key, 0)


class Sandbox:
    """A ``TaskProvider``. ``clock`` gives seconds since the epoch, ``chance`` a number that no other task has."""

    def __init__(
        self,
        kind: str,
        variant: str,
        settings: SandboxSettings,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], int] = lambda: secrets.randbits(62),
    ) -> None:
        self.makes = frozenset({kind})
        self.poll_interval = settings.poll_interval
        self._kind = kind
        self._variant = variant
        self._takes = (KINDS[kind].seconds if settings.seconds is None else settings.seconds) * VARIANTS[variant].pace
        self._clock = clock
        self._chance = chance
        self._submits = 0
        self._looks = _Counts(_REMEMBERED)
        self._cancelled = _Counts(_REMEMBERED)
        self._making = asyncio.Semaphore(2)  # of the threads that the whole process shares

    def readiness(self) -> Readiness:
        """Always ready."""
        return Readiness("ready")

    async def probe(self) -> Readiness:
        """Always ready."""
        return self.readiness()

    def warm(self) -> None:
        """Nothing to load."""

    def check(self, request: TaskRequest) -> Mapping[str, str]:
        """Raise ``Refused`` or ``Unsupported`` by the name of the field."""
        self._planned(request, 0)
        return {}

    async def submit(self, request: TaskRequest) -> Submitted:
        """Begin. Raises what ``check`` raises, and ``Busy`` where the variant says so."""
        nonce = self._chance()
        plan = self._planned(request, nonce)
        plan["picture"] = await asyncio.to_thread(picture_of, request)
        self._submits += 1
        every = VARIANTS[self._variant].submit_fails
        if every and self._submits % every == 0:
            raise Busy("the sandbox takes no more for now, as this model is made to", retry_after=1.0)
        begun = self._clock()
        made = Task(kind=self._kind, variant=self._variant, nonce=nonce, begun=begun, takes=self._takes, **plan)
        return Submitted(made.encoded())

    async def poll(self, task: str) -> TaskState:
        """One look; the media are made at each that comes after the end."""
        found = self._found(task)
        variant = VARIANTS[found.variant]
        if variant.look_fails and self._looks.add(found.nonce) % variant.look_fails == 0:
            raise _Hiccup("the sandbox did not answer, as this model is made to", sent="yes")
        if self._cancelled[found.nonce]:
            return Failed(Broken("the task was cancelled", sent="yes"))
        progress = self._progress(found)
        if progress < 1:
            # Nobody sees how far a picture or a sound is; a film's progress is worth ten looks.
            left = found.takes * (1 - progress)
            after = min(left, found.takes / 10) if found.kind == "video" else left
            return Working(max(0.0, (progress - variant.waits) / (1 - variant.waits)), check_after=after)
        if variant.fails:
            refusal = "the prompt was refused by the sandbox's rules, as this model is made to"
            return Failed(PolicyViolation(refusal, sent="yes", param="input" if found.kind == "speech" else "prompt"))
        async with self._making:
            try:
                return await asyncio.to_thread(KINDS[found.kind].make, found)
            except EngineError as error:
                return Failed(Broken(str(error), sent="yes"))

    def remixed(self, task: str, prompt: str) -> VideoRequest:
        """What to ask for: the film again, with another prompt."""
        if self._kind != "video":
            raise Refused(f"this model of the sandbox makes {self._kind} and nothing else", param="model")
        return remixed(self._found(task), prompt)

    async def cancel(self, task: str) -> None:
        """Stop it where it still runs; remembered until the process ends."""
        found = self._found(task)
        if self._progress(found) < 1:
            self._cancelled.add(found.nonce)

    def _planned(self, request: TaskRequest, nonce: int) -> dict[str, Any]:
        if not isinstance(request, KINDS[self._kind].request):
            raise Refused(f"this model of the sandbox makes {self._kind} and nothing else", param="model")
        return KINDS[self._kind].plan(request, nonce % 1_000_000)

    def _found(self, task: str) -> Task:
        found = Task.decoded(task)
        if found.kind != self._kind or found.variant not in VARIANTS:
            raise ProviderError(f"the sandbox has no such {self._kind} task", sent="yes")
        return found

    def _progress(self, task: Task) -> float:
        """0 to 1; a clock that was set back shows no progress rather than less than none."""
        gone = max(0.0, self._clock() - task.begun)
        return 1.0 if gone >= task.takes else gone / task.takes


def _name(kind: str, variant: str) -> str:
    return f"{kind}-{variant}" if variant else kind


async def _open(model: str, settings: SandboxSettings, _resources: Resources) -> Provider:
    kind, _, variant = model.partition("-")
    return Sandbox(kind, variant, settings)


_FREE = free("made-up media, made on this machine")

VENDOR = Vendor(
    name="sandbox",
    models={
        _name(kind, variant): Facts(
            KINDS[kind].mode,
            SandboxSettings,
            KINDS[kind].summary + VARIANTS[variant].summary,
            _FREE,
            streams=False if kind == "speech" else None,
        )
        for kind in KINDS
        for variant in VARIANTS
    },
    open=_open,
)
