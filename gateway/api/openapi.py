"""What ``/docs`` says of the routes that FastAPI does not see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI

from engines.media import MIME
from gateway.api.bodies import EditBody, ImageBody, RemixBody, TranscriptionBody, VideoBody
from gateway.api.errors import ErrorResponse
from gateway.api.fastlane import FastRoute
from gateway.api.speech import SpeechBody

_REFERENCE = "#/components/schemas/{model}"
_KEY = {"Key": {"type": "http", "scheme": "bearer"}}
_REFUSALS = {
    "400": "A field is wrong: `param` names it.",
    "401": "No key, or a wrong one.",
    "404": "No such model.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "429": "The model has as many requests in hand as it takes; `retry-after` says when to come back.",
    "500": "The model failed.",
    "503": "The model cannot serve now.",
}


def speech_operation() -> dict[str, Any]:
    """``POST /v1/audio/speech``."""
    audio = {media: {"schema": {"type": "string", "format": "binary"}} for media in sorted(set(MIME.values()))}
    audio["text/event-stream"] = {"schema": {"type": "string"}}
    return {
        "tags": ["audio"],
        "summary": "Speak a text",
        "operationId": "createSpeech",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(model="CreateSpeechRequest")}}},
        },
        "responses": {
            "200": {"description": "Sound in the format asked for, sent while it is made.", "content": audio},
            **{status: _refusal(text) for status, text in _REFUSALS.items()},
        },
        "security": [{"Key": []}],
    }


def transcription_operation(name: str, summary: str) -> dict[str, Any]:
    """``POST /v1/audio/transcriptions`` and ``/v1/audio/translations``."""
    schema = {"schema": {"$ref": _REFERENCE.format(model="CreateTranscriptionRequest")}}
    text = {"schema": {"type": "string"}}
    kinds = {"application/json": {"schema": {}}, "text/plain": text, "text/event-stream": text}
    return {
        "tags": ["audio"],
        "summary": summary,
        "operationId": name,
        "requestBody": {"required": True, "content": {"multipart/form-data": schema}},
        "responses": {
            "200": {"description": "As the model's provider answers, in the form asked for.", "content": kinds},
            **{status: _refusal(words) for status, words in _REFUSALS.items()},
        },
        "security": [{"Key": []}],
    }


def image_operation() -> dict[str, Any]:
    """``POST /v1/images/generations``."""
    return _json_operation("images", "Make pictures", "createImage", "CreateImageRequest")


def edit_operation() -> dict[str, Any]:
    """``POST /v1/images/edits``."""
    return _json_operation(
        "images", "Make pictures from pictures", "createImageEdit", "CreateImageEditRequest", form=True
    )


def variation_operation() -> dict[str, Any]:
    """``POST /v1/images/variations``."""
    return {
        "tags": ["images"],
        "summary": "Refused: no model here makes variations",
        "operationId": "createImageVariation",
        "responses": {status: _refusal(_REFUSALS[status]) for status in ("400", "401")},
        "security": [{"Key": []}],
    }


def video_operation() -> dict[str, Any]:
    """``POST /v1/videos``."""
    return _json_operation("videos", "Make a video", "createVideo", "CreateVideoRequest", form=True)


def _json_operation(tag: str, summary: str, name: str, body: str, *, form: bool = False) -> dict[str, Any]:
    schema = {"schema": {"$ref": _REFERENCE.format(model=body)}}
    content = {"application/json": schema} | ({"multipart/form-data": schema} if form else {})
    answers = {"200": {"description": "As OpenAI answers.", "content": {"application/json": {"schema": {}}}}}
    return {
        "tags": [tag],
        "summary": summary,
        "operationId": name,
        "requestBody": {"required": True, "content": content},
        "responses": answers | {status: _refusal(text) for status, text in _REFUSALS.items()},
        "security": [{"Key": []}],
    }


def describe(app: FastAPI, routes: Iterable[FastRoute]) -> None:
    """Make ``app.openapi()`` tell of ``routes`` too, and of our errors in place of FastAPI's own."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = plain()
            for route in routes:
                if route.path.startswith("/v1/"):
                    schema["paths"].setdefault(route.path, {})[route.method.lower()] = dict(route.operation)
            components = schema.setdefault("components", {})
            components.setdefault("schemas", {}).update(_schemas())
            components["securitySchemes"] = _KEY
            _correct(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for model in (SpeechBody, TranscriptionBody, ImageBody, EditBody, VideoBody, RemixBody, ErrorResponse):
        schema = model.model_json_schema(ref_template=_REFERENCE)
        schemas |= schema.pop("$defs", {})
        schemas[schema["title"]] = schema
    return schemas


def _refusal(text: str) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model="ErrorResponse")}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _correct(schema: dict[str, Any]) -> None:
    """A faulty request is a 400 in OpenAI's shape, never FastAPI's 422; what is under /v1 or /key may need a key."""
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            if operation["responses"].pop("422", None) is not None:
                operation["responses"]["400"] = _refusal(_REFUSALS["400"])
            if path.startswith(("/v1/", "/key/")):
                operation.setdefault("security", [{"Key": []}])
                operation["responses"].setdefault("401", _refusal(_REFUSALS["401"]))
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
