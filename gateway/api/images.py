"""``/v1/images`` as OpenAI documents it (https://platform.openai.com/docs/api-reference/images)."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from pydantic import ValidationError

from gateway.api.auth import KeyCheck
from gateway.api.bodies import EditBody, ImageBody
from gateway.api.body import read_body
from gateway.api.caller import caller
from gateway.api.errors import error_body, invalid
from gateway.api.forms import read_fields
from gateway.api.http import Call, send_json
from gateway.api.media import Links
from gateway.api.served import served_headers
from gateway.api.stream import StreamBroken, send_stream, while_connected
from gateway.blobs.store import Blob
from gateway.config import GeneralSettings
from gateway.errors import GatewayError, InvalidRequest
from gateway.services.caller import Caller
from gateway.services.images import ImageService
from gateway.services.tasks import Submission
from providers.base.contract import ImageRequest
from providers.base.errors import ProviderError
from providers.base.exchange import json_text

_PIECE = 128 * 1024
_HERE = secrets.token_hex(16)  # where a picture goes in the text of an answer


class ImageRoutes:
    """The endpoints, plain ASGI. ``service`` is asked for at each call, since it opens after the routes are laid."""

    def __init__(
        self,
        service: Callable[[], ImageService],
        links: Callable[[], Links],
        settings: GeneralSettings,
        keys: KeyCheck,
    ) -> None:
        self._service = service
        self._links = links
        self._settings = settings
        self._keys = keys

    async def create(self, call: Call) -> None:
        """``POST /v1/images/generations``."""
        raw = await read_body(call, int(self._settings.max_request_size_mb * 1024 * 1024), self._settings.body_timeout)
        try:
            body = ImageBody.model_validate_json(raw)
        except ValidationError as error:
            raise invalid(error) from None
        who = caller(self._keys, call, raw, body)
        await self._answer(call, body, body.request(), who)

    async def edit(self, call: Call) -> None:
        """``POST /v1/images/edits``, a form or JSON."""
        body, content = await read_fields(call, self._settings, EditBody)
        who = caller(self._keys, call, content, body)
        await self._answer(call, body, await asyncio.to_thread(body.request), who)

    async def variation(self, call: Call) -> None:  # noqa: ARG002 - an endpoint
        """``POST /v1/images/variations``: nobody makes them any more."""
        raise InvalidRequest(
            "No model here makes variations. POST /v1/images/edits takes a picture together with a prompt.",
            code="unsupported_operation",
        )

    async def _answer(self, call: Call, body: ImageBody, request: ImageRequest, who: Caller) -> None:
        call.record.kind, call.record.model = "image", body.model
        with while_connected(call):
            service = self._service()
            submission = await service.submit(body.model, request, body.n or 1, who)
            if body.stream:
                media = "text/event-stream; charset=utf-8"
                events = self._events(service, submission, body)
                await send_stream(call, events, media, served_headers(submission.served), self._settings.stall_timeout)
                return
            pictures = await service.finish(submission, body.output_format)
            answer: dict[str, Any] = {
                "created": int(pictures.jobs[0].created),
                "data": [self._item(call, blob, body) for blob in pictures.blobs],
            }
            if pictures.blobs:
                answer["output_format"] = pictures.blobs[0].media_type.removeprefix("image/")
            if body.size and body.size != "auto":
                answer["size"] = body.size
            headers = served_headers(pictures.served)
            if not body.wants_bytes:
                await send_json(call.send, 200, answer, headers)
                return
            length, pieces = _filled(service, json_text(answer), pictures.blobs)
            await send_stream(call, pieces, "application/json", headers, self._settings.stall_timeout, length)

    def _item(self, call: Call, blob: Blob, body: ImageBody) -> dict[str, str]:
        if body.wants_bytes:
            return {"b64_json": _HERE}
        host = (call.headers.get(b"host") or b"localhost").decode("latin-1")
        return {"url": self._links().make(blob, call.scope["scheme"], host)}

    async def _events(self, service: ImageService, submission: Submission, body: ImageBody) -> AsyncIterator[bytes]:
        """One ``image_generation.completed`` (of an edit ``image_edit.completed``) a picture, with its bytes: OpenAI's
        events have no addresses."""
        event = "image_edit.completed" if isinstance(body, EditBody) else "image_generation.completed"
        try:
            async for blob in service.one_by_one(submission, body.output_format):
                made = {
                    "type": event,
                    "b64_json": _HERE,
                    "created_at": int(submission.jobs[0].created),
                    "size": body.size or "auto",
                    "quality": "auto",
                    "background": "auto",
                    "output_format": blob.media_type.removeprefix("image/"),
                }
                async for piece in _filled(service, f"event: {event}\ndata: {json.dumps(made)}\n\n".encode(), [blob])[
                    1
                ]:
                    yield piece
        except (GatewayError, ProviderError) as error:
            yield b"data: " + json.dumps(error_body(error)).encode() + b"\n\n"
            raise StreamBroken(str(error)) from error


def _filled(service: ImageService, answer: bytes, blobs: Sequence[Blob]) -> tuple[int, AsyncIterator[bytes]]:
    """``answer`` with pictures in the places that it has for them, a piece at a time, and its length."""
    here = _HERE.encode()
    parts = answer.split(here)

    async def pieces() -> AsyncIterator[bytes]:
        held: list[bytes] = []
        try:
            for part, blob in zip(parts, blobs, strict=False):
                held.append(part)
                async for piece in service.base64(blob):
                    held.append(piece)
                    if sum(map(len, held)) >= _PIECE:  # what is small goes out in one
                        yield b"".join(held)
                        held.clear()
        except OSError as error:
            raise StreamBroken("a picture is no longer kept") from error
        yield b"".join([*held, parts[-1]])

    return sum(map(len, parts)) + sum((blob.size + 2) // 3 * 4 for blob in blobs), pieces()
