"""``POST /images/generations`` and ``/images/edits``: the answer is the pictures, up to minutes later."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from engines.pictures import sniff_picture
from providers.base.contract import Address, Done, Failed, ImageRequest, Made, Reference, Submitted, Usage
from providers.base.dialects.openai.host import Host
from providers.base.dialects.options import hint
from providers.base.egress import MAX_URL
from providers.base.errors import BadAnswer, Gone, Refused, Unsupported
from providers.base.exchange import MIB, Deadlines, Exchange, Part, Reply
from providers.base.packed import unpacked
from providers.base.spool import Spool

MOST = 10
"""Pictures of one request."""
OPTIONS = frozenset("background complexity moderation output_compression quality safety_identifier user".split())
OF_EDITS = OPTIONS | {"input_fidelity"}
DEADLINES = Deadlines(first_byte=600.0, idle=60.0, total=660.0)  # 600 s is what OpenAI's own SDK waits

_PICTURE_CAP = 48 * MIB  # of one, as base64
_ALWAYS_BYTES = ("gpt-image", "chatgpt-image")  # these know no response_format
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}


def picture_fields(model: str, request: ImageRequest, *, strict: bool) -> dict[str, Any]:
    """The fields that are no pictures. Raises ``Refused`` or ``Unsupported``."""
    if not request.prompt.strip():
        raise Refused("the prompt is empty", param="prompt")
    known = OF_EDITS if request.references else OPTIONS
    for option in request.extra if strict else ():
        if option not in known:
            raise Unsupported(f"{model} knows no option {option!r}; {hint(option, known)}", param=option)
    fields: dict[str, Any] = {**request.extra, "model": model, "prompt": request.prompt}
    if request.n > 1:
        fields["n"] = request.n
    if request.size is not None:
        fields["size"] = request.size
    if request.output_format is not None:
        fields["output_format"] = request.output_format
    if not strict and not model.startswith(_ALWAYS_BYTES):
        fields["response_format"] = "b64_json"  # an address could expire before it is fetched
    for place, each in enumerate(request.references):
        if each.url is None:
            _kind(each, f"image[{place}]")
    return fields


def exchange(host: Host, fields: Mapping[str, Any], request: ImageRequest) -> Exchange:
    """The request; pictures that came as bytes go in a form, addresses in JSON, as OpenAI takes them."""
    cap = MIB + _PICTURE_CAP * request.n
    if not request.references:
        return host.exchange("POST", "/images/generations", json=fields, deadlines=DEADLINES, cap=cap)
    given = [*request.references, *([request.mask] if request.mask else [])]
    if any(each.url is not None for each in given):
        body = {**fields, "images": [_address(each) for each in request.references]}
        if request.mask is not None:
            body["mask"] = _address(request.mask)
        return host.exchange("POST", "/images/edits", json=body, deadlines=DEADLINES, cap=cap)
    name = "image" if len(request.references) == 1 else "image[]"
    form = [Part(key, as_text(value)) for key, value in fields.items()]
    form += [_file(name, each, f"image{place}") for place, each in enumerate(request.references)]
    if request.mask is not None:
        form.append(_file("mask", request.mask, "mask"))
    return host.exchange("POST", "/images/edits", form=tuple(form), deadlines=DEADLINES, cap=cap)


def drawn(host: Host, reply: Reply) -> Submitted:
    """The pictures of an answer; blocks. ``task`` holds their addresses, where they are at some."""
    try:
        found = reply.json()
        data = found["data"]
        texts = [each["b64_json"] for each in data if each.get("b64_json")]
        addresses = [str(each["url"]) for each in data if each.get("url") and not each.get("b64_json")]
        if not data or len(texts) + len(addresses) != len(data) or max(map(len, ["", *addresses])) > MAX_URL:
            raise KeyError
        made = [_made(reply.spools.get(text) or unpacked(text)) for text in texts]
    except (BadAnswer, KeyError, TypeError, AttributeError, ValueError):
        # It said yes, and it may have been charged.
        raise BadAnswer(f"{host.name} answered with something that is no picture.", sent="maybe") from None
    outputs: tuple[Made | Address, ...] = (*made, *(Address(each, host.trusted) for each in addresses))
    task = "[]" if made else json.dumps(addresses)
    return Submitted(task, done=Done(outputs, _usage(found.get("usage"))))


def again(host: Host, task: str) -> Done | Failed | None:
    """The pictures of a ``task``, once more from their addresses; ``None``: that is no task of pictures."""
    try:
        found = json.loads(task)
    except ValueError:
        return None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        return None
    if not found:
        return Failed(Gone(f"{host.name} sent the pictures with its answer, and they were not kept.", sent="yes"))
    return Done(tuple(Address(each, host.trusted) for each in found))


def as_text(value: object) -> str:
    """A field of a form."""
    return value if isinstance(value, str) else json.dumps(value)


def _made(data: bytes | Spool) -> Made:
    kind = sniff_picture(data if isinstance(data, bytes) else data.read(0, 12))
    if kind is None:
        raise ValueError
    return Made(data, kind)


def _kind(given: Reference, where: str) -> str:
    kind = sniff_picture(given.data or b"")
    if kind not in ("image/png", "image/jpeg", "image/webp"):
        raise Refused(f"{where} must be a png, jpeg or webp picture", param="image")
    return kind


def _file(name: str, given: Reference, stem: str) -> Part:
    kind = _kind(given, name)
    return Part(name, given.data or b"", f"{stem}.{_ENDINGS[kind]}", kind)


def _address(given: Reference) -> dict[str, str]:
    if given.url is not None:
        return {"image_url": given.url}
    text = base64.b64encode(given.data or b"").decode("ascii")
    return {"image_url": f"data:{_kind(given, 'image')};base64,{text}"}


def _usage(found: Any) -> Usage:
    counted = found if isinstance(found, dict) else {}
    given, made = counted.get("input_tokens"), counted.get("output_tokens")
    return Usage(
        input_tokens=given if isinstance(given, int) and given >= 0 else None,
        output_tokens=made if isinstance(made, int) and made >= 0 else None,
    )
