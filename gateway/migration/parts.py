"""Where each key and each item of a YAML text begins and ends, so that it can be taken out and the rest stays."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import yaml

from gateway.config.problems import Mark, spelled

BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What YAML counts as the end of a line."""


@dataclass(eq=False, slots=True)
class Part:
    """A key with its value (``name`` is text), or an item of a list (a number); the file itself has no ``parent``.

    ``start`` and ``end`` are indexes of the text, ``at`` is where the value begins. ``flow``: it is inside brackets.
    ``bare``: there is no value.
    """

    name: str | int
    parent: Part | None
    flow: bool
    start: int = 0
    at: int = 0
    end: int = 0
    bare: bool = False
    children: list[Part] = field(default_factory=list)

    @property
    def way(self) -> tuple[Part, ...]:
        """From the top of the file to this part."""
        return (self,) if self.parent is None else (*self.parent.way, self)


class Parts:
    """All parts of a text that has been read without a fault."""

    def __init__(self, text: str) -> None:
        """``repeats``: something in it is written once, and counts at several places."""
        self.text = text
        self.lines = [0, *(found.end() for found in BREAK.finditer(text))]
        self._dashes = [token.start_mark.index for token in yaml.scan(text) if isinstance(token, yaml.BlockEntryToken)]
        self._events = iter(list(yaml.parse(text)))
        self._by_start: dict[int, list[Part]] = defaultdict(list)
        self._anchors: dict[str, int] = {}
        self._aliases: list[tuple[str, int]] = []
        self.repeats = False
        self.root = Part("", None, flow=False)
        for event in self._events:
            if isinstance(event, yaml.NodeEvent):
                self._value(self.root, event)
                break

    def line(self, index: int) -> int:
        """The number of the line, from 1."""
        return bisect_left(self.lines, index + 1)

    def mark(self, part: Part) -> Mark:
        """Where it begins."""
        line = self.line(part.start)
        return Mark(line, part.start - self.lines[line - 1] + 1)

    def at(self, mark: Mark, name: str | int) -> Part | None:
        """The part of this name that begins there; the numbers of items may be others."""
        there = self._by_start.get(self.lines[mark.line - 1] + mark.column - 1, ())
        items = isinstance(name, int)
        return next((each for each in there if (isinstance(each.name, int) if items else each.name == name)), None)

    def find(self, mark: Mark, where: str) -> Part:
        """The part that a problem is about: its key or its value is at ``mark``, ``where`` ends with its name."""
        index = min(self.lines[min(mark.line, len(self.lines)) - 1] + mark.column - 1, len(self.text))
        there = self._by_start.get(index, [])
        named = [
            part
            for part in there
            if where.endswith(f"[{part.name}]" if isinstance(part.name, int) else spelled(part.name))
        ]
        return (named or there or [self.root])[-1]

    def tied(self, part: Part) -> str:
        """The name of an anchor inside of it that is repeated elsewhere; empty: there is none."""
        for name, index in self._anchors.items():
            if part.start <= index < part.end and any(
                other == name and not part.start <= at < part.end for other, at in self._aliases
            ):
                return name
        return ""

    def _value(self, part: Part, event: Any) -> None:
        """Read what ``event`` begins as the value of ``part``."""
        part.at, part.end = _start(event), _end(event)
        self._by_start[part.at].append(part)
        if isinstance(event, yaml.AliasEvent):
            self._aliases.append((str(event.anchor), part.at))
            self.repeats = True
            return
        if event.anchor is not None:
            self._anchors[event.anchor] = part.at
        if isinstance(event, yaml.MappingStartEvent):
            part.end = self._children(part, event, yaml.MappingEndEvent)
        elif isinstance(event, yaml.SequenceStartEvent):
            part.end = self._children(part, event, yaml.SequenceEndEvent)
        else:
            part.bare = event.value == "" and part.at == part.end
            if event.style in ("|", ">"):  # it ends where the next thing begins
                part.end = part.at + len(self.text[part.at : part.end].rstrip())

    def _children(self, part: Part, begin: Any, ends: type[yaml.Event]) -> int:
        end = _end(begin)
        while not isinstance(event := next(self._events), ends):
            child = Part(len(part.children), part, flow=bool(begin.flow_style))
            part.children.append(child)
            if isinstance(begin, yaml.MappingStartEvent):
                child.name = event.value if isinstance(event, yaml.ScalarEvent) else ""
                child.start = _start(event)
                self.repeats = self.repeats or child.name == "<<"
                self._by_start[child.start].append(child)
                if not isinstance(event, yaml.ScalarEvent):
                    self._value(Part("", child, child.flow, child.start), event)
                self._value(child, next(self._events))
            else:
                self._value(child, event)
                child.start = child.at if child.flow else self._dashes[bisect_left(self._dashes, child.at) - 1]
                if child.start != child.at:
                    self._by_start[child.start].append(child)
            end = max(child.end, end)
        return _end(event) if begin.flow_style else end


def _start(event: Any) -> int:
    return int(event.start_mark.index)


def _end(event: Any) -> int:
    return int(event.end_mark.index)
