"""What a file says of routing: read at every place where LiteLLM has it, and found fault with."""

from __future__ import annotations

from math import inf

import pytest

from gateway.config.routing import DeploymentKeys, RoutingKeys, StrategyArgs
from gateway.policy.balance import Balance
from gateway.policy.cooldown import CoolingRules
from gateway.services.deployments import rules, traits
from providers.base.contract import Readiness
from tests.config.fakes import parse, problems, the_problem

ONE = "model_list:\n- model_name: one\n  params: {model: tones/sine}\n"

FULL = """
model_list:
  - model_name: one
    litellm_params:
      model: anything/x
      rpm: 60
      weight: 2
      order: 1
      timeout: 30
      stream_timeout: 4.5
      num_retries: 1
      max_retries: 9
      max_parallel_requests: 3
      cooldown_time: 8
      tags: [free, os.environ/TIER]
    model_info: {rpm: 1, order: 7, allowed_fails: 4, allowed_fails_policy: {RateLimitErrorAllowedFails: 6}}
    rpm: 2
  - model_name: two
    litellm_params: {model: anything/x}
    rpm: 5
router_settings:
  routing_strategy: latency-based-routing
  routing_strategy_args: {ttl: 60, lowest_latency_buffer: 0.5}
  num_retries: 4
  retry_after: 1
  timeout: 20
  stream_timeout: 5
  max_fallbacks: 2
  allowed_fails: 0
  allowed_fails_policy: {TimeoutErrorAllowedFails: 2}
  cooldown_time: 30
  disable_cooldowns: true
  retry_policy: {TimeoutErrorRetries: 0, RateLimitErrorRetries: 3}
  model_group_retry_policy: {two: {AuthenticationErrorRetries: 1}, alias: {}}
  enable_tag_filtering: true
  default_max_parallel_requests: 50
  model_group_alias: {alias: one}
  content_policy_fallbacks: [{one: [two]}]
litellm_settings:
  request_timeout: 99
  content_policy_fallbacks: [{two: [alias]}]
"""


def test_everything_that_is_acted_on() -> None:
    config = parse(FULL, {"TIER": "paid"})
    assert config.warnings == ()
    assert config.routing == RoutingKeys(
        routing_strategy="latency-based-routing",
        routing_strategy_args=StrategyArgs(ttl=60, lowest_latency_buffer=0.5),
        num_retries=4,
        retry_after=1,
        timeout=20,
        stream_timeout=5,
        request_timeout=99,
        max_fallbacks=2,
        allowed_fails=0,
        allowed_fails_policy={"TimeoutError": 2},
        cooldown_time=30,
        disable_cooldowns=True,
        retry_policy={"TimeoutError": 0, "RateLimitError": 3},
        model_group_retry_policy={"two": {"AuthenticationError": 1}, "alias": {}},
        enable_tag_filtering=True,
        default_max_parallel_requests=50,
    )
    assert config.content_policy == {"one": ("two",), "two": ("one",)}
    assert config.fallbacks == {}
    one, two = (entry.routing for entry in config.models)
    assert one == DeploymentKeys(
        rpm=60,
        weight=2,
        order=1,
        timeout=30,
        stream_timeout=4.5,
        num_retries=1,
        max_retries=9,
        max_parallel_requests=3,
        cooldown_time=8,
        tags=("free", "paid"),
        allowed_fails=4,
        allowed_fails_policy={"RateLimitError": 6},
    )
    assert two == DeploymentKeys(rpm=5)


class Speaker:
    def readiness(self) -> Readiness:
        raise NotImplementedError

    def warm(self) -> None:
        raise NotImplementedError

    async def speech(self, request: object) -> None:
        raise NotImplementedError

    def voices(self) -> tuple[()]:
        return ()


class Maker:
    readiness, warm = Speaker.readiness, Speaker.warm
    makes, poll_interval = frozenset({"image"}), 1.0
    check = submit = poll = cancel = Speaker.speech


def test_a_deployment_s_own_words_come_first() -> None:
    config = parse(FULL, {"TIER": "paid"})
    one, two = (traits(config.routing, entry, Speaker(), "key") for entry in config.models)
    assert (one.timeout, two.timeout) == (4.5, 5)
    assert [traits(config.routing, entry, Maker(), "key").timeout for entry in config.models] == [30, 20]
    assert (one.once, traits(config.routing, config.models[0], Maker(), "key").once) == (frozenset(), {"image"})
    assert (one.order, two.order, one.weight, two.weight) == (1, inf, 2, None)
    assert (one.rpm, two.rpm, one.max_parallel, two.max_parallel) == (60, 5, 3, 50)
    assert (one.retries, two.retries) == (1, None)
    assert one.tags == {"free", "paid"}
    assert one.cooling == CoolingRules(False, 8, 4, {"RateLimitError": 6})
    assert two.cooling == CoolingRules(False, 30, 0, {"TimeoutError": 2})
    found = rules(config.routing)
    assert found.balance == Balance("latency-based-routing", 0.5, 60)
    assert (found.retries.times, found.retries.floor, found.max_fallbacks, found.tagged) == (4, 1, 2, True)


def test_the_defaults() -> None:
    config = parse(ONE)
    assert rules(config.routing).retries.times == 2
    assert rules(config.routing).balance == Balance()
    own = traits(config.routing, config.models[0], Speaker(), "key")
    assert (own.timeout, own.rpm, own.max_parallel, own.retries) == (None, None, None, None)
    assert own.cooling == CoolingRules()
    assert rules(parse(f"{ONE}router_settings: {{max_retries: 7}}").routing).retries.times == 7


def test_router_settings_win_and_say_so() -> None:
    text = f"{ONE}litellm_settings: {{num_retries: 1, cooldown_time: 3}}\nrouter_settings: {{num_retries: 2}}\n"
    config = parse(text)
    assert (config.routing.num_retries, config.routing.cooldown_time) == (2, 3)
    (warning,) = config.warnings
    assert (warning.where, warning.line) == ("litellm_settings.num_retries", 4)
    assert "router_settings has another value" in warning.message


@pytest.mark.parametrize(
    "name", ["usage-based-routing", "usage-based-routing-v2", "cost-based-routing", "provider-budget-routing"]
)
def test_a_strategy_that_is_not_here(name: str) -> None:
    config = parse(f"{ONE}litellm_settings: {{routing_strategy: {name}}}")
    assert config.routing.routing_strategy == "simple-shuffle"
    (warning,) = config.warnings
    assert warning.where == "litellm_settings.routing_strategy"
    assert "simple-shuffle is used instead" in warning.message


@pytest.mark.parametrize(
    ("keys", "where", "message", "hint"),
    [
        ("routing_strategy: least-buzy", "routing_strategy", "no routing strategy 'least-buzy'", "'least-busy'"),
        ("routing_strategy_args: {ttl: 0}", "routing_strategy_args.ttl", "must be more than 0", "range"),
        ("routing_strategy_args: {tttl: 1}", "routing_strategy_args.tttl", "unknown key", "ttl"),
        ("num_retries: -1", "num_retries", "must be 0 or more", "range"),
        ("num_retries: yes", "num_retries", "must be a whole number, got true", "write a number"),
        ("timeout: 10s", "timeout", "must be a number", "unit"),
        (
            "retry_policy: {TimeoutErrorRetry: 1}",
            "retry_policy.TimeoutErrorRetry",
            "unknown key",
            "TimeoutErrorRetries",
        ),
        (
            "retry_policy: {TimeoutErrorRetries: x}",
            "retry_policy.TimeoutErrorRetries",
            "whole number",
            "write a number",
        ),
        ("retry_policy: [1]", "retry_policy", "must be a mapping", "write"),
        ("allowed_fails_policy: {RateLimitErrorAllowedFails: -2}", None, "whole number, 0 or more", "write a number"),
        ("model_group_retry_policy: {oen: {}}", None, "no model_name or alias", "did you mean 'one'"),
        ("content_policy_fallbacks: [{one: [too]}]", None, "no model_name or alias 'too'", "one"),
        ("content_policy_fallbacks: {one: [two]}", "content_policy_fallbacks", "must be a list", "write"),
        ("disable_cooldowns: 3", "disable_cooldowns", "must be true or false", "true or false"),
    ],
)
def test_faults(keys: str, where: str | None, message: str, hint: str) -> None:
    problem = the_problem(f"{ONE}router_settings:\n  {keys}\n")
    assert (problem.severity, problem.line) == ("error", 5)
    assert where is None or problem.where == f"router_settings.{where}"
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("keys", "where", "message"),
    [
        ("litellm_params: {model: anything/x, rpm: 0}", "litellm_params.rpm", "must be 1 or more"),
        ("litellm_params: {model: anything/x, weight: heavy}", "litellm_params.weight", "must be a number"),
        ("litellm_params: {model: anything/x, tags: free}", "litellm_params.tags", "must be a list"),
        ("litellm_params: {model: anything/x}, rpm: many", "rpm", "must be a whole number"),
        ("litellm_params: {model: anything/x}, model_info: {order: x}", "model_info.order", "must be a number"),
    ],
)
def test_faults_of_a_deployment(keys: str, where: str, message: str) -> None:
    problem = the_problem(f"model_list:\n- {{model_name: one, {keys}}}\n")
    assert (problem.line, problem.where) == (2, f"model_list[0].{where}")
    assert message in problem.message


def test_what_would_have_no_effect_is_said() -> None:
    found = problems(f"{ONE}router_settings: {{retry_policy: {{BadRequestErrorRetries: 2, NotFoundErrorRetries: 1}}}}")
    assert {problem.where.rpartition(".")[2]: problem.severity for problem in found} == {
        "BadRequestErrorRetries": "warning",
        "NotFoundErrorRetries": "warning",
    }
    assert not problems(f"{ONE}router_settings: {{retry_policy: {{BadRequestErrorRetries: 0}}}}")


def test_a_vendor_s_own_key_stays_the_vendor_s() -> None:
    config = parse("model_list: [{model_name: a, params: {model: tones/sine, tags: [x], weight: 2}}]")
    assert config.models[0].routing == DeploymentKeys(weight=2)
