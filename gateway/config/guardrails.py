"""``guardrails``: what is to be done to the texts of callers, in LiteLLM's words.

Source: LiteLLM's guardrail documentation and its types (``litellm/types/guardrails.py``), version 1.109. A guard that
could not be kept to what the file says is an error, never left out: somebody relies on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, FiniteFloat

from gateway.config import litellm_keys
from gateway.config.content_filter import ContentFilterSettings, read_content_filter
from gateway.config.problems import Place
from gateway.config.reading import Reading
from gateway.config.report import did_you_mean, listing
from gateway.config.shapes import Unfit, names_of
from gateway.policy.guards import pii

_KINDS = ("litellm_content_filter", "presidio", "media_gateway/length")
_ACTING = ("pre_call", "during_call")
_MODES = (*_ACTING, "post_call", "logging_only", "pre_mcp_call")
_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


class LengthSettings(BaseModel):
    """``media_gateway/length``."""

    max_characters: Annotated[int, Field(ge=1)]


class PiiSettings(BaseModel):
    """``presidio``, run in this process."""

    pii_entities_config: Annotated[dict[str, Literal["MASK", "BLOCK"]], Field(min_length=1)]
    presidio_score_thresholds: dict[str, Annotated[FiniteFloat, Field(ge=0, le=1)]] = {}
    presidio_entities_deny_list: tuple[str, ...] = ()
    presidio_filter_scope: Literal["input", "both"] | None = None
    presidio_run_on: Literal["input", "both"] | None = None


@dataclass(frozen=True, slots=True)
class HookSettings:
    """A Python hook. ``path`` is ``module.name``, beside the config or installed; ``params`` go to its class.

    ``moderation``: of LiteLLM's two hooks, the one for ``during_call``.
    """

    path: str
    folder: Path
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)  # may hold keys
    moderation: bool = False


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One guard. ``default_on``: of every call, not only of those that name it. ``timeout`` is in seconds.

    ``settings`` is ``None`` for a guard whose modes never run here: a request may name it, and it does nothing.
    """

    name: str
    default_on: bool = False
    timeout: float = 5.0
    settings: ContentFilterSettings | PiiSettings | LengthSettings | HookSettings | None = None


def _name(name: str) -> str:
    if not name.isprintable() or name != name.strip() or "," in name:
        raise Unfit("must hold no control characters, commas, nor spaces at its ends", "write it as callers send it")
    return name


class _Entry(BaseModel):
    guardrail_name: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_name)]


class _Common(BaseModel):
    guardrail: Annotated[str, Field(min_length=1, max_length=256)]
    default_on: bool = False
    timeout: Annotated[FiniteFloat, Field(gt=0)] = 5.0


def read_guardrails(reading: Reading, data: Any, folder: Path) -> tuple[Guardrail, ...]:
    """The guards in the order of the file; those that are wrong are reported and left out. ``folder``: the file's."""
    place = ("guardrails",)
    if data is not None and not isinstance(data, list):
        got = reading.report.shown(place, data)
        reading.report.error(place, f"must be a list, got {got}", "write `- guardrail_name: …` lines under the key")
    found: dict[str, Guardrail] = {}
    for index, item in enumerate(data if isinstance(data, list) else ()):
        guard = _read(reading, (*place, index), item, folder)
        if guard is not None and guard.name in found:
            where = (*place, index, "guardrail_name")
            reading.report.error(where, "is the name of an earlier guardrail", "give each a name of its own")
        elif guard is not None:
            found[guard.name] = guard
    return tuple(found.values())


def none_elsewhere(reading: Reading, place: Place, data: dict[str, Any]) -> dict[str, Any]:
    """``data`` without guards of LiteLLM's that are declared in it; each is an error, as nothing would run it."""
    found = [key for key in data if key in (litellm_keys.GUARDS_ELSEWHERE if place else litellm_keys.POLICIES)]
    for key in found:
        hint = "list them under guardrails: at the top of the file, with default_on: true"
        reading.report.error((*place, key), "guards are not read from here, and would not run", hint, at_key=True)
    return {key: value for key, value in data.items() if key not in found}


def _read(reading: Reading, place: Place, data: Any, folder: Path) -> Guardrail | None:
    acted = ("guardrail_name", "litellm_params")
    written = reading.sort(place, reading.mapping(place, data), acted, litellm_keys.GUARDRAIL)
    if not written:
        if isinstance(data, dict):
            reading.report.error(place, "is not a guardrail", "write `guardrail_name:` and `litellm_params:`")
        return None
    entry = reading.part(_Entry, place, written)
    where = (*place, "litellm_params")
    if "litellm_params" not in written:
        reading.report.error(where, "is missing", "write `guardrail:` and `mode:` under it", at_key=True)
        return None
    params = reading.mapping(where, written["litellm_params"])
    common = reading.part(_Common, where, params)
    modes = _modes(reading, (*where, "mode"), params.get("mode"))
    if entry is None or common is None or modes is None:
        return None
    if not modes or "output" in (params.get("presidio_filter_scope"), params.get("presidio_run_on")):
        message = "this guard looks at answers, and media has no text in them: it does nothing here"
        reading.report.warn((*where, "mode"), message, "mode: pre_call looks at what callers send")
        return Guardrail(entry.guardrail_name)
    rest = {key: value for key, value in params.items() if key not in (*names_of(_Common), "mode")}
    settings = _settings(reading, where, common.guardrail, rest, folder)
    if isinstance(settings, HookSettings):
        settings = HookSettings(settings.path, folder, settings.params, "pre_call" not in modes)
    if settings is None:
        return None
    return Guardrail(entry.guardrail_name, common.default_on, common.timeout, settings)


def _modes(reading: Reading, place: Place, given: Any) -> list[str] | None:
    """Those that run here; a warning for the others. ``None``, with the fault reported, where one is unknown."""
    report = reading.report
    if given is None:
        report.error(place, "is missing", "write `mode: pre_call`", at_key=True)
        return None
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, list) or not all(isinstance(mode, str) for mode in given):
        got = report.shown(place, given)
        report.error(place, f"must be a mode or a list of them, got {got}", "write `mode: pre_call`")
        return None
    modes = [mode.lower() for mode in given]
    for mode in modes:
        if mode not in _MODES:
            hint = did_you_mean(mode, _MODES) or listing("modes", _MODES)
            report.error(place, f"no mode{report.named(place, mode)}", hint)
            return None
    acting = [mode for mode in modes if mode in _ACTING]
    others = [mode for mode in modes if mode not in _ACTING]
    if acting and others:
        report.warn(place, f"{', '.join(others)} is not acted on: media has no text in its answers")
    if "during_call" in acting:
        report.warn(place, "during_call runs before the call here, so that a call that is refused costs nothing")
    return acting


def _settings(
    reading: Reading, place: Place, kind: str, rest: dict[str, Any], folder: Path
) -> ContentFilterSettings | PiiSettings | LengthSettings | HookSettings | None:
    if kind == "litellm_content_filter":
        return read_content_filter(reading, place, rest, folder)
    if kind == "presidio":
        return _pii(reading, place, rest)
    if kind == "media_gateway/length":
        return reading.fill(LengthSettings, place, rest, litellm_keys.GUARDRAIL_PARAMS)
    where = (*place, "guardrail")
    if not _IMPORT_PATH.fullmatch(kind):
        near = did_you_mean(kind, _KINDS) or listing("there are", _KINDS)
        hint = f"{near}; or a Python hook as module.name; or take the entry out to run without it"
        reading.report.error(where, f"no guardrail{reading.report.named(where, kind)} is built in here", hint)
        return None
    parts = kind.split(".")[:-1]
    file = folder.joinpath(*parts)
    if not (file.with_suffix(".py").is_file() or (file / "__init__.py").is_file()) and find_spec(parts[0]) is None:
        message = f"no Python module{reading.report.named(where, '.'.join(parts))} beside this file, nor installed"
        reading.report.error(where, message, f"put {parts[-1]}.py into the folder of this file")
        return None
    params, failed = reading.resolve(place, rest)
    return None if failed else HookSettings(kind, folder, params)


def _pii(reading: Reading, place: Place, rest: dict[str, Any]) -> PiiSettings | None:
    report = reading.report
    if "presidio_ad_hoc_recognizers" in rest:
        where = (*place, "presidio_ad_hoc_recognizers")
        hint = "write what they look for as patterns of litellm_content_filter"
        report.error(where, "is not supported", hint, at_key=True)
        rest = {key: value for key, value in rest.items() if key != "presidio_ad_hoc_recognizers"}
    settings = reading.fill(PiiSettings, place, rest, litellm_keys.GUARDRAIL_PARAMS)
    if settings is None:
        return None
    if not pii.available():
        message = "needs the Python package presidio-analyzer, which is not installed"
        report.error((*place, "guardrail"), message, 'pip install "media-gateway[pii]"')
        return None
    known = pii.recognizers()
    unknown = [entity for entity in settings.pii_entities_config if entity not in known]
    for entity in unknown:
        where = (*place, "pii_entities_config", entity)
        message, hint = "is nothing that Presidio finds", did_you_mean(entity, known)
        if entity in ("PERSON", "LOCATION", "NRP", "ORGANIZATION"):
            message, hint = "takes a language model to find, and none is used here", "take the line out"
        report.error(where, message, hint or listing("it finds", sorted(known)), at_key=True)
    return None if unknown else settings
