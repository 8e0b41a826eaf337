"""``/v1/audio/transcriptions`` and ``/translations`` (https://platform.openai.com/docs/api-reference/audio)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.api.auth import KeyCheck
from gateway.api.caller import Guardrails, caller, passed_on
from gateway.api.forms import Upload, read_fields
from gateway.api.http import Call
from gateway.api.served import served_headers
from gateway.api.stream import send_stream, while_connected
from gateway.config import GeneralSettings
from gateway.errors import InvalidRequest
from gateway.services.transcriptions import TranscriptionService
from providers.base.contract import TranscriptionRequest

TRANSCRIBE = ("createTranscription", "Write down what is said")
TRANSLATE = ("createTranslation", "Write down what is said, in English")


class TranscriptionBody(BaseModel):
    """The fields of the form. Those that are not listed go to the provider as they are."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True, title="CreateTranscriptionRequest")

    model: Annotated[str, Field(strict=True, min_length=1, max_length=256, description="A name of `model_list`.")]
    file: Any = Field(None, description="The sound, with a name that ends as its kind does (talk.mp3).")
    prompt: Annotated[str, Field(strict=True, max_length=32_000)] | None = None
    guardrails: Guardrails = None

    def request(self, *, translate: bool) -> TranscriptionRequest:
        """The same in the contract's words. Raises ``InvalidRequest``."""
        if not isinstance(self.file, Upload):
            raise InvalidRequest(
                "Missing required parameter: 'file', one file of a form (multipart/form-data).",
                param="file",
                code="missing_required_parameter",
            )
        if not self.file.data:
            raise InvalidRequest("The file is empty.", param="file")
        return TranscriptionRequest(
            self.file.data,
            self.file.filename or "upload",
            self.file.media_type,
            translate,
            self.prompt or "",
            tuple(_fields(passed_on(self.model_extra))),
        )


def _fields(given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The form's fields under the names that they came with."""
    for name, value in given.items():
        if isinstance(value, list):
            parts = [(f"{name}[]", each) for each in value]
        elif isinstance(value, dict):
            parts = [(f"{name}[{inner}]", each) for inner, each in value.items()]
        else:
            parts = [(name, value)]
        for spelled, each in parts:
            if isinstance(each, Upload):
                raise InvalidRequest(f"'{name}' is a file; the only one is 'file'.", param=name)
            yield spelled, each if isinstance(each, str) else json.dumps(each)


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
        async with while_connected(call):
            written = await self._service().transcribe(body.model, body.request(translate=translate), who)
            try:
                headers = served_headers(written.served)
                await send_stream(call, written.chunks, written.media_type, headers, self._settings.stall_timeout)
            finally:
                await written.chunks.aclose()
