"""Faults of the file and of its YAML: those that end the reading, and those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import ConfigError
from tests.config.fakes import load, problems, the_problem


def _doubling(first: str, item: str) -> str:
    levels = (f"a{n + 1}: &a{n + 1} {item.format(', '.join([f'*a{n}'] * 8))}" for n in range(12))
    return "\n".join([f"a0: &a0 {first}", *levels])


BOMB = _doubling("[x, x]", "[{}]")
MERGE_BOMB = _doubling("{x: y}", "{{<<: [{}]}}")
MERGE_CHAIN = "a0: &a0 {x: y}\n" + "\n".join(f"a{n + 1}: &a{n + 1} {{<<: *a{n}}}" for n in range(2000))

# Faults that leave nothing to go on with: text, line, column, part of the message, part of the hint.
FATAL = [
    ("", 1, 1, "the file is empty", "model_list:"),
    ("# only this\n", 1, 1, "the file is empty", "model_list:"),
    ("---\n", 1, 1, "the file is empty", "model_list:"),
    ("\n- a\n- b\n", 2, 1, "must be a mapping", "model_list:"),
    ("text", 1, 1, "must be a mapping", "model_list:"),
    ("a: b\n---\na: c\n", 2, 1, "second document", "take out the `---`"),
    ("a: b\n\tc: d\n", 2, 1, "a tab is not allowed", "indent with spaces"),
    ("a:\n\t- b\n", 2, 1, "a tab is not allowed", "indent with spaces"),
    ("a: b: c\n", 1, 5, "where no key can stand", "quotes"),
    ("a:\n  b: 1\n c: 2\n", 3, 2, "does not fit the lines above", "align"),
    ("a: 1\nb\n", 3, 1, "a key without its `:`", "key: value"),
    ("a: 'b\n", 2, 1, "inside a quoted text", "close the quotes"),
    ("a: [1, 2\nb: 3\n", 2, 2, "closing bracket is missing", "close every ["),
    ("a: @b\n", 1, 4, "cannot start with this character", "quotes"),
    ("a: %b\n", 1, 4, "cannot start with this character", "quotes"),
    ('a: "\\d"\n', 1, 6, "unknown \\ sequence", "single quotes"),
    ('a: "\\UFFFFFFFF"\n', 1, 7, "out of range", "just before"),
    ("a: *CANARY-7f3a\n", 1, 4, "an alias (*name) stands for nothing", "quotes around a value that starts with *"),
    ("a: &x 1\nb: &x 2\n", 2, 4, "defined twice", "a name of its own"),
    ("a: &x [*x]\n", 1, 8, "inside the value that it repeats", "cannot contain itself"),
    ("a: &x\n  b: {c: *x}\n", 2, 10, "inside the value that it repeats", "cannot contain itself"),
    ("a: &x {<<: *x}\n", 1, 12, "inside the value that it repeats", "cannot contain itself"),
    ("ok: 1\na: b\x07\n", 2, 5, "U+0007 is not allowed", "take it out"),
    ("a: !! b\n", 1, 6, "not valid YAML", "indentation"),
    ("a: " + "[" * 100_000, 1, 43, "nested more than 40 levels", "flatter"),
    ("- " * 100_000, 1, 81, "nested more than 40 levels", "flatter"),
    ("a: [" + "b, " * 60_000 + "]", 1, None, "more than 50,000 values", "the right file"),
    (BOMB, None, None, "blow the file up to more than 50,000 values", "repeat less"),
    (MERGE_BOMB, None, None, "blow the file up to more than 50,000 values", "repeat less"),
    (MERGE_CHAIN, None, None, "nested more than 40 levels", "flatter"),
]


@pytest.mark.parametrize(("text", "line", "column", "message", "hint"), FATAL, ids=[f[3] for f in FATAL])
def test_fatal_fault_stands_alone(text: str, line: int | None, column: int | None, message: str, hint: str) -> None:
    problem = the_problem(text)
    assert problem.severity == "error"
    assert line in (None, problem.line)
    assert column in (None, problem.column)
    assert message in problem.message
    assert hint in problem.hint


def test_fatal_fault_comes_with_those_before_it() -> None:
    nested = "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 50))
    found = problems(f"x: 1\nx: 2\na0: &a0 [y]\n{nested}")
    assert [p.message[:12] for p in found] == ["the key x st", "nested more "]


# Faults of YAML that do not end the reading.
YAML = [
    ("x-a: {1: b}", "a key must be text, and YAML reads this one as a number", "put quotes around it: '1'"),
    ("x-a: {yes: b}", "a key must be text, and YAML reads this one as true or false", "'yes'"),
    ("x-a: {~: b}", "a key must be text, and YAML reads this one as nothing", "quotes"),
    ("x-a: {? : b}", "a key must be text, and YAML reads this one as nothing", "a name before the `:`"),
    ("x-a: {[b]: c}", "a list or mapping cannot be a key", "a name before the `:`"),
    ('x-a: {"\\ud800": c}', "half a character", "the character itself"),
    ("x-a: {!tag b: c}", "tags (!…) are not supported", "take it out"),
    ("x-a: {b: 1, b: 2}", "the key b stands twice", "on line 1 already"),
    ("x-a: {b=CANARY-7f3a: 1, b=CANARY-7f3a: 2}", "the key b… stands twice", "on line 1 already"),
    ("x-a: {sk-CANARY-7f3a: 1, sk-CANARY-7f3a: 2}", "the key sk-… stands twice", "on line 1 already"),
    ("x-a: {<<: {b: 1}, <<: {c: 2}}", "the key << stands twice", "on line 1 already"),
    ("x-a: {<<: 5}", "<< takes a mapping", "<<: *name"),
    ("x-a: {<<: [{b: 1}, 5]}", "<< takes a mapping", "<<: *name"),
    ("x-a: !!python/object/apply:os.system [ls]", "tags for Python objects", "plain data"),
    ("x-a: !!python/name:os.system", "tags for Python objects", "plain data"),
    ("x-a: !CANARY-7f3a", "tags (!…) are not supported", "quotes around a value that starts with !"),
    ("x-a: !!binary aGk=", "tags (!…) are not supported", "take it out"),
    ("x-a: !!set {b, c}", "tags (!…) are not supported", "take it out"),
    ("x-a: !!map [b]", "the tag (!!…) does not fit", "take the tag out"),
    ("x-a: !!int b", "not a number or flag", "quotes"),
    ("x-a: !!int ''", "not a number or flag", "quotes"),
    ("x-a: !!bool b", "not a number or flag", "quotes"),
    (f"x-a: {'1:' * 10_000}1", "not a number or flag", "quotes"),
    (f"x-a: {'9' * 10_000}", "not a number or flag", "quotes"),
    ('x-a: "\\udfff"', "half a character", "the character itself"),
]


@pytest.mark.parametrize(("text", "message", "hint"), YAML)
def test_yaml_fault_goes_on(text: str, message: str, hint: str) -> None:
    found = problems(f"{text}\nmodel_list: []\n")
    assert [p.line for p in found] == [1, 2]
    assert message in found[0].message
    assert hint in found[0].hint
    assert found[1].message == "is empty"


def test_what_is_repeated_is_told_once() -> None:
    text = "x-a: &a {b: 1, b: 2}\nx-c: *a\nx-d: {<<: *a}\nmodel_list: []\n"
    assert [p.message for p in problems(text)] == ["the key b stands twice", "is empty"]


def test_fault_at_the_start_hides_none_of_the_whole_file() -> None:
    assert [p.where for p in problems("1: x\n")] == ["1", "model_list"]


def test_broken_yaml_value_is_no_second_fault() -> None:
    text = "model_list:\n- model_name: a\n  params: {model: tones/sine, pitch: !x y, loudness: !x z}\n"
    assert [(p.where[-8:], p.message) for p in problems(text)] == [
        ("ms.pitch", "tags (!…) are not supported"),
        ("loudness", "tags (!…) are not supported"),
    ]


# The file as such.
def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml:1:1: error: No such file or directory \(give the path"):
        load(tmp_path / "none.yaml")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r":1:1: error: Is a directory \(give the path"):
        load(tmp_path)


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text("# " + "x" * 1024 * 1024)
    with pytest.raises(ConfigError, match=r"big.yaml:1:1: error: is over 1 MiB \(is this the right file"):
        load(path)


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: b\nö: ".encode() + b"\xe4\xf6")
    with pytest.raises(ConfigError, match=r"latin.yaml:2:4: error: is not UTF-8 text \(save the file with UTF-8"):
        load(path)


def test_utf16(tmp_path: Path) -> None:
    path = tmp_path / "wide.yaml"
    path.write_text("a: b", encoding="utf-16")
    with pytest.raises(ConfigError, match=r"wide.yaml:1:1: error: is not UTF-8 text"):
        load(path)
