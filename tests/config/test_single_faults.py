"""One fault in an otherwise good file: exactly that one is told."""

from __future__ import annotations

import pytest

from gateway.config import ConfigError
from tests.config.fakes import CANARY, parse, problems, the_problem

ONE = "model_list:\n- model_name: one\n  params: {model: anything/x}\n"

# What one key more makes wrong in a good file: text, place, message, hint.
MORE = [
    ("general_settings: 5", "general_settings", "must be a mapping, got the number 5", "name: value"),
    ("general_settings: {master_key: }", "general_settings.master_key", "has no value", "take the line out"),
    ("general_settings: {master_key: ''}", "general_settings.master_key", "must not be empty", "take the line out"),
    ("general_settings: {master_key: '  '}", "general_settings.master_key", "must not be empty", "take the line out"),
    ("general_settings: {master_key: 1234}", "general_settings.master_key", "must be text, got a number", "quotes"),
    ("general_settings: {master_key: 'sk CANARY-7f3a'}", "general_settings.master_key", "no caller could", "spaces"),
    ("general_settings: {mp3_bitrate: 95000}", "general_settings.mp3_bitrate", "bits a second", "mean 96000?"),
    ("general_settings: {drain_timeout: -1}", "general_settings.drain_timeout", "must be 0 or more", "this range"),
    ("general_settings: {max_connections: 0}", "general_settings.max_connections", "must be 1 or more", "this range"),
    ("general_settings: {mp3_bitrate: 1e}", "general_settings.mp3_bitrate", "got text '1e'", "write a number"),
    ("general_settings: {max_connections: []}", "general_settings.max_connections", "got a list", "write a number"),
    (f"general_settings: {{mp3_bitrate: {'9' * 99}}}", "general_settings.mp3_bitrate", "must be", "160000"),
    ("router_settings: [1]", "router_settings", "must be a mapping, got a list", "name: value"),
    ("router_settings: {fallbacks: 5}", "router_settings.fallbacks", "must be a list, got the number 5", "- group:"),
    ("router_settings: {model_group_alias: [a]}", "router_settings.model_group_alias", "must be a mapping", "name: v"),
    (
        "router_settings: {model_group_alias: {a: ''}}",
        "router_settings.model_group_alias.a",
        "the name of a",
        "alias: ",
    ),
    ("router_settings: {model_group_alias: {a: {}}}", "router_settings.model_group_alias.a.model", "is missing", "add"),
    (
        'router_settings: {model_group_alias: {"a\\n": one}}',
        "router_settings.model_group_alias.a…",
        "control",
        "callers",
    ),
    ("router_settings: {routing_strategi: x}", "router_settings.routing_strategi", "unknown key", "routing_strategy"),
    (
        "router_settings: {zzz: x}",
        "router_settings.zzz",
        "unknown key",
        "keys here: allowed_fails, allowed_fails_policy, content_policy_fallbacks",
    ),
    ("router_settings: {default_fallbacks: [on]}", "router_settings.default_fallbacks[0]", "text, got true", "quotes"),
    ("litellm_settings: {default_fallbacks: [oen]}", "litellm_settings.default_fallbacks[0]", "no model_name", "'one'"),
    ("litellm_settings: {fallbacks: [{oen: [one]}]}", "litellm_settings.fallbacks[0].oen", "no model_name", "'one'"),
    ("litellm_settings: {drop_param: true}", "litellm_settings.drop_param", "unknown key", "'drop_params'"),
    ("include: [a.yaml]", "include", "is not supported yet", "copy"),
    (
        "environment_variables: {A: os.environ/CANARY}",
        "environment_variables.A",
        "variable CANARY is not set",
        "set it",
    ),
    ("environment_variables: [A]", "environment_variables", "must be a mapping, got a list", "name: value"),
    ("general_setings: {}", "general_setings", "unknown key", "'general_settings'"),
    ("Router_Settings: {}", "Router_Settings", "unknown key", "'router_settings'"),
]


@pytest.mark.parametrize(("text", "where", "message", "hint"), MORE, ids=[m[0][:60] for m in MORE])
def test_one_key_more(text: str, where: str, message: str, hint: str) -> None:
    problem = the_problem(f"{ONE}{text}\n")
    assert (problem.severity, problem.line, problem.where) == ("error", 4, where)
    assert message in problem.message
    assert hint in problem.hint


# The same inside params of tones/sine.
PARAMS = [
    ("pitch: os.environ/", "pitch", "no name of an environment variable", "os.environ/NAME"),
    ("pitch: os.environ/sk-CANARY-7f3a", "pitch", "no name of an environment variable", "os.environ/NAME"),
    ("pitch: os.environ/NOWHERE_TO_BE_FOUND", "pitch", "variable NOWHERE_TO_BE_FOUND is not set", "before the start"),
    ("pitch: os.environ/pitch_of_test", "pitch", "variable pitch_of_test is not set", "'PITCH_OF_TEST'"),
    ("tags: [a, os.environ/NONE]", "tags[1]", "variable NONE is not set", "set it"),
    ("voices: {a: os.environ/NONE}", "voices.a", "variable NONE is not set", "set it"),
    ("reverb: {mix: os.environ/NONE}", "reverb.mix", "variable NONE is not set", "set it"),
    ("pitch: os.environ/PITCH_OF_TEST", "pitch", "must be a whole number, got text", "write a number"),
    ("code: os.environ/PITCH_OF_TEST", "code", "must have at most 4 characters, got text", "write less"),
    ("code: a", "code", "must have 2 or more characters, got text 'a'", "write more"),
    ("code: zz", "code", "zz is taken", "documentation"),
    ("code: quot", "code", "is not valid", "documentation"),
    ("pitch: 12.5", "pitch", "must be a whole number, got the number 12.5", "fraction"),
    ("pitch: 19", "pitch", "must be 20 or more, got the number 19", "this range"),
    ("pitch: 20001", "pitch", "must be 20000 or less", "this range"),
    ("pitch: sk-CANARY-7f3a", "pitch", "must be a whole number, got text", "write a number"),
    ("pitch: https://me:CANARY-7f3a@host/", "pitch", "must be a whole number, got text", "write a number"),
    ("api_key: {CANARY-7f3a: 1}", "api_key", "must be text, got a mapping", "one value"),
    ("signature: 73", "signature", "must be text, got a number", "quotes"),
    ("detune: [1, flat]", "detune[1]", "must be a whole number, got text 'flat'", "write a number"),
    ("detune: true", "detune", "must be a whole number, got true", "write a number"),
    ("reverb: {stamp: xCANARY-7f3a}", "reverb.stamp", "is not valid", "documentation"),
    ("reverb: {stamp: 73}", "reverb.stamp", "must be text, got a number", "quotes"),
    ("cents: yes", "cents", "must be a whole number, got true", "write a number"),
    ("voice: yes", "voice", "must be text, got true", "quotes"),
    ("born: soon", "born", "must be a valid date", "documentation"),
    ("reverb: small", "reverb", "must be a mapping, got text 'small'", "name: value"),
    ("voices: [a]", "voices", "must be a mapping, got a list", "name: value"),
    ("Pitch: 300", "Pitch", "unknown key", "'pitch'"),
    ("voic: a", "voic", "unknown key", "'voice'"),
    ("apikey: CANARY-7f3a", "apikey", "unknown key", "'api_key'"),
    ("zzzzzz: 300", "zzzzzz", "unknown key", "keys here: api_key, born, cents"),
    ("pad_id: x", "pad_id", "unknown key", "'pad'"),
    ("pad: 5", "pad", "must be text, got the number 5", "quotes"),
    ("voice: ''", "voice", "must not be empty", "take the line out"),
    ("custom_llm_provider: tone", "custom_llm_provider", "no vendor 'tone'", "did you mean 'tones'?"),
    ("custom_llm_provider: anithing", "custom_llm_provider", "no vendor 'anithing'", "did you mean 'anything'?"),
    ("additional_drop_params: [input]", "additional_drop_params[0]", "input cannot be left out", "instructions"),
    ("additional_drop_params: [5]", "additional_drop_params[0]", "must be text, got the number 5", "quotes"),
]


@pytest.mark.parametrize(("text", "where", "message", "hint"), PARAMS, ids=[p[0][:60] for p in PARAMS])
def test_one_parameter_more(text: str, where: str, message: str, hint: str) -> None:
    env = {"PITCH_OF_TEST": CANARY}
    problem = the_problem(f"model_list:\n- model_name: a\n  params:\n    model: tones/sine\n    {text}\n", env)
    assert (problem.severity, problem.line) == ("error", 5)
    assert problem.where == f"model_list[0].params.{where}"
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("general_settings: {}", 1, "is missing"),
        ("x: y\nmodel_list:", 2, "is missing"),
        ("\nmodel_list: []", 2, "is empty"),
        ("model_list: {}", 1, "must be a list, got a mapping"),
        ("model_list: tones/sine", 1, "must be a list, got text 'tones/sine'"),
    ],
)
def test_no_models(text: str, line: int, message: str) -> None:
    found = [p for p in problems(text) if p.where == "model_list"]
    assert [(p.line, p.message) for p in found] == [(line, message)]
    assert "model_name" in found[0].hint


def test_without_models_their_names_are_not_missed() -> None:
    text = "model_list: []\nrouter_settings: {fallbacks: [{a: [b]}], model_group_alias: {c: d}}\n"
    assert [p.where for p in problems(text)] == ["model_list"]


def test_entry_without_anything() -> None:
    assert [(p.where, p.message) for p in problems("model_list:\n-\n")] == [
        ("model_list[0].litellm_params", "is missing"),
        ("model_list[0].model_name", "is missing"),
    ]


@pytest.mark.parametrize("model", ["tones", "/sine", "tones/", "'tones/ '", "''"])
def test_model_needs_vendor_and_name(model: str) -> None:
    problem = the_problem(f"model_list: [{{model_name: a, params: {{model: {model}}}}}]")
    assert problem.where == "model_list[0].params.model"


def test_name_too_long() -> None:
    problem = the_problem(f"model_list: [{{model_name: {'a' * 257}, params: {{model: anything/x}}}}]")
    assert problem.message == "must have at most 256 characters, got text"


def test_unknown_vendor_from_the_environment_is_not_shown() -> None:
    text = "model_list: [{model_name: a, params: {model: os.environ/M}}]"
    assert the_problem(text, {"M": f"{CANARY}/x"}).message == "no vendor"
    assert the_problem(text, {"M": f"tones/{CANARY}"}).message == "tones has no model"
    assert the_problem(text, {"M": CANARY}).message == "must be <vendor>/<model>, got text"


def test_long_chain_of_aliases() -> None:
    aliases = ", ".join(f"a{n}: a{n + 1}" for n in range(30))
    found = problems(f"{ONE}router_settings: {{model_group_alias: {{{aliases}, a30: one}}}}\n")
    assert len(found) == 11
    assert found[0].message == "more than 20 aliases between this one and a model_name"


def test_alias_that_leads_into_a_circle_is_not_told_again() -> None:
    problem = the_problem(f"{ONE}router_settings: {{model_group_alias: {{a: b, b: c, c: b, d: a}}}}\n")
    assert problem.message == "aliases in a circle: b -> c -> b"


def test_fallback_to_itself_through_an_alias() -> None:
    aliases = "model_group_alias: {first: second, second: one}"
    problem = the_problem(f"{ONE}router_settings: {{{aliases}, fallbacks: [{{first: [second]}}]}}\n")
    assert problem.message == "the group falls back to itself"


def test_same_group_twice_in_one_rule() -> None:
    text = "model_list:\n" + "".join(f"- {{model_name: {n}, params: {{model: anything/x}}}}\n" for n in "abc")
    text += "router_settings:\n  model_group_alias: {d: a}\n  fallbacks:\n  - {a: [b], d: [c]}\n"
    problem = the_problem(text)
    assert (problem.line, problem.message) == (8, "'d' has fallbacks already")


def test_both_sections_name_fallbacks_for_all() -> None:
    text = f"{ONE}router_settings: {{fallbacks: [{{'*': [one]}}], default_fallbacks: [one]}}\n"
    assert the_problem(text).message == "'*' has fallbacks already"


def test_bounded_number_of_problems() -> None:
    keys = "\n".join(f"key{n}: 1" for n in range(3000))
    with pytest.raises(ConfigError) as raised:
        parse(f"{keys}\n{ONE}")
    assert len(raised.value.problems) == 1000
    assert "more problems than can be listed" in str(raised.value)


def test_many_names_are_not_searched_for_near_ones() -> None:
    entries = "".join(f"- {{model_name: name{n}, params: {{model: anything/x}}}}\n" for n in range(2001))
    problem = the_problem(f"model_list:\n{entries}router_settings: {{default_fallbacks: [naem1]}}\n")
    assert problem.hint.startswith("the names are: name0, name1, name10")
    assert problem.hint.endswith(", …")
