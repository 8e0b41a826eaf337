"""Azure AI Speech over HTTP: OpenAI's SDK in front of the gateway, the simulated Azure behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.conftest import KEY
from tests.serving import Running, config_of, serving
from tests.sound import hear
from tests.upstreams.azure_speech import AzureSpeech

CONFIG = """
model_list:
  - model_name: azure-tts
    litellm_params:
      model: azure/speech/azure-tts
      api_base: {base}
      api_key: os.environ/AZURE_API_KEY
general_settings: {{master_key: {key}, data_dir: {data}}}
"""
TEXT = 'Fish & chips < "caviar", she said.'


@pytest.fixture
def azure() -> Iterator[AzureSpeech]:
    with AzureSpeech() as server:
        yield server


@pytest.fixture
def server(azure: AzureSpeech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setenv("AZURE_API_KEY", azure.key)
    with serving(config_of(CONFIG.format(base=azure.base, key=KEY, data=tmp_path))) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=0) as made:
        yield made


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_every_format(azure: AzureSpeech, client: openai.OpenAI, format: str) -> None:
    extra = {"style": 'chat" role="Boy', "lang": "en-GB"}
    with client.audio.speech.with_streaming_response.create(
        model="azure-tts", voice="alloy", input=TEXT, response_format=format, speed=1.2, extra_body=extra
    ) as answer:  # type: ignore[call-overload]
        heard = hear(b"".join(answer.iter_bytes()), format)
        cost = answer.headers["x-litellm-response-cost"]
    assert heard.seconds == pytest.approx(len(TEXT) / 15 / 1.2, abs=0.3)
    found = azure.ledger[0]["found"]
    assert (found.text, found.lang, found.style) == (TEXT, "en-GB", {"style": 'chat" role="Boy'})
    assert float(cost) == pytest.approx(len(TEXT) * 1.5e-5)


def test_what_azure_does_not_have_is_refused_by_name(client: openai.OpenAI, azure: AzureSpeech) -> None:
    for extra, param in (({"pitch": 2}, "pitch"), ({"role": "Girl"}, "role"), ({"instructions": "x"}, "instructions")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.audio.speech.create(model="azure-tts", voice="alloy", input=TEXT, extra_body=extra)
        assert caught.value.param == param
    assert azure.requests == []


def test_a_voice_is_listed(client: openai.OpenAI) -> None:
    found = client.get("/audio/voices", cast_to=object)
    assert "en-US-AvaMultilingualNeural" in str(found)
