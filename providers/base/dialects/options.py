"""Options of a vendor's own, checked before they are sent: each check raises ``Refused`` or ``Unsupported`` by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

from providers.base.errors import Refused, Unsupported

Check = Callable[[Any], str | None]
"""Returns what a value must be, where it is not."""


def number(least: float, most: float, *, whole: bool = False, above: bool = False) -> Check:
    """A number of ``least`` to ``most``; ``above``: ``least`` itself is not taken."""

    def check(value: Any) -> str | None:
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        words = f"a {'whole ' if whole else ''}number of {'more than ' if above else ''}{least:g} to {most:g}"
        return None if fits and least <= value <= most and not (above and value == least) else words

    return check


def one_of(*values: object) -> Check:
    """One of ``values``, of the same type."""

    def check(value: Any) -> str | None:
        fits = any(value == each and type(value) is type(each) for each in values)
        return None if fits else f"one of {', '.join(map(str, values))}"

    return check


def text(value: Any) -> str | None:
    """A string that is not empty."""
    return None if isinstance(value, str) and value else "a string"


def flag(value: Any) -> str | None:
    """True or false."""
    return None if isinstance(value, bool) else "true or false"


def mapping(value: Any) -> str | None:
    """An object; what is in it is the vendor's to check."""
    return None if isinstance(value, dict) else "an object"


def items(most: int | None = None) -> Check:
    """A list of at most so many."""

    def check(value: Any) -> str | None:
        fits = isinstance(value, list) and (most is None or len(value) <= most)
        return None if fits else "a list" + (f" of at most {most}" if most is not None else "")

    return check


def checked(model: str, given: Mapping[str, Any], known: Mapping[str, Check], under: str = "") -> dict[str, Any]:
    """``given`` as it came. ``under``: the field that the options stand in, as ``voice_settings``."""
    for name, value in given.items():
        param = f"{under}.{name}" if under else name
        if name not in known:
            raise Unsupported(f"{model} knows no option {param!r}; {hint(name, known)}", param=param)
        wrong = known[name](value)
        if wrong is not None:
            raise Refused(f"{param} of {model} must be {wrong}", param=param)
    return dict(given)


def hint(name: str, known: Collection[str]) -> str:
    """What may have been meant by a name that nobody knows."""
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else "leave it out"
