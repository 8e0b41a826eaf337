"""Regular expressions in linear time: RE2 (https://github.com/google/re2), an extra.

Python's own ``re`` tries possibilities one after another: a text made for it can keep ``(a+)+$`` busy for years.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from typing import Any

from gateway.policy.guards import Refusal
from gateway.policy.guards.folding import Folded

MOST_MATCHES = 1000
"""Matches that are masked. One search is linear, so all of them are; a text with more is refused."""

PREBUILT = {
    "us_ssn": r"\b\d{3}-\d{2}-\d{4}\b",
    "email": r"\b[\w.%+-]+@[a-z\d-]+(?:\.[a-z\d-]+)*\.[a-z]{2,}\b",
    "phone": r"(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)|\b\d{2,4})[ .-]?\d{3}[ .-]?\d{4}\b",
    "visa": r"\b4\d{3}[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}\b",
    "mastercard": r"\b(?:5[1-5]\d\d|2[2-7]\d\d)[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}\b",
    "amex": r"\b3[47]\d\d[ -]?\d{6}[ -]?\d{5}\b",
    "aws_access_key": r"\b(?:AKIA|ASIA)[A-Z\d]{16}\b",
    "aws_secret_key": r"\b[a-z\d/+]{40}\b",
    "github_token": r"\bgh[pousr]_[a-z\d]{36,}\b",
}
"""By the names that LiteLLM's documentation lists."""


class BadPattern(ValueError):
    """RE2 does not know it. ``str(error)`` says why."""


def available() -> bool:
    """Whether RE2 is installed."""
    return find_spec("re2") is not None


class Pattern:
    """One expression of RE2's syntax, in which ``\\b``, ``\\d`` and ``\\w`` are ASCII. Case does not matter."""

    def __init__(self, expression: str) -> None:
        import re2

        options = re2.Options()
        options.case_sensitive = False
        options.log_errors = False
        try:
            self._compiled: Any = re2.compile(expression, options)
        except re2.error as error:
            (why,) = error.args
            raise BadPattern(why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)) from None
        if self._compiled.search("") is not None:
            raise BadPattern("it matches every text")

    def found(self, folded: Folded) -> bool:
        """Whether it is in the text."""
        return self._compiled.search(folded.text) is not None

    def find(self, folded: Folded) -> Iterator[tuple[int, int]]:
        """Each place of the original where it matches. Raises ``Refusal`` after ``MOST_MATCHES``."""
        for count, match in enumerate(islice(self._compiled.finditer(folded.text), MOST_MATCHES + 1)):
            if count == MOST_MATCHES:
                raise Refusal("it holds too much that would have to be masked")
            start, end = match.span()
            if end > start:
                yield folded.span(start, end)
