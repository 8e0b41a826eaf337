"""``/v1/audio/transcriptions`` and ``/translations`` (https://platform.openai.com/docs/api-reference/audio)."""

from __future__ import annotations

from collections.abc import Callable

from gateway.api.auth import KeyCheck
from gateway.api.bodies import TranscriptionBody
from gateway.api.caller import caller
from gateway.api.forms import read_fields
from gateway.api.http import Call
from gateway.api.served import served_headers
from gateway.api.stream import send_stream, while_connected
from gateway.config import GeneralSettings
from gateway.services.transcriptions import TranscriptionService

TRANSCRIBE = ("createTranscription", "Write down what is said")
TRANSLATE = ("createTranslation", "Write down what is said, in English")


class TranscriptionRoutes:
    """The endpoints, plain ASGI. ``service`` is asked for at each call, since it opens after the routes are laid."""

    def __init__(self, service: Callable[[], TranscriptionService], settings: GeneralSettings, keys: KeyCheck) -> None:
        self._service = service
        self._settings = settings
        self._keys = keys

    async def create(self, call: Call) -> None:
        """``POST /v1/audio/transcriptions``."""
        await self._answer(call, translate=False)

    async def translate(self, call: Call) -> None:
        """``POST /v1/audio/translations``."""
        await self._answer(call, translate=True)

    async def _answer(self, call: Call, *, translate: bool) -> None:
        body, content = await read_fields(call, self._settings, TranscriptionBody)
        call.record.kind, call.record.model = "transcription", body.model
        who = caller(self._keys, call, content, body)
        with while_connected(call):
            written = await self._service().transcribe(body.model, body.request(translate=translate), who)
            try:
                headers = served_headers(written.served)
                await send_stream(call, written.chunks, written.media_type, headers, self._settings.stall_timeout)
            finally:
                await written.chunks.aclose()
