"""How often, how many at once, and for how much: decided before the call, settled after it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from math import inf
from operator import attrgetter

from gateway.errors import InvalidRequest, OverQuota, OverRate
from gateway.keys.amounts import Amounts, Total
from gateway.keys.periods import period, told
from gateway.keys.store import Spending

_log = logging.getLogger(__name__)

_WINDOW = 60.0
_SLOT = 0.1  # calls that begin within so many seconds are remembered as one, until the last of them is a minute old
_SLACK = 1e-9  # sums of prices are not exact

_WORDS = {
    "usd": "US dollars",
    "characters": "characters",
    "audio_seconds": "seconds of audio",
    "images": "images",
    "video_seconds": "seconds of video",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """What ``who`` (unique among all) may spend in a period. ``name`` is what callers call him.

    ``most`` has an entry for each unit that is limited. ``duration`` and ``anchor`` as in ``periods.period``.
    """

    who: str
    name: str
    most: Mapping[str, float] = field(default_factory=dict)
    duration: str | None = None
    anchor: float = 0.0


@dataclass(slots=True)
class _Slot:
    """Calls that have begun one soon after the other."""

    first: float
    last: float
    calls: int = 1


class Pace:
    """The calls of one key within the last minute, and those under way. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._begun: deque[_Slot] = deque()  # at most 600, however many calls there are
        self._count = 0
        self._under_way = 0

    def enter(self, rpm: int | None, parallel: int | None, now: float) -> None:
        """A call begins. Raises ``OverRate`` where it is one too many; such a call does not count."""
        begun = self._begun
        while begun and begun[0].last <= now - _WINDOW:
            self._count -= begun.popleft().calls
        if parallel is not None and self._under_way >= parallel:
            raise OverRate(
                f"This key has {self._under_way} calls under way and may have {parallel} (max_parallel_requests). "
                "Wait for one of them to end.",
                retry_after=1,
            )
        if rpm is not None:
            if self._count >= rpm:
                left = self._room(rpm) + _WINDOW - now if rpm else _WINDOW
                raise OverRate(f"This key may make {rpm} calls a minute (rpm_limit).", retry_after=left)
            self._count += 1
            if begun and now - begun[-1].first < _SLOT:
                begun[-1].last = now
                begun[-1].calls += 1
            else:
                begun.append(_Slot(now, now))
        self._under_way += 1

    def leave(self) -> None:
        """A call has ended."""
        self._under_way -= 1

    def idle(self, now: float) -> bool:
        """Whether there is nothing to remember."""
        return not self._under_way and (not self._begun or self._begun[-1].last <= now - _WINDOW)

    def _room(self, rpm: int) -> float:
        """When the call began that has to leave the window before there is room for one."""
        over = self._count - rpm
        for slot in self._begun:
            if (over := over - slot.calls) < 0:
                return slot.last
        raise AssertionError("there was room")


class _Account:
    """What one has spent since the begin of his period, and what is reserved for the calls under way."""

    def __init__(self, who: str, duration: str | None, anchor: float) -> None:
        self.who = who
        self.rhythm = duration, anchor
        self.read = 0.0  # when, on the monotonic clock
        self.since = 0.0
        self.taken = Total()  # spent or reserved
        self.open: set[Reservation] = set()
        self.holds = 0  # calls that wait for another account of theirs
        self.unwritten = Total()  # what the store has failed to write
        self.meanwhile: list[tuple[float, Amounts, int]] | None = None  # booked while the store is asked

    def begin(self, since: float, spent: Total) -> None:
        """What was spent since then is known."""
        for each in self.open:
            spent.add(each.expected)
        self.since, self.taken = since, spent


_who = attrgetter("who")


class Reservation:
    """Room for one call, in each of its budgets. Settle it or release it, once; what comes after that does nothing."""

    __slots__ = ("_accounts", "_booked", "_limits", "_open", "expected")

    def __init__(self, limits: Limits, accounts: Sequence[_Account], expected: Amounts) -> None:
        self._limits = limits
        self._accounts = accounts
        self.expected = expected
        self._open = True
        self._booked = 0.0

    def settle(self, usd: float | None = None, audio_seconds: float | None = None) -> asyncio.Future[None] | None:
        """The call has used so much; of what is ``None``, as much as was expected. Kept as ``Spending.add`` says."""
        if not self._open:
            return None
        self._open = False
        actual = expected = self.expected
        usd = expected.usd if usd is None else usd
        audio_seconds = expected.audio_seconds if audio_seconds is None else audio_seconds
        if (usd, audio_seconds) != (expected.usd, expected.audio_seconds):
            actual = Amounts(usd, expected.characters, audio_seconds, expected.images, expected.video_seconds)
        for account in self._accounts:
            account.open.discard(self)
            if actual is not expected:
                account.taken.add(expected, -1)
                account.taken.add(actual)
        self._booked = self._limits.now()
        return self._limits.write(self._accounts, actual, self._booked)

    def release(self) -> None:
        """The call has used nothing."""
        if self._open:
            self._open = False
            for account in self._accounts:
                account.open.discard(self)
                account.taken.add(self.expected, -1)

    def take_back(self, booked: Amounts) -> asyncio.Future[None] | None:
        """Some of what was settled was not used after all."""
        for account in self._accounts:
            if self._booked >= account.since:
                account.taken.add(booked, -1)
        return self._limits.write(self._accounts, booked, self._booked, -1)


class Limits:
    """All budgets and paces of one process. Between two looks at ``now`` (epoch seconds) nothing is awaited.

    ``fresh``: after so many seconds the store is asked again what was spent, since other processes spend too.
    """

    def __init__(
        self,
        spending: Callable[[], Awaitable[Spending]],
        now: Callable[[], float] = time.time,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        keep: int = 10_000,
        fresh: float = inf,
    ) -> None:
        self._fresh = fresh
        self._spending = spending
        self._store: Spending | None = None  # once it is needed
        self.now = now
        self._monotonic = monotonic
        self._keep = keep
        self._loading = asyncio.Lock()
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._paces: dict[str, Pace] = {}

    def enter(self, who: str, rpm: int | None, parallel: int | None) -> Callable[[], None]:
        """A call of ``who`` begins; call what is returned when it has ended. Raises ``OverRate``."""
        now = self._monotonic()
        if len(self._paces) >= self._keep:
            self._paces = {each: pace for each, pace in self._paces.items() if not pace.idle(now)}
        if (pace := self._paces.get(who)) is None:
            pace = self._paces[who] = Pace()
        pace.enter(rpm, parallel, now)
        return pace.leave

    async def reserve(self, budgets: Sequence[Budget], expected: Amounts) -> Reservation:
        """Room for a call in all of ``budgets``, or in none.

        Raises ``OverQuota``, ``InvalidRequest`` where an amount that is limited is unknown, ``StoreError``.
        """
        accounts = self._at_hand(budgets) or await self._loaded(budgets)
        # From here on nothing is awaited: no other call comes between the look and the reservation.
        now = self.now()
        for budget, account in zip(budgets, accounts, strict=True):
            end = None
            if budget.duration is not None:
                begin, end = period(budget.duration, budget.anchor, now)
                if begin > account.since:
                    account.begin(begin, Total())
            _check(budget, account, expected, end)
        reservation = Reservation(self, accounts, expected)
        for account in accounts:
            account.taken.add(expected)
            account.open.add(reservation)
            self._accounts.move_to_end(account.who)
        return reservation

    def write(
        self, accounts: Sequence[_Account], amounts: Amounts, at: float, sign: int = 1
    ) -> asyncio.Future[None] | None:
        """Write down what was spent (``sign`` -1: what was not, after all) at a moment. Kept as ``add`` says."""
        for account in accounts:
            if account.meanwhile is not None:
                account.meanwhile.append((at, amounts, sign))
        assert self._store is not None, "there is an account, so it was asked"
        written = self._store.add([*map(_who, accounts)], at, amounts, sign)
        if written is not None:
            written.add_done_callback(partial(_booked, accounts, amounts, sign))
        return written

    def _at_hand(self, budgets: Sequence[Budget]) -> list[_Account] | None:
        """Their accounts, where each is known and fresh."""
        oldest = -inf if self._fresh == inf else self._monotonic() - self._fresh
        found = []
        for budget in budgets:
            account = self._accounts.get(budget.who)
            if account is None or account.read <= oldest or account.rhythm != (budget.duration, budget.anchor):
                return None
            found.append(account)
        return found

    async def _loaded(self, budgets: Sequence[Budget]) -> list[_Account]:
        held: list[_Account] = []
        try:
            for budget in budgets:
                async with self._loading:
                    found = self._at_hand([budget]) or [await self._load(budget)]
                found[0].holds += 1
                held += found
            return held
        finally:
            for account in held:
                account.holds -= 1

    async def _load(self, budget: Budget) -> _Account:
        """The account, counting from the begin of the budget's period."""
        store = self._store = await self._spending()
        account = self._accounts.get(budget.who)
        if account is None:
            account = _Account(budget.who, budget.duration, budget.anchor)
        read = self._monotonic()
        since, _ = period(budget.duration, budget.anchor, self.now())
        meanwhile: list[tuple[float, Amounts, int]] = []
        account.meanwhile = meanwhile
        try:
            spent = await store.spent(budget.who, since)
        finally:
            account.meanwhile = None
        spent.merge(account.unwritten)
        for at, amounts, sign in meanwhile:  # the store has counted what came before
            if at >= since:
                spent.add(amounts, sign)
        account.begin(since, spent)
        account.rhythm, account.read = (budget.duration, budget.anchor), read
        self._make_room()
        self._accounts[budget.who] = account
        return account

    def _make_room(self) -> None:
        """Forget whoever was idle longest: the store knows what he has spent."""
        surplus = len(self._accounts) - self._keep + 1
        idle = (who for who, account in self._accounts.items() if not (account.holds or account.open))
        for who in list(islice(idle, max(0, surplus))):
            del self._accounts[who]


def _booked(accounts: Sequence[_Account], amounts: Amounts, sign: int, written: asyncio.Future[None]) -> None:
    if not written.cancelled() and (error := written.exception()) is not None:
        # The media are there: this is for whoever runs the gateway, not for the caller.
        _log.error("what a call has used could not be booked: %s", error)
        for account in accounts:
            account.unwritten.add(amounts, sign)


def _check(budget: Budget, account: _Account, expected: Amounts, end: float | None) -> None:
    for unit, most in budget.most.items():
        wanted = getattr(expected, unit)
        if wanted is None:
            raise _unknown(budget, unit)
        used = getattr(account.taken, unit)
        # Who wants none of it needs no room for it, whatever others have used.
        if wanted > 0 and used + wanted > most + _SLACK:
            renewed = "" if end is None else f" It is renewed at {told(end)}."
            raise OverQuota(
                f"{budget.name} may use {most:g} {_WORDS[unit]}; {used:g} of them are used or reserved, and this call "
                f"needs {wanted:g}.{renewed}"
            )


def _unknown(budget: Budget, unit: str) -> InvalidRequest:
    if unit == "usd":
        return InvalidRequest(
            f"{budget.name} has a budget in money, and this model's price is unknown. Whoever runs this gateway has to "
            "set a price in its model_info.",
            param="model",
            code="price_unknown",
        )
    return InvalidRequest(
        f"{budget.name} has a limit of {_WORDS[unit]}: say how many this call is to make.",
        param="seconds" if unit.endswith("seconds") else None,
        code="missing_required_parameter",
    )
