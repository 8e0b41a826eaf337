"""Answers that somebody has been at: cut, of another type, huge, deep, empty."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Iterator
from typing import Any

_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 3.5, math.nan, math.inf, 10**400, "", "0", "zz", "\ud800", "é" * 5000, [], {}, [[]], [None],
    {"": None}, [{"loc": ["body"]}], json.loads("[" * 400 + "]" * 400),
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from _places(each, (*path, key))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return value


def mutated(answer: Any, times: int, seed: int = 1) -> Iterator[bytes]:
    """``answer`` as JSON, each time with one or two faults; the same ones for the same ``seed``."""
    chance = random.Random(seed)
    for _ in range(times):
        value = answer
        for _ in range(chance.randint(0, 2)):
            value = _with(value, chance.choice([*_places(value)]), chance.choice(_ODD))
        data = json.dumps(value).encode()
        match chance.randrange(6):
            case 0:
                data = data[: chance.randrange(len(data))]
            case 1:
                at = chance.randrange(len(data))
                data = data[:at] + chance.randbytes(3) + data[at + 1 :]
        yield data
