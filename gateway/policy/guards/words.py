"""Finding many words in a text at once, in time linear in the text: the automaton of Aho and Corasick (1975)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from gateway.policy.guards.folding import Folded, fold

# Scripts that put no spaces between words, or glue endings to them: Thai to Myanmar, Hangul, Khmer, kana and Han.
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x11FF),
    (0x1780, 0x17FF),
    (0x2E80, 0x9FFF),
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


class Words:
    """A list of words and phrases. Case, width, accents' spelling, unseen characters and kinds of space do not matter.

    A word is found as a whole (``ass`` not in ``class``), except in scripts that put no spaces between words.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._fail = [0]
        self._length = [0]  # of the word that ends here, 0 for none
        self._ends = [0]  # this state, if a word ends here, else the nearest one behind it at which one does
        for word in words:
            self._add(fold(word, words=True).text.strip())
        self._link()

    def find(self, folded: Folded) -> Iterator[tuple[int, int]]:
        """Each place of the original where a word stands, from start up to end; they may overlap."""
        after, fail, ends = self._next, self._fail, self._ends
        text, state = folded.text, 0
        for place, character in enumerate(text) if len(after) > 1 else ():
            while state and character not in after[state]:
                state = fail[state]
            state = after[state].get(character, 0)
            ending = ends[state]
            while ending:
                start = place + 1 - self._length[ending]
                if _whole(text, start, place + 1):
                    yield folded.span(start, place + 1)
                ending = ends[fail[ending]]

    def _add(self, word: str) -> None:
        state = 0
        for character in word:
            if character not in self._next[state]:
                self._next[state][character] = len(self._next)
                self._next.append({})
                self._fail.append(0)
                self._length.append(0)
                self._ends.append(0)
            state = self._next[state][character]
        self._length[state] = len(word)

    def _link(self) -> None:
        waiting = deque(self._next[0].values())
        for state in waiting:
            self._ends[state] = state if self._length[state] else 0
        while waiting:
            state = waiting.popleft()
            for character, after in self._next[state].items():
                behind = self._fail[state]
                while behind and character not in self._next[behind]:
                    behind = self._fail[behind]
                behind = self._next[behind].get(character, 0)
                self._fail[after] = behind
                self._ends[after] = after if self._length[after] else self._ends[behind]
                waiting.append(after)


def _whole(text: str, start: int, end: int) -> bool:
    return not (_joined(text, start) or _joined(text, end))


def _joined(text: str, place: int) -> bool:
    """Whether the characters on both sides of ``place`` belong to one word."""
    if place in (0, len(text)):
        return False
    return all((side.isalnum() or side == "_") and not _unspaced(side) for side in text[place - 1 : place + 1])


def _unspaced(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _UNSPACED)
