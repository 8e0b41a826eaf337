"""The simulated Polly, driven by AWS' own client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

boto3 = pytest.importorskip("boto3")
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402

from tests.sound import hear  # noqa: E402
from tests.upstreams.polly import EVERY, REGION, VOICES, Polly, error  # noqa: E402


@pytest.fixture
def server() -> Iterator[Polly]:
    with Polly() as running:
        yield running


def client_of(server: Polly, **keys: str) -> Any:
    given = {"aws_access_key_id": server.key, "aws_secret_access_key": server.secret} | keys
    return boto3.client(
        "polly", endpoint_url=server.base, region_name=REGION, config=Config(retries={"total_max_attempts": 1}), **given
    )


@pytest.fixture
def client(server: Polly) -> Iterator[Any]:
    made = client_of(server)
    yield made
    made.close()


@pytest.mark.parametrize(("wished", "format"), [("mp3", "mp3"), ("ogg_opus", "opus")])
def test_speech(server: Polly, client: Any, wished: str, format: str) -> None:
    said = client.synthesize_speech(Text="Good evening." * 3, OutputFormat=wished, VoiceId="Joanna", Engine="neural")
    assert said["RequestCharacters"] == 39
    with said["AudioStream"] as stream:
        assert hear(stream.read(), format).seconds == pytest.approx(39 / 15, abs=0.2)
    assert server.ledger == [{"voice": "Joanna", "engine": "neural", "characters": 39}]


def test_ssml_is_read_and_charged_for_without_its_tags(client: Any) -> None:
    text = '<speak><prosody rate="200%">Good evening, you &amp; you.</prosody></speak>'
    said = client.synthesize_speech(
        Text=text, TextType="ssml", OutputFormat="pcm", VoiceId="Amy", SampleRate="8000", Engine="standard"
    )
    assert said["RequestCharacters"] == 24
    with said["AudioStream"] as stream:
        assert len(stream.read()) / 16_000 == pytest.approx(24 / 15 / 2, abs=0.01)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"Text": "x" * 3001}, "TextLengthExceededException"),
        ({"Text": "<speak>", "TextType": "ssml"}, "InvalidSsmlException"),
        ({"SampleRate": "11025"}, "InvalidSampleRateException"),
        ({"Engine": "long-form"}, "EngineNotSupportedException"),
        ({"LexiconNames": ["mine"]}, "LexiconNotFoundException"),
    ],
)
def test_what_is_wrong_is_found(server: Polly, client: Any, fields: dict[str, Any], name: str) -> None:
    with pytest.raises(getattr(client.exceptions, name)):
        client.synthesize_speech(**({"Text": "x", "OutputFormat": "mp3", "VoiceId": "Joanna"} | fields))
    assert server.ledger == []


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"aws_secret_access_key": "another"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKANOTHER"}, "UnrecognizedClientException"),
    ],
)
def test_a_wrong_key_is_found(server: Polly, keys: dict[str, str], name: str) -> None:
    stranger = client_of(server, **keys)
    with pytest.raises(ClientError, match=name):
        stranger.synthesize_speech(Text="x", OutputFormat="mp3", VoiceId="Joanna")
    stranger.close()


def test_faults_and_voices(server: Polly, client: Any) -> None:
    server.next(error("ThrottlingException", 400))
    with pytest.raises(client.exceptions.ThrottlingException):
        client.synthesize_speech(Text="x", OutputFormat="mp3", VoiceId="Joanna")
    assert {each["Id"] for each in client.describe_voices(Engine="long-form")["Voices"]} == VOICES["long-form"]
    assert {each["Id"] for each in client.describe_voices()["Voices"]} == EVERY
