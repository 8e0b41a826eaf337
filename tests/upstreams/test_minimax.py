"""The simulated MiniMax against what MiniMax's documentation says; it has no client of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.sound import hear
from tests.upstreams.minimax import MiniMax, breaking, failing
from tests.upstreams.speaking import CUT

VOICE = {"voice_id": "English_expressive_narrator", "speed": 1.0, "vol": 1.0, "pitch": 0}
AUDIO = {"sample_rate": 32000, "bitrate": 128000, "format": "mp3", "channel": 1}
BODY = {
    "model": "speech-2.8-hd", "text": "Good evening.", "stream": False, "output_format": "hex", "voice_setting": VOICE,
    "audio_setting": AUDIO,
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[MiniMax]:
    with MiniMax() as running:
        yield running


def ask(server: MiniMax, key: str | None = None, **fields: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key or server.key}"}
    return httpx.post(f"{server.base}/v1/t2a_v2", json=BODY | fields, headers=headers)


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]


def test_speech_at_once(server: MiniMax) -> None:
    found = ask(server).json()
    assert found.keys() == {"data", "extra_info", "trace_id", "base_resp"}
    assert found["base_resp"] == {"status_code": 0, "status_msg": "success"}
    assert found["data"]["status"] == 2
    assert hear(bytes.fromhex(found["data"]["audio"]), "mp3").seconds == pytest.approx(13 / 15, abs=0.2)
    assert (found["extra_info"]["usage_characters"], found["extra_info"]["audio_format"]) == (13, "mp3")


@pytest.mark.parametrize("excluded", [True, False])
def test_the_last_event_repeats_the_sound(server: MiniMax, excluded: bool) -> None:
    *some, last = events(ask(server, stream=True, stream_options={"exclude_aggregated_audio": excluded}))
    assert {each["data"]["status"] for each in some} == {1}
    whole = "".join(each["data"]["audio"] for each in some)
    assert last["data"] == {"audio": "" if excluded else whole, "status": 2}
    assert last["extra_info"]["audio_size"] == len(whole) // 2


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"model": "speech-9"}, 2013),
        ({"text": "x" * 10_000}, 2013),
        ({"voice_setting": VOICE | {"speed": 2.1}}, 2013),
        ({"voice_setting": VOICE | {"vol": 0}}, 2013),
        ({"voice_setting": VOICE | {"pitch": 0.5}}, 2013),
        ({"voice_setting": VOICE | {"voice_id": "nobody"}}, 2042),
        ({"audio_setting": AUDIO | {"sample_rate": 48000}}, 2013),
        ({"audio_setting": AUDIO | {"format": "aac"}}, 2013),
        ({"wobble": 1}, 2013),
        ({"key": "wrong"}, 1004),
    ],
)
def test_errors_have_status_200(server: MiniMax, fields: dict[str, Any], code: int) -> None:
    answer = ask(server, **fields)
    assert answer.status_code == 200
    assert answer.json()["data"] is None
    assert answer.json()["base_resp"]["status_code"] == code
    assert server.ledger == []


def test_faults(server: MiniMax) -> None:
    server.next(failing(1008))
    assert ask(server).json()["base_resp"]["status_code"] == 1008
    server.next(breaking(1000))
    assert [each.get("base_resp", {}).get("status_code") for each in events(ask(server, stream=True))][3:] == [1000]
    server.next(CUT)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(server, stream=True)


def test_voices(server: MiniMax) -> None:
    headers = {"Authorization": f"Bearer {server.key}"}
    found = httpx.post(f"{server.base}/v1/get_voice", json={"voice_type": "all"}, headers=headers).json()
    assert "male-qn-qingse" in {each["voice_id"] for each in found["system_voice"]}
