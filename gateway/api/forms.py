"""Multipart bodies, with the bracketed names that OpenAI's SDKs send, as the JSON that they stand for."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from gateway.api.body import ClientGone
from gateway.api.http import Call
from gateway.errors import BodyTimeout, InvalidRequest, TooLarge

_NAME = re.compile(r"([^\[\]]+)(?:\[([^\[\]]*)\])?")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form: its bytes. The type that the part claims is not looked at."""

    data: bytes


async def read_form(call: Call, limit: int, seconds: float) -> dict[str, Any]:
    """The fields: texts, ``Upload``s, mappings (``name[key]``) and lists (``name[]``); the text ``null`` is null.

    Raises what ``read_body`` raises.
    """
    declared = call.header(b"content-length")
    if declared is None or not declared.isdigit() or int(declared) > limit:
        raise TooLarge(f"The form must have a Content-Length of at most {limit:,} bytes (max_request_size_mb).")
    request = Request(call.scope, call.receive)
    try:
        async with asyncio.timeout(seconds):
            async with request.form(max_files=20, max_fields=100, max_part_size=limit) as form:
                return await _fields(form.multi_items())
    except TimeoutError:
        raise BodyTimeout(f"The request body did not arrive within {seconds:g} s.") from None
    except ClientDisconnect:
        raise ClientGone from None
    except MultiPartException as error:
        raise InvalidRequest(f"The form cannot be read: {error.message}", code="invalid_form") from None


async def _fields(items: list[tuple[str, str | UploadFile]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, given in items:
        value: Any = Upload(await given.read()) if isinstance(given, UploadFile) else given
        if value == "null":
            continue
        match = _NAME.fullmatch(name)
        if match is None:
            raise InvalidRequest(f"The form has a field of a name that cannot be read: {name[:100]!r}.")
        base, inner = match[1], match[2]
        if inner is None:
            fields[base] = value
        elif inner:
            held = fields.setdefault(base, {})
            if not isinstance(held, dict):
                raise InvalidRequest(f"'{base}' is given twice.", param=base)
            held[inner] = value
        else:
            fields.setdefault(base, []).append(value)
    return fields
