"""An answer on its way: its first bytes can be waited for, and what there is to do at its end is done once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from engines.codec import CodecError
from engines.media import ByteStream
from providers.base.errors import Broken


class Flow:
    """A ``ByteStream`` whose codec errors are the provider's failure.

    What is in ``at_end`` is called when it has ended, or is closed: whichever comes first.
    """

    __slots__ = ("_chunks", "_first", "at_end")

    def __init__(self, chunks: ByteStream) -> None:
        self._chunks = chunks
        self._first = b""
        self.at_end: list[Callable[[], None]] = []

    async def begin(self) -> None:
        """Wait for the first bytes."""
        self._first = await anext(self, b"")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if first := self._first:
            self._first = b""
            return first
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            self._ends()
            raise
        except CodecError as error:
            raise Broken(f"The provider's audio is damaged: {error}", sent="yes") from error

    async def aclose(self) -> None:
        """End the work behind it."""
        try:
            await self._chunks.aclose()
        finally:
            self._ends()

    def _ends(self) -> None:
        while self.at_end:
            self.at_end.pop()()
