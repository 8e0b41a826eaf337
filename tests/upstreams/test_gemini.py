"""The simulated Gemini, driven by Google's own client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from engines.pictures import size_of
from tests.contracts.tasks import PIXEL
from tests.upstreams.gemini import BAD_KEY, OVERLOADED, QUOTA, SILENT, TALKS, Fault, Gemini

TEXT = "The quick brown fox jumped over the lazy dog."
DRAWN = types.GenerateContentConfig(response_modalities=["IMAGE"])
TWO = types.SpeechConfig(
    multi_speaker_voice_config=types.MultiSpeakerVoiceConfig(
        speaker_voice_configs=[
            types.SpeakerVoiceConfig(
                speaker=speaker,
                voice_config=types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name=voice)),
            )
            for speaker, voice in (("Ann", "Kore"), ("Bob", "Puck"))
        ]
    )
)


@pytest.fixture(params=[None, "v1beta"])
def client(request: pytest.FixtureRequest) -> Iterator[tuple[Gemini, genai.Client]]:
    with Gemini() as gemini:
        options = types.HttpOptions(base_url=gemini.base, api_version=request.param)
        made = genai.Client(api_key=gemini.key, http_options=options)
        yield gemini, made
        made.close()


def config(voice: str | types.SpeechConfig = "Kore") -> types.GenerateContentConfig:
    return types.GenerateContentConfig(response_modalities=["AUDIO"], speech_config=voice)


def test_whole_and_in_pieces(client: tuple[Gemini, genai.Client]) -> None:
    gemini, google = client
    for model, kind, pieces in (
        ("gemini-2.5-flash-preview-tts", "audio/L16", 1),
        ("gemini-3.8-flash-tts", "audio/l16", 5),
    ):
        made = google.models.generate_content(model=model, contents=TEXT, config=config())
        inline = made.candidates[0].content.parts[0].inline_data
        assert inline.data[:4] == b"RIFF" if "3.8" in model else inline.mime_type.startswith("audio/L16")
        assert made.usage_metadata.candidates_tokens_details[0].modality == "AUDIO"
        *some, last = google.models.generate_content_stream(model=model, contents=TEXT, config=config())
        assert len(some) >= pieces
        assert all(each.candidates[0].content.parts[0].inline_data.mime_type.startswith(kind) for each in some)
        assert last.candidates[0].finish_reason == "STOP"
        assert last.usage_metadata.candidates_token_count > 50
    assert [entry["voices"] for entry in gemini.ledger] == [{"": "Kore"}] * 4
    assert gemini.requests[0].headers["x-goog-api-key"] == gemini.key


def test_two_speakers(client: tuple[Gemini, genai.Client]) -> None:
    gemini, google = client
    text = "TTS this conversation:\nAnn: Hello.\nBob: Hello to you."
    google.models.generate_content(model="gemini-2.5-pro-preview-tts", contents=text, config=config(TWO))
    assert gemini.ledger[0]["voices"] == {"Ann": "Kore", "Bob": "Puck"}


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (BAD_KEY, 400, "INVALID_ARGUMENT"),
        (QUOTA, 429, "RESOURCE_EXHAUSTED"),
        (OVERLOADED, 503, "UNAVAILABLE"),
    ],
)
def test_refusals(client: tuple[Gemini, genai.Client], fault: Fault, code: int, status: str) -> None:
    gemini, google = client
    gemini.next(fault)
    with pytest.raises(errors.APIError) as caught:
        google.models.generate_content(model="gemini-3.8-flash-tts", contents=TEXT, config=config())
    assert (caught.value.code, caught.value.status) == (code, status)
    assert not gemini.ledger


@pytest.mark.parametrize(
    ("model", "text", "voice", "says"),
    [
        ("gemini-3.8-flash-tts", TEXT, "alloy", "alloy"),
        ("gemini-2.5-flash-preview-tts", "Hello.", "Kore", "tried to generate text"),
        ("gemini-3.8-flash-tts", " ", "Kore", "empty"),
        ("gemini-9", TEXT, "Kore", "not found"),
    ],
)
def test_what_is_not_let_in(client: tuple[Gemini, genai.Client], model: str, text: str, voice: str, says: str) -> None:
    gemini, google = client
    with pytest.raises(errors.ClientError, match=says):
        google.models.generate_content(model=model, contents=text, config=config(voice))
    assert not gemini.ledger


def test_a_wrong_key(client: tuple[Gemini, genai.Client]) -> None:
    gemini, _ = client
    stranger = genai.Client(api_key="AIza-other", http_options=types.HttpOptions(base_url=gemini.base))
    with pytest.raises(errors.ClientError, match="API key not valid"):
        stranger.models.generate_content(model="gemini-3.8-flash-tts", contents=TEXT, config=config())
    stranger.close()


def test_answers_without_sound(client: tuple[Gemini, genai.Client]) -> None:
    gemini, google = client
    for fault, reason in ((SILENT, "OTHER"), (TALKS, "STOP")):
        gemini.next(fault)
        made = google.models.generate_content(model="gemini-3.8-flash-tts", contents=TEXT, config=config())
        assert made.candidates[0].finish_reason == reason
    gemini.next(Fault(block="SAFETY"))
    (blocked,) = google.models.generate_content_stream(model="gemini-3.8-flash-tts", contents=TEXT, config=config())
    assert blocked.prompt_feedback.block_reason == "SAFETY"
    assert not blocked.candidates


def test_a_model_is_known(client: tuple[Gemini, genai.Client]) -> None:
    _, google = client
    assert google.models.get(model="gemini-3.8-flash-tts").name == "models/gemini-3.8-flash-tts"
    with pytest.raises(errors.ClientError, match="not found"):
        google.models.get(model="gemini-9")


def test_pictures(client: tuple[Gemini, genai.Client]) -> None:
    gemini, google = client
    for model, modalities, shape, size, tokens in (
        ("gemini-2.5-flash-image", ["IMAGE"], {"aspect_ratio": "16:9"}, (1344, 768), 1290),
        ("gemini-2.5-flash-image", ["TEXT", "IMAGE"], {}, (1024, 1024), 1290),
        ("gemini-3-pro-image", ["IMAGE"], {"aspect_ratio": "2:3", "image_size": "2K"}, (1696, 2528), 1680),
    ):
        wish = types.GenerateContentConfig(response_modalities=modalities, image_config=types.ImageConfig(**shape))
        made = google.models.generate_content(
            model=model, contents=[types.Part.from_bytes(data=PIXEL, mime_type="image/png"), "Swap them."], config=wish
        )
        *texts, last = made.parts
        assert [bool(each.text) for each in texts] == [True] * (len(modalities) - 1)
        assert size_of(last.inline_data.data) == size
        assert made.usage_metadata.candidates_token_count == tokens
        assert gemini.ledger[-1]["pictures"] == [PIXEL]
    for fault, reason in ((Fault(silent="NO_IMAGE"), "NO_IMAGE"), (Fault(silent="STOP", text=True), "STOP")):
        gemini.next(fault)
        made = google.models.generate_content(model="gemini-2.5-flash-image", contents="A cat.", config=DRAWN)
        assert made.candidates[0].finish_reason == reason
        assert all(part.inline_data is None for part in made.parts or ())
    gemini.next(Fault(block="PROHIBITED_CONTENT"))
    blocked = google.models.generate_content(model="gemini-2.5-flash-image", contents="A cat.", config=DRAWN)
    assert blocked.prompt_feedback.block_reason == "PROHIBITED_CONTENT"


@pytest.mark.parametrize(
    ("contents", "shape", "says"),
    [
        ("A cat.", {"aspect_ratio": "7:3"}, "aspect_ratio"),
        ("A cat.", {"image_size": "2K"}, "image_size"),
        (" ", {}, "contents"),
        (["A cat.", types.Part.from_bytes(data=b"%PDF-1.7", mime_type="image/png")], {}, "input image"),
        (["A cat.", *[types.Part.from_bytes(data=PIXEL, mime_type="image/png")] * 4], {}, "Too many"),
    ],
)
def test_pictures_that_are_not_made(
    client: tuple[Gemini, genai.Client], contents: Any, shape: dict[str, str], says: str
) -> None:
    gemini, google = client
    wish = types.GenerateContentConfig(response_modalities=["IMAGE"], image_config=types.ImageConfig(**shape))
    with pytest.raises(errors.ClientError, match=says):
        google.models.generate_content(model="gemini-2.5-flash-image", contents=contents, config=wish)
    assert not gemini.ledger
