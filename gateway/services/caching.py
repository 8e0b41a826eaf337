"""A cache of speech: what was made once is not made, nor paid for, again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from engines.media import MIME, ByteStream
from gateway.blobs.store import Blob, BlobStore
from gateway.config import Config
from gateway.config.cache import CacheSettings
from gateway.policy.caching import CacheWishes, cache_key
from gateway.services.deployments import Deployment
from gateway.services.served import Served
from providers.base.contract import SpeechRequest, Usage
from providers.base.errors import Broken

_log = logging.getLogger(__name__)

MIB = 1024 * 1024

HELD_BYTES = 64 * MIB
"""Of answers that are on their way to being kept, all together: beyond it they are not kept."""

STORING = 256
"""Of them, those that the disk is behind with."""

CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the answer to a call is kept, if it is."""

    key: str
    wishes: CacheWishes
    request: SpeechRequest


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer of an earlier call."""

    chunks: ByteStream
    usage: Usage
    served: Served


@dataclass(frozen=True, slots=True)
class _Storing:
    """An answer that the store is not done with; it is at hand already. ``parts`` begin with its line."""

    task: asyncio.Task[None]
    parts: Sequence[bytes]
    size: int


class SpeechCache:
    """Answers in ``blobs``, each behind a line that says what it is; the ones used longest ago make room.

    ``configs`` has a digest of what the config says of each group; ``known`` is what is there already, the oldest
    first. ``clock`` is seconds since the epoch.
    """

    def __init__(
        self,
        blobs: BlobStore,
        settings: CacheSettings,
        configs: Mapping[str, str],
        known: Iterable[Blob] = (),
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._blobs = blobs
        self._settings = settings
        self._configs = configs
        self._clock = clock
        self._most = int(settings.max_size_mb * MIB)
        self._sizes = OrderedDict((blob.key, blob.size) for blob in known)
        self._total = sum(self._sizes.values())
        self._room = _Room(min(HELD_BYTES, self._most))
        self._storing: dict[str, _Storing] = {}

    async def close(self) -> None:
        """Let what is being written be written."""
        if tasks := [each.task for each in self._storing.values()]:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def place(self, target: Sequence[str], request: SpeechRequest, wishes: CacheWishes) -> Place | None:
        """``None`` where the call is not one for the cache. ``target`` is the group, then what picks within it."""
        if self._settings.mode == "default_off" and not wishes.use_cache:
            return None
        where = (*target, self._configs.get(target[0], ""), wishes.namespace)
        return Place(cache_key(where, request), wishes, request)

    async def find(self, place: Place) -> Kept | None:
        """What is kept for the call, if it may be used."""
        if place.wishes.no_cache:
            return None
        if (storing := self._storing.get(place.key)) is not None:
            return await self._read(_chunks(storing.parts), storing.size, place)
        if place.key not in self._sizes:
            return None
        try:
            blob = await self._blobs.get(place.key)
            if blob is None:
                raise FileNotFoundError(place.key)
            found = await self._read(self._blobs.read(blob), blob.size, place)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("a kept answer cannot be read (%s)", type(error).__name__)
            await self._forget(place.key)
            return None
        if found is not None and place.key in self._sizes:
            self._sizes.move_to_end(place.key)
        return found

    async def _read(self, stream: ByteStream, size: int, place: Place) -> Kept | None:
        try:
            line, _, first = (await anext(stream, b"")).partition(b"\n")
            told = json.loads(line)
            if told["size"] != size - len(line) - 1:
                raise ValueError
            now, oldest = self._clock(), place.wishes.max_age
            if now < told["until"] and (oldest is None or now - told["at"] <= oldest):
                served = Served(**told["served"], cache="hit", cache_key=place.key)
                return Kept(_Rest(first, stream, told["size"]), Usage(**told["usage"]), served)
        except BaseException:
            await stream.aclose()
            raise
        await stream.aclose()
        return None

    def keep(self, place: Place, chunks: ByteStream, usage: Usage, served: Served) -> tuple[ByteStream, Served]:
        """``chunks`` to be read instead of those given: what has been read to its end is kept.

        Not of a model that stands in for the one asked for: that one may be back for the next call.
        """
        served = replace(served, cache="miss")
        if place.wishes.no_store or served.stands_in_for is not None:
            return chunks, served

        def ended(parts: list[bytes]) -> None:
            self._store(place, parts, usage, served)

        return _Tee(chunks, self._room, ended), replace(served, cache_key=place.key)

    def _store(self, place: Place, parts: list[bytes], usage: Usage, served: Served) -> None:
        size = sum(map(len, parts))
        if place.key in self._storing or len(self._storing) >= STORING:
            self._room.give(size)
            return
        now = self._clock()
        told = {
            "at": now,
            "until": now + (place.wishes.ttl or self._settings.ttl),
            "size": size,
            "usage": asdict(usage),
            "served": {
                "model": served.model,
                "provider": served.provider,
                "dropped": served.dropped,
                "adjusted": dict(served.adjusted),
                "deployment": served.deployment,
            },
        }
        line = json.dumps(told).encode() + b"\n"
        task = asyncio.create_task(self._put(place, [line, *parts]))
        self._storing[place.key] = _Storing(task, [line, *parts], len(line) + size)

        def over(_: asyncio.Task[None]) -> None:
            del self._storing[place.key]
            self._room.give(size)

        task.add_done_callback(over)

    async def _put(self, place: Place, parts: Sequence[bytes]) -> None:
        try:
            blob = await self._blobs.put(place.key, _chunks(parts), MIME[place.request.format], 2 * HELD_BYTES)
        except OSError as error:
            _log.warning("an answer cannot be kept: %s", error.strerror)
            return
        self._total += blob.size - self._sizes.pop(place.key, 0)
        self._sizes[place.key] = blob.size
        while self._total > self._most:
            await self._forget(next(iter(self._sizes)))

    async def _forget(self, key: str) -> None:
        self._total -= self._sizes.pop(key, 0)
        try:
            await self._blobs.remove(key)
        except OSError as error:
            _log.warning("a kept answer cannot be removed: %s", error.strerror)


def digests(deployments: Sequence[Deployment], config: Config, settings: CacheSettings) -> Mapping[str, str]:
    """For each group a digest of what the config says of it: with another config, answers are others. No secrets."""
    groups: dict[str, list[Any]] = defaultdict(
        lambda: [settings.namespace, config.general.mp3_bitrate, config.litellm.drop_params]
    )
    for entry in (each.entry for each in deployments):
        own = (entry.vendor, entry.model, entry.voice, entry.drop_params, sorted(entry.additional_drop_params))
        groups[entry.model_name].append([*own, entry.settings.model_dump(mode="json")])
    return {
        group: hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest() for group, about in groups.items()
    }


async def _chunks(parts: Sequence[bytes]) -> Any:
    for part in parts:
        yield part


class _Room:
    """A number of bytes that many share."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> bool:
        if size > self._left:
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        self._left += size


class _Tee:
    """A stream that is remembered while it is read, as far as there is room; ``ended`` gets all of it at its end."""

    def __init__(self, chunks: ByteStream, room: _Room, ended: Callable[[list[bytes]], None]) -> None:
        self._chunks = chunks
        self._room = room
        self._ended = ended
        self._parts: list[bytes] | None = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            parts, self._parts = self._parts, None
            if parts:
                self._ended(parts)
            raise
        except BaseException:
            self._drop()
            raise
        if self._parts is not None:
            if self._room.take(len(chunk)):
                self._parts.append(chunk)
            else:
                self._drop()
                _log.info("an answer is too large to be kept, or too many are under way")
        return chunk

    async def aclose(self) -> None:
        self._drop()
        await self._chunks.aclose()

    def _drop(self) -> None:
        self._room.give(sum(map(len, self._parts or ())))
        self._parts = None


class _Rest:
    """A kept answer from after its first line; of fewer bytes than it should have nothing is taken for the whole."""

    def __init__(self, first: bytes, stream: ByteStream, size: int) -> None:
        self._first = first
        self._stream = stream
        self._left = size

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk, self._first = self._first, b""
        try:
            chunk = chunk or await anext(self._stream, b"")
        except OSError as error:
            raise Broken("The kept answer cannot be read.", sent="no") from error
        self._left -= len(chunk)
        if not chunk:
            if self._left:
                raise Broken("The kept answer is not whole.", sent="no")
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
