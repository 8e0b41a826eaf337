"""The price function against prices worked out by hand."""

from __future__ import annotations

import pytest

from gateway.ledger.cost import configured, cost, expected, failed, total
from gateway.ledger.row import own_cost
from gateway.record import Cost, Record, Used
from gateway.services.deployments import Dearest, open_deployments, routes
from providers.base import errors, registry
from providers.base.contract import ImageRequest, SpeechRequest, Usage, VideoRequest
from providers.base.price import Price, Rate, free
from providers.base.vendor import Resources
from tests.serving import config_of

RUNWAY = {name: facts.price for name, facts in registry.load("runwayml").models.items()}
SPEECH = SpeechRequest("x" * 120, "Maya")


def film(seconds: int | None = 5, size: str | None = "1280x720", **extra: object) -> VideoRequest:
    return VideoRequest("x", seconds, size, extra=extra)


# Credits of one cent, from Runway's list of prices.
@pytest.mark.parametrize(
    ("model", "request_", "credits"),
    [
        ("eleven_multilingual_v2", SPEECH, 3),  # one for each 50 characters begun
        ("eleven_multilingual_v2", SpeechRequest("x" * 100, "Maya"), 2),
        ("eleven_multilingual_v2", SpeechRequest("x", "Maya"), 1),
        ("eleven_v3", SpeechRequest("x" * 5000, "Maya"), 100),
        ("gen4_image", ImageRequest("x", "1920x1080"), 8),
        ("gen4_image", ImageRequest("x", "720x1280"), 5),
        ("gen4_image", ImageRequest("x", "1680x720"), 5),
        ("gen4_image", ImageRequest("x", "1024x1024"), 8),
        ("gen4_image", ImageRequest("x", "auto"), 8),
        ("gen4_image_turbo", ImageRequest("x", "1280x720"), 2),
        ("gen4_turbo", film(7), 35),
        ("gen4.5", film(10), 120),
        ("gen4.5", film(None), 60),
        ("veo3.1", film(8, "1920x1080"), 320),
        ("veo3.1", film(8, audio=False), 160),
        ("veo3.1", film(8, audio=True), 320),
        ("veo3.1_fast", film(4), 60),
        ("veo3.1_fast", film(4, audio=False), 40),
    ],
)
def test_runway_s_prices(model: str, request_: object, credits: int) -> None:
    _, found = expected(RUNWAY[model], [request_])
    assert found == Cost(pytest.approx(credits * 0.01), "computed")
    _, three = expected(RUNWAY[model], [request_] * 3)
    assert three.usd == pytest.approx(credits * 0.03)


def test_the_length_that_nobody_named_is_not_guessed() -> None:
    used, found = expected(RUNWAY["gen4_turbo"], [film(None)])
    assert (found, used.video_seconds) == (None, None)


@pytest.mark.parametrize("vendor", ["local", "sandbox"])
def test_what_is_made_here_is_free_and_that_is_known(vendor: str) -> None:
    for facts in registry.load(vendor).models.values():
        for request in (SPEECH, ImageRequest("x"), film(None)):
            assert expected(facts.price, [request])[1] == Cost(0.0)


def test_prices_say_where_they_are_from() -> None:
    for vendor in registry.names():
        for model, facts in registry.load(vendor).models.items():
            if facts.price is not None:
                assert facts.price.source, model
                assert facts.price.as_of or facts.price.per_call == 0, model


def test_what_is_not_known_has_no_price() -> None:
    assert cost(None, Used(characters=5)) is None
    assert cost(Price(), Used(characters=5)) is None
    assert cost(Price(per_character=1.0), Used()) is None
    assert cost(Price(per_image=1.0, per_input_token=1.0), Used(images=1)) is None
    assert cost(Price(per_character=0.0), Used()) == Cost(0.0)
    assert total([Cost(1.0), None]) is None


def test_parts_add_up() -> None:
    price = Price(per_call=0.5, per_input_token=0.001, per_output_token=0.01)
    assert cost(price, Used(input_tokens=100, output_tokens=20)).usd == pytest.approx(0.8)
    assert cost(Price(per_pixel=1e-6), Used(images=2, size="1000x500")).usd == pytest.approx(1.0)
    assert cost(Price(per_image=0.1, least=0.5), Used(images=2)).usd == 0.5
    assert cost(Price(per_audio_second=0.0025, step=0.01), Used(audio_seconds=30.0)).usd == pytest.approx(0.08)
    hd = Price(
        per_image=0.04, rates=(Rate(0.12, {"quality": "hd", "size": "1024x1792"}), Rate(0.08, {"quality": "hd"}))
    )
    assert hd.options == {"quality"}
    for size, quality, usd in (("1024x1024", "hd", 0.08), ("1024x1792", "hd", 0.12), ("1024x1792", "low", 0.04)):
        assert expected(hd, [ImageRequest("x", size, extra={"quality": quality})])[1].usd == usd


def test_a_sum_is_as_sure_as_its_least_sure_part() -> None:
    assert total([]) == Cost(0.0, "computed")
    assert total([Cost(1.0, "reported"), Cost(2.0, "expected")]) == Cost(3.0, "expected")
    assert total([Cost(1.0, "possible"), Cost(2.0, "expected")]) == Cost(3.0, "possible")


CONFIGURED = [
    ("audio_speech", {"input_cost_per_character": 0.001}, SPEECH, 0.12),
    ("audio_speech", {"output_cost_per_second": 1.0}, SPEECH, None),  # known once it is spoken
    ("video_generation", {"output_cost_per_second": 0.1}, film(5), 0.5),
    ("video_generation", {"output_cost_per_second": 9.0, "output_cost_per_video_per_second": 0.2}, film(5), 1.0),
    ("video_generation", {"output_cost_per_second": 0.1, "output_cost_per_second_1080p": 0.3}, film(5), 0.5),
    (
        "video_generation",
        {"output_cost_per_second": 0.1, "output_cost_per_second_1080p": 0.3},
        film(5, "1920x1080"),
        1.5,
    ),
    ("video_generation", {"output_cost_per_second_4k": 0.6}, film(5, "2160x3840"), 3.0),
    ("video_generation", {"output_cost_per_second_4k": 0.6}, film(5), None),
    ("image_generation", {"output_cost_per_image": 0.25, "input_cost_per_image": 9.0}, ImageRequest("x"), 0.25),
    ("image_generation", {"input_cost_per_pixel": 1e-6}, ImageRequest("x", "1000x1000"), 1.0),
    ("image_generation", {"input_cost_per_request": 0.0}, ImageRequest("x"), 0.0),
    ("image_generation", {"mode": "image_generation"}, ImageRequest("x"), None),
]


@pytest.mark.parametrize(("mode", "given", "request_", "usd"), CONFIGURED)
def test_prices_of_the_config(mode: str, given: dict[str, object], request_: object, usd: float | None) -> None:
    _, found = expected(configured(given, mode, None), [request_])
    assert (None if found is None else found.usd) == (None if usd is None else pytest.approx(usd))


@pytest.mark.parametrize("place", ["model_info", "params"])
def test_where_the_config_has_them(place: str) -> None:
    prices = {"model_info": "", "params": "", place: "input_cost_per_character: 1e-05"}
    text = f"""
model_list:
  - model_name: m
    params: {{model: local/espeak, {prices["params"]}}}
    model_info: {{{prices["model_info"]}}}
"""
    config = config_of(text)
    assert config.warnings == ()
    assert config.models[0].model_info == {"input_cost_per_character": 1e-05}


def test_a_price_that_does_nothing_here_is_said() -> None:
    text = "model_list: [{model_name: m, params: {model: local/espeak}, model_info: {cache_read_input_token_cost: 1}}]"
    (warning,) = config_of(text).warnings
    assert "not acted on" in warning.message


def test_streams_cost_what_they_have_used() -> None:
    price = Price(per_audio_second=0.5)

    def metered(price: Price | None, used: Used, usage: Usage) -> Cost | None:
        return own_cost(Record("", "", price=price, used=used, usage=usage))

    assert metered(price, Used(characters=3), Usage(audio_seconds=2.0)) == Cost(1.0)
    assert metered(price, Used(characters=3), Usage(audio_seconds=2.0, cost_usd=7.0)) == Cost(7.0, "reported")
    own = configured({"output_cost_per_second": 1.0}, "audio_speech", price)
    assert metered(own, Used(), Usage(audio_seconds=2.0, cost_usd=7.0)) == Cost(2.0)
    assert metered(free("x"), Used(), Usage()) == Cost(0.0)


def test_a_stream_that_is_counted_up_costs_more_each_time() -> None:
    usage = Usage(audio_seconds=1.0)
    record = Record("", "", price=Price(per_audio_second=0.5), used=Used(characters=3), usage=usage)
    assert [own_cost(record), own_cost(record)] == [Cost(0.5)] * 2
    usage.audio_seconds = 3.0
    assert own_cost(record) == Cost(1.5)
    record.price = Price(per_character=1.0)
    assert own_cost(record) == Cost(3.0)


@pytest.mark.parametrize(
    ("error", "certainty"),
    [
        (errors.Refused("x", sent="yes"), "computed"),
        (errors.RateLimited("x", sent="yes"), "computed"),
        (errors.UpstreamDown("x", sent="no"), "computed"),
        (errors.UpstreamTimeout("x", sent="maybe"), "possible"),
        (errors.Broken("x", sent="yes"), "possible"),
    ],
)
def test_attempts_that_failed(error: errors.ProviderError, certainty: str) -> None:
    assert failed(error, Cost(2.0)) == Cost(2.0 if certainty == "possible" else 0.0, certainty)
    assert failed(error, None) == (None if certainty == "possible" else Cost(0.0))


@pytest.mark.parametrize(("model", "usd"), [("cheap", 1.2), ("dear", 1.2), ("alone", 0.012), ("unpriced", None)])
async def test_the_dearest_that_may_answer(model: str, usd: float | None) -> None:
    text = """
model_list:
  - {model_name: cheap, params: {model: scripted/ok, input_cost_per_character: 0.001}}
  - {model_name: dear, params: {model: scripted/ok, input_cost_per_character: 0.01}}
  - {model_name: alone, params: {model: scripted/ok, input_cost_per_character: 0.0001}}
  - {model_name: unpriced, params: {model: scripted/ok}}
litellm_settings: {fallbacks: [{cheap: [dear]}, {unpriced: [dear]}]}
"""
    config = config_of(text)
    found = Dearest(routes(config, await open_deployments(config, Resources())))(model, [SPEECH])
    assert found == (None if usd is None else pytest.approx(usd))
