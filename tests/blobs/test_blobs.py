"""Both blob stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.blobs.files import _AT_HAND, _KNOWN, SMALL, FileBlobs
from gateway.blobs.memory import MemoryBlobs
from gateway.blobs.store import BlobStore
from tests.contracts.blobs import DATA, BlobStoreContract, chunks, text


class TestMemory(BlobStoreContract):
    @pytest.fixture
    def store(self) -> BlobStore:
        return MemoryBlobs()


class TestFiles(BlobStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        return FileBlobs(tmp_path)

    @pytest.mark.parametrize("data", [DATA, DATA[:SMALL]], ids=["large", "small"])
    async def test_they_are_there_after_a_restart(self, tmp_path: Path, data: bytes) -> None:
        put = await FileBlobs(tmp_path).put("video_1", chunks(data), "video/mp4", len(DATA))
        again = FileBlobs(tmp_path)
        assert await again.get("video_1") == put
        assert b"".join([piece async for piece in again.read(put)]) == data
        assert await text(again, "video_1", 1000, 5000) == data[1000:6000]
        await again.remove("video_1")
        with pytest.raises(FileNotFoundError):
            await anext(again.read(put))

    async def test_the_newest_are_at_hand_and_few_of_them(self, tmp_path: Path) -> None:
        store = FileBlobs(tmp_path)
        for place in range(100):
            await store.put(f"img_{place}", chunks(bytes([place]) * SMALL), "image/png", SMALL)
        assert store._at_hand == sum(len(data) + _KNOWN for _, data in store._newest.values()) <= _AT_HAND
        assert len(store._newest) > 30
        assert [(await text(store, f"img_{place}"))[0] for place in range(100)] == [*range(100)]

    async def test_a_database_that_does_not_answer(self, tmp_path: Path) -> None:
        store = FileBlobs(tmp_path)
        await store.close()
        for data in (DATA, b"small"):
            with pytest.raises(OSError, match="closed"):
                await store.put("video_1", chunks(data), "video/mp4", 1 << 30)
        assert [path for path in tmp_path.glob("*/*") if path.is_file()] == []  # noqa: ASYNC240

    async def test_nothing_is_left_of_what_broke_off(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="gone"):
            await FileBlobs(tmp_path).put("video_1", chunks(error=OSError("gone")), "video/mp4", 1 << 30)
        assert [path for path in tmp_path.glob("*/*") if path.is_file()] == []  # noqa: ASYNC240

    @pytest.mark.parametrize("key", ["../x", "a/b", "", "a.json", "ä", "a b"])
    async def test_only_keys_of_ours(self, tmp_path: Path, key: str) -> None:
        with pytest.raises(ValueError, match="not a key"):
            await FileBlobs(tmp_path).get(key)
