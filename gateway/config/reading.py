"""One mapping at a time: its keys sorted, its references to the environment replaced, its values checked."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from gateway.config.problems import Place, spelled
from gateway.config.report import Report, did_you_mean
from gateway.config.shapes import M, check, names_of

_REFERENCE = "os.environ/"
_VARIABLE = re.compile(r"[A-Za-z_]\w{0,199}", re.ASCII)


K = TypeVar("K", str, int)


class _Missing(Exception):
    """A reference that cannot be replaced; it is reported already."""


class Reading:
    """A report, and the environment that ``os.environ/NAME`` refers to."""

    def __init__(self, report: Report, env: Mapping[str, str]) -> None:
        self.report = report
        self.env = env

    def mapping(self, place: Place, value: Any) -> dict[str, Any]:
        """``value`` if it is a mapping; empty where nothing stands, or something else (which is reported)."""
        if isinstance(value, dict):
            return value
        if value is not None:
            got = self.report.shown(place, value)
            self.report.error(place, f"must be a mapping, got {got}", "write `name: value` lines under the key")
        return {}

    def sort(
        self, place: Place, data: Mapping[str, Any], acted: Collection[str], known: Collection[str] = ()
    ) -> dict[str, Any]:
        """The entries that are acted on and have a value; a warning for each other one of LiteLLM's, else an error."""
        for key in data:
            if key in acted:
                continue
            if key in known:
                self.report.not_acted_on((*place, key))
            else:
                self.report.unknown_key((*place, key), acted, known)
        return {key: value for key, value in data.items() if key in acted and value is not None}

    def resolve(self, place: Place, data: Mapping[K, Any]) -> tuple[dict[K, Any], set[K]]:
        """``data`` with its references replaced, and the keys where that was not possible."""
        resolved: dict[K, Any] = {}
        failed = set[K]()
        for key, value in data.items():
            try:
                resolved[key] = self._replaced((*place, key), value)
            except _Missing:
                failed.add(key)
        return resolved, failed

    def fill(self, shape: type[M], place: Place, data: Mapping[str, Any], known: Collection[str] = ()) -> M | None:
        """The mapping at ``place`` as ``shape``. ``None``, with the faults reported, where it does not fit."""
        return self.part(shape, place, self.sort(place, data, names_of(shape), known))

    def part(self, shape: type[M], place: Place, data: Mapping[str, Any]) -> M | None:
        """As ``fill``, of those keys alone that ``shape`` has."""
        own = {key: value for key, value in data.items() if key in names_of(shape) and value is not None}
        values, failed = self.resolve(place, own)
        good = check(self.report, shape, values, place, failed)
        return None if failed else good

    def _replaced(self, place: Place, value: Any) -> Any:
        match value:
            case dict() | list():
                return self._all_replaced(place, value)
            case str() if value.startswith(_REFERENCE):
                return self._variable(place, value.removeprefix(_REFERENCE).strip())
            case _:
                return value

    def _all_replaced(self, place: Place, value: dict[str, Any] | list[Any]) -> Any:
        """What cannot be replaced is left out of a mapping; a list fails as a whole, so that its indexes stay."""
        if isinstance(value, dict):
            return self.resolve(place, value)[0]
        found, failed = self.resolve(place, dict(enumerate(value)))
        if failed:
            raise _Missing
        return list(found.values())

    def _variable(self, place: Place, name: str) -> str:
        if not _VARIABLE.fullmatch(name):
            hint = "write os.environ/NAME, with letters, digits and _ in the name"
            self.report.error(place, "no name of an environment variable after os.environ/", hint)
            raise _Missing
        if name not in self.env:
            hint = "set it before the start, or under environment_variables"
            near = "" if self.report.full else did_you_mean(name, self.env, cutoff=0.75)
            self.report.error(place, f"environment variable {spelled(name)} is not set", near or hint)
            raise _Missing
        self.report.conceal(place, self.env[name])
        return self.env[name]


def environment(report: Report, env: Mapping[str, str], data: Any) -> dict[str, str]:
    """The environment with ``environment_variables`` of the file on top.

    LiteLLM writes them into its own process's environment, over what was there; here only this file sees them.
    """
    place = ("environment_variables",)
    reading = Reading(report, env)
    values, _ = reading.resolve(place, reading.mapping(place, data))
    own = {}
    for name, value in values.items():
        if isinstance(value, str | bool | int | float):
            own[name] = str(value)
        else:
            got = report.shown((*place, name), value)
            report.error((*place, name), f"must be text, got {got}", "write one value on the line")
    return {**env, **own}
