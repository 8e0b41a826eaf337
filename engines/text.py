"""Cutting text for speech: at sentence ends first, then clauses, then words, so that joins fall where people pause."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# A full stop after one of these is not the end of a sentence.
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof sr jr st vs etc e.g i.e cf no fig vol approx dept est inc ltd co corp gen col capt rev".split()
)
_SENTENCE = re.compile(r"[.!?…]+[\"')\]»”’]*(?=\s)|[。！？｡]+[」』”’]*|\n+")
_CLAUSE = re.compile(r"[,;:][\"')\]»”’]*(?=\s)|\s[—–-]+(?=\s)|—|[，、；：]")
_SPACE = re.compile(r"\s+")
# A NUL would end the text for a C library; none of these can be heard.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]+")


def pieces(text: str, limits: Iterable[int]) -> Iterator[str]:
    """Cut ``text`` into pieces to be spoken one after another.

    ``limits`` are the usual lengths in characters: of the first piece, the second, …; the last one goes for all that
    follow, and each is asked for when its piece is cut. A piece ends at the last sentence end within its limit, else at
    a clause end, else between words, else at the limit; a rest of up to a third more is not cut. No character is lost
    but white space around the cuts and control characters.

    The first piece instead ends at the *first* sentence or clause end after a third of its limit and up to half more,
    so that sound begins as early as it can, at a pause.
    """
    rest = _CONTROL.sub(" ", text).strip()
    lengths = iter(limits)
    limit = 1
    for index in range(len(rest)):
        if not rest:
            return
        limit = next(lengths, limit)
        cut = _cut(rest, limit, early=index == 0)
        piece, rest = rest[:cut].strip(), rest[cut:].strip()
        if piece:
            yield piece


def within(text: str, longest: int) -> Iterator[str]:
    """Cut ``text`` into few pieces of at most ``longest`` UTF-16 units (as JavaScript counts), which is a hard limit.

    Each ends at the last sentence end that fits, else at a clause end, else between words, else where it must. No
    character is lost but white space around the cuts.
    """
    rest = text
    while (room := _room(rest, longest)) < len(rest):
        cut = _latest(rest, room) or room
        piece, rest = rest[:cut].strip(), rest[cut:].strip()
        if piece:
            yield piece
    if rest:
        yield rest


def _room(text: str, longest: int) -> int:
    """How many characters fit, at least one."""
    units = 0
    for index, character in enumerate(text):
        units += 2 if character > "\uffff" else 1
        if units > longest:
            return max(1, index)
    return len(text)


def _cut(text: str, limit: int, *, early: bool) -> int:
    """Where the next piece of ``text`` ends (an index in 1..len)."""
    if early:
        # Somewhat over the limit rather than in the middle of a phrase.
        ends = sorted({end for pattern in (_SENTENCE, _CLAUSE) for end in _ends(pattern, text, limit * 3 // 2)})
        soon = next((end for end in ends if end >= limit // 3), 0)
        if soon and len(text) - soon >= limit // 3:
            return soon
    if len(text) <= limit * 4 // 3:  # a little more, rather than a last piece of a word or two
        return len(text)
    return _latest(text, limit) or limit


def _latest(text: str, limit: int) -> int:
    """The last pause within ``limit``, of the best kind there is; 0: none."""
    for pattern in (_SENTENCE, _CLAUSE, _SPACE):
        ends = [end for end in _ends(pattern, text, limit) if end >= limit // 3 or pattern is _SPACE]
        if ends:
            return ends[-1]
    return 0


def _ends(pattern: re.Pattern[str], text: str, limit: int) -> list[int]:
    # One character more than the limit is read, because the white space after a stop is what makes it an end.
    found = (match.end() for match in pattern.finditer(text, 0, limit + 1))
    return [end for end in found if end <= limit and not (pattern is _SENTENCE and _abbreviation(text, end))]


def _abbreviation(text: str, end: int) -> bool:
    if text[end - 1] != ".":
        return False
    word = text[:end].rsplit(None, 1)[-1].strip(".\"'([").lower()
    if len(word) == 1:
        return word.isalpha() and word != "i"
    return word in _ABBREVIATIONS or re.fullmatch(r"(?:[^\W\d]\.)+[^\W\d]", word) is not None
