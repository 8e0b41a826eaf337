"""Remixes, pictures of films, and what nobody here does with films, through OpenAI's SDK against the real server."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from tests.conftest import KEY
from tests.serving import Running, config_of, serving

CONFIG = """
model_list:
  - {{model_name: film, params: {{model: sandbox/video, seconds: 0.05, poll_interval: 0.02}}}}
  - {{model_name: long-film, params: {{model: sandbox/video, seconds: 600, poll_interval: 0.05}}}}
  - {{model_name: gone, params: {{model: sandbox/video, seconds: 0.05, poll_interval: 0.02}}}}
general_settings: {{data_dir: {data}, master_key: {key}}}
"""
RED = (220, 20, 20)
HEADERS = {"api-key": KEY}

# OpenAI's SDKs call every method of videos deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Running]:
    with serving(config_of(CONFIG.format(data=data, key=KEY))) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def red_picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (320, 240), RED).save(out, "png")
    return out.getvalue()


def made(client: openai.OpenAI, **more) -> openai.types.Video:
    call = {"model": "film", "prompt": "A red door", "seconds": "2", "size": "320x240"} | more
    return client.videos.create_and_poll(**call, poll_interval_ms=20)


def first_frame(client: openai.OpenAI, video: str) -> np.ndarray:
    with av.open(io.BytesIO(client.videos.download_content(video).read())) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)


def reddish(pixels: np.ndarray) -> float:
    return float((np.abs(pixels - np.array(RED)).max(axis=-1) < 40).mean())


def test_a_remix_is_the_same_film_with_another_prompt(client: openai.OpenAI) -> None:
    old = made(client, input_reference=("a.png", red_picture()), extra_body={"seed": 5})
    assert old.remixed_from_video_id is None
    new = client.videos.remix(old.id, prompt="A blue door")
    assert new.id != old.id
    assert (new.model, new.prompt, new.remixed_from_video_id) == ("film", "A blue door", old.id)
    done = client.videos.poll(new.id, poll_interval_ms=20)
    assert (done.status, done.seconds, done.size, done.remixed_from_video_id) == ("completed", "2", "320x240", old.id)
    before, after = first_frame(client, old.id), first_frame(client, new.id)
    assert reddish(before) > 0.1, "the reference is shown"
    assert reddish(after) > 0.1, "and stays"
    assert np.abs(before - after).max() > 40, "under another prompt"
    again = client.videos.remix(new.id, prompt="A green door")
    assert again.remixed_from_video_id == new.id
    assert client.videos.delete(old.id).deleted
    assert client.videos.retrieve(new.id).remixed_from_video_id == old.id


def test_a_retry_of_a_remix_is_joined(client: openai.OpenAI) -> None:
    old = made(client)

    def remix(prompt: str, retry: str) -> str:
        return client.videos.remix(old.id, prompt=prompt, extra_headers={"x-stainless-retry-count": retry}).id

    first = remix("Again", "0")
    assert remix("Again", "1") == first
    assert remix("Otherwise", "1") != first


def test_remixes_that_cannot_be(client: openai.OpenAI) -> None:
    running = client.videos.create(model="long-film", prompt="x")
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.remix(running.id, prompt="y")
    assert caught.value.code == "video_not_ready"
    with pytest.raises(openai.NotFoundError):
        client.videos.remix("video_nobody", prompt="y")
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.remix(running.id, prompt="y", extra_body={"size": "64x64"})
    assert (caught.value.param, caught.value.code) == ("size", "unknown_parameter")
    for body in (b"{}", b"no json", b'{"prompt": ""}'):
        answer = httpx.post(f"{client.base_url}videos/{running.id}/remix", content=body, headers=HEADERS)
        assert answer.status_code == 400, answer.text
    client.videos.delete(running.id)


def test_what_nobody_does_is_refused_by_name(client: openai.OpenAI) -> None:
    film = made(client)
    clip = ("a.mp4", client.videos.download_content(film.id).read())
    for call in (
        lambda: client.videos.edit(prompt="x", video=clip),
        lambda: client.videos.extend(prompt="x", seconds="4", video=clip),
        lambda: client.videos.create_character(name="x", video=clip),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            call()
        assert (caught.value.code, caught.value.param) == ("unsupported_operation", "video")
    with pytest.raises(openai.NotFoundError) as missing:
        client.videos.get_character("char_1")
    assert missing.value.code == "character_not_found"
    for path in ("edits", "extensions", "characters"):
        for given, status in (({"id": film.id}, 400), ({"id": "video_nobody"}, 404), (None, 400)):
            answer = httpx.post(f"{client.base_url}videos/{path}", json={"video": given}, headers=HEADERS)
            assert answer.status_code == status
            assert answer.json()["error"]["code"]
        assert (
            "'film'"
            in httpx.post(f"{client.base_url}videos/{path}", json={"video": {"id": film.id}}, headers=HEADERS).json()[
                "error"
            ]["message"]
        )
        assert httpx.post(f"{client.base_url}videos/{path}", json={}).status_code == 401


def test_a_model_that_is_no_longer_there_remixes_nothing(tmp_path: Path) -> None:
    text = CONFIG.format(data=tmp_path, key=KEY)
    with (
        serving(config_of(text)) as running,
        openai.OpenAI(base_url=f"{running.base}/v1", api_key=KEY) as client,
    ):
        old = made(client, model="gone")
    without = "\n".join(line for line in text.splitlines() if "gone" not in line)
    with serving(config_of(without)) as running:
        answer = httpx.post(f"{running.base}/v1/videos/{old.id}/remix", json={"prompt": "y"}, headers=HEADERS)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_operation")


def test_another_key_s_video_cannot_be_worked_on(tmp_path: Path) -> None:
    with (
        serving(config_of(CONFIG.format(data=tmp_path, key=KEY))) as running,
        openai.OpenAI(base_url=f"{running.base}/v1", api_key=KEY) as client,
    ):
        old = made(client)
    other = {"api-key": "sk-another-key-for-this-test"}
    with serving(config_of(CONFIG.format(data=tmp_path, key=other["api-key"]))) as running:
        base = f"{running.base}/v1/videos"
        for answer in (
            httpx.post(f"{base}/{old.id}/remix", json={"prompt": "y"}, headers=other),
            httpx.post(f"{base}/edits", json={"prompt": "y", "video": {"id": old.id}}, headers=other),
            httpx.get(f"{base}/{old.id}/content", params={"variant": "thumbnail"}, headers=other),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "video_not_found")


def test_pictures_of_a_film(client: openai.OpenAI, data: Path) -> None:
    film = made(client, size="640x360", input_reference=("a.png", red_picture()))
    address = f"{client.base_url}videos/{film.id}/content"
    thumbnail = client.videos.download_content(film.id, variant="thumbnail")
    assert thumbnail.response.headers["content-type"] == "image/webp"
    assert thumbnail.response.headers["content-disposition"].endswith('.webp"')
    with Image.open(io.BytesIO(thumbnail.read())) as image:
        assert (image.format, image.size) == ("WEBP", (640, 360))
        shown = np.asarray(image.convert("RGB")).astype(int)
    assert reddish(shown) > 0.05
    crossed = int((shown[-4] > 200).all(axis=1).sum())
    assert 300 < crossed < 400, "from the middle of the film"
    sheet = httpx.get(address, params={"variant": "spritesheet"}, headers=HEADERS)
    assert sheet.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(sheet.content)) as image:
        assert (image.format, image.size) == ("JPEG", (4 * 320, 4 * 180))
        tiles = np.asarray(image.convert("RGB")).astype(int)
    bars = [
        int((tiles[row * 180 + 178, column * 320 : (column + 1) * 320] > 190).all(axis=1).sum())
        for row in range(4)
        for column in range(4)
    ]
    assert bars == sorted(bars)
    assert bars[0] < 40
    assert bars[-1] > 280
    part = httpx.get(address, params={"variant": "spritesheet"}, headers=HEADERS | {"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, sheet.content[10:20])
    same = {"If-None-Match": sheet.headers["etag"]}
    again = httpx.get(address, params={"variant": "spritesheet"}, headers=HEADERS | same)
    assert again.status_code == 304
    kept = [film.id + end for end in ("_0", "_0_spritesheet", "_0_thumbnail")]
    assert keys(data, film.id) == kept, "made once, and kept beside the film"
    client.videos.delete(film.id)
    assert keys(data, film.id) == []
    assert list((data / "blobs").glob(f"*/{film.id}*")) == []


def keys(data: Path, film: str) -> list[str]:
    with closing(sqlite3.connect(data / "blobs" / "blobs.sqlite")) as db:
        return sorted(key for (key,) in db.execute("SELECT key FROM blobs WHERE key LIKE ?", (f"{film}%",)))
