"""What is wrong with a file is told all at once, at the right line, in plain words and with a way out."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import pytest

from gateway.config import ConfigError
from tests.config.fakes import CANARY, load

FAULTY = Path(__file__).with_name("faulty.yaml")

# Line of faulty.yaml, the place, a part of what is said, a part of the hint.
FAULTS = [
    (2, "modle_list", "unknown key", "did you mean 'model_list'?"),
    (3, "include", "is not supported yet", "copy what those files hold into this one"),
    (5, "environment_variables.FROM_FILE", "must be text, got a mapping", "write one value on the line"),
    (9, "model_list[0].litellm_params.model", "tones has no model 'sign'", "did you mean 'sine'?"),
    (
        12,
        "model_list[1].litellm_params.model",
        "no vendor 'tone'",
        "did you mean 'tones'? the vendors are: anything, bare",
    ),
    (13, "model_list[2].model_name", "must not be empty", "write a value, or take the line out"),
    (
        15,
        "model_list[2].litellm_params.model",
        "must be <vendor>/<model>, got text 'sine'",
        "the vendors are: anything, bare, half, tones",
    ),
    (16, "model_list[3].model_name", "must be text, got the number 2024", "put quotes around it"),
    (19, "model_list[3].params.pitsch", "unknown key", "did you mean 'pitch'?"),
    (
        20,
        "model_list[3].params.pitch",
        "must be a whole number, got text 'loud'",
        "write a number, without quotes or a unit",
    ),
    (21, "model_list[3].params.loudness", "must be a number, got true", "write a number, without quotes or a unit"),
    (22, "model_list[3].params.voices.alloy", "must be text, got the number 7", "put quotes around it"),
    (
        22,
        "model_list[3].params.voices.no",
        "a key must be text, and YAML reads this one as true or false",
        "put quotes around it: 'no'",
    ),
    (23, "model_list[3].params.tags", "must have at most 3 entries, got a list", "take some out"),
    (
        24,
        "model_list[3].params.folder",
        "must be a path, got the number 3",
        "give a path on the machine that runs the server",
    ),
    (
        25,
        "model_list[3].params.reverb.room",
        "must be one of 'small' or 'large', got text 'larg'",
        "did you mean 'large'?",
    ),
    (25, "model_list[3].params.reverb.mix", "must be less than 1, got the number 1.0", "take a value in this range"),
    (25, "model_list[3].params.reverb.wet", "unknown key", "keys here: mix, room"),
    (
        26,
        "model_list[3].params.detune",
        "must be a whole number or a list, got text 'flat'",
        "write a number, without quotes or a unit",
    ),
    (27, "model_list[3].params.code", "must match ^[a-z]+$, got text 'A1'", "look at its spelling"),
    (28, "model_list[3].params.voice", "must be text, got a list", "write one value on the line"),
    (29, "model_list[3].params.drop_params", "must be true or false, got text 'sometimes'", "write true or false"),
    (
        30,
        "model_list[3].params.additional_drop_params",
        "must be a list, got text 'speed'",
        "write it as a list: [a, b]",
    ),
    (
        31,
        "model_list[4].model_name",
        "must hold no control characters, nor spaces at its ends, got text 'bell\\x07'",
        "write it as callers shall send it",
    ),
    (32, "model_list[4].litellm_params.metal", "is missing", "add it"),
    (37, "model_list[4].model_info.mode", "is no mode that LiteLLM knows", "did you mean 'audio_speech'?"),
    (
        38,
        "model_list[4].model_info.input_cost_per_character",
        "must be a price in USD, got text 'free'",
        "write a number, 0 or more",
    ),
    (
        39,
        "model_list[4].model_info.output_cost_per_second",
        "must be a price in USD, got the number -1",
        "write a number, 0 or more",
    ),
    (40, "model_list[4].model_info.id", "must be text, got a list", "write one value on the line"),
    (
        41,
        "model_list[4].model_info.colour",
        "unknown key",
        "keys here: allowed_fails, allowed_fails_policy, base_model, cooldown_time, disable_background_health_check, health",
    ),
    (43, "model_list[5].model_name", "the key model_name stands twice", "it stands on line 42 already: take one out"),
    (
        45,
        "model_list[5].params",
        "litellm_params and params are the same thing",
        "move everything under one of the two",
    ),
    (46, "model_list[6].litellm_params", "is missing", "write `litellm_params:` with a `model:` under it"),
    (47, "model_list[6].model_inf", "unknown key", "did you mean 'model_info'?"),
    (48, "model_list[7]", "must be a mapping, got text 'just text'", "write `name: value` lines under the key"),
    (
        50,
        "model_list[8].litellm_params.model",
        "the vendor half needs the Python package halftone, which is not installed",
        "install it, or take this entry out",
    ),
    (
        50,
        "model_list[8].litellm_params.api_key",
        "tags (!…) are not supported",
        "take it out, or put quotes around a value that starts with !",
    ),
    (
        52,
        "model_list[9].litellm_params.api_key",
        "environment variable TONES_API_KY is not set",
        "did you mean 'TONES_API_KEY'?",
    ),
    (52, "model_list[9].litellm_params.signature", "must be text, got a number", "put quotes around it"),
    (52, "model_list[9].litellm_params.reverb.rom", "unknown key", "did you mean 'room'?"),
    (54, "general_settings.master_key", "must be text, got a list", "write one value on the line"),
    (55, "general_settings.max_request_size_mb", "must be more than 0, got the number 0", "take a value in this range"),
    (56, "general_settings.max_connections", "must be a whole number, got the number 1.5", "leave out the fraction"),
    (
        57,
        "general_settings.header_timeout",
        "must be a finite number, got the number inf",
        "write a number, without quotes or a unit",
    ),
    (58, "general_settings.body_timeout", "must be more than 0, got the number -3", "take a value in this range"),
    (
        59,
        "general_settings.public_routes[0]",
        "must be one of '/v1/models', '/v1/audio/voices' or '/v1/audio/models', got text '/v1/model'",
        "did you mean '/v1/models'?",
    ),
    (60, "general_settings.mp3_bitrate", "must be one of 8000, 16000, ", "did you mean 128000?"),
    (61, "general_settings.max_conections", "unknown key", "did you mean 'max_connections'?"),
    (
        64,
        "router_settings.model_group_alias.first",
        "aliases in a circle: first -> second -> first",
        "let one of them name a model_name",
    ),
    (
        66,
        "router_settings.model_group_alias.myself",
        "aliases in a circle: myself -> myself",
        "let one of them name a model_name",
    ),
    (
        67,
        "router_settings.model_group_alias.speech",
        "the alias hides the model_name 'speech'",
        "give one of the two another name",
    ),
    (68, "router_settings.model_group_alias.lost", "no model_name or alias 'speach'", "did you mean 'speech'?"),
    (69, "router_settings.model_group_alias.long.hiden", "unknown key", "did you mean 'hidden'?"),
    (
        70,
        "router_settings.model_group_alias.number",
        "must be the name of a model, got the number 5",
        "write `alias: model_name`",
    ),
    (
        72,
        "router_settings.fallbacks[0].twice[0]",
        "the group falls back to itself",
        "name another model, or take it out",
    ),
    (
        72,
        "router_settings.fallbacks[0].twice[1]",
        "no model_name or alias 'nobody'",
        "the names are: first, half, keyless, long",
    ),
    (
        73,
        "router_settings.fallbacks[1].nobody",
        "no model_name or alias 'nobody'",
        "the names are: first, half, keyless, long",
    ),
    (
        74,
        "router_settings.fallbacks[2].speech",
        "must be a list, got text 'twice'",
        "write `- group: [other, another]`",
    ),
    (
        75,
        "router_settings.fallbacks[3].speech[0]",
        "must be the name of a model, got a mapping",
        "write a model_name; other parameters for it are not supported",
    ),
    (76, "router_settings.fallbacks[4].twice", "'twice' has fallbacks already", "put all of them into one list"),
    (77, "router_settings.fallbacks[5]", "must be a mapping, got text 'text'", "write `- group: [other, another]`"),
    (79, "litellm_settings.drop_params", "must be true or false, got the number 3", "write true or false"),
    (80, "litellm_settings.default_fallbacks", "must be a list, got text 'twice'", "write it as a list: [a, b]"),
    (81, "litellm_settings.fallbacks", "must be a list, got a mapping", "write `- group: [other, another]`"),
]


@pytest.fixture(scope="module")
def found() -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        load(FAULTY, {"TONES_API_KEY": CANARY})
    return raised.value


@pytest.mark.parametrize(("line", "where", "message", "hint"), FAULTS, ids=[f"{f[0]}-{f[1]}" for f in FAULTS])
def test_fault_is_told(found: ConfigError, line: int, where: str, message: str, hint: str) -> None:
    (problem,) = (p for p in found.problems if (p.line, p.where) == (line, where) and message in p.message)
    assert problem.severity == "error"
    assert hint
    assert hint in problem.hint


def test_nothing_else_is_told(found: ConfigError) -> None:
    assert len(FAULTS) >= 60
    told = Counter((p.line, p.where) for p in found.problems if p.severity == "error")
    assert told == Counter((line, where) for line, where, _, _ in FAULTS)
    (warning,) = (p for p in found.problems if p.severity == "warning")
    assert (warning.line, warning.where) == (35, "model_list[4].litellm_params.api_key")
    assert [(p.line, p.column) for p in found.problems] == sorted((p.line, p.column) for p in found.problems)


def test_reads_as_compilers_write(found: ConfigError) -> None:
    lines = str(found).splitlines()
    assert f"{FAULTY}:2:1: error: modle_list: unknown key (did you mean 'model_list'?)" in lines
    assert f"{FAULTY}:35:7: warning: model_list[4].litellm_params.api_key: known to LiteLLM, not acted on here" in lines
    assert CANARY not in str(found)
    assert CANARY not in repr(found)
    assert found.__cause__ is None
    assert found.__context__ is None


def test_problems_survive_pickling(found: ConfigError) -> None:
    copy = pickle.loads(pickle.dumps(found))
    assert copy.problems == found.problems
    assert str(copy) == str(found)
