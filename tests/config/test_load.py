"""Good files: what they come to, and what is warned of."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pydantic
import pytest

from gateway.config import Config, ConfigError, GeneralSettings, LitellmSettings, RouterSettings, load_config
from gateway.config.loading import parse_config
from providers.base import registry
from providers.base.settings import VendorSettings
from tests.config.fakes import CANARY, ToneSettings, load, parse, problems, the_problem

LITELLM_STYLE = Path(__file__).with_name("litellm_style.yaml")
ONE = "model_list:\n- model_name: one\n  params: {model: tones/sine}\n"


@pytest.fixture(scope="module")
def config() -> Config:
    return load(LITELLM_STYLE, {"OUTER": CANARY, "TONES_API_KEY": "from outside"})


def tones(config: Config, index: int = 0) -> ToneSettings:
    settings = config.models[index].settings
    assert isinstance(settings, ToneSettings)
    return settings


def test_smallest_file_has_the_defaults() -> None:
    config = parse(ONE)
    (entry,) = config.models
    assert (entry.model_name, entry.vendor, entry.model, entry.line) == ("one", "tones", "sine", 2)
    assert entry.settings == ToneSettings.model_validate({})
    assert (entry.voice, entry.drop_params, entry.additional_drop_params) == (None, None, ())
    assert entry.model_info == {}
    assert config.router == RouterSettings()
    assert config.litellm == LitellmSettings()
    assert config.general == GeneralSettings()
    assert config.general.model_dump() == {
        "master_key": None,
        "max_request_size_mb": 1.0,
        "max_connections": 1000,
        "header_timeout": 10.0,
        "body_timeout": 30.0,
        "stall_timeout": 120.0,
        "drain_timeout": 30.0,
        "data_dir": None,
        "public_url": None,
        "task_timeout": 600.0,
        "output_retention_days": 7.0,
        "on_disconnect": "continue",
        "egress_allow": (),
        "webhook_url": None,
        "webhook_secret": None,
        "disable_spend_logs": False,
        "maximum_spend_logs_retention_period": None,
        "litellm_key_header_name": None,
        "user_header_name": None,
        "background_health_checks": False,
        "health_check_interval": 300.0,
        "health_check_concurrency": 10,
        "public_routes": (),
        "mp3_bitrate": 96_000,
    }
    assert (config.aliases, config.fallbacks, config.warnings) == ({}, {}, ())
    assert config.path == Path("config.yaml")


def test_litellm_style_entries(config: Config) -> None:
    first, second, third = config.models
    assert (first.model_name, second.model_name, third.model_name) == ("tts-1", "tts-1", "plain")
    assert (second.vendor, second.model) == ("tones", "sine")
    assert (third.vendor, third.model, type(third.settings)) == ("anything", "org/x:1", VendorSettings)
    assert (first.voice, first.drop_params, first.additional_drop_params) == ("alloy", True, ("instructions",))
    assert [entry.line for entry in config.models] == [7, 26, 31]
    assert tones(config, 1).tags == ()
    assert dict(first.model_info) == {
        "id": "17",
        "mode": "audio_speech",
        "base_model": "tts-1",
        "input_cost_per_character": 1e-05,
        "output_cost_per_second_1080p": 0.25,
        "max_tokens": 4096,
        "access_groups": ["beta"],
    }


def test_litellm_style_sections(config: Config) -> None:
    assert config.aliases == {"gpt-4o-mini-tts": "tts-1", "short": "tts-1"}
    assert config.router.model_group_alias == {"gpt-4o-mini-tts": "tts-1", "short": "gpt-4o-mini-tts"}
    assert config.router.hidden == {"short"}
    assert config.fallbacks == {"tts-1": ("plain",), "plain": ("tts-1",), "*": ("plain",)}
    assert config.litellm.drop_params is True
    assert config.general.max_request_size_mb == 2


def test_environment_of_the_file_is_on_top(config: Config) -> None:
    key = tones(config).api_key
    assert key is not None
    assert key.get_secret_value() == "from-the-file"
    assert config.general.master_key is not None
    assert config.general.master_key.get_secret_value() == CANARY
    assert "TONES_API_KEY" not in os.environ


def test_each_key_that_does_nothing_is_warned_of_once(config: Config) -> None:
    assert [(w.line, w.where) for w in config.warnings] == [
        (11, "model_list[0].litellm_params.api_base"),
        (12, "model_list[0].litellm_params.api_version"),
        (23, "model_list[0].model_info.max_tokens"),
        (24, "model_list[0].model_info.access_groups"),
        (34, "credential_list"),
        (39, "router_settings.redis_password"),
        (49, "litellm_settings.cache_params.type"),
        (55, "general_settings.database_url"),
    ]
    known = "known to LiteLLM, not acted on here"
    assert {(w.severity, w.message) for w in config.warnings} == {
        ("warning", known),
        ("warning", f"the cache is off: redis is {known}"),
    }


def test_no_secret_in_any_text(config: Config) -> None:
    text = f"{config!r} {config} {config.warnings} {config.general} {config.models[0].settings}"
    for secret in (CANARY, "hunter2", "from-the-file", "from outside"):
        assert secret not in text


def test_result_is_frozen(config: Config) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.path = Path("other")  # type: ignore[misc]
    with pytest.raises(pydantic.ValidationError):
        config.general.max_connections = 1
    for mapping in (config.aliases, config.fallbacks, config.models[0].model_info, config.router.model_group_alias):
        with pytest.raises(TypeError):
            mapping["x"] = "y"  # type: ignore[index]


def test_both_spellings_of_the_parameters_are_one() -> None:
    old = parse("model_list: [{model_name: a, litellm_params: {model: tones/sine, pitch: 300}}]")
    new = parse("model_list: [{model_name: a, params: {model: tones/sine, pitch: 300}}]")
    assert old == new
    assert tones(new).pitch == 300


@pytest.mark.parametrize(
    ("params", "vendor", "model"),
    [
        ("{model: tones/sine}", "tones", "sine"),
        ("{model: tones/sine, custom_llm_provider: tones}", "tones", "sine"),
        ("{model: sine, custom_llm_provider: tones}", "tones", "sine"),
        ("{model: tones/sine, custom_llm_provider: anything}", "anything", "tones/sine"),
        ("{model: anything/a/b/c}", "anything", "a/b/c"),
        ("{model: bare/whatever}", "bare", "whatever"),
        ("{model: os.environ/MODEL}", "tones", "sine"),
    ],
)
def test_vendor_and_model(params: str, vendor: str, model: str) -> None:
    config = parse(f"model_list: [{{model_name: a, params: {params}}}]", {"MODEL": "tones/sine"})
    assert (config.models[0].vendor, config.models[0].model) == (vendor, model)


def test_values_from_the_environment_are_converted() -> None:
    text = """
        model_list:
        - model_name: os.environ/NAME
          params:
            model: tones/sine
            pitch: os.environ/PITCH
            loudness: os.environ/LOUDNESS
            drop_params: os.environ/DROP
            tags: [a, os.environ/NAME]
            voices: {x: os.environ/NAME}
            reverb: {room: os.environ/ROOM}
          model_info: {input_cost_per_character: os.environ/LOUDNESS}
        general_settings: {max_connections: os.environ/PITCH, header_timeout: os.environ/LOUDNESS}
        litellm_settings: {drop_params: os.environ/DROP, default_fallbacks: [os.environ/NAME]}
        router_settings: {model_group_alias: {b: os.environ/NAME}, fallbacks: [{b: []}]}
    """
    env = {"NAME": "a name", "PITCH": "300", "LOUDNESS": "0.5", "DROP": "true", "ROOM": "large"}
    config = parse(text.replace("\n        ", "\n"), env)
    settings = tones(config)
    assert config.models[0].model_name == "a name"
    assert (settings.pitch, settings.loudness, settings.tags) == (300, 0.5, ("a", "a name"))
    assert settings.voices == {"x": "a name"}
    assert settings.reverb is not None
    assert settings.reverb.room == "large"
    assert config.models[0].drop_params is True
    assert config.models[0].model_info == {"input_cost_per_character": 0.5}
    assert (config.general.max_connections, config.general.header_timeout) == (300, 0.5)
    assert config.litellm.drop_params is True
    assert config.aliases == {"b": "a name"}
    assert config.fallbacks == {"a name": (), "*": ("a name",)}


def test_variables_of_the_file_may_be_numbers_and_flags() -> None:
    text = "environment_variables: {PITCH: 300, LOUD: 0.5, DROP: yes}\n" + ONE.replace(
        "tones/sine", "tones/sine, pitch: os.environ/PITCH, loudness: os.environ/LOUD, drop_params: os.environ/DROP"
    )
    config = parse(text)
    assert (tones(config).pitch, tones(config).loudness, config.models[0].drop_params) == (300, 0.5, True)


@pytest.mark.parametrize(
    ("env", "key"),
    [
        ({}, None),
        ({"LITELLM_MASTER_KEY": "sk-a"}, "sk-a"),
        ({"MEDIA_GATEWAY_MASTER_KEY": "sk-b"}, "sk-b"),
        ({"LITELLM_MASTER_KEY": "sk-a", "MEDIA_GATEWAY_MASTER_KEY": "sk-b"}, "sk-b"),
        ({"LITELLM_MASTER_KEY": "sk-a", "MEDIA_GATEWAY_MASTER_KEY": " "}, "sk-a"),
        ({"LITELLM_MASTER_KEY": ""}, None),
    ],
)
def test_master_key_from_the_environment(env: dict[str, str], key: str | None) -> None:
    found = parse(ONE, env).general.master_key
    assert (found and found.get_secret_value()) == key


def test_master_key_of_the_file_wins() -> None:
    config = parse(f"{ONE}general_settings: {{master_key: sk-file}}", {"LITELLM_MASTER_KEY": "sk-a"})
    assert config.general.master_key is not None
    assert config.general.master_key.get_secret_value() == "sk-file"


def test_master_key_with_a_line_end_from_the_environment() -> None:
    problem = the_problem(ONE, {"LITELLM_MASTER_KEY": f"{CANARY}\n"})
    assert "no caller could send it" in problem.message


def test_well_known_master_key_is_taken_with_a_warning() -> None:
    config = parse(f"{ONE}general_settings: {{master_key: sk-1234}}")
    assert config.general.master_key is not None
    (warning,) = config.warnings
    assert (warning.line, warning.column, warning.where) == (4, 20, "general_settings.master_key")
    assert warning.message == "known from LiteLLM's documentation; anyone can guess it"
    assert "secrets" in warning.hint
    (warning,) = parse(ONE, {"LITELLM_MASTER_KEY": "sk-1234"}).warnings
    assert warning.message.startswith("the key in LITELLM_MASTER_KEY is known from")
    assert "sk-1234" not in str(warning)


def test_settings_of_ours() -> None:
    config = parse(
        f"{ONE}general_settings: {{public_routes: [/v1/models, /v1/audio/voices, /v1/audio/models], mp3_bitrate: 8000,"
        " max_connections: 1, header_timeout: 0.5, body_timeout: 1, stall_timeout: 2, drain_timeout: 0}"
    )
    assert config.general.public_routes == ("/v1/models", "/v1/audio/voices", "/v1/audio/models")
    assert (config.general.mp3_bitrate, config.general.drain_timeout) == (8000, 0)


def test_keys_without_a_value_are_absent() -> None:
    text = """
model_list:
- model_name: one
  params: {model: tones/sine, pitch: , voice: , drop_params: null}
  model_info:
general_settings:
router_settings: {model_group_alias: , fallbacks: }
litellm_settings: {fallbacks: , default_fallbacks: , drop_params: }
environment_variables:
"""
    assert parse(text).models[0].settings == ToneSettings.model_validate({})


def test_fallbacks_of_the_router_win() -> None:
    text = "model_list:\n" + "".join(f"- {{model_name: {n}, params: {{model: anything/x}}}}\n" for n in "abc")
    text += "router_settings: {fallbacks: [{a: [b, c, b]}], default_fallbacks: [c]}\n"
    text += "litellm_settings: {fallbacks: [{a: [c], b: [c]}], default_fallbacks: [b]}\n"
    config = parse(text)
    assert config.fallbacks == {"a": ("b", "c"), "b": ("c",), "*": ("c",)}
    assert [w.where for w in config.warnings] == [
        "litellm_settings.fallbacks[0].a",
        "litellm_settings.default_fallbacks",
    ]
    assert all("which win" in w.message for w in config.warnings)


def test_circle_of_fallbacks_is_no_fault() -> None:
    text = "model_list:\n" + "".join(f"- {{model_name: {n}, params: {{model: anything/x}}}}\n" for n in "ab")
    assert parse(f"{text}router_settings: {{fallbacks: [{{a: [b]}}, {{b: [a]}}, {{'*': [a]}}]}}\n").fallbacks == {
        "a": ("b",),
        "b": ("a",),
        "*": ("a",),
    }


def test_wildcard_name_is_warned_of() -> None:
    (warning,) = problems("model_list: [{model_name: 'tones/*', params: {model: anything/x}}]")
    assert warning.where == "model_list[0].model_name"
    assert warning.message.startswith("the * stands for no models")


def test_a_wildcard_is_each_model_of_its_vendor_and_what_is_written_out_wins() -> None:
    text = """
model_list:
- {model_name: runwayml/gen4_turbo, params: {model: runwayml/gen4_turbo, api_key: key_own}}
- {model_name: 'runwayml/*', params: {model: 'runwayml/*', api_key: key_a, timeout: 9}}
- {model_name: 'runwayml/*', params: {model: 'runwayml/*', api_key: key_b}}
- {model_name: 'pictures/*', params: {model: 'runwayml/gen4_image*'}}
- {model_name: '*', params: {model: 'elevenlabs/*'}}
litellm_settings: {default_fallbacks: [runwayml/gen4.5]}
"""
    config = parse_config(text, "config.yaml", env={})
    named: dict[str, list[str]] = {}
    for entry in config.models:
        named.setdefault(entry.model_name, []).append(entry.model)
    assert named["runwayml/gen4_turbo"] == ["gen4_turbo"]
    assert named["runwayml/gen4.5"] == ["gen4.5", "gen4.5"]
    assert {name: models for name, models in named.items() if name.startswith("pictures/")} == {
        "pictures/_turbo": ["gen4_image_turbo"]
    }
    spoken = set(registry.load("elevenlabs").models) - {"*"}
    assert spoken | {f"runwayml/{model}" for model in registry.load("runwayml").models} | {"pictures/_turbo"} == set(
        named
    )
    assert [entry.routing.timeout for entry in config.models if entry.model == "veo3.1"] == [9, None]
    assert config.warnings == ()


def test_a_wildcard_over_models_with_settings_of_their_own() -> None:
    text = "model_list: [{model_name: 'local/*', params: {model: 'local/*', queue_size: 3, threads: 2, api_key: x}}]"
    config = parse_config(text, "config.yaml", env={})
    settings = {entry.model_name: entry.settings.model_dump() for entry in config.models}
    assert settings["local/espeak"] == {"queue_size": 3, "voices": {}}
    assert (settings["local/kokoro-82m"]["queue_size"], settings["local/kokoro-82m"]["threads"]) == (3, 2)
    assert [warning.where for warning in config.warnings] == ["model_list[0].params.api_key"]


@pytest.mark.parametrize(
    ("entry", "fallback", "where"),
    [
        ("{model_name: all, params: {model: 'runwayml/*'}}", "all", "model_list[0].model_name"),
        ("{model_name: 'x*/*', params: {model: 'runwayml/*'}}", "x*/*", "model_list[0].model_name"),
        ("{model_name: 'x/*', params: {model: 'local/*', nope: 1}}", "x/espeak", "model_list[0].litellm_params.nope"),
        ("{model_name: 'x/*', params: {model: 'local/*', threads: 0}}", "x/*", "model_list[0].litellm_params.threads"),
        ("{model_name: 'x/*', params: {model: 'runwayml/none*'}}", "x/*", "model_list[0].litellm_params.model"),
        ("{model_name: 'x/*', params: {model: 'runwayml/*'}}", "x/*", "litellm_settings.default_fallbacks[0]"),
    ],
)
def test_wildcards_that_cannot_be(entry: str, fallback: str, where: str) -> None:
    text = f"model_list: [{entry}]\nlitellm_settings: {{default_fallbacks: ['{fallback}']}}"
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "config.yaml", env={})
    assert [problem.where for problem in caught.value.problems] == [where.replace("litellm_params", "params")]


def test_price_in_params_is_known() -> None:
    (warning,) = problems(ONE.replace("sine}", "sine, output_cost_per_second_8k: 1}"))
    assert warning.message == "known to LiteLLM, not acted on here"


def test_price_that_is_a_mapping() -> None:
    config = parse(f"{ONE}  model_info: {{search_context_cost_per_query: {{low: 1}}}}")
    assert config.models[0].model_info == {"search_context_cost_per_query": {"low": 1}}
    assert len(config.warnings) == 1


class TestThisMachine:
    """The vendor that is there today, through the registry."""

    TEXT = """
model_list:
  - model_name: kokoro
    litellm_params:
      model: local/kokoro-82m
      voices: {alloy: af_heart}
      threads: 2
    model_info: {mode: audio_speech}
  - model_name: robot
    litellm_params: {model: local/espeak, queue_size: 4}
router_settings:
  fallbacks: [{kokoro: [robot]}]
"""

    @pytest.fixture(autouse=True)
    def _there(self) -> None:
        if "local" not in registry.names():
            pytest.skip("not there")

    def test_good(self, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text(self.TEXT)
        config = load_config(str(path), env={})
        kokoro, robot = config.models
        assert (kokoro.vendor, kokoro.model, robot.model) == ("local", "kokoro-82m", "espeak")
        assert kokoro.settings.model_dump()["threads"] == 2
        assert robot.settings.model_dump()["queue_size"] == 4
        assert config.warnings == ()
        assert config.path == path

    @pytest.mark.parametrize(
        ("right", "wrong", "message", "hint"),
        [
            ("local/kokoro-82m", "local/kokoro", "local has no model 'kokoro'", "did you mean 'kokoro-82m'?"),
            ("local/kokoro-82m", "locl/kokoro-82m", "no vendor 'locl'", "did you mean 'local'?"),
            ("threads: 2", "thread: 2", "unknown key", "did you mean 'threads'?"),
            ("threads: 2", "threads: many", "must be a whole number, got text 'many'", "a number"),
            ("queue_size: 4", "queue_size: 0", "must be 1 or more", "range"),
            ("queue_size: 4", "threads: 4", "unknown key", "keys here: queue_size, voices"),
        ],
    )
    def test_wrong(self, right: str, wrong: str, message: str, hint: str) -> None:
        text = self.TEXT.replace(right, wrong)
        with pytest.raises(ConfigError) as raised:
            parse_config(text, "config.yaml", env={})
        assert message in str(raised.value)
        assert hint in str(raised.value)
