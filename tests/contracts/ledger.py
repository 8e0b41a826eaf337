"""What every ledger store keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.inbox import kept
from gateway.ledger.row import Charge, Filter, Row, row_of
from gateway.ledger.store import LedgerStore
from gateway.record import Attempt, Cost, Record, Used, Who, row_at

DAY = 86_400.0


def call(name: str, at: float = 1000.0, usd: float | None = 0.5, **more: object) -> Row:
    """A row; ``usd`` None is unknown."""
    costs = [None if usd is None else Cost(usd)]
    record = Record(name, "/v1/audio/speech", at=at, row=row_at(at) + name, status=200, costs=costs)
    return replace(row_of(record), **more)


class LedgerStoreContract:
    async def test_a_row_comes_back_as_it_went(self, store: LedgerStore) -> None:
        record = Record(
            "req_1", "/v1/videos", at=5.0, row="r", who=Who("hash", "alias", False, "u", "jane", ("a", "ü"))
        )
        record.attempts = [Attempt("g", "d", "provider_timeout", 1.5, "maybe"), Attempt("g", "e", "ok", 0.5)]
        record.used = Used(characters=3, audio_seconds=1.5, images=2, video_seconds=4.0, size="1x1", input_tokens=7)
        record.model, record.status, record.code, record.queued, record.first_byte = "m", 500, "c", 0.25, 2.5
        record.served_by("g", "e", "v")
        row = row_of(record)
        assert (row.vendor, row.usd, row.certainty, row.call_type) == (2.0, 0.0, "computed", "avideo_generation")
        await kept(store.write([row]))
        assert await store.select(Filter(), 10) == [row]

    async def test_the_newest_word_counts(self, store: LedgerStore) -> None:
        await kept(store.write([call("a"), call("b", 2000.0)]))
        await kept(store.write([call("a", usd=0.25, code="client_gone")]))
        assert [(row.id, row.usd, row.code) for row in await store.select(Filter(), 10)] == [
            ("b", 0.5, None),
            ("a", 0.25, "client_gone"),
        ]
        assert [row.id for row in await store.select(Filter(), 1)] == ["b"]

    async def test_what_is_unknown_is_never_nought(self, store: LedgerStore) -> None:
        await kept(store.write([call("a", usd=None), call("b", model="m"), call("c", model="m", usd=None)]))
        found = {row.id: row for row in await store.select(Filter(), 10)}
        assert (found["a"].usd, found["a"].certainty, found["a"].cost) == (None, "unknown", None)
        sums = {each.name: (each.calls, each.usd, each.unknown) for each in await store.sums("model", Filter())}
        assert sums == {"": (1, None, 1), "m": (2, 0.5, 1)}

    async def test_a_call_costs_what_its_tasks_cost(self, store: LedgerStore) -> None:
        row = replace(call("a", usd=0.0), certainty="reported")
        jobs = [Charge("j1", row.row, Cost(0.3, "expected"), 1.0), Charge("j2", row.row, None, 1.0)]
        await kept(store.write([row], jobs))

        async def now() -> tuple[float | None, str]:
            (found,) = await store.select(Filter(), 10)
            return found.usd, found.certainty

        assert await now() == (None, "unknown")
        assert await store.settle("j2", lambda old: Cost(0.2, "reported")) == Cost(0.2, "reported")
        assert await now() == (0.5, "expected")
        seen = []
        await store.settle("j1", lambda old: seen.append(old) or Cost(0.1, "reported"))
        assert seen == [Cost(0.3, "expected")]
        await kept(store.write([row], jobs))  # what is settled is not expected again
        await kept(store.write([replace(row, status=500)]))
        assert await now() == (pytest.approx(0.3), "reported")
        assert await store.settle("nobody", lambda old: Cost(1.0)) is None

    async def test_which_calls(self, store: LedgerStore) -> None:
        rows = [
            call("a", 1000.0, key="k", end_user="u", id="x"),
            call("b", 2000.0, key="k"),
            call("c", 3000.0, end_user="u"),
        ]
        await kept(store.write(rows))

        async def names(**which: object) -> str:
            return "".join(row.row[-1] for row in await store.select(Filter(**which), 10))

        assert await names() == "cba"
        assert await names(since=2000.0) == "cb"
        assert await names(until=2000.0) == "a"
        assert await names(key="k") == "ba"
        assert await names(key="") == "c"
        assert await names(end_user="u") == "ca"
        assert await names(id="x") == "a"
        assert await names(key="k", end_user="u", since=2000.0) == ""

    async def test_sums(self, store: LedgerStore) -> None:
        more = {"characters": 10, "audio_seconds": 0.5, "images": 1, "video_seconds": 2.0}
        await kept(
            store.write(
                [
                    call("a", 0.5 * DAY, 1.0, key="k", model="m", end_user="u", tags=("x", "y"), **more),
                    call("b", 1.5 * DAY, 2.0, key="k", model="n", tags=("x",), **more),
                    call("c", 1.6 * DAY, 4.0, model="m"),
                ]
            )
        )

        async def by(what: str | None, **which: object) -> list[tuple[str, int, float | None]]:
            return [(each.name, each.calls, each.usd) for each in await store.sums(what, Filter(**which))]

        assert await by("key") == [("", 1, 4.0), ("k", 2, 3.0)]
        assert await by("model") == [("m", 2, 5.0), ("n", 1, 2.0)]
        assert await by("user") == [("", 2, 6.0), ("u", 1, 1.0)]
        assert await by("tag") == [("x", 2, 3.0), ("y", 1, 1.0)]
        assert await by("day") == [("1970-01-01", 1, 1.0), ("1970-01-02", 2, 6.0)]
        assert await by("tag", since=DAY) == [("x", 1, 2.0)]
        (whole,) = await store.sums(None, Filter(key="k"))
        assert (whole.characters, whole.audio_seconds, whole.images, whole.video_seconds) == (20, 1.0, 2, 4.0)
        assert await store.sums(None, Filter(key="nobody")) == []

    async def test_what_is_old_is_forgotten_with_its_charges(self, store: LedgerStore) -> None:
        row = call("a", 10.0)
        await kept(store.write([row], [Charge("j", row.row, Cost(1.0), 10.0)]))
        await kept(store.write([call("b", 20.0), *(call(f"old{number}", 10.0) for number in range(1000))]))
        await store.forget(20.0)
        assert [row.id for row in await store.select(Filter(), 10)] == ["b"]
        assert await store.settle("j", lambda old: old) is None

    async def test_half_a_letter_can_be_kept(self, store: LedgerStore) -> None:
        await kept(store.write([call("a", model="\ud800", end_user="\udfff", tags=("\ud800",))]))
        (row,) = await store.select(Filter(), 10)
        assert (row.model, row.end_user, row.tags) == ("?", "?", ("\ud800",))

    async def test_names_are_data(self, store: LedgerStore) -> None:
        await kept(store.write([call("a", end_user="'; DROP TABLE calls; --", key="%")]))
        assert len(await store.select(Filter(end_user="'; DROP TABLE calls; --"), 10)) == 1
        assert await store.select(Filter(key="_"), 10) == []

    async def test_closing_twice_is_harmless(self, store: LedgerStore) -> None:
        await store.close()
        await store.close()
