"""The copy while it is made: parts commented out, or cut out of brackets, and remarks above lines."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from itertools import pairwise

from gateway.config.source import parse
from gateway.migration.parts import BREAK, Part, Parts

SIGN = "# media-gateway: "
_BEFORE = re.compile(r"[ \t]*(-[ \t]+)*")


class Draft:
    """``text`` always has as many lines as the original; the remarks come with ``finished``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._remarks: dict[int, list[str]] = defaultdict(list)
        self._reasons: dict[int, str] = {}  # of the last line of what was commented out

    def give_reason(self, parts: Parts, part: Part, reason: str) -> None:
        """Say above it why it was taken out; of neighbours that have one reason above the first."""
        first, last = parts.line(part.start), parts.line(max(part.start, part.end - 1))
        if part.flow:
            words = " ".join(parts.text[part.start : part.end].split())
            self.remark(parts, part, f"taken out: {words} ({reason})")
            return
        if self._reasons.get(first - 1) != reason:
            self._remarks[first].append(reason)
        self._reasons[last] = reason

    def remark(self, parts: Parts, part: Part, words: str) -> None:
        """Say something above the line on which it, or all that stands in the same brackets, begins."""
        outer = next((each for each in reversed(part.way) if not each.flow), part)
        line = parts.line(outer.start if outer.parent is not None else outer.at)
        if words not in self._remarks[line]:
            self._remarks[line].append(words)

    def finished(self) -> str:
        """The text with the remarks, but for those that stand there already."""
        done: list[str] = []
        above: list[str] = []
        for number, line in enumerate(_lines(self.text), 1):
            end = BREAK.search(line)
            ending = end[0] if end else "\n"
            indent = line[: len(line) - len(line.lstrip(" \t"))]
            new = [each for each in self._remarks.get(number, ()) if f"{SIGN}{each}" not in above]
            done += [*(f"{indent}{SIGN}{each}{ending}" for each in new), line]
            above = [*above, line.strip()] if line.strip().startswith("#") else []
        text = "".join(done)
        # A remark must not change what the file says.
        return text if parse(text, "").data == parse(self.text, "").data else self.text


def without(parts: Parts, removed: Collection[Part]) -> str:
    """The text without these parts, which do not overlap and are ``removable``. It keeps its number of lines."""
    text = parts.text
    for part in sorted(removed, key=lambda part: part.start, reverse=True):
        text = _cut(text, part) if part.flow else _commented_out(text, parts, part)
    return text


def removable(parts: Parts, part: Part) -> bool:
    """Whether it can be taken out on its own: by lines, or inside brackets."""
    if part.parent is None or part.start >= part.end or parts.tied(part):
        return False
    line = parts.lines[parts.line(part.start) - 1]
    return part.flow or _BEFORE.fullmatch(parts.text[line : part.start]) is not None


def _lines(text: str) -> list[str]:
    """With their ends."""
    cuts = [0, *(found.end() for found in BREAK.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts) if start < end]


def _commented_out(text: str, parts: Parts, part: Part) -> str:
    first = parts.lines[parts.line(part.start) - 1]
    column = part.start - first
    rest = text[part.start :]
    found = BREAK.search(rest, max(part.end - part.start - 1, 0))
    end = part.start + (found.start() if found else len(rest))
    lines = _lines(text[part.start : end])
    done = [f"# {lines[0]}"]
    for line in lines[1:]:
        indent = min(len(line) - len(line.lstrip(" \t")), column)
        done.append(f"{line[:indent]}# {line[indent:]}" if line.strip() else line)
    return text[: part.start] + "".join(done) + text[end:]


def _cut(text: str, part: Part) -> str:
    """Out of brackets, with one comma, leaving the line ends."""
    before, gone, after = text[: part.start], text[part.start : part.end], text[part.end :]
    comma = re.match(r"\s*,[ \t]*", after)
    if comma is not None:
        gone, after = gone + comma[0], after[comma.end() :]
    elif (comma := re.search(r",\s*$", before)) is not None:
        gone, before = comma[0] + gone, before[: comma.start()]
    ends = "".join(BREAK.findall(gone))
    if not ends:
        return before + (" " if after.startswith("#") else "") + after
    return before.rstrip(" \t") + ends + after
