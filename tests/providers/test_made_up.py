"""A vendor is one file: here it is put beside the others, and no line is written anywhere else."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import openai
import pytest

import providers
from engines.media import AudioFormat
from providers.base import registry
from providers.base.contract import SpeechProvider
from providers.base.settings import VendorSettings
from providers.base.vendor import Resources
from tests.contracts.speech import TEXT, SpeechContract
from tests.serving import config_of, serving
from tests.sound import hear


@pytest.fixture(autouse=True)
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file is there for the length of a test."""
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(Path(__file__).parent / "made_up")])
    registry.names.cache_clear()
    yield
    registry.names.cache_clear()
    registry.load.cache_clear()
    sys.modules.pop("providers.crier", None)


@pytest.fixture
async def provider() -> AsyncIterator[SpeechProvider]:
    resources = Resources()
    made = await registry.load("crier").open("loud", VendorSettings(), resources)
    assert isinstance(made, SpeechProvider)
    yield made
    await resources.close()


class TestContract(SpeechContract):
    @pytest.fixture
    def voice(self) -> str:
        return "nova"


def test_it_speaks_through_the_gateway_in_every_format() -> None:
    config = config_of("model_list: [{model_name: town, litellm_params: {model: crier/loud}}]")
    with serving(config) as running, openai.OpenAI(base_url=f"{running.base}/v1", api_key="x", max_retries=0) as client:
        for form in AudioFormat:
            for speed in (1.0, 2.0):
                said = client.audio.speech.create(
                    model="town", voice="nova", input=TEXT, response_format=form.value, speed=speed
                )
                assert hear(said.content, form).seconds == pytest.approx(len(TEXT) / 15 / speed, abs=0.2)
        with pytest.raises(openai.BadRequestError) as caught:
            client.audio.speech.create(model="town", voice="nobody", input=TEXT)
        assert caught.value.param == "voice"
        assert (
            "crier"
            in client.audio.speech.with_raw_response.create(model="town", voice="nova", input="x").headers[
                "x-media-gateway-provider"
            ]
        )
