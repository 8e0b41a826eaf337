"""Personal data, found by Presidio's patterns and check digits (https://microsoft.github.io/presidio), an extra.

Only what needs no language model: addresses and numbers of many kinds, but no names of people or places.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

from gateway.policy.guards import Refusal, Span, masked
from gateway.policy.guards.folding import fold

Action = Literal["MASK", "BLOCK"]


def available() -> bool:
    """Whether Presidio is installed."""
    return find_spec("presidio_analyzer") is not None


@cache
def recognizers() -> Mapping[str, type[Any]]:
    """Presidio's recognizers by the entity that each finds (``EMAIL_ADDRESS``). Imports Presidio: about a second."""
    import tldextract
    from presidio_analyzer import PatternRecognizer, predefined_recognizers

    # Its own would fetch the list of domain endings from the network at the first address, and again each day.
    endings = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())

    class Email(predefined_recognizers.EmailRecognizer):  # type: ignore[misc]  # not typed
        def validate_result(self, pattern_text: str) -> bool:
            return bool(endings(pattern_text).suffix)

    found: dict[str, type[Any]] = {}
    for kind in vars(predefined_recognizers).values():
        if isinstance(kind, type) and issubclass(kind, (PatternRecognizer, predefined_recognizers.PhoneRecognizer)):
            (entity,) = kind(supported_language="en").supported_entities
            found.setdefault(entity, kind)
    found["EMAIL_ADDRESS"] = Email
    return found


class Pii:
    """Masks each entity as ``<EMAIL_ADDRESS>``, or refuses a text that holds it.

    ``scores``: the least confidence (0 to 1) of an entity, by its name, or ``ALL`` for the others; default 0.
    """

    def __init__(self, entities: Mapping[str, Action], scores: Mapping[str, float]) -> None:
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import NoOpNlpEngine

        known = recognizers()
        registry = RecognizerRegistry([known[entity](supported_language="en") for entity in entities])
        engine = NoOpNlpEngine([{"lang_code": "en", "model_name": "none"}])
        engine.load()
        self._entities = entities
        self._scores = scores
        self._analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])

    def __call__(self, text: str) -> str:
        """A ``TextGuard``. Takes milliseconds to seconds: not on the event loop."""
        folded, spans = fold(text, words=False), list[Span]()
        for found in self._analyzer.analyze(folded.text, "en", entities=list(self._entities)):
            entity = found.entity_type
            if found.score >= self._scores.get(entity, self._scores.get("ALL", 0.0)):
                if self._entities[entity] == "BLOCK":
                    raise Refusal(f"it holds personal data ({entity})")
                spans.append((*folded.span(found.start, found.end), f"<{entity}>"))
        return masked(text, spans)
