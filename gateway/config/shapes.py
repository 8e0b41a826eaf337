"""Checking plain data against a pydantic model, with pydantic's findings in plain words at their place in the file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gateway.config.problems import Place
from gateway.config.report import Report, did_you_mean, listing

M = TypeVar("M", bound=BaseModel)


class Unfit(ValueError):
    """What a validator of ours raises: with a hint. It must not quote the value."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


_NUMBER = "write a number, without quotes or a unit"
_FLAG = "write true or false"
_LIST = "write it as a list: [a, b]"
_MAPPING = "write `name: value` lines under the key"
_QUOTES = "put quotes around it"
_RANGE = "take a value in this range"
_PATH = "give a path on the machine that runs the server"

# Pydantic's error types (docs.pydantic.dev/latest/errors/validation_errors) in words, and what helps.
_WORDS = {
    "missing": ("is missing", "add it"),
    "extra_forbidden": ("unknown key", ""),
    "int_type": ("must be a whole number", _NUMBER),
    "int_parsing": ("must be a whole number", _NUMBER),
    "int_parsing_size": ("must be a whole number", "this one is too large"),
    "int_from_float": ("must be a whole number", "leave out the fraction"),
    "float_type": ("must be a number", _NUMBER),
    "float_parsing": ("must be a number", _NUMBER),
    "finite_number": ("must be a finite number", _NUMBER),
    "bool_type": ("must be true or false", _FLAG),
    "bool_parsing": ("must be true or false", _FLAG),
    "string_type": ("must be text", _QUOTES),
    "string_too_short": ("must have {min_length} or more characters", "write more"),
    "string_too_long": ("must have at most {max_length} characters", "write less"),
    "string_pattern_mismatch": ("must match {pattern}", "look at its spelling"),
    "too_short": ("must have {min_length} or more entries", "add some"),
    "too_long": ("must have at most {max_length} entries", "take some out"),
    "greater_than": ("must be more than {gt}", _RANGE),
    "greater_than_equal": ("must be {ge} or more", _RANGE),
    "less_than": ("must be less than {lt}", _RANGE),
    "less_than_equal": ("must be {le} or less", _RANGE),
    "literal_error": ("must be one of {expected}", "take one of these"),
    "enum": ("must be one of {expected}", "take one of these"),
    "dict_type": ("must be a mapping", _MAPPING),
    "mapping_type": ("must be a mapping", _MAPPING),
    "model_type": ("must be a mapping", _MAPPING),
    "list_type": ("must be a list", _LIST),
    "tuple_type": ("must be a list", _LIST),
    "set_type": ("must be a list", _LIST),
    "frozen_set_type": ("must be a list", _LIST),
    "path_type": ("must be a path", _PATH),
    "path_not_exists": ("does not exist", _PATH),
    "path_not_file": ("must be an existing file", _PATH),
    "path_not_directory": ("must be an existing folder", _PATH),
    "url_type": ("must be a URL", "write it as https://host/path"),
    "url_parsing": ("must be a URL", "write it as https://host/path"),
    "url_scheme": ("must begin with {expected_schemes}", "write it as https://host/path"),
}


def check(
    report: Report, shape: type[M], values: Mapping[str, Any], at: Place, failed: Collection[str] = ()
) -> M | None:
    """An instance of ``shape``, or ``None`` with every fault reported. Keys in ``failed`` are reported already."""
    flags = _misplaced_flags(shape, values)
    for key, word in flags.items():
        report.error((*at, key), f"must be {word}, got {str(values[key]).lower()}", _NUMBER)
    done = {*failed, *flags}
    faults: list[ErrorDetails] = []
    try:
        good = shape.model_validate({key: value for key, value in values.items() if key not in done})
    except ValidationError as error:
        faults = error.errors(include_url=False)
    else:
        return None if flags else good
    by_place = defaultdict(list)
    for fault in faults:
        if not fault["loc"] or fault["loc"][0] not in done:
            by_place[_place(report, at, values, fault)].append(fault)
    # Of a union's members the one that got furthest is the one that was meant.
    passed = {place[:length] for place in by_place for length in range(len(place))}
    for place, group in by_place.items():
        if place not in passed:
            _report(report, shape, place, group)
    return None


def names_of(shape: type[BaseModel]) -> dict[str, FieldInfo]:
    """The YAML keys of ``shape`` with their fields."""
    return {
        field.validation_alias if isinstance(field.validation_alias, str) else name: field
        for name, field in shape.model_fields.items()
    }


def _misplaced_flags(shape: type[BaseModel], values: Mapping[str, Any]) -> dict[str, str]:
    """Keys that take a number and hold a flag: for pydantic ``yes`` would be 1."""
    found = {}
    for key, field in names_of(shape).items():
        kinds = _kinds(field)
        if isinstance(values.get(key), bool) and bool not in kinds and (int in kinds or float in kinds):
            found[key] = "a number" if float in kinds else "a whole number"
    return found


def _kinds(field: FieldInfo) -> list[Any]:
    """The types that a field may have: the members of its union, without their annotations."""
    members = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else (field.annotation,)
    return [get_args(member)[0] if get_origin(member) is Annotated else member for member in members]


def _place(report: Report, at: Place, values: Mapping[str, Any], fault: ErrorDetails) -> Place:
    """Where in the file. Pydantic's path also holds labels (of union members, say) that are no keys."""
    place = at
    for part in fault["loc"]:
        if report.written((*place, part)) or (place == at and part in values):
            place = (*place, part)
    return (*place, fault["loc"][-1]) if fault["type"] == "missing" else place


def _report(report: Report, shape: type[BaseModel], place: Place, faults: list[ErrorDetails]) -> None:
    """One problem for all that is wrong at ``place``: the members of a union fail one by one."""
    first = faults[0]
    inner, holds_secret = _model_at(shape, first["loc"])
    secret = holds_secret or report.may_be_secret(place, first["input"])
    worded = [_worded(fault, secret=secret) for fault in faults]
    phrases = list(dict.fromkeys(phrase for phrase, _ in worded))
    message = phrases[0]
    if len(phrases) > 1:
        message = "must be " + " or ".join(phrase.removeprefix("must be ") for phrase in phrases)
    shown = report.shown(place, first["input"], secret=secret)
    at_key = first["type"] in ("extra_forbidden", "missing") or first["loc"][-1:] == ("[key]",)
    if message.startswith("must") and not at_key and first["input"] != "":
        message = f"{message}, got {shown}"
    hint = worded[0][1]
    if first["type"] == "extra_forbidden":
        hint = did_you_mean(str(place[-1]), names_of(inner)) or listing("keys here", sorted(names_of(inner)))
    if hint == _QUOTES and isinstance(first["input"], dict | list | None):
        hint = "write one value on the line"
    if first["type"] in ("literal_error", "enum") and isinstance(first["input"], str) and shown != "text":
        options = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        hint = did_you_mean(first["input"], options) or hint
    report.error(place, message, hint, at_key=at_key)


def _model_at(shape: type[BaseModel], loc: Iterable[int | str]) -> tuple[type[BaseModel], bool]:
    """The last model on the way that ``loc`` goes, and whether there is a secret on it."""
    secret = False
    for part in loc:
        field = names_of(shape).get(str(part))
        if field is not None:
            secret = secret or "Secret" in str(field.annotation)
            models = [kind for kind in _kinds(field) if isinstance(kind, type) and issubclass(kind, BaseModel)]
            shape = models[0] if models else shape
    return shape, secret


def _worded(fault: ErrorDetails, *, secret: bool) -> tuple[str, str]:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        raised, given = context["error"], fault["input"]
        if isinstance(raised, Unfit):
            return str(raised), raised.hint
        # A vendor's validator: written to be read, but it may quote what it was given.
        text = str(raised)
        quotes = secret or (isinstance(given, str) and len(given) > 3 and given in text)
        return ("is not valid" if quotes or not text else text), "see the documentation of this key"
    if kind == "string_too_short" and context["min_length"] == 1:
        return "must not be empty", "write a value, or take the line out"
    if kind in _WORDS:
        phrase, hint = _WORDS[kind]
        numbers = {name: f"{v:g}" if isinstance(v, float) else v for name, v in context.items()}
        return phrase.format(**numbers), hint
    text = fault["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    return text[:1].lower() + text[1:], "see the documentation of this key"
