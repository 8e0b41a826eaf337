"""What YAML text comes to, and where in the text it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config
from gateway.config.problems import Mark
from gateway.config.source import parse as parse_source
from tests.config.fakes import ToneSettings, load, parse, problems

ONE = "model_list:\n- model_name: one\n  params: {model: tones/sine}\n"


def tones(config: Config, index: int = 0) -> ToneSettings:
    settings = config.models[index].settings
    assert isinstance(settings, ToneSettings)
    return settings


def test_merge_keys_and_anchors() -> None:
    text = """
x-common: &common
  pitch: 300
  voices: &voices {alloy: high}
x-more: &more {pitch: 400, loudness: 0.5}
model_list:
- model_name: first
  params: &first
    <<: *common
    model: tones/sine
- model_name: second
  params: {<<: *first, pitch: 500, voices: {<<: *voices, echo: low}}
- model_name: third
  params: {<<: [*common, *more], model: tones/sine}
"""
    config = parse(text)
    first, second, third = (tones(config, index) for index in range(3))
    assert (first.pitch, dict(first.voices)) == (300, {"alloy": "high"})
    assert (second.pitch, dict(second.voices)) == (500, {"alloy": "high", "echo": "low"})
    assert (third.pitch, third.loudness) == (300, 0.5)


def test_fault_in_an_anchor_is_told_for_each_place() -> None:
    text = "model_list:\n- &a {model_name: a, params: {model: tones/sine, pitch: 1, pich: 2}}\n- *a\n"
    assert [(p.line, p.column, p.where) for p in problems(text)] == [
        (2, 57, "model_list[0].params.pitch"),
        (2, 57, "model_list[1].params.pitch"),
        (2, 60, "model_list[0].params.pich"),
        (2, 60, "model_list[1].params.pich"),
    ]


def test_positions() -> None:
    source = parse_source(
        "a: {b: [1, {c: d}],\n    e: f}\n'g': |\n  text\n  more\nh:\n  - i: j\n    k: >-\n      l\n\n  - [m,\n     n]\n",
        "f",
    )
    assert source.data == {
        "a": {"b": [1, {"c": "d"}], "e": "f"},
        "g": "text\nmore\n",
        "h": [{"i": "j", "k": "l"}, ["m", "n"]],
    }
    assert source.keys == {
        ("a",): (1, 1),
        ("a", "b"): (1, 5),
        ("a", "b", 1, "c"): (1, 13),
        ("a", "e"): (2, 5),
        ("g",): (3, 1),
        ("h",): (6, 1),
        ("h", 0, "i"): (7, 5),
        ("h", 0, "k"): (8, 5),
    }
    assert source.values["a", "b", 1, "c"] == Mark(1, 16)
    assert source.values["g",] == Mark(3, 6)
    assert source.values["h", 0] == Mark(7, 5)
    assert source.values["h", 0, "k"] == Mark(8, 8)
    assert source.values["h", 1, 1] == Mark(12, 6)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-11-06", "2024-11-06"),
        ("2024-11-06 10:00:00", "2024-11-06 10:00:00"),
        ("on", True),
        ("No", False),
        ("~", None),
        ("", None),
        ("0x1f", 31),
        ("1_000", 1000),
        ("1.5e+3", 1500.0),
        ("1e-05", "1e-05"),
        (".inf", float("inf")),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
        ("! x", "x"),
        ("=", "="),
        ("<<", "<<"),
        ("'yes'", "yes"),
        ("äöü 😀", "äöü 😀"),
        ('"\\u00e4"', "ä"),
    ],
)
def test_scalars_are_pyyamls_but_for_dates(text: str, value: Any) -> None:
    assert parse_source(f"a: {text}\n", "f").data == {"a": value}


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + ONE.replace("\n", "\r\n").encode())
    assert load(path).models == parse(ONE).models


def test_deep_but_not_too_deep() -> None:
    assert parse_source("a: " + "[" * 39 + "]" * 39, "f").problems == ()
