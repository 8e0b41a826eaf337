"""A call in LiteLLM's words: what its custom loggers are called with.

The keys are those of ``StandardLoggingPayload`` in LiteLLM 1.109. What is not known here is ``None``, and what a text
said is left out unless texts may be told.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.record import Record
from gateway.telemetry.ended import Ended

HIDDEN = "redacted by media-gateway"
"""Stands for a text that is not told."""

_CALL_TYPES = {
    "speech": "aspeech",
    "image": "aimage_generation",
    "video": "avideo_generation",
    "transcription": "atranscription",
}


class CallFailed(Exception):
    """What ``kwargs["exception"]`` is: the words are only there where texts may be told."""

    def __init__(self, message: str, status_code: int, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code
        self.code = code


def arguments(ended: Ended, *, texts: bool) -> dict[str, Any]:
    """The four that LiteLLM passes by keyword. Times are naive and local, as LiteLLM's are."""
    record = ended.record
    payload = standard(ended, texts=texts)
    told: dict[str, Any] = {
        "model": payload["model"],
        "messages": payload["messages"],
        "user": record.who.end_user or None,
        "call_type": payload["call_type"],
        "litellm_call_id": record.id,
        "litellm_params": {"metadata": payload["metadata"]},
        "response_cost": payload["response_cost"],
        "standard_logging_object": payload,
    }
    if ended.failed:
        told["exception"] = CallFailed(payload["error_str"], record.status, record.code or "")
    return {
        "kwargs": told,
        "response_obj": payload["response"],
        "start_time": datetime.fromtimestamp(record.at),
        "end_time": datetime.fromtimestamp(record.at + ended.seconds),
    }


def standard(ended: Ended, *, texts: bool) -> dict[str, Any]:
    """``kwargs["standard_logging_object"]``."""
    record, used, cost = ended.record, ended.used, ended.cost
    usd = None if cost is None else cost.usd
    tokens = None if None in (used.input_tokens, used.output_tokens) else (used.input_tokens, used.output_tokens)
    return {
        "id": record.id,
        "trace_id": record.id,
        "call_type": _call_type(record),
        "status": "failure" if ended.failed else "success",
        "stream": None,
        "model": record.group or record.model,
        "model_group": record.model,
        "model_id": record.deployment or None,
        "model_parameters": {},
        "api_base": None,
        "custom_llm_provider": record.provider or None,
        "messages": _messages(record, texts=texts),
        "response": {"object": "binary", "num_bytes": record.sent},
        "response_cost": usd,
        "cost_breakdown": None,
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": None if tokens is None else sum(each or 0 for each in tokens),
        "cache_hit": None,
        "cache_key": None,
        "saved_cache_cost": None,
        "end_user": record.who.end_user or None,
        "request_tags": list(record.who.tags),
        "requester_ip_address": ended.client or None,
        "user_agent": ended.header(b"user-agent") or None,
        "metadata": _metadata(record),
        "hidden_params": {"model_id": record.deployment or None, "api_base": None, "response_cost": usd},
        "startTime": record.at,
        "endTime": record.at + ended.seconds,
        "completionStartTime": record.at + (ended.seconds if record.first_byte is None else record.first_byte),
        "response_time": ended.seconds,
        "error_str": _error(ended, texts=texts),
        "error_information": _fault(ended, texts=texts),
        "guardrail_information": [{"guardrail_name": name} for name in record.guardrails],
        "session_id": None,
        "media_gateway": _ours(ended),
    }


def _call_type(record: Record) -> str:
    if record.route.endswith("/images/edits"):
        return "aimage_edit"
    return "avideo_remix" if record.route.endswith("/remix") else _CALL_TYPES[record.kind]


def _messages(record: Record, *, texts: bool) -> list[dict[str, str]]:
    said = list(record.texts.values()) if texts else [HIDDEN]
    return [{"role": "user", "content": text} for text in said]


def _metadata(record: Record) -> dict[str, Any]:
    return {
        "user_api_key_hash": record.who.key or None,
        "user_api_key_alias": record.who.alias or None,
        "user_api_key_team_id": None,
        "user_api_key_user_id": record.who.user or None,
        "user_api_key_end_user_id": record.who.end_user or None,
        "requester_metadata": None,
    }


def _error(ended: Ended, *, texts: bool) -> str | None:
    if not ended.failed:
        return None
    code = ended.record.code or f"http_{ended.record.status}"
    return (ended.record.outcome or code) if texts else code


def _fault(ended: Ended, *, texts: bool) -> dict[str, str] | None:
    if not ended.failed:
        return None
    return {
        "error_code": str(ended.record.status),
        "error_class": ended.record.code or "",
        "llm_provider": ended.record.provider,
        "traceback": "",
        "error_message": _error(ended, texts=texts) or "",
    }


def _ours(ended: Ended) -> dict[str, Any]:
    """What LiteLLM has no word for."""
    used = ended.used
    return {
        "characters": used.characters,
        "audio_seconds": used.audio_seconds,
        "images": used.images,
        "video_seconds": used.video_seconds,
        "first_byte_seconds": ended.record.first_byte,
        "attempts": [
            {"deployment": each.deployment, "outcome": each.outcome, "seconds": each.seconds}
            for each in ended.record.attempts
        ],
    }
