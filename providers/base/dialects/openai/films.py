"""``/videos``: create, look at it, fetch it with the same credentials, delete it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from engines.pictures import sniff_media
from providers.base import errors
from providers.base.contract import Address, Done, Failed, Submitted, TaskState, VideoRequest, Working
from providers.base.dialects.openai.host import Host, refused
from providers.base.dialects.openai.pictures import as_text
from providers.base.exchange import Deadlines, Part
from providers.base.refusals import clean

DEADLINES = Deadlines(first_byte=120.0, idle=60.0, total=300.0)
SECONDS = (4, 8, 12)
SIZES = ("720x1280", "1280x720", "1024x1792", "1792x1024")

_ID_LIMIT = 500
_POLICY = ("moderation_blocked", "content_policy_violation", "content_filter")


def film_form(model: str, request: VideoRequest, *, strict: bool) -> tuple[Part, ...]:
    """The form. Raises ``Refused`` or ``Unsupported``."""
    if not request.prompt.strip():
        raise errors.Refused("the prompt is empty", param="prompt")
    for option in request.extra if strict else ():
        raise errors.Unsupported(f"{model} knows no option {option!r}; leave it out", param=option)
    if strict and request.seconds not in (None, *SECONDS):
        raise errors.Refused(f"{model} makes films of 4, 8 or 12 seconds", param="seconds")
    if strict and request.size not in (None, *SIZES):
        raise errors.Refused(f"{model} makes films of {', '.join(SIZES)}", param="size")
    given: dict[str, Any] = {**request.extra, "model": model, "prompt": request.prompt}
    given |= {"seconds": request.seconds, "size": request.size}
    form = [Part(name, as_text(value)) for name, value in given.items() if value is not None]
    if request.reference is not None and request.reference.url is not None:
        form.append(Part("input_reference[image_url]", request.reference.url))
    elif request.reference is not None:
        data = request.reference.data or b""
        kind = sniff_media(data)
        if kind is None:
            raise errors.Refused("input_reference must be a picture or a film", param="input_reference")
        form.append(Part("input_reference", data, f"reference.{kind.partition('/')[2]}", kind))
    return tuple(form)


async def begin(host: Host, form: tuple[Part, ...]) -> Submitted:
    """Hand it over, once."""
    reply = await host.order(host.exchange("POST", "/videos", form=form, deadlines=DEADLINES))
    try:
        name = reply.json()["id"]
        if not isinstance(name, str) or not 0 < len(name) <= _ID_LIMIT or not (name.isascii() and name.isprintable()):
            raise TypeError
    except (errors.BadAnswer, KeyError, TypeError):
        # It said yes, and not under which id: it may be running, and be charged.
        raise errors.BadAnswer(f"{host.name} took the task, but its answer has no id.", sent="maybe") from None
    return Submitted(name)


async def look(host: Host, task: str) -> TaskState:
    """One look at it."""
    path = _path(task)
    reply = await host.wire.call(host.exchange("GET", path, deadlines=DEADLINES))
    if reply.status == 404:
        return Failed(errors.Gone(f"{host.name} no longer knows the video.", sent="yes"))
    if not reply.ok:
        raise refused(reply)
    found = reply.json()
    status = found.get("status") if isinstance(found, dict) else None
    if status in ("queued", "in_progress"):
        return Working(_progress(found.get("progress")), _pause(reply.headers.get("openai-poll-after-ms", "")))
    if status == "failed":
        return Failed(_failure(host, found.get("error")))
    if status != "completed":
        raise errors.BadAnswer(f"{host.name} answered with a state that nobody knows.", sent="yes")
    return Done((Address(host.url(f"{path}/content"), host.trusted, host.headers),))


async def drop(host: Host, task: str) -> None:
    """Delete it; there is nothing else that stops one."""
    reply = await host.wire.call(host.exchange("DELETE", _path(task), deadlines=DEADLINES))
    if not reply.ok and reply.status != 404:
        raise refused(reply)


def _path(task: str) -> str:
    if task in ("", ".", ".."):
        raise errors.BadAnswer("No video has such an id.", sent="no")
    return f"/videos/{quote(task, safe='')}"


def _pause(milliseconds: str) -> float | None:
    """Seconds, five minutes at most."""
    good = milliseconds.isascii() and milliseconds.isdecimal() and len(milliseconds) < 10
    return min(int(milliseconds) / 1000, 300.0) if good else None


def _progress(found: Any) -> float | None:
    """Of 0 to 100."""
    good = isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found <= 100
    return found / 100 if good else None


def _failure(host: Host, found: Any) -> errors.ProviderError:
    error: Mapping[str, Any] = found if isinstance(found, dict) else {}
    text = f"{host.name}: {clean(str(error.get('message') or '')) or 'the video failed'}"
    if error.get("code") in _POLICY:
        return errors.PolicyViolation(text, sent="yes", param="prompt")
    return errors.Broken(text, sent="yes")
