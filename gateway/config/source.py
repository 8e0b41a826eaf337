"""A YAML file as plain data, with the position of every key and value. Strict where YAML itself would let things pass.

Scalars mean what PyYAML's safe loader takes them for (``on``, ``off``, ``yes`` and ``no`` are booleans: YAML 1.1, as
in LiteLLM), but for dates, which stay text: ``api_version: 2024-11-06``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gateway.config.nodes import Fault, Walker, compose
from gateway.config.problems import START, ConfigError, Mark, Place, Problem

MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """What the file says. ``keys`` and ``values`` say where; ``problems`` are those that did not end the reading."""

    file: str
    data: dict[str, Any]
    keys: Mapping[Place, Mark]
    values: Mapping[Place, Mark]
    problems: tuple[Problem, ...]


def read(path: Path) -> str:
    """The text of the file. Raises ``ConfigError`` if it cannot be read, is over 1 MiB or is not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise _fatal(str(path), Fault(START, reason, "give the path of a YAML file that can be read")) from None
    if len(data) > MAX_BYTES:
        raise _fatal(str(path), Fault(START, "is over 1 MiB", "is this the right file?"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace").split("\n")
        mark = Mark(len(before), len(before[-1]) + 1)
    raise _fatal(str(path), Fault(mark, "is not UTF-8 text", "save the file with UTF-8 encoding"))


def parse(text: str, file: str) -> Source:
    """Read one YAML document whose top is a mapping. Raises ``ConfigError`` where there is no going on."""
    fault: Fault | None = None
    walker = Walker()
    data: Any = None
    try:
        root = compose(text)
        data = walker.build(root, ()) if root is not None else None
    except Fault as found:
        fault = found
    except yaml.YAMLError as error:
        fault = _syntax(error, text)
    if fault is None and data is None:
        fault = Fault(START, "the file is empty", "begin with `model_list:`")
    elif fault is None and not isinstance(data, dict):
        fault = Fault(walker.values[()], "the file must be a mapping", "begin with `model_list:`")
    found_so_far = [_problem(file, each) for each in walker.faults]
    if fault is not None:
        raise ConfigError([*found_so_far, _problem(file, fault)])
    return Source(file, data, walker.keys, walker.values, tuple(found_so_far))


def _problem(file: str, fault: Fault) -> Problem:
    return Problem("error", file, *fault.mark, fault.where, fault.message, fault.hint)


def _fatal(file: str, fault: Fault) -> ConfigError:
    return ConfigError([_problem(file, fault)])


# What PyYAML says, by a part of its words, and what helps. The words themselves are not shown where they quote the
# file: a password that starts with * or ! is read as an alias or a tag.
_SYNTAX = {
    "found character '\\t'": ("a tab is not allowed here", "indent with spaces"),
    "found undefined alias": (
        "an alias (*name) stands for nothing",
        "define it with &name further up, or put quotes around a value that starts with *",
    ),
    "found duplicate anchor": ("an anchor (&name) is defined twice", "give each anchor a name of its own"),
    "mapping values are not allowed": (
        "a `:` where no key can stand",
        "put quotes around a value that holds `: `, align the key with those above, and give the line above its `:`",
    ),
    "could not find expected ':'": (
        "a key without its `:`",
        "write `key: value`; a value of several lines needs quotes or `|`",
    ),
    "expected <block end>": (
        "this line does not fit the lines above",
        "align keys of one mapping, and the dashes of one list",
    ),
    "cannot start any token": ("a value cannot start with this character", "put quotes around the value"),
    "found unexpected end of stream": ("the file ends inside a quoted text", "close the quotes"),
    "expected ',' or": ("a `,` or the closing bracket is missing", "close every [ and { again"),
    "found unknown escape character": (
        "an unknown \\ sequence in double quotes",
        "use single quotes, or write \\\\ for a backslash",
    ),
}


def _syntax(error: yaml.YAMLError, text: str) -> Fault:
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position].split("\n")
        mark = Mark(len(before), len(before[-1]) + 1)
        return Fault(mark, f"the character U+{ord(text[error.position]):04X} is not allowed in YAML", "take it out")
    mark, words = START, ""
    if isinstance(error, yaml.MarkedYAMLError):
        at = error.problem_mark or error.context_mark
        mark = START if at is None else Mark(at.line + 1, at.column + 1)
        words = f"{error.context or ''} {error.problem or ''}"
    for part, (message, hint) in _SYNTAX.items():
        if part in words:
            return Fault(mark, f"not valid YAML: {message}", hint)
    return Fault(mark, "not valid YAML", "look at the indentation, the quotes and the brackets on this line and above")
