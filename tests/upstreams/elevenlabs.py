"""ElevenLabs' API on a real socket: strict checks, sound in chunks, its errors in both of their shapes.

with ElevenLabs() as elevenlabs:      # elevenlabs.base, elevenlabs.key
    elevenlabs.next(QUOTA)            # the next call for speech
    ... elevenlabs.ledger, elevenlabs.requests
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from engines.media import AudioFormat
from tests.upstreams.speaking import Asked, Fault, Json, Speaking, pieces, sound

KEY = "xi_0123456789abcdef0123456789abcdef"
MODELS = {
    "eleven_v4": 10_000, "eleven_v4_turbo": 10_000, "eleven_v3": 5_000, "eleven_v3_conversational": 5_000,
    "eleven_multilingual_v2": 10_000, "eleven_flash_v2_5": 40_000, "eleven_turbo_v2_5": 40_000,
    "eleven_flash_v2": 30_000, "eleven_turbo_v2": 30_000,
}  # fmt: skip
VOICES = {
    "21m00Tcm4TlvDq8ikWAM": "Rachel", "AZnzlk1XvdvUeBnXmlld": "Domi", "onwK4e9ZLuTAKqWW03F9": "Daniel",
    "nPczCjzI2devNBz1zQrb": "Brian", "9BWtsMINqrJLrRacOk9x": "Aria", "TX3LPaxmHKxFdv7VOQHJ": "Liam",
    "JBFqnCBsd6RMkjVDRZzb": "George", "XrExE9yKIg1WjnnlVkGX": "Matilda", "cgSgspJ2msm6clMCkdW9": "Jessica",
    "29vD33N1CtxCmqQRPOHJ": "Drew", "CwhRBWXzGAHq8TQ4Fs17": "Roger", "FGY2WhTYpPnrIDTdsKH5": "Laura",
    "CYw3kZ02Hs0563khs1Fj": "Dave",
}  # fmt: skip
FORMATS = re.compile(
    r"(alaw_8000|ulaw_8000|mp3_22050_32|mp3_24000_48|(mp3_44100|opus_48000)_(32|64|96|128|192)"
    r"|(pcm|wav)_(8000|16000|22050|24000|32000|44100|48000))"
)
FIELDS: Mapping[str, type] = {
    "text": str, "model_id": str, "language_code": str, "voice_settings": dict, "seed": int, "previous_text": str,
    "next_text": str, "previous_request_ids": list, "next_request_ids": list, "apply_text_normalization": str,
    "apply_language_text_normalization": bool, "pronunciation_dictionary_locators": list, "audio_effects": dict,
}  # fmt: skip
SETTINGS = {"stability", "similarity_boost", "style", "use_speaker_boost", "speed", "clone_strength"}
TYPES = {"mp3": "audio/mpeg", "opus": "audio/ogg", "pcm": "audio/pcm", "wav": "audio/wav"}


def detail(status: str, message: str) -> Json:
    return {"detail": {"status": status, "message": message}}


def newer(code: str, message: str, **more: Any) -> Json:
    return {"detail": {"type": "invalid_request", "code": code, "message": message, "request_id": "r1", **more}}


UNAUTHORIZED = Fault(401, detail("invalid_api_key", "Invalid API key"))
QUOTA = Fault(401, detail("quota_exceeded", "You have 3 credits remaining, while 44 are required."))
QUOTA_NEWER = Fault(401, newer("quota_exceeded", "You have 3 credits remaining."))
VOICE_NEWER = Fault(404, newer("voice_not_found", "No such voice.", param="voice_id"))
TIER = Fault(403, detail("output_format_not_allowed", "Your tier does not allow this output format."))
CROWDED = Fault(429, detail("too_many_concurrent_requests", "Too many at once."), {"Retry-After": "7"})
BUSY = Fault(429, detail("system_busy", "Heavy traffic."))
NO_SOUND = Fault(200, {"audio": "none"})


class ElevenLabs(Speaking):
    """The server. ``ledger``: voice, model, characters, format."""

    def __init__(self) -> None:
        super().__init__()
        self.key = KEY

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/text-to-speech/{voice}", self.noted(self._whole))
        app.router.add_post("/v1/text-to-speech/{voice}/stream", self.noted(self._streamed))
        app.router.add_post("/v1/text-to-speech/{voice}/with-timestamps", self.noted(self._timed))
        app.router.add_get("/v2/voices", self.noted(self._voices))
        app.router.add_get("/v1/models", self.noted(self._models))

    def _refusal(self, asked: Asked) -> web.Response | None:
        if asked.headers.get("xi-api-key") != self.key:
            return self.answer(UNAUTHORIZED.status, UNAUTHORIZED.body)
        return None

    def _checked(self, request: web.Request, asked: Asked, streamed: bool) -> web.Response | None:
        """What is wrong with a call for speech."""
        if (refusal := self._refusal(asked)) is not None:
            return refusal
        try:
            body = json.loads(asked.body)
        except ValueError:
            return self._field(["body"], "JSON decode error")
        wished = asked.query.get("output_format", "mp3_44100_128")
        if (refusal := self._misshapen(body)) is not None:
            return refusal
        if not FORMATS.fullmatch(wished) or (streamed and wished.startswith("wav")):
            return self._field(["query", "output_format"], "No such format")
        if not 0.7 <= body.get("voice_settings", {}).get("speed", 1.0) <= 1.2:
            return self.answer(400, detail("invalid_voice_settings", "Speed must be 0.7 to 1.2."))
        if request.match_info["voice"] not in VOICES:
            return self.answer(404, detail("voice_not_found", "A voice with that id was not found."))
        longest = MODELS.get(body.get("model_id", "eleven_multilingual_v2"))
        if longest is None:
            return self.answer(400, detail("model_not_found", "A model with that id does not exist."))
        if len(body["text"]) > longest:
            return self.answer(400, detail("max_character_limit_exceeded", "The text is too long."))
        return None

    def _misshapen(self, body: Json) -> web.Response | None:
        for name, kind in FIELDS.items():
            if name in body and (not isinstance(body[name], kind) or (isinstance(body[name], bool) and kind is int)):
                return self._field(["body", name], "Input has another type")
        if "text" not in body:
            return self._field(["body", "text"], "Field required")
        if body.keys() - FIELDS.keys() or body.get("voice_settings", {}).keys() - SETTINGS:
            return self._field(["body"], "Extra inputs are not permitted")
        return None

    def _field(self, place: list[str], message: str) -> web.Response:
        return self.answer(422, {"detail": [{"loc": place, "msg": message, "type": "value_error"}]})

    def _made(self, request: web.Request, asked: Asked) -> tuple[bytes, dict[str, str]]:
        body = asked.json()
        wished = asked.query.get("output_format", "mp3_44100_128")
        codec, rate, *_ = wished.split("_")
        speed = body.get("voice_settings", {}).get("speed", 1.0)
        voice, model = request.match_info["voice"], body.get("model_id", "eleven_multilingual_v2")
        self.ledger.append({"voice": voice, "model": model, "characters": len(body["text"]), "format": wished})
        headers = {
            "Content-Type": TYPES[codec],
            "request-id": f"r{len(self.ledger)}",
            "character-cost": str(len(body["text"])),
            "history-item-id": f"h{len(self.ledger)}",
        }
        return sound(body["text"], AudioFormat(codec), int(rate), speed), headers

    async def _whole(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        if (refusal := self._checked(request, asked, streamed=False)) is not None:
            return refusal
        data, headers = self._made(request, asked)
        return web.Response(body=data, headers=headers)

    async def _timed(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        if (refusal := self._checked(request, asked, streamed=False)) is not None:
            return refusal
        data, _ = self._made(request, asked)
        letters = list(asked.json()["text"])
        times = [0.05 * number for number in range(len(letters) + 1)]
        alignment = {
            "characters": letters,
            "character_start_times_seconds": times[:-1],
            "character_end_times_seconds": times[1:],
        }
        return self.answer(200, {"audio_base64": base64.b64encode(data).decode(), "alignment": alignment})

    async def _streamed(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        fault = self.fault()
        if fault is not None and fault.status:
            return self.answer(fault.status, fault.body, fault.headers)
        if (refusal := self._checked(request, asked, streamed=True)) is not None:
            return refusal
        data, headers = self._made(request, asked)
        parts = [] if fault is not None and fault.silent else pieces(data)
        return await self.stream(request, parts, headers, fault)

    async def _voices(self, _: web.Request, asked: Asked) -> web.StreamResponse:
        if (refusal := self._refusal(asked)) is not None:
            return refusal
        start, size = int(asked.query.get("next_page_token", 0)), int(asked.query.get("page_size", 10))
        wanted = asked.query.get("search", "").lower()
        found = [{"voice_id": each, "name": name} for each, name in VOICES.items() if wanted in name.lower()]
        more = start + size < len(found)
        page: Json = {"voices": found[start : start + size], "has_more": more, "total_count": len(found)}
        return self.answer(200, page | ({"next_page_token": str(start + size)} if more else {}))

    async def _models(self, _: web.Request, asked: Asked) -> web.StreamResponse:
        if (refusal := self._refusal(asked)) is not None:
            return refusal
        found = [{"model_id": name, "maximum_text_length_per_request": most} for name, most in MODELS.items()]
        return web.json_response(found)
