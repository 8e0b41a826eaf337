"""What may not stand in a text, and how long it may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.policy.guards import Refusal, Span, masked
from gateway.policy.guards.folding import fold
from gateway.policy.guards.patterns import Pattern
from gateway.policy.guards.words import Words


@dataclass(frozen=True, slots=True)
class ContentFilter:
    """Refuses a text that holds one of the ``blocked`` words or patterns; replaces what is to be ``hidden``.

    ``hidden_patterns`` come with what stands in their place; all ``hidden_words`` share ``tag``.
    """

    blocked_words: Words
    hidden_words: Words
    tag: str
    blocked_patterns: Sequence[Pattern] = ()
    hidden_patterns: Sequence[tuple[Pattern, str]] = ()

    def __call__(self, text: str) -> str:
        """A ``TextGuard``."""
        folded = fold(text, words=True)
        for _ in self.blocked_words.find(folded):
            raise Refusal
        spans: list[Span] = [(start, end, self.tag) for start, end in self.hidden_words.find(folded)]
        if self.blocked_patterns or self.hidden_patterns:
            folded = fold(text, words=False)
            if any(pattern.found(folded) for pattern in self.blocked_patterns):
                raise Refusal
            for pattern, instead in self.hidden_patterns:
                spans += [(start, end, instead) for start, end in pattern.find(folded)]
        return masked(text, spans) if spans else text


@dataclass(frozen=True, slots=True)
class Length:
    """Refuses a text of more than ``most`` characters (Unicode code points)."""

    most: int

    def __call__(self, text: str) -> str:
        """A ``TextGuard``."""
        if len(text) > self.most:
            raise Refusal(f"it has {len(text):,} characters, and may have {self.most:,}")
        return text
