"""Both blob stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.blobs.files import FileBlobs
from gateway.blobs.memory import MemoryBlobs
from gateway.blobs.store import BlobStore
from tests.contracts.blobs import DATA, BlobStoreContract, chunks


class TestMemory(BlobStoreContract):
    @pytest.fixture
    def store(self) -> BlobStore:
        return MemoryBlobs()


class TestFiles(BlobStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> BlobStore:
        return FileBlobs(tmp_path)

    async def test_they_are_there_after_a_restart(self, tmp_path: Path) -> None:
        put = await FileBlobs(tmp_path).put("video_1", chunks(), "video/mp4", len(DATA))
        again = FileBlobs(tmp_path)
        assert await again.get("video_1") == put
        assert b"".join([piece async for piece in again.read(put)]) == DATA

    async def test_nothing_is_left_of_what_broke_off(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="gone"):
            await FileBlobs(tmp_path).put("video_1", chunks(error=OSError("gone")), "video/mp4", 1 << 30)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []  # noqa: ASYNC240

    @pytest.mark.parametrize("key", ["../x", "a/b", "", "a.json", "ä", "a b"])
    async def test_only_keys_of_ours(self, tmp_path: Path, key: str) -> None:
        with pytest.raises(ValueError, match="not a key"):
            await FileBlobs(tmp_path).get(key)
