"""How a field of a create is checked at RunwayML, and what is said of it then (the shape of Zod's issues)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Check = Callable[[Any, list[str | int]], list[Json]]

# A check returns the issues it has with a value.


def issue(code: str, path: list[str | int], message: str = "Invalid input", **more: Any) -> Json:
    return {"code": code, **more, "path": path, "message": message}


def _is(kind: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "number": number,
        "integer": number and value % 1 == 0,
        "array": isinstance(value, list),
        "object": isinstance(value, dict),
    }[kind]


def _within(kind: str, size: float, low: float, high: float, path: list[str | int]) -> list[Json]:
    if size < low:
        return [issue("too_small", path, "Too short", minimum=low, type=kind, inclusive=True)]
    return [issue("too_big", path, "Too long", maximum=high, type=kind, inclusive=True)] if size > high else []


def units(text: str) -> int:
    """The length in UTF-16 code units, as JavaScript counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def sized(kind: str, low: float = -math.inf, high: float = math.inf) -> Check:
    def check(value: Any, path: list[str | int]) -> list[Json]:
        if not _is(kind, value):
            return [issue("invalid_type", path, f"Invalid input: expected {kind}", expected=kind)]
        return _within(kind, units(value) if kind == "string" else value, low, high, path)

    return check


def one_of(*values: Any) -> Check:
    def check(value: Any, path: list[str | int]) -> list[Json]:
        fits = not isinstance(value, bool) and value in values
        return [] if fits else [issue("invalid_value", path, "Invalid option", values=[*values])]

    return check


def matching(pattern: str, low: int, high: int) -> Check:
    def check(value: Any, path: list[str | int]) -> list[Json]:
        wrong = sized("string", low, high)(value, path)
        fits = wrong or re.search(pattern, value)
        return wrong if fits else [issue("invalid_format", path, "Invalid string", format="regex", pattern=pattern)]

    return check


def array(item: Check, low: int, high: int) -> Check:
    def check(value: Any, path: list[str | int]) -> list[Json]:
        if not _is("array", value):
            return [issue("invalid_type", path, "Invalid input: expected array", expected="array")]
        inside = [each for index, one in enumerate(value) for each in item(one, [*path, index])]
        return _within("array", len(value), low, high, path) + inside

    return check


def record(*required: str, strict: bool = False, **fields: Check) -> Check:
    def check(value: Any, path: list[str | int]) -> list[Json]:
        if not _is("object", value):
            return [issue("invalid_type", path, "Invalid input: expected object", expected="object")]
        found = [issue("invalid_type", [*path, name], "Required") for name in required if name not in value]
        found += [each for name, one in value.items() if name in fields for each in fields[name](one, [*path, name])]
        extra = [name for name in value if name not in fields] if strict else []
        return found + ([issue("unrecognized_keys", path, "Unrecognized keys", keys=extra)] if extra else [])

    return check


def either(*checks: Check) -> Check:
    def check(value: Any, path: list[str | int]) -> list[Json]:
        found = [each(value, path) for each in checks]
        return [] if [] in found else [issue("invalid_union", path, errors=found)]

    return check


PICTURE = either(
    matching("^https://.*", 13, 2048), matching("^runway://.*", 13, 5000), matching("^data:image/.*", 13, 5_242_880)
)
WIDE = ("1280:720", "720:1280")


def frames(*positions: str) -> Check:
    frame = record("uri", "position", uri=PICTURE, position=one_of(*positions))
    return either(PICTURE, array(frame, 1, len(positions)))
