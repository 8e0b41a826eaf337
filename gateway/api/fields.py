"""Values of a form: files, and what stands there as text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form: its bytes, its own name, and the type that the part claims, which is believed of no picture."""

    data: bytes
    filename: str = ""
    media_type: str = ""


def whole(value: object) -> object:
    """A number that stands in a form as text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def truth(value: object) -> object:
    """A truth value that stands in a form as text."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
