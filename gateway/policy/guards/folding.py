"""A text as it is compared: letters that look alike made alike, and the way back to where each one stood.

NFKC (Unicode Standard Annex 15) turns full-width and styled letters into plain ones and joins letters with their
accents; characters that are not seen (zero-width spaces, soft hyphens) are left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_ODD_SPACE = re.compile(r"\s\s|[^\S ]")

_LONGEST = 30
"""Marks on one letter that are looked at together (as in UAX 15, Stream-Safe Text Format): sorting is quadratic."""

_UNSEEN = {0x034F, *range(0xFE00, 0xFE10)}
"""The grapheme joiner and the variation selectors, which Unicode counts as marks."""

_JAMO = range(0x1160, 0x1200)
"""Hangul vowels and finals, which join the consonant before them."""


@dataclass(frozen=True, slots=True)
class Folded:
    """``text`` folded. ``places`` says of each of its characters which part of the original it stands for."""

    text: str
    places: list[tuple[int, int]] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The part of the original that ``text[start:end]`` stands for; it is not empty."""
        return (start, end) if self.places is None else (self.places[start][0], self.places[end - 1][1])


def fold(text: str, *, words: bool) -> Folded:
    """``text`` folded, in linear time. For ``words`` also without case, and with one space for any white space."""
    if text.isascii() and not (words and _ODD_SPACE.search(text)):
        return Folded(text.lower() if words else text)
    folded: list[str] = []
    places: list[tuple[int, int]] = []
    for start, end in _clusters(text):
        part = text[start:end]
        if not part.isascii():
            part = unicodedata.normalize("NFKC", part)
        if words:
            part = _without_case(part)
            if part.isspace():
                part = "" if folded and folded[-1] == " " else " "
        folded += part
        places += [(start, end)] * len(part)
    return Folded("".join(folded), places)


def _without_case(part: str) -> str:
    """As the Unicode Standard defines caseless matching (section 3.13, D146)."""
    if part.isascii():
        return part.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", part).casefold())


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """The parts that can be folded one by one: a character with the marks on it. Unseen ones belong to none."""
    start, end = 0, 0
    for place, character in enumerate(text):
        code = ord(character)
        if code >= 128:
            if unicodedata.category(character) == "Cf" or code in _UNSEEN:
                continue
            joins = unicodedata.combining(character) or code in _JAMO
            if joins and end == place > start and end - start <= _LONGEST:
                end = place + 1
                continue
        if end > start:
            yield start, end
        start, end = place, place + 1
    if end > start:
        yield start, end
