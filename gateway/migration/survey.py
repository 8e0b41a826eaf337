"""The draft as it is now: what the reader and we have to say of it, each with the part that it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

from gateway.config import ConfigError, Problem, Vendors
from gateway.config.problems import Mark
from gateway.config.source import parse
from gateway.migration import media
from gateway.migration.draft import removable, without
from gateway.migration.parts import Part, Parts
from gateway.migration.standing_in import UNSET
from gateway.migration.verdicts import Verdict, judge

Problems = Callable[[str], Collection[Problem]]


class Survey:
    """Of one text. ``problems`` reads it with a value for each variable of the environment."""

    def __init__(self, text: str, problems: Problems, vendors: Vendors) -> None:
        self.parts = Parts(text)
        self.source = parse(text, "")
        self.problems = [each for each in problems(text) if not each.message.startswith(UNSET)]
        self._vendors = vendors
        self.verdicts = self._others() + self._judged()

    def entries(self) -> Iterator[tuple[int, Part, dict[str, Any]]]:
        """The entries of ``model_list``, with their indexes."""
        listed = self.source.data.get("model_list")
        for index, entry in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(entry, dict):
                yield index, self.parts.find(self.source.values["model_list", index], f"[{index}]"), entry

    def remarks(self) -> Iterator[Verdict]:
        """What is different about entries that work."""
        for _, part, entry in self.entries():
            words = "" if media.not_media(entry, self._vendors) else media.remark(entry, self._vendors)
            if words:
                yield Verdict(part, words, different=True)

    def to_take_out(self) -> dict[Part, Verdict]:
        """What can be taken out of the text, and why; a collection of which nothing would be left goes as a whole."""
        out: dict[Part, Verdict] = {}
        for verdict in self.verdicts:
            if all(removable(self.parts, part) for part in verdict.out):
                out |= {part: verdict for part in verdict.out if part not in out}
        grown = True
        while grown:
            parents = {part.parent: verdict for part, verdict in out.items() if part.parent is not None}
            whole = {
                parent: verdict
                for parent, verdict in parents.items()
                if parent.parent not in (None, self.parts.root)
                and parent not in out
                and all(child in out for child in parent.children)
                and removable(self.parts, parent)
            }
            out |= whole
            grown = bool(whole)
        out = {part: verdict for part, verdict in out.items() if not any(each in out for each in part.way[:-1])}
        return {part: out[part] for part in self._safe(list(out))}

    def _safe(self, out: list[Part]) -> list[Part]:
        """Those without which the rest still says what it said."""
        if not out or self._is_safe(out):
            return out
        half = len(out) // 2
        return [] if not half else self._safe(out[:half]) or self._safe(out[half:])

    def _is_safe(self, out: list[Part]) -> bool:
        try:
            left = parse(without(self.parts, out), "").data
        except ConfigError:
            return False
        # What is repeated by an alias is gone from all places.
        return self.parts.repeats or _plain(left) == _plain(_left(self.source.data, self.parts.root, set(out)))

    def _others(self) -> list[Verdict]:
        """The entries that are of no media model: the reader may take them for one."""
        found = ((part, media.not_media(entry, self._vendors)) for _, part, entry in self.entries())
        return [Verdict(part, words, (part,), error=True) for part, words in found if words]

    def _judged(self) -> list[Verdict]:
        """The verdict on each problem, once for all places that an alias repeats it at."""
        others = {part for _, part, entry in self.entries() if media.not_media(entry, self._vendors)}
        times: Counter[tuple[Part, str]] = Counter()
        found: dict[tuple[Part, str], Verdict] = {}
        for problem in self.problems:
            if problem.where == "model_list" and problem.message in ("is missing", "is empty"):
                continue  # to be said once, of whatever is left of it
            part = self.parts.find(Mark(problem.line, problem.column), problem.where)
            if others.isdisjoint(part.way):
                times[part, problem.message] += 1
                found.setdefault((part, problem.message), judge(problem, part, self.parts.text[part.at : part.end]))
        places = Counter(mark for place, mark in self.source.keys.items() if not str(place[0]).startswith("x-"))
        for (part, message), verdict in found.items():
            if self.parts.repeats and part in verdict.out and times[part, message] < places[self.parts.mark(part)]:
                words = f"{verdict.words}, in some of the places that repeat it"
                found[part, message] = replace(verdict, words=words, out=(), different=True)
        return list({(verdict.part, verdict.words): verdict for verdict in found.values()}.values())


def _left(data: Any, part: Part, out: Collection[Part]) -> Any:
    """The data of ``part`` without those parts."""
    if isinstance(data, dict):
        counts = {each.name: each for each in reversed(part.children)}  # of a key that stands twice the first
        return {key: _left(value, counts[key], out) for key, value in data.items() if counts[key] not in out}
    if isinstance(data, list):
        pairs = zip(data, part.children, strict=True)
        return [_left(value, each, out) for value, each in pairs if each not in out]
    return data


def _plain(data: Any) -> Any:
    """With nothing for what is empty: a block of which all is commented out is null to YAML."""
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()} or None
    if isinstance(data, list):
        return [_plain(value) for value in data] or None
    return data
