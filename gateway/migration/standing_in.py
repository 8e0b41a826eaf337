"""Values for variables of the environment that are not set where the file is read: the server may run elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from gateway.config.problems import Mark, Place, Problem
from gateway.config.source import Source

_REFERENCE = "os.environ/"

# One after the other, until the reader finds no fault with it.
_CANDIDATES = ("https://stand-in.invalid", "1", "stand-in", "30d", "true", "whsec_c3RhbmQtaW4tc3RhbmQtaW4=")

UNSET = "environment variable"


def stand_ins(
    source: Source, env: Mapping[str, str], problems: Callable[[Mapping[str, str]], Collection[Problem]]
) -> dict[str, str]:
    """A value for each variable that is not set, but for those that none fits. ``problems``: found with them."""
    own = source.data.get("environment_variables")
    there = {*env, *(own if isinstance(own, dict) else ())}
    marks: dict[str, set[Mark]] = defaultdict(set)
    for place, name in _references((), source.data):
        if name not in there:
            marks[name].add(source.values[place])
    left = dict.fromkeys(marks, 0)
    for _ in _CANDIDATES:
        values = {name: _CANDIDATES[index] for name, index in left.items()}
        errors = {Mark(each.line, each.column) for each in problems({**env, **values}) if each.severity == "error"}
        wrong = [name for name in left if marks[name] & errors]
        if not wrong:
            break
        left |= {name: left[name] + 1 for name in wrong}
        left = {name: index for name, index in left.items() if index < len(_CANDIDATES)}
    return {name: _CANDIDATES[index] for name, index in left.items()}


def _references(place: Place, value: Any) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str) and value.startswith(_REFERENCE):
        yield place, value.removeprefix(_REFERENCE).strip()
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _references((*place, key), each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _references((*place, index), each)
