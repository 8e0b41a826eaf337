"""From a vendor's status and words to an error, with nothing secret left in it."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from providers.base import errors
from providers.base.errors import ProviderError

MAX_MESSAGE = 500
"""Characters of a vendor's message that are passed on."""
MAX_PAUSE = 3600.0
"""Seconds: the longest ``Retry-After`` that is believed."""

_MASK = "***"
# Each is tried once a run of characters, at its start: a long message must not hold anybody up.
_SECRETS = (
    (re.compile(r"\b(bearer|basic|token)\s+(?=\S*[\d+/=_.-])\S{6,}", re.IGNORECASE), rf"\1 {_MASK}"),
    (re.compile(r"(\bhttps?://[^\s?#'\"<>]+)[?#][^\s'\"<>]*", re.IGNORECASE), rf"\1?{_MASK}"),
    (re.compile(r"(\bhttps?://)[^\s/@]+@", re.IGNORECASE), rf"\1{_MASK}@"),
    (
        re.compile(
            r"((?<![\w-])[\w-]*(?:jwt|api[_-]?key|token|secret|signature|passw(?:or)?d|authorization|credential|\bsig|\bkey))"
            r"([\"']?\s*[=:]\s*[\"']?)(?!\*\*\*|(?:bearer|basic|token)\b)[^\s\"'&,;]{4,}",
            re.IGNORECASE,
        ),
        rf"\1\2{_MASK}",
    ),
    (re.compile(r"\b(sk|pk|key|xi|rk)[-_][\w*.-]{4,}", re.IGNORECASE), rf"\1-{_MASK}"),
    # A run of letters and digits that nobody would write by hand. A UUID is none: its parts are short.
    (re.compile(r"(?<![\w/+])(?=[\w/+]*\d)(?=[\w/+]*[A-Za-z])[\w+]{20,}[\w/+.=-]*"), _MASK),
)


def clean(text: str) -> str:
    """A stranger's text as it may be shown: at most 500 characters, no control characters, nothing like a key."""
    text = "".join(
        " " if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") else each for each in text[:4000]
    )
    text = " ".join(text.split())
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``retry-after`` (seconds or a date); 0 to 3600, ``None`` unsaid.

    ``headers`` have names in lower case; ``now`` is seconds since 1970.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{0,15})?", value, re.ASCII):
            return min(float(value) * unit, MAX_PAUSE)
    try:
        return min(max(parsedate_to_datetime(value).timestamp() - now(), 0.0), MAX_PAUSE)
    except (TypeError, ValueError, OverflowError):
        return None


_KINDS: dict[int, tuple[type[ProviderError], str]] = {
    400: (errors.Refused, "refused the request"),
    401: (errors.UpstreamAuth, ""),
    402: (errors.OutOfCredits, "has no credits left on the account of this gateway"),
    403: (errors.UpstreamAuth, ""),
    408: (errors.UpstreamTimeout, "gave up waiting"),
    409: (errors.Refused, "refused the request"),
    413: (errors.Refused, "refused the request as too large"),
    415: (errors.Refused, "refused the kind of file"),
    422: (errors.Refused, "refused the request"),
    429: (errors.RateLimited, "asks for a pause"),
    504: (errors.UpstreamTimeout, "did not answer in time"),
}


def refusal(vendor: str, status: int, headers: Mapping[str, str], message: str = "") -> ProviderError:
    """The error for an answer that is none of the expected ones. ``sent`` is ``"yes"``; ``Retry-After`` is kept.

    ``message`` is the vendor's own, found by the vendor's file; it is cleaned here, and left out where the vendor
    speaks of our credentials. ``headers`` have names in lower case.
    """
    if status in (401, 403):
        return errors.UpstreamAuth(f"{vendor} refused the credentials of this gateway ({status}).", sent="yes")
    kind, words = _KINDS.get(status, (errors.BadAnswer, f"answered with an unexpected status ({status})"))
    if status >= 500 and status not in _KINDS:
        kind, words = errors.UpstreamDown, f"failed ({status})"
    said = clean(message)
    text = f"{vendor} {words}: {said}" if said else f"{vendor} {words}."
    return kind(text, sent="yes", retry_after=retry_after(headers))
