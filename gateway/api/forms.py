"""Bodies that are JSON or a form, with the bracketed names that OpenAI's SDKs send, as the JSON that they stand for."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from gateway.api.body import ClientGone, read_body
from gateway.api.errors import invalid
from gateway.api.fields import Upload
from gateway.api.http import Call
from gateway.config import GeneralSettings
from gateway.errors import BodyTimeout, InvalidRequest, TooLarge

M = TypeVar("M", bound=BaseModel)

FORM_LIMIT = 64 * 1024 * 1024
"""Bytes of a form with pictures or a film."""

_TEXTS = frozenset({"user", "safety_identifier"})
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,17})?")
_NAME = re.compile(r"([^\[\]]+)(?:\[([^\[\]]*)\])?")


async def read_fields(call: Call, settings: GeneralSettings, model: type[M]) -> tuple[M, object]:
    """A form or a JSON body as ``model``, and what it says, for the call's fingerprint (of a file: its digest).

    Raises ``InvalidRequest`` naming the field, and what ``read_body`` raises.
    """
    media = (call.headers.get(b"content-type") or b"").partition(b";")[0].strip().lower()
    try:
        if media in (b"multipart/form-data", b"application/x-www-form-urlencoded"):
            fields = await read_form(call, FORM_LIMIT, settings.body_timeout)
            plain = {
                name: value if name in model.model_fields else _plain(name, value) for name, value in fields.items()
            }
            body = model.model_validate(plain)
            # On a thread: the digest of a large upload would hold up everybody else.
            return body, await asyncio.to_thread(json.dumps, fields, default=_digest, sort_keys=True)
        raw = await read_body(call, int(settings.max_request_size_mb * 1024 * 1024), settings.body_timeout)
        return model.model_validate_json(raw), json.loads(raw)
    except ValidationError as error:
        raise invalid(error) from None


def _plain(name: str, value: object) -> object:
    """A provider's own option: a form has no numbers, so a text that reads as one is taken for it."""
    if not isinstance(value, str) or name in _TEXTS:
        return value
    return json.loads(value) if value in ("true", "false") or _NUMBER.fullmatch(value) else value


def _digest(value: object) -> str:
    assert isinstance(value, Upload)
    return hashlib.sha256(value.data).hexdigest()


async def read_form(call: Call, limit: int, seconds: float) -> dict[str, Any]:
    """The fields: texts, ``Upload``s, mappings (``name[key]``) and lists (``name[]``); the text ``null`` is null.

    Raises what ``read_body`` raises.
    """
    declared = call.headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    request = Request(call.scope, _at_most(limit, call.receive))
    try:
        async with asyncio.timeout(seconds):
            async with request.form(max_files=20, max_fields=100, max_part_size=limit) as form:
                return await _fields(form.multi_items())
    except TimeoutError:
        raise BodyTimeout(f"The request body did not arrive within {seconds:g} s.") from None
    except ClientDisconnect:
        raise ClientGone from None
    except _TooLong:
        raise _too_large(limit) from None
    except MultiPartException as error:
        raise InvalidRequest(f"The form cannot be read: {error.message}", code="invalid_form") from None


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The form is larger than the limit of {limit:,} bytes.")


class _TooLong(MultiPartException):
    """Of the parser's own kind, so that it closes what it has written."""


def _at_most(limit: int, receive: Receive) -> Receive:
    """What comes, while it is not more than ``limit``: a client that streams its form declares no length."""
    left = limit

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _TooLong("too long")
        return message

    return bounded


async def _upload(given: UploadFile) -> Upload:
    return Upload(await given.read(), given.filename or "", given.content_type or "")


async def _fields(items: list[tuple[str, str | UploadFile]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, given in items:
        value: Any = await _upload(given) if isinstance(given, UploadFile) else given
        if value == "null":
            continue
        match = _NAME.fullmatch(name)
        if match is None:
            raise InvalidRequest(f"The form has a field of a name that cannot be read: {name[:100]!r}.")
        base, inner = match[1], match[2]
        if inner == "" or (base in fields and isinstance(value, Upload)):
            held = fields.setdefault(base, [])
            if isinstance(held, Upload):
                held = fields[base] = [held]
            if not isinstance(held, list):
                raise InvalidRequest(f"'{base}' is given twice.", param=base)
            held.append(value)
        elif inner is None:
            if base in fields:
                raise InvalidRequest(f"'{base}' is given twice.", param=base)
            fields[base] = value
        else:
            held = fields.setdefault(base, {})
            if not isinstance(held, dict):
                raise InvalidRequest(f"'{base}' is given twice.", param=base)
            held[inner] = value
    return fields
