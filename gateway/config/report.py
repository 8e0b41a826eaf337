"""The problems found so far, and how values, names and near misses are put into words without giving a secret away."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from gateway.config.problems import START, ConfigError, Mark, Place, Problem, dotted, in_order, spelled
from gateway.config.source import Source

MAX_PROBLEMS = 1000
_MAX_SHOWN = 40
_SECRET_NAME = re.compile(r"key|secret|token|passw|credential|auth|cookie", re.IGNORECASE)
# Looks like a key, or like an address with a password in it.
_SECRET_TEXT = re.compile(r"sk-|Bearer |.*://.*@", re.IGNORECASE | re.DOTALL)


class Report:
    """Collects problems by the place of the value that they are about."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._problems = list(source.problems)
        self._broken = {(p.line, p.column) for p in source.problems}
        self._concealed = set[Place]()
        self._concealed_values = set[str]()
        self.errors = 0

    @property
    def full(self) -> bool:
        """Whether there are so many problems that further ones are not listed."""
        return len(self._problems) >= MAX_PROBLEMS

    def error(self, place: Place, message: str, hint: str, *, at_key: bool = False) -> None:
        """A fault of the value at ``place`` (of its key: ``at_key``), or of the nearest thing around it that exists."""
        self.errors += 1
        self._add("error", place, message, hint, at_key=at_key)

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        """Something to know about the key at ``place``."""
        self._add("warning", place, message, hint, at_key=True)

    def not_acted_on(self, place: Place) -> None:
        """The one warning for a key of LiteLLM's that does nothing here."""
        self.warn(place, "known to LiteLLM, not acted on here")

    def unknown_key(self, place: Place, acted: Iterable[str], known: Collection[str] = ()) -> None:
        """A key that nobody knows at this place."""
        if self.full:
            return
        ours, key = sorted(acted), str(place[-1])
        near = did_you_mean(key, known, cutoff=0.88) or did_you_mean(key, ours) or did_you_mean(key, known, cutoff=0.75)
        self.error(place, "unknown key", near or listing("keys here", ours), at_key=True)

    def conceal(self, place: Place, value: str) -> None:
        """From now on ``value`` at ``place`` (it came from the environment) is not shown."""
        self._concealed.add(place)
        self._concealed_values.add(value)

    def public(self, names: Iterable[str]) -> list[str]:
        """Those of ``names`` that may be shown, sorted."""
        return sorted(name for name in names if name not in self._concealed_values)

    def shown(self, place: Place, value: Any, *, secret: bool = False) -> str:
        """``value`` in words: ``text 'abc'``, ``the number 5``, ``a list``. Of a possible secret only its kind."""
        if value is None or isinstance(value, bool):
            return {None: "nothing", True: "true", False: "false"}[value]
        if isinstance(value, dict | list):
            return "a mapping" if isinstance(value, dict) else "a list"
        text = isinstance(value, str)
        if secret or self.may_be_secret(place, value):
            return "text" if text else "a number"
        return f"text {quoted(value)}" if text else f"the number {value}"

    def named(self, place: Place, value: str) -> str:
        """A name in quotes with a space before it, or nothing where it may be a secret."""
        return "" if self.may_be_secret(place, value) else f" {quoted(value)}"

    def may_be_secret(self, place: Place, value: Any) -> bool:
        """By the names on the way to it, by where it came from, or by its looks."""
        return (
            any(place[: length + 1] in self._concealed for length in range(len(place)))
            or any(isinstance(part, str) and _SECRET_NAME.search(part) for part in place)
            or (isinstance(value, str) and (len(value) > 256 or _SECRET_TEXT.match(value) is not None))
        )

    def line(self, place: Place) -> int:
        """The line on which the value at ``place`` starts."""
        return self._mark(place, at_key=False).line

    def written(self, place: Place) -> bool:
        """Whether there is something at ``place`` in the file."""
        return place in self._source.values

    def _mark(self, place: Place, *, at_key: bool) -> Mark:
        source = self._source
        if not at_key and place in source.values:
            return source.values[place]
        for length in range(len(place), 0, -1):
            mark = source.keys.get(place[:length]) or source.values.get(place[:length])
            if mark is not None:
                return mark
        return START

    def _add(
        self, severity: Literal["error", "warning"], place: Place, message: str, hint: str, *, at_key: bool
    ) -> None:
        mark = self._mark(place, at_key=at_key)
        # What is broken as YAML is often wrong as a setting too, and only because of that.
        source = self._source
        if self.full or (mark in self._broken and mark in (source.keys.get(place), source.values.get(place))):
            return
        where = dotted(place)
        if len(self._problems) == MAX_PROBLEMS - 1:
            severity, where = "error", ""
            message, hint = "there are more problems than can be listed", "mend these first"
        self._problems.append(Problem(severity, source.file, *mark, where, message, hint))

    def finish(self) -> tuple[Problem, ...]:
        """The warnings. Raises ``ConfigError`` if there was an error."""
        if any(problem.severity == "error" for problem in self._problems):
            raise ConfigError(self._problems)
        return in_order(self._problems)


def did_you_mean(word: str, candidates: Collection[str], *, cutoff: float = 0.6) -> str:
    """``did you mean 'voice'?``, or nothing where none is near (or where looking would take long)."""
    if len(word) > 100 or len(candidates) > 2000:
        return ""
    by_folded = {candidate.lower(): candidate for candidate in candidates}
    near = get_close_matches(word.lower(), by_folded, n=1, cutoff=cutoff)
    return f"did you mean {quoted(by_folded[near[0]])}?" if near else ""


def listing(what: str, names: Collection[str]) -> str:
    """``what: a, b, c``, cut short."""
    some: Sequence[str] = list(names)[:12]
    return f"{what}: {', '.join(some) or 'none'}{', …' if len(names) > len(some) else ''}"


def quoted(text: str) -> str:
    """In quotes, with control characters as escapes, and cut short."""
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")


def chain(names: Iterable[str]) -> str:
    """``a -> b -> a``."""
    return " -> ".join(map(spelled, names))
