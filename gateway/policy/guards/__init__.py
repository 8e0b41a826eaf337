"""Guards on input text: pure rules that let a text pass, rewrite it, or refuse it. No network, no configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable


class Refusal(Exception):
    """The text may not pass. ``str(refusal)`` is shown to the caller, so it must not quote the text; it may be empty.

    A hook may raise it; any other exception with a ``status_code`` of 400 to 499 means the same.
    """

    status_code = 400


TextGuard = Callable[[str], str]
"""Takes a text, returns it as it may pass on. Raises ``Refusal``."""

Span = tuple[int, int, str]
"""A part of a text, from ``start`` up to ``end``, and what stands there instead."""


def masked(text: str, spans: Iterable[Span]) -> str:
    """``text`` with each part replaced. Parts that overlap are one, replaced as the first of them."""
    pieces, at = [], 0
    for start, end, instead in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= at:
            pieces += [text[at:start], instead]
        at = max(at, end)
    return "".join([*pieces, text[at:]])
