"""The page of a service that speaks with Kokoro-82M."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from engines.kokoro import KokoroEngine
from tests.seeds.conftest import KEYED, Shell
from tests.serving import Running, config_of, serving
from tests.sound import hear

YAML = """
model_list:
  - model_name: kokoro-82m
    litellm_params: {{model: local/kokoro-82m, path: {folder}}}
router_settings:
  model_group_alias: {{tts-1: kokoro-82m, tts-1-hd: kokoro-82m, gpt-4o-mini-tts: kokoro-82m}}
"""
VOICES = ("af_alloy", "af_nova", "am_onyx")
"""What stands behind three of OpenAI's names."""
FOX = "The quick brown fox jumped over the lazy dog."
PLAYING = "Audio starts playing before this sentence finishes generating."


@pytest.fixture(scope="module")
def proxy(kokoro_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The weights that all tests share, with three more voices."""
    folder = tmp_path_factory.mktemp("kokoro")
    shutil.copytree(kokoro_folder, folder, dirs_exist_ok=True)
    for voice in VOICES:
        shutil.copy(folder / "voices" / "af_heart.pt", folder / "voices" / f"{voice}.pt")
    with serving(config_of(YAML.format(folder=folder) + KEYED)) as running:
        # It loads on a thread, with warnings off; pytest turns them on again when this fixture is done.
        assert post(running).status_code == 200
        yield running


def post(proxy: Running, **fields: Any) -> httpx.Response:
    """A body as the page's table has it: what is required, and what is given."""
    body = {"input": "Hello.", "voice": "af_heart", **fields}
    headers = {"Authorization": "Bearer sk-1234"}
    named = {name: value for name, value in body.items() if value is not None}
    return httpx.post(f"{proxy.base}/v1/audio/speech", json=named, headers=headers, timeout=60)


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["param"]


def test_request(proxy: Running, shell: Shell, tmp_path: Path) -> None:
    shell(f"""curl {proxy.base}/v1/audio/speech \\
-H "Authorization: Bearer sk-1234" \\
-H "Content-Type: application/json" \\
-d '{{
"model": "kokoro-82m",
"input": "{FOX}",
"voice": "bm_george",
"response_format": "wav",
"speed": 1.1
}}' \\
--output speech.wav""")
    heard = hear((tmp_path / "speech.wav").read_bytes(), "wav")
    assert heard.rate == 24_000
    assert heard.seconds > 1


def test_body_input(proxy: Running) -> None:
    for text in ("", "a" * 4097, None):
        assert refused(post(proxy, input=text)) == (400, "input")
    for text in ("a", ".", "Hello." + " " * 4090):
        assert post(proxy, input=text).status_code == 200


def test_body_voice(proxy: Running) -> None:
    """An id or a name of OpenAI's, and it has to be there."""
    for voice in ("af_heart", "bm_george", "alloy", "nova", "onyx"):
        assert post(proxy, voice=voice).status_code == 200
    for voice in (None, "nobody"):
        assert refused(post(proxy, voice=voice)) == (400, "voice")
    listed = httpx.get(f"{proxy.base}/v1/audio/voices", headers={"Authorization": "Bearer sk-1234"}).json()["voices"]
    ids = {voice["id"] for voice in listed}
    assert len([each for each in ids if each[2:3] == "_"]) == 54
    assert {"alloy", "nova", "onyx", "af_heart", "zm_yunyang"} <= ids


@pytest.mark.parametrize("model", [None, "kokoro-82m", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"])
def test_body_model(proxy: Running, model: str | None) -> None:
    """Three aliases, and where one model alone speaks it need not be named."""
    answer = post(proxy, model=model)
    assert (answer.status_code, answer.headers["x-media-gateway-model"]) == (200, "kokoro-82m")


@pytest.mark.parametrize("format", [None, "mp3", "wav", "aac", "pcm", "opus", "flac"])
def test_body_response_format(proxy: Running, format: str | None) -> None:
    """The four of the page as it describes them; the two that it does not have are made here."""
    answer = post(proxy, input=FOX if format == "mp3" else "Hello.", response_format=format)
    heard = hear(answer.content, format or "mp3")  # looks at the container, the codec and that it is mono
    assert heard.rate == (48_000 if format == "opus" else 24_000)
    if format is None:
        assert answer.headers["content-type"] == "audio/mpeg"
    if format == "mp3":
        assert len(answer.content) * 8 / heard.seconds == pytest.approx(96_000, rel=0.05)
    if format == "aac":
        assert answer.content[0] == 0xFF
        assert answer.content[1] & 0xF6 == 0xF0  # ADTS
    if format == "pcm":
        assert answer.headers["x-sample-rate"] == "24000"
        assert len(answer.content) % 2 == 0


def test_body_speed(proxy: Running) -> None:
    whole = hear(post(proxy, response_format="wav").content, "wav").seconds
    for speed in (0.25, 4.0):
        heard = hear(post(proxy, response_format="wav", speed=speed).content, "wav")
        assert heard.seconds == pytest.approx(whole / speed, rel=0.25)
    for speed in (0.2, 4.1):
        assert refused(post(proxy, speed=speed)) == (400, "speed")


class Held:
    """The engine after its first piece of sound: it makes no more until it may."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.may = threading.Event()
        self.made = 0
        render = KokoroEngine._render

        def gated(*given: Any) -> bytes:
            if self.made:
                assert self.may.wait(30)
            self.made += 1
            return render(*given)

        patch.setattr(KokoroEngine, "_render", gated)


def play(proxy: Running, text: str, write: Callable[[bytes], None]) -> None:
    """The published program; ``write`` is its sound card."""
    with (
        OpenAI(base_url=f"{proxy.base}/v1", api_key="sk-1234") as client,
        client.audio.speech.with_streaming_response.create(
            model="kokoro-82m",
            voice="af_heart",
            input=text,
            response_format="pcm",
        ) as response,
    ):
        assert response.headers["x-sample-rate"] == "24000"
        for chunk in response.iter_bytes(chunk_size=4096):
            write(chunk)


def test_streaming_with_pcm(proxy: Running) -> None:
    played: list[bytes] = []
    play(proxy, PLAYING, played.append)
    assert all(len(chunk) == 4096 for chunk in played[:-1])
    assert hear(b"".join(played), "pcm").seconds > 2


def test_first_sound_before_the_last(proxy: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine makes its second piece when the sound card has some of the first one."""
    held = Held(monkeypatch)
    play(proxy, f"{PLAYING} {FOX}", lambda chunk: held.may.set())
    assert held.made == 2


FETCH = """
const res = await fetch(`${process.argv[1]}/v1/audio/speech`, {
  method: "POST",
  headers: {Authorization: "Bearer sk-1234", "Content-Type": "application/json"},
  body: process.argv[2],
});
const reader = res.body.getReader();
while (true) {
  const { done, value } = await reader.read();
  if (done) break;
  process.stdout.write(value);
}
"""
BODY = json.dumps({"model": "kokoro-82m", "voice": "af_heart", "input": PLAYING, "response_format": "pcm"})


def by_node(proxy: Running) -> bytes:
    command = ["node", "--input-type=module", "--eval", FETCH, proxy.base, BODY]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def by_socket(proxy: Running) -> bytes:
    """The same request, read piece by piece, for machines that have no Node."""
    line = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    headers = {"Authorization": "Bearer sk-1234", "Content-Type": "application/json"}
    line.request("POST", "/v1/audio/speech", BODY, headers)
    answer = line.getresponse()
    assert answer.headers["x-sample-rate"] == "24000"
    sound = b"".join(iter(lambda: answer.read1(65_536), b""))
    line.close()
    return sound


NODE = pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here: the other one asks the same")


@pytest.mark.parametrize("fetched", [pytest.param(by_node, marks=NODE), by_socket])
def test_streaming_with_fetch(proxy: Running, fetched: Any) -> None:
    assert hear(fetched(proxy), "pcm").seconds > 2
