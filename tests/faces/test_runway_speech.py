"""Speech by RunwayML over HTTP: long texts, all formats and speeds, its own voices, and what is never paid twice."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from engines.codec import decode
from providers.runwayml import Runway as Adapter
from tests.conftest import KEY
from tests.serving import Running, config_of, serving
from tests.sound import Heard, hear
from tests.upstreams import runway as upstream
from tests.upstreams.runway import Runway

CONFIG = """
model_list:
  - model_name: tts
    litellm_params: &runway {{model: runwayml/eleven_multilingual_v2, api_key: {vendor_key}, api_base: "{base}"}}
  - model_name: hasty
    litellm_params: {{<<: *runway, polling_timeout: 0.1}}
  - model_name: flat
    litellm_params: {{<<: *runway, additional_drop_params: [speed], voice: Bernard}}
  - model_name: v3
    litellm_params: {{<<: *runway, model: runwayml/eleven_v3}}
  - model_name: cloned
    litellm_params: {{<<: *runway, model: runwayml/seed_audio}}
general_settings: {{master_key: {key}, data_dir: {data}}}
"""
SENTENCE = "Call number {} is a sentence of some length, which is spoken without haste, and then it ends."
STORY = " ".join(SENTENCE.format(number) for number in range(26))
assert 2000 < len(STORY) < 3000


@pytest.fixture
def runway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runway]:
    """Its five seconds between two looks are a moment here."""
    monkeypatch.setattr(Adapter, "poll_interval", property(lambda self: 0.05, lambda self, _: None), raising=False)
    with Runway(seconds=0.1) as server:
        yield server


@pytest.fixture
def server(runway: Runway, tmp_path: Path) -> Iterator[Running]:
    with serving(config_of(CONFIG.format(vendor_key=runway.key, base=runway.base, key=KEY, data=tmp_path))) as running:
        yield running


def speak(server: Running, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    body = {"model": "tts", "input": "Hello there.", "voice": "alloy", **fields}
    headers = {"Authorization": f"Bearer {KEY}", **(headers or {})}
    return httpx.post(f"{server.base}/v1/audio/speech", json=body, headers=headers, timeout=60)


def error(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found["param"]


def made(runway: Runway, entry: dict[str, Any]) -> bytes:
    """The samples that the vendor made for a part."""
    media = io.BytesIO(runway.tasks[entry["id"]].media())
    return b"".join(decode(lambda _: media.read(65_536), None))


def centre(heard: Heard) -> float:
    """The mean frequency in Hz, by power: what changes with the pitch."""
    power = np.abs(np.fft.rfft(heard.samples)) ** 2
    return float((power * np.arange(len(power))).sum() / power.sum()) * heard.rate / len(heard.samples)


def in_order(runway: Runway) -> list[dict[str, Any]]:
    """What was billed, in the order of the text: parts are handed over at the same time."""
    return sorted(runway.ledger, key=lambda entry: STORY.index(entry["body"]["promptText"]))


def test_a_long_text_is_one_sound(runway: Runway, server: Running) -> None:
    answer = speak(server, input=STORY, response_format="pcm")
    assert answer.status_code == 200, answer.text
    texts = [entry["body"]["promptText"] for entry in in_order(runway)]
    assert len(texts) == 3
    assert " ".join(texts) == STORY
    assert all(text.endswith(".") and len(text) <= 1000 for text in texts)
    assert answer.content == b"".join(made(runway, entry) for entry in in_order(runway))


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav"])
def test_in_every_format(runway: Runway, server: Running, format: str) -> None:
    """The parts are decoded, and encoded in one go: it decodes to as much sound as all of them."""
    answer = speak(server, input=STORY, response_format=format)
    assert answer.status_code == 200, answer.text
    parts = b"".join(made(runway, entry) for entry in in_order(runway))
    heard = hear(answer.content, format)
    assert heard.seconds == pytest.approx(len(parts) / 48_000, abs=0.1)
    assert heard.loudness == pytest.approx(hear(parts, "pcm").loudness, rel=0.1)


def test_openai_s_limit_holds(runway: Runway, server: Running) -> None:
    assert error(speak(server, input="a" * 4097)) == (400, "string_above_max_length", "input")
    assert speak(server, input="a " * 2048).status_code == 200
    assert len(runway.ledger) == 5  # each ends between two words


def test_a_part_that_fails_ends_the_call_and_the_other_parts(runway: Runway, server: Running) -> None:
    for plan in (upstream.takes(999), upstream.fails("SAFETY.INPUT.TEXT"), upstream.takes(999)):
        runway.next(plan)
    assert error(speak(server, input=STORY)) == (400, "content_policy_violation", "input")
    assert len(runway.ledger) == 3
    assert len(runway.deleted) == 2
    assert {runway.tasks[entry["id"]].plan.ends for entry in runway.ledger if entry["id"] not in runway.deleted} == {
        "FAILED"
    }


def test_a_part_that_is_not_taken_ends_the_call_and_the_other_parts(runway: Runway, server: Running) -> None:
    for _ in range(3):
        runway.next(upstream.takes(999))
    runway.next(upstream.FINE)
    runway.next(upstream.DAILY_LIMIT)
    assert error(speak(server, input=STORY)) == (429, "rate_limit_exceeded", None)
    assert len(runway.ledger) == len(runway.deleted) == 2


def test_the_outcome_of_a_part_that_nobody_knows(runway: Runway, server: Running) -> None:
    for fault in (upstream.FINE, upstream.DROP_AFTER):
        runway.next(fault)
    answer = speak(server, input=STORY)
    assert error(answer) == (502, "submission_unknown", None)
    assert answer.headers["x-should-retry"] == "false"
    assert len(runway.ledger) == 3


def test_a_retry_finds_all_parts(runway: Runway, server: Running) -> None:
    for _ in range(3):
        runway.next(upstream.takes(999))
    key = {"Idempotency-Key": "once"}
    first = speak(server, key, model="hasty", input=STORY, speed=2.0, response_format="wav")
    assert error(first) == (504, "task_timeout", None)
    assert "0.1 s" in first.json()["error"]["message"]
    assert first.json()["error"]["message"].count("speech_") == 3
    runway.advance(999)
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=9) as client:
        again = client.audio.speech.create(
            model="hasty", input=STORY, voice="alloy", speed=2.0, response_format="wav", extra_headers=key
        )
    assert len(runway.ledger) == 3
    seconds = sum(len(made(runway, entry)) for entry in runway.ledger) / 48_000
    assert hear(again.content, "wav").seconds == pytest.approx(seconds / 2, rel=0.02)
    other = speak(server, key, model="hasty", input=STORY, speed=1.0, response_format="wav")
    assert error(other) == (400, "idempotency_key_reused", None)


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.5, 4.0])
def test_speed_is_tempo_and_keeps_the_pitch(runway: Runway, server: Running, speed: float) -> None:
    answer = speak(server, speed=speed, response_format="wav")
    plain = hear(made(runway, runway.ledger[0]), "pcm")
    heard = hear(answer.content, "wav")
    assert heard.seconds == pytest.approx(plain.seconds / speed, rel=0.05, abs=0.05)
    assert centre(heard) == pytest.approx(centre(plain), rel=0.05)
    assert "speed" not in runway.ledger[0]["body"]


def test_speed_is_left_to_a_model_as_far_as_it_can(runway: Runway, server: Running) -> None:
    answer = speak(server, model="v3", speed=2.4, response_format="wav")
    (entry,) = runway.ledger
    assert entry["body"]["speed"] == 1.2
    plain = hear(made(runway, entry), "pcm")  # the simulated vendor's speed makes no difference
    assert hear(answer.content, "wav").seconds == pytest.approx(plain.seconds / 2, rel=0.05)


def test_speed_can_be_left_out_by_the_config(runway: Runway, server: Running) -> None:
    answer = speak(server, model="flat", speed=2.0, voice=None, response_format="pcm")
    assert answer.headers["x-media-gateway-dropped-params"] == "speed"
    (entry,) = runway.ledger
    assert answer.content == made(runway, entry)
    assert entry["body"]["voice"]["presetId"] == "Bernard"


def test_voices_as_objects(runway: Runway, server: Running) -> None:
    own = {"type": "runway-preset", "presetId": "Bernard"}
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=0) as client:
        assert client.audio.speech.create(model="tts", input="Hello.", voice={"id": "Maya"}).content
    assert speak(server, voice=own).status_code == 200
    sound = {"type": "reference-audio", "audioUri": "https://media.example.com/me.mp3"}
    assert speak(server, model="cloned", voice=sound).status_code == 200
    assert speak(server, model="cloned", voice=sound["audioUri"]).status_code == 200
    assert [entry["body"]["voice"] for entry in runway.ledger] == [own | {"presetId": "Maya"}, own, sound, sound]


@pytest.mark.parametrize(
    ("model", "voice", "param"),
    [
        ("tts", {"id": "Nobody"}, "voice"),
        ("tts", {"type": "runway-preset", "presetId": "Nobody"}, "voice"),
        ("tts", {"type": "somebody-else"}, "voice"),
        ("tts", {"type": "runway-preset", "id": "Maya"}, "voice.type"),
        ("cloned", "alloy", "voice"),
        ("cloned", {"type": "reference-audio", "audioUri": "http://media.example.com/me.mp3"}, "voice"),
    ],
)
def test_voices_that_there_are_not(runway: Runway, server: Running, model: str, voice: object, param: str) -> None:
    answer = speak(server, model=model, voice=voice)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert runway.requests == []


def test_its_voices_are_listed(runway: Runway, server: Running) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    listed = httpx.get(f"{server.base}/v1/audio/voices", params={"model": "tts"}, headers=headers).json()
    names = [voice["id"] for voice in listed["voices"]]
    assert len(names) == 62
    assert {"Maya", "Rachel", "alloy", "marin"} <= set(names)
    assert [speak(server, voice=name, response_format="mp3").status_code for name in (names[0], names[-1])] == [
        200,
        200,
    ]
    assert not httpx.get(f"{server.base}/v1/audio/voices", params={"model": "cloned"}, headers=headers).json()["voices"]
