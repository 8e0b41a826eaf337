"""Guards over HTTP: what is refused never reaches a provider, and every answer says who looked at its text."""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Iterator

import httpx
import openai
import pytest
from PIL import Image

from tests.serving import Running, config_of, serving

scripted = importlib.import_module("providers.scripted")

CONFIG = """
model_list:
  - {model_name: voice, params: {model: scripted/ok}}
  - {model_name: broken, params: {model: scripted/breaks-first}}
  - {model_name: studio, params: {model: scripted/errand}}
guardrails:
  - guardrail_name: words
    litellm_params:
      guardrail: litellm_content_filter
      mode: pre_call
      default_on: true
      blocked_words:
        - {keyword: nightshade, action: BLOCK}
        - {keyword: open sesame, action: MASK}
      keyword_redaction_tag: please
  - guardrail_name: short
    litellm_params: {guardrail: media_gateway/length, mode: pre_call, max_characters: 20}
"""
BLOCKED = "A bit of ＮＩＧＨＴ\u200bshade"
MASKED = "Say Open  Sesame now"
APPLIED = "x-litellm-applied-guardrails"

# OpenAI's SDKs call every method of videos deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving(config_of(CONFIG)) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    scripted.Scripted.asked.clear()
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key="sk-any", max_retries=0) as made:
        yield made


def remix(client: openai.OpenAI, text: str, **more: object) -> httpx.Headers:
    video = client.videos.create_and_poll(model="studio", prompt="A film", poll_interval_ms=10)
    scripted.Scripted.asked.clear()
    answer = client.videos.with_raw_response.remix(video.id, prompt=text, **more)
    return answer.headers


def edit(client: openai.OpenAI, text: str, **more: object) -> httpx.Headers:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "png")
    made = client.images.with_raw_response
    return made.edit(model="studio", image=("a.png", picture.getvalue()), prompt=text, **more).headers


def say(client: openai.OpenAI, text: str, **more: object) -> httpx.Headers:
    return client.audio.speech.with_raw_response.create(
        model="voice", voice="v", input=text, response_format="pcm", **more
    ).headers


def draw(client: openai.OpenAI, text: str, **more: object) -> httpx.Headers:
    return client.images.with_raw_response.generate(
        model="studio", prompt=text, response_format="b64_json", **more
    ).headers


def film(client: openai.OpenAI, text: str, **more: object) -> httpx.Headers:
    return client.videos.with_raw_response.create(model="studio", prompt=text, **more).headers


EVERY = pytest.mark.parametrize(
    ("make", "field"), [(say, "input"), (draw, "prompt"), (edit, "prompt"), (film, "prompt"), (remix, "prompt")]
)


@EVERY
def test_what_is_refused_reaches_nobody(client: openai.OpenAI, make, field: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        make(client, BLOCKED)
    assert scripted.Scripted.asked == []
    error, answer = caught.value, caught.value.response
    assert (error.status_code, error.code, error.param) == (400, "content_policy_violation", field)
    assert error.body["message"] == f"The guardrail 'words' refuses '{field}'."
    assert answer.headers[APPLIED] == "words"
    assert "shade" not in answer.text.lower()


@EVERY
def test_what_is_masked_reaches_the_provider_masked(client: openai.OpenAI, make, field: str) -> None:
    headers = make(client, MASKED)
    assert headers[APPLIED] == "words"
    (asked,) = scripted.Scripted.asked
    assert (asked.text if field == "input" else asked.prompt) == "Say please now"
    assert "guardrails" not in asked.extra


@EVERY
def test_guards_by_name(client: openai.OpenAI, make, field: str) -> None:
    text = "A text of more than twenty characters"
    assert make(client, text)[APPLIED] == "words"
    assert make(client, "Short", extra_body={"guardrails": ["short"]})[APPLIED] == "words,short"
    assert make(client, "Short", extra_body={"guardrails": None})[APPLIED] == "words"
    assert not any("guardrails" in asked.extra for asked in scripted.Scripted.asked)
    scripted.Scripted.asked.clear()
    with pytest.raises(openai.BadRequestError) as caught:
        make(client, text, extra_body={"guardrails": ["short"]})
    assert caught.value.code == "content_policy_violation"
    assert "it has 37 characters, and may have 20" in caught.value.message
    assert caught.value.response.headers[APPLIED] == "words,short"
    for wrong in (["other"], [5], ["short", ""]):
        with pytest.raises(openai.BadRequestError, match="guardrail") as caught:
            make(client, "Short", extra_body={"guardrails": wrong})
        assert str(caught.value.param).startswith("guardrails")
    assert scripted.Scripted.asked == []


def test_guards_by_name_in_a_form(server: Running, client: openai.OpenAI) -> None:
    picture = base64.b64decode("iVBORw0KGgo=")
    for name, value in (("guardrails", "short"), ("guardrails[]", "short"), ("guardrails", "words, short")):
        form = {"model": "studio", "prompt": "A text of more than twenty characters", name: value}
        answer = httpx.post(f"{server.base}/v1/videos", data=form, files={"input_reference": ("a.png", picture)})
        assert (answer.status_code, answer.headers[APPLIED]) == (400, "words,short")
    assert scripted.Scripted.asked == []


def test_instructions_are_looked_at_too(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        say(client, "Hello", instructions="As if of nightshade")
    assert caught.value.param == "instructions"
    assert scripted.Scripted.asked == []
    say(client, "Hello", instructions="open sesame")
    assert scripted.Scripted.asked[0].instructions == "please"


def test_the_masked_text_is_what_is_kept(client: openai.OpenAI) -> None:
    video = client.videos.create(model="studio", prompt=MASKED)
    assert client.videos.retrieve(video.id).prompt == "Say please now"


def test_a_failing_provider_s_answer_says_it_too(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.audio.speech.create(model="broken", voice="v", input="Hello")
    assert caught.value.code != "content_policy_violation"
    assert caught.value.response.headers[APPLIED] == "words"


def test_where_no_guard_is_on_nothing_is_said(espeak_server: Running) -> None:
    body = {"model": "espeak", "voice": "alloy", "input": "Hello."}
    assert APPLIED not in httpx.post(f"{espeak_server.base}/v1/audio/speech", json=body).headers
    answer = httpx.post(f"{espeak_server.base}/v1/audio/speech", json={**body, "guardrails": ["words"]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "guardrails")
