"""The law for every store of keys."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.inbox import kept
from gateway.keys.amounts import Amounts, Total
from gateway.keys.key import VirtualKey, name_of, token_of
from gateway.keys.store import AliasTaken, KeyStore


def make(key: str = "sk-one", **fields: Any) -> VirtualKey:
    return VirtualKey(token_of(key), name_of(key), **fields)


FULL = make(
    "sk-full",
    key_alias="Grüße",
    models=("a", "b/*"),
    max_budget=1.25,
    budget_duration="1mo",
    rpm_limit=3,
    max_parallel_requests=2,
    max_characters=10,
    max_audio_seconds=1.5,
    max_images=4,
    max_video_seconds=2.5,
    expires=5.5,
    blocked=True,
    user_id="u",
    team_id="t",
    metadata={"deep": [1, None]},
    tags=("x", "y"),
    created_at=1.5,
    updated_at=2.5,
)


async def change(store: KeyStore, key: VirtualKey) -> None:
    assert await store.change(key.token, lambda _: key) == key


class KeyStoreContract:
    """Subclasses have a fixture ``store`` (empty)."""

    async def test_what_is_put_is_there(self, store: KeyStore) -> None:
        await store.put(FULL)
        await store.put(make())
        assert await store.get(FULL.token) == FULL
        assert await store.get(make().token) == make()
        assert await store.get("0" * 64) is None

    async def test_a_key_is_made_once_and_changed_only_where_it_is(self, store: KeyStore) -> None:
        with pytest.raises(LookupError):
            await change(store, make())
        await store.put(make())
        with pytest.raises(AliasTaken):
            await store.put(make())
        await change(store, make(blocked=True))
        assert await store.get(make().token) == make(blocked=True)

    async def test_an_alias_belongs_to_one_key(self, store: KeyStore) -> None:
        await store.put(make("sk-a", key_alias="x"))
        await store.put(make("sk-b"))
        await store.put(make("sk-c"))  # none is no alias
        with pytest.raises(AliasTaken):
            await store.put(make("sk-d", key_alias="x"))
        with pytest.raises(AliasTaken):
            await change(store, make("sk-b", key_alias="x"))
        await change(store, make("sk-a", key_alias="x", blocked=True))
        assert await store.delete(token_of("sk-a"))
        await store.put(make("sk-d", key_alias="x"))

    async def test_changes_are_told_from_a_mark_on(self, store: KeyStore) -> None:
        assert await store.changed(0) == ([], 0)
        await store.put(make("sk-a"))
        await store.put(make("sk-b"))
        found, mark = await store.changed(0)
        assert dict(found) == {each.token: each for each in (make("sk-a"), make("sk-b"))}
        assert await store.changed(mark) == ([], mark)
        await change(store, make("sk-b", blocked=True))
        await store.delete(token_of("sk-a"))
        found, last = await store.changed(mark)
        assert dict(found) == {token_of("sk-b"): make("sk-b", blocked=True), token_of("sk-a"): None}
        assert last > mark
        await store.put(make("sk-a", rpm_limit=1))  # the same key once more
        assert await store.changed(last) == ([(token_of("sk-a"), make("sk-a", rpm_limit=1))], last + 1)

    async def test_what_is_deleted_is_gone(self, store: KeyStore) -> None:
        assert not await store.delete(make().token)
        await store.put(make())
        assert await store.delete(make().token)
        assert not await store.delete(make().token)
        assert await store.get(make().token) is None
        with pytest.raises(LookupError):
            await change(store, make())

    async def test_spend_is_summed_from_a_minute_on(self, store: KeyStore) -> None:
        await kept(store.add(["a"], 59.0, Amounts(usd=1.0, characters=10)))
        await kept(store.add(["a"], 60.0, Amounts(usd=0.5, audio_seconds=1.5, images=2, video_seconds=4)))
        await kept(store.add(["a"], 119.0, Amounts(usd=None, images=1)))
        await kept(store.add(["b"], 60.0, Amounts(usd=9.0)))
        assert await store.spent("a", 60.0) == Total(0.5, 0, 1.5, 3, 4, 1)
        assert await store.spent("a", 0.0) == Total(1.5, 10, 1.5, 3, 4, 1)
        assert await store.spent("a", 120.0) == Total()
        assert await store.spent("nobody", 0.0) == Total()
        await kept(store.add(["a"], 61.0, Amounts(images=1), -1))
        assert (await store.spent("a", 60.0)).images == 2

    async def test_what_was_added_before_is_counted(self, store: KeyStore) -> None:
        adding = [asyncio.ensure_future(kept(store.add(["a"], 0.0, Amounts(images=1)))) for _ in range(50)]
        await asyncio.sleep(0)  # each has been called
        assert (await store.spent("a", 0.0)).images == 50
        await asyncio.gather(*adding)

    async def test_what_is_added_afterwards_is_not(self, store: KeyStore) -> None:
        await kept(store.add(["a"], 0.0, Amounts(images=1)))
        asked = asyncio.ensure_future(store.spent("a", 0.0))
        await asyncio.sleep(0)  # it has been called
        later = [asyncio.ensure_future(kept(store.add(["a"], 0.0, Amounts(images=1)))) for _ in range(50)]
        assert (await asked).images == 1
        await asyncio.gather(*later)
        assert (await store.spent("a", 0.0)).images == 51

    async def test_a_change_that_fails_changes_nothing(self, store: KeyStore) -> None:
        await store.put(FULL)
        with pytest.raises(ZeroDivisionError):
            await store.change(FULL.token, lambda key: replace(key, rpm_limit=1 // 0))
        assert await store.get(FULL.token) == FULL

    async def test_no_change_is_lost(self, store: KeyStore) -> None:
        await store.put(make(rpm_limit=0))
        more = [store.change(make().token, lambda key: replace(key, rpm_limit=key.rpm_limit + 1)) for _ in range(20)]
        await asyncio.gather(*more)
        assert (await store.get(make().token)).rpm_limit == 20
