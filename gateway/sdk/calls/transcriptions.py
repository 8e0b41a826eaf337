"""What is said, written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.api.bodies import TranscriptionBody
from gateway.errors import InvalidRequest
from gateway.ledger.row import cost_by_now
from gateway.sdk.answers import TranscriptionResponse
from gateway.sdk.calls.call import Call, told, upload, whole


async def transcription(model: object, file: object, options: Mapping[str, Any]) -> TranscriptionResponse:
    """``gateway.sdk.transcription``."""
    with told(model):
        call = Call("transcription", model, options)
        services = await call.opened()
        if call.fields.get("stream"):
            raise InvalidRequest("stream must be false here: the text comes whole.", param="stream")
        body = call.body(TranscriptionBody, file=await upload(file))
        written = await services.transcriptions.transcribe(call.group, body.request(translate=False), call.caller)
        text = (await whole(written.chunks)).decode()
        hidden = call.hidden(written.served, cost_by_now(call.caller.record))
        more = json.loads(text) if written.media_type.partition(";")[0] == "application/json" else {"text": text}
        return TranscriptionResponse(str(more.pop("text", "")), more, _hidden_params=hidden)
