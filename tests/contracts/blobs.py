"""The law for every blob store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.blobs.store import BlobStore, TooBig

DATA = bytes(range(256)) * 5000


async def chunks(data: bytes = DATA, error: Exception | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]
    if error:
        raise error


async def text(store: BlobStore, key: str, start: int = 0, length: int | None = None) -> bytes:
    blob = await store.get(key)
    assert blob is not None
    return b"".join([piece async for piece in store.read(blob, start, length)])


class BlobStoreContract:
    """Subclasses have a fixture ``store``."""

    async def test_what_is_put_can_be_read(self, store: BlobStore) -> None:
        put = await store.put("img_1", chunks(), "image/png", len(DATA))
        assert await store.get("img_1") == put
        assert (put.size, put.media_type) == (len(DATA), "image/png")
        assert await text(store, "img_1") == DATA

    async def test_a_part_of_it(self, store: BlobStore) -> None:
        await store.put("img_1", chunks(), "image/png", len(DATA))
        assert await text(store, "img_1", 1000) == DATA[1000:]
        assert await text(store, "img_1", 1000, 300_000) == DATA[1000:301_000]
        assert await text(store, "img_1", len(DATA)) == b""

    @pytest.mark.parametrize("size", [0, 1, 96 * 1024, 96 * 1024 + 1])
    async def test_of_every_size(self, store: BlobStore, size: int) -> None:
        blob = await store.put("img_1", chunks(DATA[:size]), "image/png", size)
        assert await text(store, "img_1") == DATA[:size]
        assert await text(store, "img_1", 5, 70_000) == DATA[5:size][:70_000]
        with store.open(blob) as file:
            assert file.read() == DATA[:size]
        await store.remove("img_1")
        assert await store.get("img_1") is None
        with pytest.raises(FileNotFoundError):
            [piece async for piece in store.read(blob)]
        with pytest.raises(FileNotFoundError):
            store.open(blob)

    async def test_putting_again_replaces(self, store: BlobStore) -> None:
        old = await store.put("img_1", chunks(), "image/png", len(DATA))
        new = await store.put("img_1", chunks(b"new"), "image/webp", 10)
        assert new.tag != old.tag
        assert await text(store, "img_1") == b"new"

    async def test_too_much_is_not_kept(self, store: BlobStore) -> None:
        with pytest.raises(TooBig):
            await store.put("img_1", chunks(), "image/png", len(DATA) - 1)
        assert await store.get("img_1") is None

    async def test_what_breaks_off_is_not_kept(self, store: BlobStore) -> None:
        with pytest.raises(OSError, match="gone"):
            await store.put("img_1", chunks(error=OSError("gone")), "image/png", 1 << 30)
        assert await store.get("img_1") is None

    async def test_removing(self, store: BlobStore) -> None:
        await store.put("img_1", chunks(), "image/png", len(DATA))
        await store.remove("img_1")
        await store.remove("img_1")
        assert await store.get("img_1") is None

    async def test_one_that_went_while_it_was_read(self, store: BlobStore) -> None:
        blob = await store.put("img_1", chunks(), "image/png", len(DATA))
        await store.remove("img_1")
        with pytest.raises(FileNotFoundError):
            [piece async for piece in store.read(blob)]

    async def test_leaving_early(self, store: BlobStore) -> None:
        blob = await store.put("img_1", chunks(), "image/png", len(DATA))
        reading = store.read(blob)
        await anext(reading)
        await reading.aclose()
        assert [piece async for piece in reading] == []

    async def test_as_a_file(self, store: BlobStore) -> None:
        blob = await store.put("img_1", chunks(), "image/png", len(DATA))
        with store.open(blob) as file:
            file.seek(1000)
            assert file.read() == DATA[1000:]
        await store.remove("img_1")
        with pytest.raises(FileNotFoundError):
            store.open(blob)
