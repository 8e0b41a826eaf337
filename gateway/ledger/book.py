"""Keeping the ledger: calls are written down as they end, tasks before they are submitted and when they have ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping, Sequence
from weakref import WeakValueDictionary

from gateway.database import StoreError
from gateway.inbox import kept
from gateway.jobs.errors import UNKNOWN
from gateway.jobs.job import Fault, Job, State
from gateway.ledger.cost import CONFIG, cost, maybe, together, units, with_usage
from gateway.ledger.row import Amounts, Charge, Filter, row_of
from gateway.ledger.store import Change, LedgerStore
from gateway.record import NOTHING, Cost, Record, Used
from providers.base.contract import Done, Failed, Submitted, TaskProvider, TaskRequest, TaskState, Usage
from providers.base.price import Price

SWEEP_SECONDS = 3600

_log = logging.getLogger(__name__)


class Book:
    """``store`` ``None``: nothing is kept (``disable_spend_logs``); the answers' headers have their costs all the same.

    ``retention``: seconds that a call is kept; ``None``: for ever.
    """

    def __init__(self, store: LedgerStore | None, retention: float | None = None) -> None:
        self.store = store
        self._retention = retention
        self._live: WeakValueDictionary[str, Record] = WeakValueDictionary()
        self._notes: set[asyncio.Task[Cost | None]] = set()
        self._sweeping = None if store is None or retention is None else asyncio.create_task(self._sweep_always())

    async def close(self) -> None:
        """Write what is to be written, and let go of the store."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        left = [task for task in (self._sweeping, *self._notes) if task is not None]
        await asyncio.gather(*left, return_exceptions=True)
        if self.store is not None:
            await self.store.close()

    def write(self, record: Record) -> Awaitable[object] | None:
        """Write a call down as it stands; kept when that ends. Raises ``StoreError``. ``None``: nothing to wait for."""
        return None if self.store is None else self.store.write([row_of(record)])

    async def open(self, record: Record, price: Price | None, tasks: Sequence[tuple[Job, TaskRequest]]) -> None:
        """Write down what tasks are expected to cost, before they are submitted."""
        parts = [units(price, request) for _, request in tasks]
        record.used = together(parts)
        charges = []
        for (job, _), part in zip(tasks, parts, strict=True):
            whole = cost(price, part)
            whole = None if whole is None else Cost(whole.usd, "expected" if whole.usd else "computed")
            charges.append(Charge(job.id, record.row, whole, time.time()))
            record.charges[job.id] = whole
            self._live[job.id] = record
        if self.store is not None:
            await kept(self.store.write([row_of(record)], charges))

    def metered(self, provider: TaskProvider, job: Job, price: Price | None) -> TaskProvider:
        """``provider``, with what it says of the costs of ``job`` written down."""
        return Metered(provider, job, price, self)

    async def settle(self, job: str, change: Change) -> None:
        """Replace what a job costs. May be repeated. Raises ``StoreError``."""
        record = self._live.get(job)
        old = None if record is None else record.charges.get(job)
        if record is not None and change(old) == old:
            return
        if self.store is not None:
            await self.store.settle(job, change)
        if record is not None:
            record.charges[job] = change(old)

    def note(self, job: str, found: Cost) -> None:
        """Replace what a job costs, without waiting for the disk: the row of the task itself is more urgent."""
        if (record := self._live.get(job)) is not None:
            record.charges[job] = found
        if self.store is not None:
            task = asyncio.create_task(self.store.settle(job, lambda _: found))
            self._notes.add(task)
            task.add_done_callback(self._noted)

    async def ended(self, job: Job, state: State, fault: Fault | None) -> None:
        """A job is about to end; called before it does, and again after a crash in between."""
        change: Change
        if state is State.COMPLETED:
            change = _sure
        elif job.state is State.CREATED or (job.state is State.SUBMITTING and fault != UNKNOWN):
            change = _unsent
        else:
            change = _open
        await self.settle(job.id, change)

    async def learn(self, job: str) -> None:
        """Read what another process has written of a job's cost, for the call that waited for it."""
        record = self._live.get(job)
        if record is not None and self.store is not None and job in record.charges:
            try:
                record.charges[job] = await self.store.settle(job, lambda cost: cost)
            except StoreError as error:
                _log.error("what %s has cost cannot be read: %s", job, error)

    def heard(self, job: str, usage: Usage) -> None:
        """What a provider counted, for the call that waits for it."""
        record = self._live.get(job)
        if record is not None and len(record.charges) == 1:
            record.used = with_usage(record.used, usage)

    async def spent(self, key: str, since: float) -> Amounts:
        """What the calls of a key (by its hash) have used and cost since then."""
        return await self._spent(Filter(since=since, key=key))

    async def spent_by_user(self, end_user: str, since: float) -> Amounts:
        """The same of an end user."""
        return await self._spent(Filter(since=since, end_user=end_user))

    async def _spent(self, which: Filter) -> Amounts:
        found = [] if self.store is None else await self.store.sums(None, which)
        return found[0] if found else Amounts()

    def _noted(self, task: asyncio.Task[Cost | None]) -> None:
        self._notes.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a cost was not written down: %s", task.exception())

    async def _sweep_always(self) -> None:
        while self.store is not None and self._retention is not None:
            try:
                await self.store.forget(time.time() - self._retention)
            except StoreError:
                _log.exception("old calls could not be removed from the ledger")
            await asyncio.sleep(SWEEP_SECONDS)


class Metered:
    """One job's ``TaskProvider``. What the vendor says stands before the table, a price in the config before both."""

    def __init__(self, provider: TaskProvider, job: Job, price: Price | None, book: Book) -> None:
        self.makes = provider.makes
        self.poll_interval = provider.poll_interval
        self.patience: float | None = getattr(provider, "patience", None)  # of ``Patient``
        self._provider = provider
        self._job = job
        self._price = price
        self._own = price is not None and price.source == CONFIG
        self._book = book

    def check(self, request: TaskRequest) -> Mapping[str, str]:
        """As it is."""
        return self._provider.check(request)

    async def submit(self, request: TaskRequest) -> Submitted:
        """As it is; what the vendor expects is noted."""
        found = await self._provider.submit(request)
        if found.cost_usd is not None and not self._own:
            self._book.note(self._job.id, Cost(found.cost_usd, "expected"))
        if found.done is not None:
            await self._ended(found.done)
        return found

    async def poll(self, task: str) -> TaskState:
        """As it is; an end is settled before it is told."""
        found = await self._provider.poll(task)
        if isinstance(found, Done):
            await self._ended(found)
        elif isinstance(found, Failed) and found.cost_usd is not None:
            usd = found.cost_usd
            await self._book.settle(self._job.id, lambda old: self._failed(usd, old))
        return found

    async def cancel(self, task: str) -> None:
        """As it is."""
        await self._provider.cancel(task)

    async def _ended(self, found: Done) -> None:
        self._book.heard(self._job.id, found.usage)
        await self._book.settle(self._job.id, lambda old: self._done(found, old))

    def _done(self, found: Done, old: Cost | None) -> Cost | None:
        if found.usage.cost_usd is not None and not self._own:
            return Cost(found.usage.cost_usd, "reported")
        made = Used(images=len(found.outputs) if self._job.kind == "image" else None)
        return cost(self._price, with_usage(made, found.usage)) if old is None else _sure(old)

    def _failed(self, usd: float, old: Cost | None) -> Cost | None:
        if not self._own:
            return Cost(usd, "reported")
        return _sure(old) if usd else NOTHING


def _sure(old: Cost | None) -> Cost | None:
    guessed = old is not None and old.certainty in ("expected", "possible")
    return Cost(old.usd) if guessed and old is not None else old


def _unsent(old: Cost | None) -> Cost | None:  # noqa: ARG001 - whatever it was
    return NOTHING


def _open(old: Cost | None) -> Cost | None:
    return maybe(old) if old is not None and old.certainty == "expected" else old
