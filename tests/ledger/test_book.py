"""What becomes of a task's charge, whatever becomes of the task; and of a process that dies in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.jobs.errors import INTERRUPTED, LOST, UNKNOWN
from gateway.jobs.job import Fault, Job, State
from gateway.jobs.sqlite import SqliteJobStore
from gateway.jobs.worker import Jobs
from gateway.ledger.book import Book
from gateway.ledger.cost import CONFIG
from gateway.ledger.row import Filter
from gateway.ledger.store import SqliteLedger
from gateway.record import Cost, Record
from providers.base.contract import Done, Failed, ImageRequest, Made, Submitted, Usage, VideoRequest
from providers.base.errors import Broken
from providers.base.price import Price, free

REFUSED = Fault("no", "invalid_value", "invalid_request_error", 400)
PRICE = Price(per_image=0.25)
OWN = Price(per_image=0.25, source=CONFIG)
SOUND = Price(per_audio_second=0.5)
PICTURE = Made(b"x", "image/png")


def job(state: State = State.RUNNING, name: str = "j") -> Job:
    return Job(name, "image", "m", "d", 1.0, state=state)


class Vendor:
    """Says of one task what it is told to."""

    makes = frozenset({"image"})
    poll_interval = 1.0

    def __init__(self, found: Done | Failed, estimate: float | None = None) -> None:
        self.found, self.estimate = found, estimate

    def check(self, request):
        return {}

    async def submit(self, request):
        return Submitted("t", self.estimate)

    async def poll(self, task):
        return self.found

    async def cancel(self, task):
        return None


@pytest.fixture(params=["live", "after a restart"])
def live(request: pytest.FixtureRequest) -> bool:
    return request.param == "live"


async def opened(book: Book, price: Price | None) -> Record:
    record = Record("r", "/v1/images/generations", status=200)
    await book.open(record, price, [(job(), ImageRequest("x"))])
    return record


async def cost(book: Book) -> Cost | None:
    (row,) = await book.store.select(Filter(), 10)
    return row.cost


@pytest.mark.parametrize(
    ("before", "after", "fault", "certainty"),
    [
        (State.CREATED, State.FAILED, INTERRUPTED, None),
        (State.CREATED, State.CANCELLED, None, None),
        (State.SUBMITTING, State.FAILED, REFUSED, None),
        (State.SUBMITTING, State.FAILED, UNKNOWN, "possible"),
        (State.RUNNING, State.FAILED, REFUSED, "possible"),
        (State.RUNNING, State.CANCELLED, None, "possible"),
        (State.STORING, State.FAILED, LOST, "possible"),
        (State.STORING, State.COMPLETED, None, "computed"),
    ],
)
async def test_an_end_without_a_word_on_money(
    live: bool, before: State, after: State, fault: Fault | None, certainty: str | None
) -> None:
    book = Book(SqliteLedger(None))
    record = await opened(book, PRICE)
    assert record.charges == {"j": Cost(0.25, "expected")}
    if not live:
        book = Book(book.store)
    for _ in range(2):  # a crash between the charge and the job repeats it
        await book.ended(job(before), after, fault)
        assert await cost(book) == (Cost(0.0) if certainty is None else Cost(0.25, certainty))
    assert record.charges["j"] == (await cost(book) if live else Cost(0.25, "expected"))
    await book.close()


@pytest.mark.parametrize(
    ("price", "found", "end"),
    [
        (PRICE, Done((PICTURE,), Usage(cost_usd=0.4)), Cost(0.4, "reported")),
        (PRICE, Done((PICTURE,)), Cost(0.25)),
        (OWN, Done((PICTURE,), Usage(cost_usd=0.4)), Cost(0.25)),
        (None, Done((PICTURE,), Usage(cost_usd=0.4)), Cost(0.4, "reported")),
        (None, Done((PICTURE,)), None),
        (SOUND, Done((PICTURE,), Usage(audio_seconds=3.0)), Cost(1.5)),
        (free("x"), Done((PICTURE,)), Cost(0.0)),
        (PRICE, Failed(Broken("x"), 0.0), Cost(0.0, "reported")),
        (PRICE, Failed(Broken("x"), 0.1), Cost(0.1, "reported")),
        (PRICE, Failed(Broken("x")), Cost(0.25, "possible")),
        (OWN, Failed(Broken("x"), 0.0), Cost(0.0)),
        (OWN, Failed(Broken("x"), 0.1), Cost(0.25)),
        (None, Failed(Broken("x")), None),
        (free("x"), Failed(Broken("x")), Cost(0.0)),
    ],
)
async def test_what_the_vendor_says(live: bool, price: Price | None, found: Done | Failed, end: Cost | None) -> None:
    book = Book(SqliteLedger(None))
    record = await opened(book, price)
    if not live:
        book = Book(book.store)
    metered = book.metered(Vendor(found), job(), price)
    for _ in range(2):
        assert await metered.poll("t") is found
        state = State.COMPLETED if isinstance(found, Done) else State.FAILED
        await book.ended(job(State.STORING), state, None if isinstance(found, Done) else REFUSED)
    assert await cost(book) == end
    assert record.row
    await book.close()


async def test_what_the_vendor_expects_stands_before_the_list() -> None:
    for price, end in ((PRICE, 0.4), (OWN, 0.25), (None, 0.4)):
        book = Book(SqliteLedger(None))
        record = await opened(book, price)
        await book.metered(Vendor(Done(()), 0.4), job(), price).submit(ImageRequest("x"))
        assert record.charges == {"j": Cost(end, "expected")}
        await book.close()


async def test_without_a_ledger_answers_have_their_costs() -> None:
    book = Book(None)
    record = await opened(book, PRICE)
    await book.metered(Vendor(Done((PICTURE,), Usage(cost_usd=0.4))), job(), PRICE).poll("t")
    await book.ended(job(State.STORING), State.COMPLETED, None)
    assert record.charges == {"j": Cost(0.4, "reported")}
    await book.close()


async def test_what_a_crash_left_is_settled_at_the_next_start(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    store = SqliteJobStore(tmp_path / "jobs.sqlite")
    book = Book(ledger)
    for name, state in (("new", State.CREATED), ("sent", State.SUBMITTING)):
        await store.add([job(state, name)])
        record = Record(name, "/v1/videos", row=name)
        await book.open(record, Price(per_video_second=0.1), [(job(state, name), VideoRequest("x", 5))])
        del record
    book = Book(ledger)

    async def keep(_job: Job, _done: Done) -> tuple[str, ...]:
        raise AssertionError

    jobs = Jobs(store, provider_of=lambda _: None, keep=keep)
    jobs.settle_by(book.ended)
    await jobs.recover()
    rows = {row.row: row.cost for row in await ledger.select(Filter(), 10)}
    assert rows == {"new": Cost(0.0), "sent": Cost(0.5, "possible")}
    await jobs.close()
    await store.close()
    await book.close()
