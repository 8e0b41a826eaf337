"""Asking ``streamGenerateContent`` until there is sound: what Gemini's own API and Vertex AI have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from providers.base.answer import Answer
from providers.base.contract import Audio, SpeechRequest, Usage
from providers.base.dialects.event_sound import EventSound
from providers.base.dialects.generate_content import PARAMS, Answers, speech_body
from providers.base.dialects.google import refused
from providers.base.errors import BadAnswer
from providers.base.exchange import Deadlines, Reply
from providers.base.refusals import clean

TRIES = 3
"""How often a text is sent whose answers have no sound in them, and count none."""

DEADLINES = Deadlines(first_byte=300.0, idle=300.0, total=900.0)
"""Of a call for speech: the models before 3.1 make all of it, ten minutes at most, before they send any."""


def refusal_of(vendor: str, reply: Reply) -> Exception:
    """The error for an answer of another status than 200."""
    try:
        body = reply.json()
    except BadAnswer:
        body = None
    return refused(vendor, reply.status, reply.headers, body, PARAMS)


async def speak(
    vendor: str, model: str, request: SpeechRequest, send: Callable[[Mapping[str, Any]], Awaitable[Answer]]
) -> Audio:
    """The sound of ``request``, once it has begun; ``send`` hands a body over.

    An answer that ends well and has no sound happens now and then, and is asked for again: what Google has charged
    for are then some tokens of text, and ``usage`` has those of all tries.
    """
    body = speech_body(model, request)
    usage = Usage(characters=len(request.text))
    reader = Answers(vendor, usage)
    for _ in range(TRIES):
        answer = await send(body)
        if answer.status != 200:
            raise refusal_of(vendor, await answer.reply())
        reader = Answers(vendor, usage)
        sound = EventSound(answer, reader, usage, request.speed)
        if await sound.begin() and reader.spec is not None:
            return Audio(reader.spec, sound, usage, request.speed)
        await sound.aclose()
        if reader.charged or reader.why == "MAX_TOKENS":
            break
    why = f" It says {clean(reader.why)}." if reader.why else ""
    raise BadAnswer(f"{vendor} answered without any sound.{why}", sent="yes")
