"""What is wrong with a configuration file, said so that whoever wrote the file can mend it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

Place = tuple[str | int, ...]
"""The way to a value from the top of the file: ``("model_list", 0, "litellm_params", "model")``."""

_PLAIN_KEY = re.compile(r"[\w./*+<-]{1,100}")


class Mark(NamedTuple):
    """A position in the file; both numbers start at 1."""

    line: int
    column: int


START = Mark(1, 1)


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault (``error``) or one thing to know (``warning``). No field ever holds a secret's value.

    ``where`` is the dotted path of the value (empty for faults of the file as such), ``hint`` the way out.
    """

    severity: Literal["error", "warning"]
    file: str
    line: int
    column: int
    where: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        parts = [f"{self.file}:{self.line}:{self.column}", self.severity, self.where, self.message]
        return ": ".join(filter(None, parts)) + (f" ({self.hint})" if self.hint else "")


class ConfigError(Exception):
    """The file cannot be used. ``problems`` holds everything found in it, warnings too, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = in_order(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sorted by position."""
    return tuple(sorted(problems, key=lambda p: (p.line, p.column, p.where, p.message)))


def spelled(key: str) -> str:
    """A key as it may be shown. Of one that is no plain name only the start: ``{master_key sk-x}`` is one long key."""
    plain = _PLAIN_KEY.match(key)
    shown = "" if plain is None else plain[0]
    if shown.startswith("sk-"):
        return "sk-…"
    return shown if shown == key and key else f"{shown}…"


def dotted(place: Place) -> str:
    """``model_list[0].litellm_params.model``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{spelled(part)}"
    return text.removeprefix(".")
