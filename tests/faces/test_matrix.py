"""Every vendor in every format, whole and as events, to a client that waits for all of it and to one that reads along."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import openai
import pytest

pytest.importorskip("botocore")
pytest.importorskip("google.auth")

from engines.media import AudioFormat
from providers.base import registry
from providers.runwayml import Runway as RunwayAdapter
from tests.faces.test_speech_sdk import MEDIA
from tests.serving import config_of, serving
from tests.sound import hear
from tests.upstreams.every import VOICES, every

TEXT = "A short text, spoken once."
NOT_VENDORS = {"scripted"}  # made up, in tests/vendors


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    """Of one gateway that asks them all. Runway's five seconds between two looks are a moment here."""
    with pytest.MonkeyPatch.context() as patch, every(tmp_path_factory.mktemp("every")) as all_of_them:
        patch.setattr(RunwayAdapter, "poll_interval", property(lambda _: 0.02, lambda *_: None), raising=False)
        with (
            serving(config_of(all_of_them.config)) as running,
            openai.OpenAI(base_url=f"{running.base}/v1", api_key="unused", max_retries=0) as made,
        ):
            yield made


def test_no_vendor_is_left_out() -> None:
    assert set(registry.names()) - NOT_VENDORS == {name.partition(" ")[0] for name in VOICES}


@pytest.mark.parametrize("streams", [False, True], ids=["sync", "streaming"])
@pytest.mark.parametrize("as_events", [False, True], ids=["audio", "sse"])
@pytest.mark.parametrize("format", [each.value for each in AudioFormat])
@pytest.mark.parametrize("vendor", VOICES)
def test_the_sound_asked_for(client: openai.OpenAI, vendor: str, format: str, as_events: bool, streams: bool) -> None:
    """None of them refuses a cell: what a vendor cannot do, the gateway does."""
    asked = {
        "model": vendor, "voice": VOICES[vendor], "input": TEXT, "response_format": format,
        "stream_format": "sse" if as_events else "audio",
    }  # fmt: skip
    speech = client.audio.speech
    if streams:
        with speech.with_streaming_response.create(**asked) as answer:
            kind, body = answer.headers["content-type"], b"".join(answer.iter_bytes())
    else:
        whole = speech.with_raw_response.create(**asked)
        kind, body = whole.headers["content-type"], whole.content
    assert kind == ("text/event-stream; charset=utf-8" if as_events else MEDIA[format])
    heard = hear(_joined(body) if as_events else body, format)
    assert heard.rate == (48_000 if format == "opus" else 24_000)
    assert 1 < heard.seconds < 4
    assert heard.loudness > 0.01


def _joined(events: bytes) -> bytes:
    *deltas, done = [json.loads(line.removeprefix("data: ")) for line in events.decode().splitlines() if line]
    assert {each["type"] for each in deltas} == {"speech.audio.delta"}
    assert done["type"] == "speech.audio.done"
    return b"".join(base64.b64decode(each["audio"]) for each in deltas)
