"""``callbacks``, ``success_callback`` and ``failure_callback`` of ``litellm_settings``: who is told of calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from gateway.config.problems import Place
from gateway.config.reading import Reading

KEYS = ("callbacks", "success_callback", "failure_callback")

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_EXTRA = 'pip install "media-gateway[otel]"'


@dataclass(frozen=True, slots=True)
class Callback:
    """A custom logger: ``path`` is ``module.name``, beside the config or installed. ``of``: which calls."""

    path: str
    of: Literal["all", "success", "failure"] = "all"

    def wants(self, *, failed: bool) -> bool:
        """Whether it is told of such a call."""
        return self.of in ("all", "failure" if failed else "success")


def read_callbacks(reading: Reading, place: Place, data: dict[str, Any], folder: Path) -> tuple[Callback, ...]:
    """The loggers in the order of the file, ``otel`` among them. What is wrong is reported and left out."""
    found: dict[Callback, None] = {}
    for key in KEYS:
        where = (*place, key)
        given = data.get(key)
        names = [given] if isinstance(given, str) else [] if given is None else given
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            got = reading.report.shown(where, given)
            reading.report.error(where, f"must be a name or a list of names, got {got}", "write it as [module.name]")
            continue
        for index, name in enumerate(names):
            at = where if isinstance(given, str) else (*where, index)
            if _known(reading, at, name, folder):
                of: Literal["all", "success", "failure"]
                of = "success" if key == "success_callback" else "failure" if key == "failure_callback" else "all"
                found[Callback(name, of)] = None
    return tuple(found)


def _known(reading: Reading, place: Place, name: str, folder: Path) -> bool:
    report = reading.report
    if name == "prometheus":
        return False  # metrics are always there
    if name == "otel":
        if find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None:
            return True
        report.error(place, "needs the packages of OpenTelemetry, which are not installed", _EXTRA)
        return False
    if not _PATH.fullmatch(name):
        message = f"no callback{report.named(place, name)} is built in here: nobody is told of calls"
        report.warn(place, message, "there are prometheus, otel, and your own as module.name")
        return False
    parts = name.split(".")[:-1]
    file = folder.joinpath(*parts)
    if not (file.with_suffix(".py").is_file() or (file / "__init__.py").is_file()) and find_spec(parts[0]) is None:
        message = f"no Python module{report.named(place, '.'.join(parts))} beside this file, nor installed"
        report.error(place, message, f"put {parts[-1]}.py into the folder of this file")
        return False
    return True
