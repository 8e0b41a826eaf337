"""The migration: what does nothing here is taken out of the copy, round by round, and the rest is remarked on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.config import ConfigError, Problem, Vendors, parse_config
from gateway.config.problems import Place, dotted, spelled
from gateway.config.report import Report
from gateway.config.source import Source, parse
from gateway.migration.draft import Draft, without
from gateway.migration.parts import Part, Parts
from gateway.migration.standing_in import UNSET, stand_ins
from gateway.migration.survey import Survey
from gateway.migration.verdicts import Verdict
from providers.base import registry

# The reader lists a thousand problems at a time, in at most 50,000 values.
_MAX_ROUNDS = 60

Kind = Literal["works", "no model", "nothing", "different", "by hand"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What becomes of something in the file. ``no model``: an entry that is commented out; ``nothing``: a setting that
    is. ``line`` is the original's, 0 where it is about none. Holds no secrets."""

    kind: Kind
    line: int
    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Migration:
    """``text`` is the copy; ``secrets``: some stand in it."""

    text: str = field(repr=False)
    findings: tuple[Finding, ...]
    secrets: bool

    def of(self, *kinds: Kind) -> list[Finding]:
        """The findings of these kinds, in the order of the file."""
        return [each for each in self.findings if each.kind in kinds]


def migrate(
    text: str, file: Path, copy: Path, *, env: Mapping[str, str] = os.environ, vendors: Vendors = registry
) -> Migration:
    """The config ``text`` of ``file``, of which a copy is to lie at ``copy``.

    Raises ``ConfigError`` where it is no YAML mapping.
    """

    def problems(text: str, known: Mapping[str, str] = env) -> tuple[Problem, ...]:
        try:
            return parse_config(text, copy, env=known, vendors=vendors).warnings
        except ConfigError as error:
            return error.problems

    source = parse(text, str(file))
    all_set = {**env, **stand_ins(source, env, lambda known: problems(text, known))}

    def survey() -> Survey:
        return Survey(draft.text, lambda text: problems(text, all_set), vendors)

    draft, findings = Draft(text), _Findings(text)
    for _ in range(_MAX_ROUNDS):
        now = survey()
        if not (out := now.to_take_out()):
            break
        draft.text = without(now.parts, out)
        for part in sorted(out, key=lambda part: part.start):
            draft.give_reason(now.parts, part, out[part].words)
        findings.add_taken_out(now, out)
    last = survey()
    for verdict in (*last.verdicts, *last.remarks()):
        hand, words = _rest(last.parts, verdict)
        draft.remark(last.parts, verdict.part, f"to do by hand: {words}" if hand else words)
        findings.add("by hand" if hand else "different", last.parts, verdict.part, words)
    findings.add_models(last)
    findings.add_unset(problems(draft.text))
    return Migration(draft.finished(), findings.in_order(), _has_secrets(source))


class _Findings:
    """Collects them, by their places in the ``original``."""

    def __init__(self, original: str) -> None:
        self._original = Parts(original)
        self._found: dict[Finding, None] = {}

    def in_order(self) -> tuple[Finding, ...]:
        return tuple(sorted(self._found, key=lambda each: each.line))

    def add(self, kind: Kind, parts: Parts, part: Part, text: str) -> None:
        mark = parts.mark(part)
        before = self._original.at(mark, part.name) or part
        where = dotted(tuple(each.name for each in before.way[1:]))
        self._found[Finding(kind, mark.line, where, text)] = None

    def add_taken_out(self, survey: Survey, out: Mapping[Part, Verdict]) -> None:
        """Once for each verdict, but for those on settings of a model that is gone."""
        models = {part: entry for _, part, entry in survey.entries() if part in out}
        for part, entry in models.items():
            name, line = spelled(str(entry.get("model_name"))), survey.parts.mark(part).line
            self._found[Finding("no model", line, name, out[part].words)] = None
        for verdict in survey.verdicts:
            gone = [part for part in verdict.out if not out.keys().isdisjoint(part.way)]
            if gone and not any(part in models for part in verdict.part.way):
                kind: Kind = "by hand" if verdict.by_hand else "different" if verdict.different else "nothing"
                self.add(kind, survey.parts, verdict.part, verdict.words)

    def add_models(self, survey: Survey) -> None:
        """The entries that nothing is wrong with, variables that are not set aside."""
        bad = {each.where.partition("]")[0] for each in survey.problems if each.severity == "error"}
        others = {part for verdict in survey.verdicts if verdict.error for part in verdict.out}
        count = 0
        for index, part, entry in survey.entries():
            if f"model_list[{index}" not in bad and part not in others:
                params = entry.get("litellm_params", entry.get("params"))
                model = params.get("model") if isinstance(params, dict) else None
                name, line = spelled(str(entry.get("model_name"))), survey.parts.mark(part).line
                self._found[Finding("works", line, name, spelled(str(model)))] = None
                count += 1
        if not count:
            text = "no entry of model_list is left that works: add one (docs/providers.md)"
            self._found[Finding("by hand", 0, "model_list", text)] = None

    def add_unset(self, problems: tuple[Problem, ...]) -> None:
        unset = [each.message.removeprefix(UNSET).split()[0] for each in problems if each.message.startswith(UNSET)]
        if unset:
            names = ", ".join(dict.fromkeys(unset))
            text = f"set these variables of the environment, which are not set here: {names}"
            self._found[Finding("by hand", 0, "", text)] = None


def _rest(parts: Parts, verdict: Verdict) -> tuple[bool, str]:
    """Whether what is left in the copy is to be done by hand, and what to say of it."""
    if not verdict.out:
        return verdict.error, verdict.words
    anchor = next(filter(None, map(parts.tied, verdict.out)), "")
    why = "it cannot be taken out on its own"
    if anchor:
        name = spelled(anchor)
        why = f"&{name} in it is repeated elsewhere: move what it holds under a key of its own at the top, x-{name}"
    return verdict.error or verdict.by_hand, f"{verdict.words}; still there, as {why}"


def _has_secrets(source: Source) -> bool:
    """Whether the file has texts that may be secrets, and are not taken from the environment."""
    report = Report(source)
    texts = (each for each in _texts((), source.data) if not each[1].startswith("os.environ/"))
    return any(report.may_be_secret(place, text) for place, text in texts)


def _texts(place: Place, value: Any) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield place, value
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in pairs:
        yield from _texts((*place, key), each)
