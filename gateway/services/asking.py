"""The one loop over attempts: asks the deployments that may answer a call until one has begun to."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Literal, TypeVar

from gateway.errors import GatewayError, InvalidRequest, Timeout
from gateway.jobs.errors import SubmissionUnknown
from gateway.policy.attempts import Wishes
from gateway.policy.course import Asked, Course, Fleet, Rules, Step
from gateway.policy.routing import Routes
from gateway.record import Attempt, Record
from gateway.services.deployments import Deployment
from gateway.services.served import Served
from providers.base.errors import ProviderError, UpstreamTimeout

_log = logging.getLogger(__name__)

Kind = Literal["speech", "image", "video", "transcription"]
T = TypeVar("T")


class Turn:
    """One deployment's turn to answer.

    ``held``: the call goes on after the turn (a stream), and ends with ``let_go``. ``committed``: see ``commit``.
    """

    def __init__(self, step: Step[Deployment], clock: asyncio.Timeout | None) -> None:
        self.group = step.group
        self.deployment = step.seat.deployment
        self.held = False
        self.committed = False
        self._step = step
        self._clock = clock
        self._gone = False

    def commit(self) -> None:
        """From here on nobody else is asked, and no timeout of ours counts: it may have been paid for."""
        self.committed = True
        if self._clock is not None and not self._gone and not self._clock.expired():
            self._clock.reschedule(None)

    def let_go(self) -> None:
        """The deployment is done with it. Twice is harmless."""
        if not self._gone:
            self._gone = True
            self._step.seat.load.end()

    def served(self, dropped: tuple[str, ...] = (), adjusted: Mapping[str, str] | None = None) -> Served:
        """Who answers, if it does."""
        step, vendor, key = self._step, self.deployment.entry.vendor, self.deployment.key
        return Served(step.group, vendor, step.stands_in_for, step.reason, dropped, adjusted or {}, key)


class Asker:
    """What speech, pictures and films share. ``now`` is any steady clock, in seconds."""

    def __init__(
        self,
        routes: Routes[Deployment],
        rules: Rules,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Random | None = None,
    ) -> None:
        self._now = now
        self._sleep = sleep
        chance = chance or Random()  # noqa: S311 - spreads calls, hides nothing
        self.fleet = Fleet(routes, lambda deployment: deployment.traits, rules, chance)

    def conditions(self) -> dict[str, tuple[int, int]]:
        """See ``Fleet.conditions``."""
        return self.fleet.conditions(self._now())

    def group(self, model: str) -> Sequence[Deployment]:
        """The deployments behind a model name. Raises ``UnknownModel``."""
        return self.fleet.routes.deployments(self.fleet.routes.group(model))

    async def first(
        self,
        model: str,
        kind: Kind,
        about: tuple[Record, Wishes],
        ask: Callable[[Turn], Awaitable[T]],
        only: str | None = None,
    ) -> T:
        """What ``ask`` returns for the first deployment that begins to answer.

        ``about`` is the call, and its wishes; ``only`` the key of the one deployment that may answer it.
        Raises ``UnknownModel``; ``InvalidRequest``; ``Timeout`` where a task was not taken in time (it may be yet);
        what ``ask`` raises beside ``ProviderError``; else the ``ProviderError`` that says most.
        """
        record, wishes = about
        course = Course(self.fleet, Asked(model, _able(kind, only), wishes, kind), self._now())
        while (step := course.next(self._now())) is not None:
            if step.pause:
                await self._sleep(step.pause)
            try:
                return await self._turn(course, step, record, ask, once=kind in step.seat.traits.once)
            except ProviderError as error:
                _log.info("%s cannot answer: %s", step.seat.traits.key, error)
        if not course.possible:
            raise InvalidRequest(f"The model '{model[:200]}' does not make {_PLURAL[kind]}.", param="model")
        raise course.error

    async def _turn(
        self,
        course: Course[Deployment],
        step: Step[Deployment],
        record: Record,
        ask: Callable[[Turn], Awaitable[T]],
        *,
        once: bool,
    ) -> T:
        seat, began = step.seat, self._now()
        seat.load.begin(seat.traits, began)
        record.fallbacks = max(record.fallbacks, step.place)
        clock = None if step.seconds is None else asyncio.timeout(step.seconds)
        turn = Turn(step, clock)
        try:
            if clock is None:
                answer = await ask(turn)
            else:
                async with clock:
                    answer = await ask(turn)
        except BaseException as error:
            turn.let_go()
            now = self._now()
            late = isinstance(error, TimeoutError) and clock is not None and clock.expired()
            fault = _late(step) if late else _of_provider(error)
            if fault is not None:
                course.failed(step, fault, now, late=late)
                if turn.committed:
                    course.ended_by(fault)
            record.attempts.append(_attempt(step, turn, fault if late and fault else error, now - began))
            if not late or fault is None:
                raise
            if once:
                raise Timeout(_NOT_TAKEN.format(step.seconds), code="submission_timeout") from None
            raise fault from None
        now = self._now()
        course.answered(step, now - began, now)
        record.attempts.append(Attempt(step.group, step.seat.traits.key, "ok", now - began))
        if not turn.held:
            turn.let_go()
        return answer


_PLURAL = {"speech": "speech", "image": "images", "video": "videos", "transcription": "transcriptions"}


@lru_cache(1000)
def _able(kind: Kind, only: str | None) -> Callable[[Deployment], bool]:
    """One function for one question, since its answers are remembered by it."""
    return lambda each: kind in each.makes and only in (None, each.key)


_NOT_TAKEN = (
    "The task was not taken within {:g} s. It may be yet, and was sent to nobody else; the same call with the same "
    "Idempotency-Key finds it."
)


def _late(step: Step[Deployment]) -> ProviderError:
    return UpstreamTimeout(f"The model did not begin to answer within {step.seconds or 0:g} s.", sent="maybe")


def _of_provider(error: BaseException) -> ProviderError | None:
    """The provider's failure that ``error`` is, or stands for."""
    if isinstance(error, SubmissionUnknown) and isinstance(error.__cause__, ProviderError):
        return error.__cause__
    return error if isinstance(error, ProviderError) else None


def _attempt(step: Step[Deployment], turn: Turn, error: BaseException, seconds: float) -> Attempt:
    if isinstance(error, ProviderError | GatewayError):
        outcome, sent = error.code or "error", getattr(error, "sent", "no")
    else:
        gone = isinstance(error, asyncio.CancelledError)
        outcome, sent = "client_gone" if gone else "internal_error", "maybe"
    return Attempt(step.group, step.seat.traits.key, outcome, seconds, "yes" if turn.committed else sent)
