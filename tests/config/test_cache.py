"""``litellm_settings.cache`` and ``cache_params``, and the settings of health checks."""

from __future__ import annotations

import pytest

from gateway.config.cache import CacheSettings
from tests.config.fakes import parse, the_problem

ONE = "model_list:\n- model_name: one\n  params: {model: anything/x}\n"


def test_off_by_default() -> None:
    assert parse(ONE).litellm.cache is None
    assert parse(f"{ONE}litellm_settings: {{cache: false}}").litellm.cache is None


def test_on() -> None:
    config = parse(f"{ONE}litellm_settings: {{cache: true}}")
    assert (config.litellm.cache, config.warnings) == (CacheSettings(), ())
    params = "type: disk, ttl: 60, max_size_mb: 5, mode: default_off, namespace: x, supported_call_types: [speech]"
    config = parse(f"{ONE}litellm_settings: {{cache: true, cache_params: {{{params}}}}}")
    assert config.warnings == ()
    assert config.litellm.cache == CacheSettings(
        type="disk", ttl=60, max_size_mb=5, mode="default_off", namespace="x", supported_call_types=("speech",)
    )


@pytest.mark.parametrize(
    ("settings", "where", "message", "hint", "on"),
    [
        ("{cache: true, cache_params: {type: redis, host: h}}", "cache_params.type", "redis is known", "disk", False),
        ("{cache: true, cache_params: {type: s3}}", "cache_params.type", "the cache is off", "local (in", False),
        ("{cache_params: {type: disk}}", "cache_params", "the cache is off", "cache: true", False),
        (
            "{cache: true, cache_params: {supported_call_types: [acompletion]}}",
            "cache_params.supported_call_types",
            "only speech",
            "add aspeech",
            False,
        ),
        ("{cache: true, cache_params: {disk_cache_dir: /x}}", "cache_params.disk_cache_dir", "not acted on", "", True),
    ],
)
def test_warned_of(settings: str, where: str, message: str, hint: str, on: bool) -> None:
    config = parse(f"{ONE}litellm_settings: {settings}")
    (problem,) = config.warnings
    assert problem.where == f"litellm_settings.{where}"
    assert message in problem.message
    assert hint in problem.hint
    assert (config.litellm.cache is not None) == on


@pytest.mark.parametrize(
    ("section", "where", "message", "hint"),
    [
        ("litellm_settings: {cache: maybe}", "litellm_settings.cache", "must be true or false", "true or false"),
        ("litellm_settings: {cache: true, cache_params: [x]}", "litellm_settings.cache_params", "a mapping", "name: v"),
        (
            "litellm_settings: {cache: true, cache_params: {type: dick}}",
            "litellm_settings.cache_params.type",
            "must be one of local, disk, got text 'dick'",
            "'disk'",
        ),
        (
            "litellm_settings: {cache: true, cache_params: {ttl: 0}}",
            "litellm_settings.cache_params.ttl",
            "more than 0",
            "this range",
        ),
        (
            "litellm_settings: {cache: true, cache_params: {max_size: 5}}",
            "litellm_settings.cache_params.max_size",
            "unknown key",
            "'max_size_mb'",
        ),
        (
            "general_settings: {health_check_interval: 0}",
            "general_settings.health_check_interval",
            "more than 0",
            "this range",
        ),
        (
            "general_settings: {health_check_concurrency: none}",
            "general_settings.health_check_concurrency",
            "whole number",
            "write a number",
        ),
    ],
)
def test_refused(section: str, where: str, message: str, hint: str) -> None:
    problem = the_problem(f"{ONE}{section}\n")
    assert (problem.severity, problem.where) == ("error", where)
    assert message in problem.message
    assert hint in problem.hint


def test_a_deployment_s_own_checks() -> None:
    info = "model_info: {health_check_timeout: 2.5, disable_background_health_check: true}"
    config = parse(f"model_list:\n- {{model_name: one, params: {{model: anything/x}}, {info}}}\n")
    assert config.warnings == ()
    assert dict(config.models[0].model_info) == {"health_check_timeout": 2.5, "disable_background_health_check": True}
