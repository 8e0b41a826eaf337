"""Whatever stands in the file: a config, or a ``ConfigError`` that shows no secret, and soon."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import yaml

from gateway.config import ConfigError
from tests.config.fakes import CANARY, parse, problems

GOOD = Path(__file__).with_name("litellm_style.yaml").read_text(encoding="utf-8")
FAULTY = Path(__file__).with_name("faulty.yaml").read_text(encoding="utf-8")
ENV = {"OUTER": CANARY, "NOT_SET": CANARY}
PIECES = ["\t", "  ", "\n", ":", ": ", "- ", "{", "}", "[", "]", ",", "'", '"', "\\", "&a ", "*a", "<<: *a", "!x ", "#"]
PIECES += ["!!int ", "!!python/name:x ", "%", "@", "|", ">", "?", "~", "null", "yes", "5", "-1", ".nan", "1e400", "0x"]
PIECES += ["\x00", "\x07", "\ud800", "\ufeff", "\u2028", "é", "😀", '"\\ud800"', '"\\U00110000"', "...", "\n---\n"]
PIECES += ["os.environ/", "os.environ/OUTER", "os.environ/NONE", "model_list", "*", "9" * 200, "1:" * 50 + "1"]


def mutated(rng: random.Random, text: str) -> str:
    """A few random changes of characters and lines."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text))
        match rng.randrange(6):
            case 0:
                text = text[:at] + rng.choice(PIECES) + text[at:]
            case 1:
                text = text[:at] + text[at + rng.randint(1, 12) :]
            case 2:
                text = text[:at] + rng.choice(PIECES) + text[at + rng.randint(1, 5) :]
            case _:
                lines = text.splitlines(keepends=True)
                one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
                match rng.randrange(3):
                    case 0:
                        lines[one] = lines[other]
                    case 1:
                        del lines[one]
                    case _:
                        lines.insert(one, " " * rng.randint(0, 8) + lines[other].lstrip())
                text = "".join(lines)
    return text


def replaced(rng: random.Random, value: object) -> object:
    """The same data with a value exchanged here and there."""
    others: list[object] = [
        None,
        True,
        5,
        -1.5,
        "",
        "text",
        [],
        {},
        [None],
        {"a": {"b": 1}},
        "os.environ/OUTER",
        10**60,
    ]
    if rng.random() < 0.06:
        return rng.choice(others)
    if isinstance(value, dict):
        return {key if rng.random() > 0.02 else f"{key}x": replaced(rng, item) for key, item in value.items()}
    return [replaced(rng, item) for item in value] if isinstance(value, list) else value


def read(text: str) -> None:
    found = problems(text, ENV)
    assert all(p.line >= 1 and p.column >= 1 and p.message for p in found)
    assert all(p.hint for p in found if p.severity == "error")
    shown = "".join(map(str, found))
    assert CANARY not in shown
    shown.encode()


@pytest.mark.parametrize("seed", range(8))
def test_changed_text(seed: int) -> None:
    rng = random.Random(seed)
    started = time.process_time()
    for _ in range(40):
        read(mutated(rng, GOOD))
    assert time.process_time() - started < 10


@pytest.mark.parametrize("seed", range(8))
def test_changed_data(seed: int) -> None:
    rng = random.Random(seed)
    data = yaml.safe_load(GOOD)
    for _ in range(40):
        read(yaml.safe_dump(replaced(rng, data), allow_unicode=True))


def test_cut_short() -> None:
    for length in range(0, len(GOOD), 29):
        read(GOOD[:length])


def test_noise() -> None:
    rng = random.Random(7)
    for _ in range(100):
        read("".join(rng.choices(PIECES, k=rng.randint(1, 60))))


def test_many_faults_are_found_soon() -> None:
    started = time.process_time()
    entries = "\n".join(f"- model_name: a{n}\n  params: {{model: tones/sine, ptch{n}: 1}}" for n in range(2000))
    with pytest.raises(ConfigError):
        parse(f"model_list:\n{entries}\n")
    assert time.process_time() - started < 10
