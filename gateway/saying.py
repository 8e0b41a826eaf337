"""Speaking into a file, with no server."""

from __future__ import annotations

import io
from typing import BinaryIO

from engines.codec import wav_header
from gateway.build import open_services
from gateway.config import Config
from providers.base.contract import SpeechRequest


async def say(config: Config, model: str | None, request: SpeechRequest, out: BinaryIO) -> None:
    """Write the speech of ``request`` to ``out`` as it is made; ``model`` ``None`` is the config's first one.

    Raises what ``SpeechService.speak`` raises.
    """
    async with open_services(config) as services:
        speech = await services.speech.speak(model or config.models[0].model_name, request)
        try:
            async for chunk in speech.chunks:
                out.write(chunk)
        finally:
            await speech.chunks.aclose()


def finish_wav(file: BinaryIO) -> None:
    """Give a streamed wav file its true length, which its header could not know."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    file.write(wav_header(size=size - 44))
