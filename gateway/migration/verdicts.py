"""What is to be done about each problem that the reader of configs finds."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.problems import Problem
from gateway.migration.parts import Part
from gateway.migration.words import NOTHING, is_limit, why_nothing

_OFF = ("", "~", "null", "[]", "{}", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Verdict:
    """``out``: the parts to take out of the copy; none of them: a remark above ``part``. ``error``: as it is written
    the server would not start. ``by_hand``: the user has to see to it, also when it is out."""

    part: Part
    words: str
    out: tuple[Part, ...] = ()
    by_hand: bool = False
    error: bool = False
    different: bool = False


def judge(problem: Problem, part: Part, value: str) -> Verdict:
    """The verdict on a problem, and the part that it is about. ``value`` is what stands there."""
    message, error = problem.message, problem.severity == "error"
    # Lines have other numbers in the copy.
    words = message if not problem.hint or " line " in problem.hint else f"{message} ({problem.hint})"
    names = [each.name for each in part.way[1:]]
    section = names[0] if names else ""
    if message == "known to LiteLLM, not acted on here":
        return _does_nothing(part, value)
    if section == "include" and len(names) == 1:
        return Verdict(part, "other files are not read: copy what they hold into this one", (part,), by_hand=True)
    if message == "unknown key" and section != "guardrails":
        near = f" ({problem.hint})" if problem.hint.startswith("did you mean") else ""
        return Verdict(part, f"unknown to LiteLLM, and here{near}", (part,), error=True)
    if section == "model_list" and error and len(names) > 1:
        return _entry(part, message, words)
    if section in ("router_settings", "litellm_settings"):
        return _setting(part, problem, words)
    return Verdict(part, words, error=error, different=not error)


def _does_nothing(part: Part, value: str) -> Verdict:
    key = str(part.name)
    off = value.lower() in _OFF
    return Verdict(part, NOTHING if off else why_nothing(key), (part,), by_hand=is_limit(key) and not off)


def _entry(part: Part, message: str, words: str) -> Verdict:
    entry = part.way[2]
    if message.startswith("no vendor"):
        return Verdict(entry, f"{message} here", (entry,), error=True)
    if message.startswith("must be <vendor>/<model>, got text"):
        return Verdict(entry, "no vendor is named in its model", (entry,), error=True)
    if " has no model" in message:
        return Verdict(entry, f"{message} here", (entry,), error=True)
    return Verdict(part, words, error=True)


def _setting(part: Part, problem: Problem, words: str) -> Verdict:
    message, error = problem.message, problem.severity == "error"
    outer = part.parent
    if message.startswith("no model_name or alias"):
        if part.name == "model" and outer is not None:  # of an alias in its longer form
            part = outer
        return Verdict(
            part, f"{message} here".replace("or alias here", "or alias of this name here"), (part,), error=True
        )
    if message.startswith("the cache is off: "):
        cache = tuple(each for each in part.way[1].children if each.name in ("cache", "cache_params"))
        return Verdict(part, words, cache, different=True)
    if message.startswith("is not one of ours: "):
        return Verdict(part, words, (part,), different=True)
    if error and part.bare and message.endswith("got nothing"):
        return Verdict(part, "nothing is left of it", (part,), error=True)
    if message == "the group falls back to itself" or message.startswith(
        ("has no effect: ", "does nothing, since", "no callback", "router_settings has another value")
    ):
        return Verdict(part, message, (part,), error=error)
    return Verdict(part, words, error=error, different=not error)
