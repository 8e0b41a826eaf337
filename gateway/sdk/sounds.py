"""What ``speech`` returns: a sound that is whole, or one that comes as it is made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from gateway.sdk.loop import Background


class Headers(Mapping[str, str]):
    """Names and values; the case of a name does not matter."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = {name.lower(): value for name, value in given.items()}

    def __getitem__(self, name: str) -> str:
        return self._given[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def __repr__(self) -> str:
        return f"Headers({self._given!r})"


class SpeechResponse:
    """A sound. ``_hidden_params`` are as those of ``Answer``.

    It stands for its own HTTP answer too, since there is none beneath it: ``response`` is the same object.
    """

    status_code = 200
    reason_phrase = "OK"
    is_success = True
    is_error = False

    def __init__(
        self, content: bytes, headers: Mapping[str, str], usage: dict[str, int] | None, hidden: dict[str, Any]
    ) -> None:
        self._content = content
        self._headers = headers
        self._usage = usage
        self._hidden_params = hidden

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.content_type}>"

    @property
    def content(self) -> bytes:
        """All of it."""
        return self._content

    @property
    def content_type(self) -> str:
        """What ``content`` is, such as ``audio/mpeg``."""
        return self._headers["content-type"]

    @property
    def usage(self) -> dict[str, int] | None:
        """Tokens as OpenAI counts them, where they are known."""
        return self._usage

    @property
    def headers(self) -> Headers:
        """What the server's headers would say."""
        return Headers({**self._headers, "content-length": str(len(self._content))})

    @property
    def response(self) -> Self:
        """This object: it has what one reaches for in an HTTP answer."""
        return self

    @property
    def is_closed(self) -> bool:
        """Whether nothing is made any more."""
        return True

    def raise_for_status(self) -> Self:
        """This object: what fails raises before there is one."""
        return self

    @property
    def text(self) -> str:
        """The bytes as UTF-8, with a mark for each that is none: of a sound, most."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The bytes as JSON. Raises ``ValueError``: a sound is none."""
        return json.loads(self.content)

    def read(self) -> bytes:
        """All of it."""
        return self.content

    async def aread(self) -> bytes:
        """All of it."""
        return self.content

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """In pieces of ``chunk_size`` bytes; as they come, where it is ``None``."""
        pieces = Pieces(chunk_size)
        yield from pieces.fed(self._content)
        yield from pieces.rest()

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """In pieces of ``chunk_size`` bytes; as they come, where it is ``None``."""
        for piece in self.iter_bytes(chunk_size):
            yield piece

    def iter_raw(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """As ``iter_bytes``: nothing is packed."""
        return self.iter_bytes(chunk_size)

    def aiter_raw(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """As ``aiter_bytes``: nothing is packed."""
        return self.aiter_bytes(chunk_size)

    def stream_to_file(self, file: str | PathLike[str], *, chunk_size: int | None = None) -> None:
        """Write it to a file, in pieces as ``iter_bytes`` has them."""
        with Path(file).open("wb") as out:
            out.writelines(self.iter_bytes(chunk_size))

    def write_to_file(self, file: str | PathLike[str]) -> None:
        """Write it to a file."""
        self.stream_to_file(file)

    async def astream_to_file(self, file: str | PathLike[str], *, chunk_size: int | None = None) -> None:
        """Write it to a file, in pieces as ``aiter_bytes`` has them."""
        out = await asyncio.to_thread(Path(file).open, "wb")
        try:
            async for piece in self.aiter_bytes(chunk_size):
                await asyncio.to_thread(out.write, piece)
        finally:
            await asyncio.to_thread(out.close)

    def close(self) -> None:
        """Stop what makes it, if that is not done. Twice is harmless."""

    async def aclose(self) -> None:
        """As ``close``, awaited."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


@runtime_checkable
class Source(Protocol):
    """A sound that is being made, on the loop of the process. ``hidden`` and ``usage`` are filled in by its end.

    ``over``: nothing is made any more.
    """

    headers: dict[str, str]
    hidden: dict[str, Any]
    usage: dict[str, int] | None
    over: bool

    async def piece(self) -> bytes:
        """The next bytes, which are made when they are asked for; none at the end."""

    async def aclose(self) -> None:
        """Stop."""


class SpeechStream(SpeechResponse):
    """A sound on its way: each piece is fetched when it is asked for, and only once.

    ``content``, ``read`` and ``aread`` collect it; what was read in pieces is not kept. Who stops reading early closes
    it, by ``with``, ``async with``, ``close`` or ``aclose``. ``usage`` and ``response_cost`` are known at the end.
    """

    def __init__(self, source: Source, loop: Background) -> None:
        super().__init__(b"", source.headers, None, source.hidden)
        self._source = source
        self._loop = loop
        self._begun = False
        self._collected = False

    def __del__(self) -> None:
        self._leave()

    @property
    def content(self) -> bytes:
        """All of it: waits for its end."""
        if not self._collected:
            self._content = b"".join(self._fetched())
            self._collected = True
        return self._content

    @property
    def usage(self) -> dict[str, int] | None:
        """Tokens as OpenAI counts them, where they are known: at the end."""
        return self._source.usage

    @property
    def headers(self) -> Headers:
        """What the server's headers would say."""
        return super().headers if self._collected else Headers(self._headers)

    @property
    def is_closed(self) -> bool:
        """Whether nothing is made any more."""
        return self._source.over

    async def aread(self) -> bytes:
        """All of it: waits for its end."""
        if not self._collected:
            self._content = b"".join([piece async for piece in self._awaited()])
            self._collected = True
        return self._content

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """In pieces of ``chunk_size`` bytes; as they are made, where it is ``None``."""
        if self._collected:
            yield from super().iter_bytes(chunk_size)
            return
        pieces = Pieces(chunk_size)
        for made in self._fetched():
            yield from pieces.fed(made)
        yield from pieces.rest()

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """In pieces of ``chunk_size`` bytes; as they are made, where it is ``None``."""
        if self._collected:
            for piece in super().iter_bytes(chunk_size):
                yield piece
            return
        pieces = Pieces(chunk_size)
        async for made in self._awaited():
            for piece in pieces.fed(made):
                yield piece
        for piece in pieces.rest():
            yield piece

    def close(self) -> None:
        """Stop what makes it, if that is not done. Twice is harmless."""
        if not self._source.over:
            self._loop.run(self._source.aclose())

    async def aclose(self) -> None:
        """As ``close``, awaited."""
        if not self._source.over:
            await self._loop.hop(self._source.aclose())

    def _fetched(self) -> Iterator[bytes]:
        self._begin()
        try:
            while piece := self._loop.run(self._source.piece()):
                yield piece
        finally:
            self._leave()

    async def _awaited(self) -> AsyncIterator[bytes]:
        self._begin()
        try:
            while piece := await self._loop.hop(self._source.piece()):
                yield piece
        finally:
            self._leave()

    def _begin(self) -> None:
        if self._begun:
            raise RuntimeError("The sound was read as a stream, and what was read is not kept.")
        self._begun = True

    def _leave(self) -> None:
        """As ``close``, and waits for nothing: iterators are let go of anywhere, on the loop of the process too."""
        if not self._source.over:
            self._loop.post(self._source.aclose)


class Pieces:
    """Bytes as pieces of one size, the last one as long as it comes; ``None``: as they were."""

    def __init__(self, size: int | None) -> None:
        if size is not None and size < 1:
            raise ValueError("chunk_size must be 1 or more.")
        self._size = size
        self._held = bytearray()

    def fed(self, data: bytes) -> Iterator[bytes]:
        """The pieces that are full with ``data``."""
        if self._size is None:
            yield data
            return
        self._held += data
        while len(self._held) >= self._size:
            yield bytes(self._held[: self._size])
            del self._held[: self._size]

    def rest(self) -> Iterator[bytes]:
        """The last piece."""
        if self._held:
            yield bytes(self._held)
