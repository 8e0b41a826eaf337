"""The cache of speech with stores that are slow, full or damaged, and with a clock."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.blobs.files import FileBlobs
from gateway.blobs.memory import MemoryBlobs, Once
from gateway.blobs.store import Blob, BlobStore
from gateway.config.cache import CacheSettings
from gateway.policy.caching import CacheWishes, cache_key
from gateway.services import caching
from gateway.services.caching import SpeechCache
from gateway.services.served import Served
from providers.base.contract import SpeechRequest, Usage
from providers.base.errors import Broken

SERVED = Served("voice", "vendor", dropped=("speed",), deployment="vendor/1")
WISHES = CacheWishes()


class Slow(MemoryBlobs):
    """Puts nothing before it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def put(self, key: str, chunks: AsyncIterator[bytes], media_type: str, cap: int) -> Blob:
        await self.go.wait()
        return await super().put(key, chunks, media_type, cap)


class Full(MemoryBlobs):
    async def put(self, key: str, chunks: AsyncIterator[bytes], media_type: str, cap: int) -> Blob:
        raise OSError(errno.ENOSPC, "No space left on device")


class Test:
    """One cache, and what is asked of it."""

    __test__ = False

    def __init__(self, blobs: BlobStore | None = None, known: list[Blob] | None = None, **settings: object) -> None:
        self.now = 1000.0
        self.blobs = blobs or MemoryBlobs()
        self.cache = SpeechCache(
            self.blobs, CacheSettings(**settings), {"voice": "c"}, known or [], clock=lambda: self.now
        )

    async def made(self, text: str, data: bytes = b"sound", wishes: CacheWishes = WISHES) -> bytes:
        place = self.cache.place(["voice"], SpeechRequest(text, "v"), wishes)
        stream, _ = self.cache.keep(place, Once(data), Usage(characters=5), SERVED)
        return b"".join([chunk async for chunk in stream])

    async def found(self, text: str, wishes: CacheWishes = WISHES) -> bytes | None:
        kept = await self.cache.find(self.cache.place(["voice"], SpeechRequest(text, "v"), wishes))
        return None if kept is None else b"".join([chunk async for chunk in kept.chunks])


async def test_a_slow_disk_holds_nobody_up() -> None:
    slow = Slow()
    test = Test(slow)
    assert await test.made("a") == b"sound"
    assert await test.found("a") == b"sound"  # from where it waits for the disk
    slow.go.set()
    await test.cache.close()
    assert await test.found("a") == b"sound"


async def test_what_waits_for_a_slow_disk_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "HELD_BYTES", 1000)
    monkeypatch.setattr(caching, "STORING", 2)
    slow = Slow()
    test = Test(slow)
    assert len(await test.made("large", bytes(1001))) == 1001
    for text in ("a", "b", "c"):
        await test.made(text)
    assert [await test.found(text) for text in ("large", "a", "b", "c")] == [None, b"sound", b"sound", None]
    assert len(await test.made("all", bytes(995))) == 995
    assert await test.found("all") is None
    slow.go.set()
    await test.cache.close()
    assert len(await test.made("all", bytes(1000))) == 1000
    assert await test.found("all") == bytes(1000)  # there is room again
    await test.cache.close()


async def test_who_stops_reading_keeps_nothing_and_gives_its_room_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "HELD_BYTES", 1000)
    test = Test()
    for _ in range(3):
        place = test.cache.place(["voice"], SpeechRequest("a", "v"), WISHES)
        stream, _ = test.cache.keep(place, Once(bytes(900)), Usage(), SERVED)
        await anext(stream)
        await stream.aclose()
    assert await test.found("a") is None
    await test.made("b", bytes(1000))
    assert await test.found("b") is not None
    await test.cache.close()


async def test_a_full_disk_is_nobody_s_fault(caplog: pytest.LogCaptureFixture) -> None:
    test = Test(Full())
    assert await test.made("a") == b"sound"
    await test.cache.close()
    assert await test.found("a") is None
    assert "an answer cannot be kept: No space left on device" in caplog.text


async def test_time() -> None:
    test = Test(ttl=60)
    await test.made("a")
    await test.made("b", wishes=CacheWishes(ttl=5))
    await test.cache.close()
    test.now += 5
    assert await test.found("a", CacheWishes(max_age=5)) == b"sound"
    assert await test.found("a", CacheWishes(max_age=4)) is None
    assert await test.found("a") == b"sound"
    assert await test.found("b") is None
    test.now += 55
    assert await test.found("a") is None


async def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    test = Test(FileBlobs(tmp_path), type="disk", max_size_mb=10 / 1024)  # ten KiB
    for text in ("a", "b", "c"):
        await test.made(text, text.encode() * 3000)
        await test.cache.close()
    assert await test.found("a") == b"a" * 3000
    await test.made("d", b"d" * 3000)
    await test.cache.close()
    assert [await test.found(text) is not None for text in "abcd"] == [True, False, True, True]
    assert len(FileBlobs(tmp_path).tidy()) == 3
    # After a restart too, and what is over the size goes with the next that comes.
    again = Test(FileBlobs(tmp_path), FileBlobs(tmp_path).tidy(), type="disk", max_size_mb=7 / 1024)
    await again.made("e", b"e" * 3000)
    await again.cache.close()
    assert [await again.found(text) is not None for text in "acde"] == [False, False, True, True]


async def test_what_is_damaged_is_not_heard(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    test = Test(FileBlobs(tmp_path))
    for text in ("cut", "gone", "changed"):
        await test.made(text, bytes(1_000_000))
    await test.cache.close()

    def file(text: str) -> Path:
        key = cache_key(("voice", "c", ""), SpeechRequest(text, "v"))
        return tmp_path / key[-2:] / key

    with file("cut").open("r+b") as cut:
        cut.truncate(500_000)
    file("gone").unlink()
    file("changed").write_bytes(b"something else")
    with pytest.raises(Broken, match="not whole"):
        await test.found("cut")
    assert await test.found("gone") is None
    assert await test.found("changed") is None
    assert caplog.text.count("cannot be read") == 2
    assert not file("changed").exists()


async def test_leftovers_are_removed(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    large, small = bytes(1_000_000), b"x"
    kept = [await blobs.put(key, Once(large), "audio/wav", 1 << 20) for key in ("abc", "gone_bc")]
    kept.append(await blobs.put("small", Once(small), "audio/wav", 10))
    for name in ("abd.part", "abe", "small"):
        (tmp_path / "bc" / name).write_bytes(b"{}")
    (tmp_path / "bc" / "gone_bc").unlink()
    for _ in range(2):
        assert FileBlobs(tmp_path).tidy() == [kept[0], kept[2]]
    assert [path.name for path in (tmp_path / "bc").iterdir()] == ["abc"]
    assert await FileBlobs(tmp_path).get("gone_bc") is None
    assert FileBlobs(tmp_path / "none").tidy() == []


def test_the_key_knows_every_part_of_a_request() -> None:
    keys = {
        cache_key(("a", "b", "c"), SpeechRequest("t", "v")),
        cache_key(("a", "b", ""), SpeechRequest("t", "v")),
        cache_key(("a", "", "c"), SpeechRequest("t", "v")),
        cache_key(("a", "b", "c"), SpeechRequest("t", "v", extra={"x": 1})),
        cache_key(("a", "b", "c"), SpeechRequest("t", "v", extra={"x": "1"})),
    }
    assert len(keys) == 5
    assert all(len(key) == 64 for key in keys)
    both = ({"x": 1, "y": {"a": 1, "b": 2}}, {"y": {"b": 2, "a": 1}, "x": 1})
    assert len({cache_key(("a", "b", "c"), SpeechRequest("t", "v", extra=extra)) for extra in both}) == 1
