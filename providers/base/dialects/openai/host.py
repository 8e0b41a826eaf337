"""A server that speaks OpenAI's API: where it is, what opens it, and what its errors mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from providers.base import errors, sieve
from providers.base.answer import Answer
from providers.base.exchange import Exchange, Reply
from providers.base.refusals import clean, refusal
from providers.base.wire import Wire

_POLICY = ("content_policy_violation", "moderation_blocked", "content_filter", "ResponsibleAIPolicyViolation")
_UNKNOWN_FIELD = ("unknown_parameter", "unsupported_parameter")


@dataclass(frozen=True, slots=True)
class Host:
    """``name`` is for messages; ``url`` makes the address of a path such as ``/audio/speech``.

    ``strict``: options that OpenAI's reference does not have are refused here; else they are passed on. ``trusted``
    are hosts that outputs may be fetched from although they are private. ``lacks`` says why nobody can be asked.
    """

    name: str
    url: Callable[[str], str]
    wire: Wire
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    strict: bool = True
    trusted: frozenset[str] = frozenset()
    lacks: str = ""

    def exchange(self, method: str, path: str, **more: Any) -> Exchange:
        """One request with the credentials. Raises ``Unavailable`` where there are none."""
        if self.lacks:
            raise errors.Unavailable(f"There is no key or address for {self.name} in this gateway.", reason="no_key")
        return Exchange(self.name, method, self.url(path), self.headers, **more)

    async def order(self, exchange: Exchange, *, large: bool = False) -> Reply:
        """The whole answer, of one of the 200s, to what is paid for; a ``large`` one by ``sieve.call``. Raises what
        that, ``Wire.call`` and ``refused`` say; where it may be made and charged, ``sent`` is ``"maybe"``."""
        try:
            reply = await (sieve.call(self.wire, exchange) if large else self.wire.call(exchange))
        except errors.ProviderError as error:
            if error.sent == "yes":  # half an answer came
                error.sent = "maybe"
            raise
        if reply.ok:
            return reply
        told = refused(reply)
        if reply.status == 408 or (reply.status >= 500 and reply.status != 503):
            # It broke at the request, or something in front of it gave up waiting. A 503 is documented as overload.
            told.sent = "maybe"
        raise told

    async def stream(self, exchange: Exchange, cap: int) -> Answer:
        """The same of an answer whose body is still coming."""
        answer = await self.wire.stream(exchange, cap)
        if not 200 <= answer.status < 300:
            raise refused(await answer.reply())
        return answer


def fault(found: Any) -> Mapping[str, Any]:
    """The ``error`` of an answer's JSON; empty where there is none."""
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def refused(reply: Reply) -> errors.ProviderError:
    """The error of an answer that is none of the 200s.

    Source: https://platform.openai.com/docs/guides/error-codes.
    """
    try:
        found = fault(reply.json())
    except errors.BadAnswer:
        found = {}
    code, said, given = str(found.get("code") or ""), str(found.get("message") or ""), found.get("param")
    # ``metadata.user`` and ``image[0]`` are fields of the caller's ``metadata`` and ``image``.
    param = given.partition(".")[0].partition("[")[0][:100] if isinstance(given, str) and given else None
    told = refusal(reply.vendor, reply.status, reply.headers, said)
    if reply.status in (402, 429) and "insufficient_quota" in (code, found.get("type")):
        return errors.OutOfCredits(f"The account at {reply.vendor} is out of credits.", sent="yes")
    if reply.status == 404:
        words = f": {clean(said)}" if said else "."
        return errors.Unavailable(f"{reply.vendor} has no such model or route{words}", reason="not_found")
    if isinstance(told, errors.Refused) and code in (*_POLICY, *_UNKNOWN_FIELD):
        kind = errors.PolicyViolation if code in _POLICY else errors.Unsupported
        told = kind(str(told), sent="yes")
    if isinstance(told, errors.Refused):
        told.param = param
    return told
