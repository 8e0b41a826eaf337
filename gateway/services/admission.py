"""Whether a call may be made at all: the models, the pace and the budgets of whoever makes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from gateway.config import LitellmSettings
from gateway.database import StoreError
from gateway.errors import Forbidden, Overloaded, Timeout, Unauthorized, UnknownModel
from gateway.jobs.errors import SubmissionUnknown
from gateway.keys.amounts import Amounts
from gateway.keys.key import LIMITS, VirtualKey
from gateway.keys.limits import Budget, Limits, Reservation
from gateway.keys.ring import Keyring
from gateway.ledger.row import cost_by_now
from gateway.record import Cost, Record, Who
from providers.base.contract import ImageRequest, MediaRequest, SpeechRequest, Usage, VideoRequest
from providers.base.errors import ProviderError

SLOWEST_SPEECH = 10.0
"""Characters a second: so many seconds are reserved for a text, and settled when its sound is there."""

ExpectedUsd = Callable[[str, Sequence[MediaRequest]], float | None]
"""What requests to a model (a name as callers send it) will cost at most, in US dollars. ``None``: nobody knows."""

_log = logging.getLogger(__name__)

_KEPT = 10_000  # keys, and models of one, of which something is known


class Admission:
    """``admit`` before anybody is asked. ``group`` finds the model_name behind a name, or raises ``UnknownModel``."""

    def __init__(
        self,
        ring: Keyring,
        limits: Limits,
        settings: LitellmSettings,
        group: Callable[[str], str],
        expected_usd: ExpectedUsd = lambda _model, _requests: None,
    ) -> None:
        self._ring = ring
        self._limits = limits
        self._most_of_a_user = settings.max_end_user_budget
        self._group = group
        self._expected_usd = expected_usd
        most = settings.max_budget
        whole = Budget("all", "This gateway as a whole", {"usd": most or 0.0}, settings.budget_duration)
        self._whole = None if most is None else whole
        self._holders: dict[str, _Holder] = {}

    def enter(self, who: Who) -> Callable[[], None]:
        """A call begins, of whatever kind; call what is returned when it has ended. Raises ``OverRate``."""
        key = self._key(who)
        if key is None or (key.rpm_limit is None and key.max_parallel_requests is None):
            return _nothing
        return self._limits.enter(key.token, key.rpm_limit, key.max_parallel_requests)

    def may_use(self, who: Who, model: str) -> bool:
        """Whether ``model`` is one of those that the key may use. It need not exist."""
        holder = self._holder(who)
        return holder is None or self._allowed(holder, model)

    def check_models(self, who: Who, *models: str) -> _Holder | None:
        """What is known of the key. Raises ``Forbidden`` where it may not use one of ``models``."""
        holder = self._holder(who)
        for model in models:
            if holder is not None and not self._allowed(holder, model):
                raise Forbidden(
                    f"This key may not use the model '{model[:200]}'. GET /v1/models lists those that it may use.",
                    param="model",
                    code="key_model_access_denied",
                )
        return holder

    async def admit(
        self, who: Who, model: str, requests: Sequence[MediaRequest], others: Sequence[str] = ()
    ) -> Admitted:
        """Room in every budget for ``requests``, which are one call for ``model``, or for ``others`` in its place.

        Raises ``Forbidden``, ``OverQuota``, ``InvalidRequest`` where an amount that is limited cannot be known
        before the call, and ``Overloaded`` where the budgets cannot be read.
        """
        holder = self.check_models(who, model, *others)
        budgets = [] if holder is None else [holder.budget]  # without limits too: what the key spends is counted
        if self._most_of_a_user is not None and who.end_user:
            user = f"user:{who.end_user}", f"The end user '{who.end_user}'"
            budgets.append(Budget(*user, {"usd": self._most_of_a_user}))
        if self._whole is not None:
            budgets.append(self._whole)
        if not budgets:
            return Admitted(None)
        try:
            return Admitted(await self._limits.reserve(budgets, self._expected(model, requests)))
        except StoreError as error:
            _log.error("budgets cannot be read: %s", error)
            raise Overloaded("The budgets cannot be read now; try again.", code="budgets_unavailable") from error

    def _expected(self, model: str, requests: Sequence[MediaRequest]) -> Amounts:
        characters, audio_seconds, images = 0, 0.0, 0
        video_seconds: float | None = 0.0
        for each in requests:
            if isinstance(each, SpeechRequest):
                characters += len(each.text)
                audio_seconds += len(each.text) / SLOWEST_SPEECH / each.speed
            elif isinstance(each, ImageRequest):
                images += each.n
            elif isinstance(each, VideoRequest):
                if each.seconds is None or video_seconds is None:
                    video_seconds = None
                else:
                    video_seconds += each.seconds
        usd = self._expected_usd(model, requests)
        return Amounts(usd, characters, audio_seconds, images, video_seconds)

    def _allowed(self, holder: _Holder, model: str) -> bool:
        if not holder.key.models or model in holder.allowed:
            return True
        names = [model]
        with suppress(UnknownModel):
            names.append(self._group(model))
        allowed = holder.key.may_use(*names)
        if allowed and len(holder.allowed) < _KEPT:
            holder.allowed.add(model)
        return allowed

    def _key(self, who: Who) -> VirtualKey | None:
        if not who.key:
            return None
        key = self._ring.find(who.key)
        if key is None:  # deleted since it was let in
            raise Unauthorized("This key no longer exists.")
        return key

    def _holder(self, who: Who) -> _Holder | None:
        key = self._key(who)
        if key is None:
            return None
        holder = self._holders.get(key.token)
        if holder is None or holder.key is not key:  # it was changed
            if len(self._holders) >= _KEPT:
                self._holders.clear()
            holder = self._holders[key.token] = _Holder(key)
        return holder


class _Holder:
    """What is found out of a key once: its budget, and models that it was ``allowed``."""

    __slots__ = ("allowed", "budget", "key")

    def __init__(self, key: VirtualKey) -> None:
        self.key = key
        self.budget = budget_of(key)
        self.allowed: set[str] = set()


def budget_of(key: VirtualKey) -> Budget:
    """What a key may spend."""
    limits = {unit: most for unit, name in LIMITS.items() if (most := getattr(key, name)) is not None}
    return Budget(key.token, "This key", limits, key.budget_duration, key.created_at)


class Admitted:
    """A call that may be made. As a context: settled at its end, released where the call failed for certain.

    What may have been paid counts: a call whose caller has gone, or whose outcome is unknown, is settled in full.
    """

    def __init__(self, reservation: Reservation | None) -> None:
        self._reservation = reservation
        self._settled = False  # at the end of a stream, where that has begun

    @property
    def counts(self) -> bool:
        """Whether anybody's budget is touched."""
        return self._reservation is not None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            if not self._settled:
                await self.settle()
        elif isinstance(error, asyncio.CancelledError | Timeout | SubmissionUnknown) or (
            isinstance(error, ProviderError) and error.sent == "maybe"
        ):
            await self.settle()
        else:
            self.release()

    def release(self) -> None:
        """Nothing was used."""
        if self._reservation is not None:
            self._reservation.release()

    async def settle(self) -> None:
        """Book what was expected. Twice is harmless."""
        if self._reservation is not None:
            await _booked(self._reservation.settle())

    def book(self, cost: Cost | None, writing: list[asyncio.Future[Any]], audio_seconds: float | None = None) -> None:
        """It has used and cost so much, all of it; kept when what is added to ``writing`` has ended."""
        self._settled = True
        if self._reservation is not None:
            written = self._reservation.settle(None if cost is None else cost.usd, audio_seconds)
            if written is not None:
                writing.append(written)

    async def correct(self, part: float, *, used: bool, cost: Cost | None) -> None:
        """A part (0 to 1) of what was booked has ended, and cost so much; where it is not ``used``, it was never made.

        What costs nobody knows stays booked as expected.
        """
        if self._reservation is not None:
            expected = self._reservation.expected
            names = () if used else ("characters", "audio_seconds", "images", "video_seconds")
            back = {name: (getattr(expected, name) or 0.0) * part for name in names}
            if cost is not None and expected.usd is not None:
                back["usd"] = expected.usd * part - cost.usd
            if any(back.values()):
                await _booked(self._reservation.take_back(Amounts(**back)))

    def carry(self, record: Record, usage: Usage) -> Callable[[], None]:
        """A stream begins: what is returned, called at its end, books what it has used and cost by then."""
        self._settled = True
        return lambda: self.book(cost_by_now(record), record.writing, usage.audio_seconds)


async def _booked(written: asyncio.Future[None] | None) -> None:
    if written is not None:
        with suppress(StoreError):  # it is in the log
            await asyncio.shield(written)


def _nothing() -> None:
    return None
