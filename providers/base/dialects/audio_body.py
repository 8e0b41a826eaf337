"""Sound that is the whole body of an answer: shared by who streams audio as it is."""

from __future__ import annotations

from typing import Self

from engines.media import AudioFormat, AudioSpec, ByteStream
from providers.base.contract import Usage
from providers.base.errors import BadAnswer


class AudioBody:
    """A ``ByteStream`` of an answer's body; ``usage.audio_seconds`` counts raw samples as they pass.

    ``tempo``: how many times as fast they will be played. ``head`` is what was taken of it already.
    A body without a byte is a ``BadAnswer``.
    """

    def __init__(
        self, vendor: str, answer: ByteStream, about: tuple[AudioSpec, Usage], *, tempo: float = 1.0, head: bytes = b""
    ) -> None:
        self._vendor = vendor
        self._answer = answer
        spec, self._usage = about
        self._rate = spec.bytes_per_second * tempo if spec.format is AudioFormat.PCM else None
        self._head = head
        self._taken = 0
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece, self._head = self._head, b""
            if not piece:
                piece = await anext(self._answer)
        except StopAsyncIteration:
            if not self._taken and not self._closed:
                raise BadAnswer(f"{self._vendor} answered without any sound.", sent="yes") from None
            raise
        self._taken += len(piece)
        if self._rate is not None:
            self._usage.audio_seconds = self._taken / self._rate
        return piece

    async def aclose(self) -> None:
        """Hang up."""
        self._closed, self._head = True, b""
        await self._answer.aclose()
