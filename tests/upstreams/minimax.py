"""MiniMax's T2A v2 on a real socket: strict checks, errors with status 200, sound in hex, whole or in events.

    with MiniMax() as minimax:        # minimax.base, minimax.key
        minimax.next(failing(1008))   # the next call for speech
        minimax.stubborn = True       # the last event repeats the sound also where it was asked not to
        ... minimax.ledger, minimax.requests

There is no client of MiniMax's own to hold it against: ``test_minimax.py`` has what its documentation says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from engines.media import AudioFormat
from tests.upstreams.speaking import Asked, Fault, Json, Speaking, pieces, sound

KEY = "eyJhbGciOiJSUzI1NiJ9.0123456789abcdef"
MODELS = {f"speech-{version}-{tier}" for version in ("2.8", "2.6", "02", "01") for tier in ("hd", "turbo")}
VOICES = set(
    """
    male-qn-qingse male-qn-jingying male-qn-badao female-shaonv female-yujie female-tianmei Calm_Woman Deep_Voice_Man
    English_expressive_narrator English_Graceful_Lady English_Persuasive_Man English_radiant_girl
    English_Insightful_Speaker
    """.split()
)
MESSAGES = {
    0: "success", 1000: "unknown error", 1001: "request timeout", 1002: "rate limit", 1004: "login fail",
    1008: "insufficient balance", 1026: "input new_sensitive", 2013: "invalid params", 2042: "no permission for voice",
}  # fmt: skip
FORMATS = {"mp3", "pcm", "flac", "wav", "pcmu_raw", "pcmu_wav", "opus"}


def _number(least: float, most: float, *, whole: bool = False) -> Callable[[Any], bool]:
    kinds = int if whole else int | float
    return lambda value: isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _among(*values: object) -> Callable[[Any], bool]:
    return lambda value: value in values and not isinstance(value, bool)


FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "model": MODELS.__contains__,
    "text": lambda value: _text(value) and len(value) < 10_000,
    "stream": _flag,
    "stream_options": lambda value: isinstance(value, dict) and value.keys() <= {"exclude_aggregated_audio"},
    "output_format": _among("hex", "url"),
    "voice_setting": lambda value: isinstance(value, dict),
    "audio_setting": lambda value: isinstance(value, dict),
    "language_boost": _text,
    "pronunciation_dict": lambda value: isinstance(value, dict) and isinstance(value.get("tone"), list),
    "timbre_weights": lambda value: isinstance(value, list) and len(value) <= 4,
    "voice_modify": lambda value: isinstance(value, dict),
    "subtitle_enable": _flag,
    "subtitle_type": _text,
}
VOICE: Mapping[str, Callable[[Any], bool]] = {
    "voice_id": _text,
    "speed": _number(0.5, 2),
    "vol": lambda value: _number(0, 10)(value) and value > 0,
    "pitch": _number(-12, 12, whole=True),
    "emotion": _text,
    "text_normalization": _flag,
    "latex_read": _flag,
}
AUDIO: Mapping[str, Callable[[Any], bool]] = {
    "sample_rate": _among(8000, 16000, 22050, 24000, 32000, 44100),
    "bitrate": _among(32000, 64000, 128000, 256000),
    "format": lambda value: value in FORMATS,
    "channel": _among(1, 2),
    "force_cbr": _flag,
}


def status(code: int, message: str = "") -> Json:
    return {"status_code": code, "status_msg": message or MESSAGES.get(code, "failed")}


def failed(code: int, message: str = "") -> Json:
    return {"data": None, "trace_id": "04ac", "base_resp": status(code, message)}


def failing(code: int, message: str = "") -> Fault:
    """The error ``code`` instead of sound."""
    return Fault(200, failed(code, message))


def breaking(code: int) -> Fault:
    """The error ``code`` in the middle of the sound."""
    return Fault(after=3, ends=failed(code))


NOT_HEX = Fault(after=0, ends={"data": {"audio": "xyz", "status": 1}})
NO_DATA = Fault(after=0, ends={"data": 3})


class MiniMax(Speaking):
    """The server. ``ledger``: model, voice, characters."""

    def __init__(self) -> None:
        super().__init__()
        self.key = KEY
        self.stubborn = False

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/t2a_v2", self.noted(self._speech))
        app.router.add_post("/v1/get_voice", self.noted(self._voices))

    def _wrong(self, asked: Asked) -> Json | None:
        if asked.headers.get("authorization") != f"Bearer {self.key}":
            return failed(1004, "login fail: Please carry the API secret key in the 'Authorization' field")
        try:
            body = json.loads(asked.body)
        except ValueError:
            return failed(2013, "invalid params, the body is no JSON")
        if not isinstance(body, dict) or not {"model", "text", "voice_setting"} <= body.keys():
            return failed(2013)
        for where, rules in (("", FIELDS), ("voice_setting", VOICE), ("audio_setting", AUDIO)):
            for name, value in (body.get(where, {}) if where else body).items():
                if name not in rules or not rules[name](value):
                    return failed(2013, f"invalid params, {where} {name}")
        if body["voice_setting"].get("voice_id") not in VOICES:
            return failed(2042)
        if body.get("output_format") == "url" or body.get("audio_setting", {}).get("format", "mp3") in ("opus", "wav"):
            return failed(2013, "invalid params, not simulated")
        return None

    async def _speech(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        fault = self.fault()
        if fault is not None and fault.status:
            return self.answer(fault.status, fault.body, fault.headers)
        if (wrong := self._wrong(asked)) is not None:
            return self.answer(200, wrong)
        body = asked.json()
        voice, audio = body["voice_setting"], {"format": "mp3", "sample_rate": 32_000} | body.get("audio_setting", {})
        data = sound(body["text"], AudioFormat(audio["format"]), audio["sample_rate"], voice.get("speed", 1.0))
        self.ledger.append({"model": body["model"], "voice": voice["voice_id"], "characters": len(body["text"])})
        last = self._last(body, audio, data)
        if not body.get("stream"):
            return self.answer(200, last)
        excluded = body.get("stream_options", {}).get("exclude_aggregated_audio") and not self.stubborn
        if excluded:
            last["data"]["audio"] = ""
        parts = [] if fault is not None and fault.silent else pieces(data)
        found: list[Json] = [{"data": {"audio": part.hex(), "status": 1}, "trace_id": "04ab"} for part in parts]
        return await self._events(request, [*found, last], fault)

    @staticmethod
    def _last(body: Json, audio: Json, data: bytes) -> Json:
        speed = body["voice_setting"].get("speed", 1.0)
        info = {
            "audio_length": round(max(0.5, len(body["text"]) / 15) / speed * 1000),
            "audio_sample_rate": audio["sample_rate"],
            "audio_size": len(data),
            "bitrate": audio.get("bitrate", 128_000),
            "word_count": len(body["text"].split()),
            "invisible_character_ratio": 0,
            "usage_characters": len(body["text"]),
            "audio_format": audio["format"],
            "audio_channel": audio.get("channel", 1),
        }
        sounding = {"audio": data.hex(), "status": 2}
        return {"data": sounding, "extra_info": info, "trace_id": "04ab", "base_resp": status(0)}

    async def _events(self, request: web.Request, found: list[Json], fault: Fault | None) -> web.StreamResponse:
        if fault is not None and fault.ends is not None and fault.after is not None:
            found, fault = [*found[: fault.after], fault.ends], None
        if fault is not None and fault.silent:
            found[-1]["data"]["audio"] = ""
        events = [b"data: %s\n\n" % json.dumps(each).encode() for each in found]
        return await self.stream(request, events, {"Content-Type": "text/event-stream"}, fault)

    async def _voices(self, _: web.Request, asked: Asked) -> web.StreamResponse:
        if asked.headers.get("authorization") != f"Bearer {self.key}":
            return self.answer(200, failed(1004))
        system = [{"voice_id": each, "voice_name": each, "description": []} for each in sorted(VOICES)]
        body = {"system_voice": system, "voice_cloning": [], "voice_generation": [], "base_resp": status(0)}
        return self.answer(200, body)
