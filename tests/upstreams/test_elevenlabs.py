"""The simulated ElevenLabs, driven by ElevenLabs' own client."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from elevenlabs import VoiceSettings
from elevenlabs.client import ElevenLabs as Client
from elevenlabs.core.api_error import ApiError
from elevenlabs.errors import UnprocessableEntityError

from tests.sound import hear
from tests.upstreams import elevenlabs as upstream
from tests.upstreams.elevenlabs import ElevenLabs
from tests.upstreams.speaking import BAD_GATEWAY, CUT

RACHEL = "21m00Tcm4TlvDq8ikWAM"
ONCE = {"max_retries": 0}


@pytest.fixture
def server() -> Iterator[ElevenLabs]:
    with ElevenLabs() as running:
        yield running


@pytest.fixture
def client(server: ElevenLabs) -> Iterator[Client]:
    with httpx.Client() as transport:
        yield Client(api_key=server.key, base_url=server.base, httpx_client=transport)


@pytest.mark.parametrize(
    ("wished", "format"),
    [(None, "mp3"), ("mp3_22050_32", "mp3"), ("opus_48000_64", "opus"), ("pcm_24000", "pcm"), ("wav_24000", "wav")],
)
def test_speech_at_once(client: Client, wished: str | None, format: str) -> None:
    data = b"".join(client.text_to_speech.convert(RACHEL, text="Good evening." * 3, output_format=wished))
    assert hear(data, format).seconds == pytest.approx(39 / 15, abs=0.2)


def test_speech_in_chunks_with_all_its_fields(server: ElevenLabs, client: Client) -> None:
    chunks = client.text_to_speech.stream(
        RACHEL,
        text="Good evening. " * 20,
        model_id="eleven_flash_v2_5",
        output_format="pcm_24000",
        voice_settings=VoiceSettings(stability=0.5, similarity_boost=0.75, speed=1.2),
        seed=7,
        language_code="en",
        apply_text_normalization="off",
        enable_logging=False,
    )
    assert len(b"".join(chunks)) / 48_000 == pytest.approx(280 / 15 / 1.2, abs=0.01)
    assert server.ledger == [{"voice": RACHEL, "model": "eleven_flash_v2_5", "characters": 280, "format": "pcm_24000"}]


def test_timestamps_voices_and_models(client: Client) -> None:
    timed = client.text_to_speech.convert_with_timestamps(RACHEL, text="Hello")
    assert timed.alignment is not None
    assert timed.alignment.characters == list("Hello")
    first = client.voices.search(page_size=10)
    rest = client.voices.search(page_size=10, next_page_token=first.next_page_token)
    assert {each.voice_id for each in first.voices + rest.voices} == upstream.VOICES.keys()
    assert (first.has_more, rest.has_more, first.total_count) == (True, False, 13)
    assert client.voices.search(search="rachel").voices[0].voice_id == RACHEL
    assert {each.model_id for each in client.models.list()} == upstream.MODELS.keys()


@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [
        (upstream.UNAUTHORIZED, 401, "invalid_api_key"),
        (upstream.QUOTA, 401, "quota_exceeded"),
        (upstream.TIER, 403, "output_format_not_allowed"),
        (upstream.CROWDED, 429, "too_many_concurrent_requests"),
        (BAD_GATEWAY, 502, "Bad Gateway"),
    ],
)
def test_how_it_refuses(server: ElevenLabs, client: Client, fault: upstream.Fault, status: int, word: str) -> None:
    server.next(fault)
    with pytest.raises(ApiError) as caught:
        b"".join(client.text_to_speech.stream(RACHEL, text="x", request_options=ONCE))
    assert caught.value.status_code == status
    assert word in str(caught.value.body)
    assert server.ledger == []


def test_what_is_wrong_is_found(server: ElevenLabs, client: Client) -> None:
    def ask(kind: type[ApiError], word: str, voice: str = RACHEL, **fields: object) -> None:
        with pytest.raises(kind) as caught:
            b"".join(client.text_to_speech.stream(voice, **({"text": "x"} | fields), request_options=ONCE))
        assert word in str(caught.value.body)

    ask(ApiError, "voice_not_found", "x" * 20)
    ask(ApiError, "max_character_limit_exceeded", text="x" * 5001, model_id="eleven_v3")
    ask(ApiError, "model_not_found", model_id="eleven_v0")
    ask(UnprocessableEntityError, "output_format", output_format="flac")
    ask(UnprocessableEntityError, "output_format", output_format="wav_24000")
    ask(UnprocessableEntityError, "seed", seed="seven")
    ask(UnprocessableEntityError, "Extra", use_pvc_as_ivc=True)
    ask(ApiError, "invalid_voice_settings", voice_settings=VoiceSettings(speed=2.0))
    with httpx.Client() as transport:
        stranger = Client(api_key="wrong", base_url=server.base, httpx_client=transport)
        with pytest.raises(ApiError, match="invalid_api_key"):
            b"".join(stranger.text_to_speech.convert(RACHEL, text="x", request_options=ONCE))
    assert server.ledger == []


def test_a_stream_that_is_cut(server: ElevenLabs, client: Client) -> None:
    server.next(CUT)
    with pytest.raises(httpx.RemoteProtocolError):
        b"".join(client.text_to_speech.stream(RACHEL, text="Good evening. " * 20, request_options=ONCE))
