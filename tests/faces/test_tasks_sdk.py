"""Pictures and videos through OpenAI's own SDK, made by the sandbox, against the real server."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import openai
import pytest

from gateway.data import DataFolder, DataFolderError
from tests.conftest import KEY
from tests.serving import Running, config_of, serving

CONFIG = """
model_list:
  - {{model_name: picture, params: {{model: sandbox/image, seconds: 0.05, poll_interval: 0.02}}}}
  - {{model_name: gpt-image-1, params: {{model: sandbox/image, seconds: 0.05, poll_interval: 0.02}}}}
  - {{model_name: film, params: {{model: sandbox/video, seconds: 0.1, poll_interval: 0.02}}}}
  - {{model_name: long-film, params: {{model: sandbox/video, seconds: 600, poll_interval: 0.05}}}}
  - {{model_name: bad-picture, params: {{model: sandbox/image-fails, seconds: 0.02, poll_interval: 0.02}}}}
  - {{model_name: bad-film, params: {{model: sandbox/video-fails, seconds: 0.02, poll_interval: 0.02}}}}
  - {{model_name: voice, params: {{model: sandbox/speech, seconds: 0.02, poll_interval: 0.02}}}}
  - {{model_name: late-picture, params: {{model: sandbox/image, seconds: 600}}}}
  - {{model_name: espeak, params: {{model: local/espeak}}}}
general_settings:
  data_dir: {data}
  task_timeout: 20
  master_key: {key}
"""
PROMPT = "A lighthouse at dusk"

# OpenAI's SDKs call every method of videos deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(config_of(CONFIG.format(data=tmp_path_factory.mktemp("data"), key=KEY))) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def picture(data: bytes) -> tuple[int, int, str]:
    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
        return frame.width, frame.height, container.format.name


def test_a_picture_as_bytes(client: openai.OpenAI) -> None:
    made = client.images.generate(model="picture", prompt=PROMPT, size="640x480", response_format="b64_json")
    assert picture(base64.b64decode(made.data[0].b64_json))[:2] == (640, 480)
    assert made.created > 1_700_000_000


def test_openais_own_names_answer_bytes_as_openai_does(client: openai.OpenAI) -> None:
    asked = {"model": "gpt-image-1", "prompt": PROMPT, "size": "64x48"}
    made = client.images.generate(**asked).data[0]
    assert (made.url, picture(base64.b64decode(made.b64_json))[:2]) == (None, (64, 48))
    edited = client.images.edit(image=base64.b64decode(made.b64_json), **asked).data[0]
    assert (edited.url, picture(base64.b64decode(edited.b64_json))[:2]) == (None, (64, 48))
    addressed = client.images.generate(response_format="url", **asked).data[0]
    assert (addressed.url[:4], addressed.b64_json) == ("http", None)


def test_pictures_as_addresses_that_need_no_key(client: openai.OpenAI) -> None:
    made = client.images.generate(model="picture", prompt=PROMPT, size="320x240", n=3)
    assert len({item.url for item in made.data}) == 3
    answer = httpx.get(made.data[0].url)
    assert answer.headers["content-type"] == "image/png"
    assert picture(answer.content)[:2] == (320, 240)
    wrong = httpx.get(made.data[0].url[:-2] + "00")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_signature")
    other = made.data[1].url.partition("/media/")[2].partition("?")[0]
    mine = made.data[0].url.partition("/media/")[2].partition("?")[0]
    assert httpx.get(made.data[0].url.replace(mine, other)).status_code == 401


def test_pictures_as_events(client: openai.OpenAI) -> None:
    events = list(client.images.generate(model="picture", prompt=PROMPT, size="320x240", n=2, stream=True))
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    assert picture(base64.b64decode(events[0].b64_json))[:2] == (320, 240)


@pytest.mark.parametrize(("wished", "kind"), [("webp", "webp_pipe"), ("jpeg", "jpeg_pipe"), ("png", "png_pipe")])
def test_pictures_in_the_format_asked_for(client: openai.OpenAI, wished: str, kind: str) -> None:
    made = client.images.generate(model="picture", prompt=PROMPT, size="320x240", output_format=wished)
    assert made.output_format == wished
    answer = httpx.get(made.data[0].url)
    assert answer.headers["content-type"] == f"image/{wished}"
    assert picture(answer.content)[2] == kind


def test_a_picture_that_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="bad-picture", prompt=PROMPT)
    assert caught.value.code == "content_policy_violation"
    with pytest.raises(openai.APIError, match="sandbox"):
        list(client.images.generate(model="bad-picture", prompt=PROMPT, stream=True))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"size": "big"}, "size"),
        ({"size": "99999x99999"}, "size"),
        ({"response_format": "png"}, "response_format"),
        ({"output_format": "bmp"}, "output_format"),
        ({"sparkles": True}, "sparkles"),
        ({"model": "espeak"}, "model"),
        ({"model": "film"}, "model"),
    ],
)
def test_bad_requests_for_pictures(client: openai.OpenAI, body: dict[str, object], param: str) -> None:
    call = {"model": "picture", "prompt": PROMPT} | body
    answer = httpx.post(f"{client.base_url}images/generations", json=call, headers={"api-key": KEY})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_a_video_from_beginning_to_end(client: openai.OpenAI, tmp_path: Path) -> None:
    made = client.videos.create(model="film", prompt=PROMPT, seconds="4", size="1280x720")
    assert made.id.startswith("video_")
    assert (made.object, made.model, made.prompt) == ("video", "film", PROMPT)
    assert (made.seconds, made.size) == ("4", "1280x720")
    done = client.videos.poll(made.id, poll_interval_ms=20)
    assert (done.status, done.progress, done.error) == ("completed", 100, None)
    assert done.created_at == made.created_at
    assert done.completed_at >= done.created_at
    assert done.expires_at > done.completed_at
    assert (done.seconds, done.size, done.prompt) == ("4", "1280x720", PROMPT)
    data = client.videos.download_content(made.id).read()
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (1280, 720)
        assert float(container.duration / 1e6) == pytest.approx(4, abs=0.2)
        assert sum(1 for _ in container.decode(video=0)) >= 40
    assert client.videos.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(made.id)


def test_create_and_poll(client: openai.OpenAI) -> None:
    done = client.videos.create_and_poll(model="film", prompt=PROMPT, size="320x240", seconds="1", poll_interval_ms=20)
    assert done.status == "completed"


def test_a_video_that_fails_says_why(client: openai.OpenAI) -> None:
    made = client.videos.create(model="bad-film", prompt=PROMPT)
    done = client.videos.poll(made.id, poll_interval_ms=20)
    assert (done.status, done.error.code) == ("failed", "content_policy_violation")
    with pytest.raises(openai.BadRequestError, match="failed"):
        client.videos.download_content(made.id)


def test_a_part_of_a_video(client: openai.OpenAI) -> None:
    headers = {"api-key": KEY}
    made = httpx.post(
        f"{client.base_url}videos",
        json={"model": "film", "prompt": PROMPT, "ratio": "320:240", "seconds": 1},
        headers=headers,
    ).json()
    client.videos.poll(made["id"], poll_interval_ms=20)
    address = f"{client.base_url}videos/{made['id']}/content"
    whole = httpx.get(address, headers=headers)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    size = len(whole.content)
    for asked, part in (("0-99", whole.content[:100]), ("100-", whole.content[100:]), ("-50", whole.content[-50:])):
        answer = httpx.get(address, headers=headers | {"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.content) == (206, part)
        assert answer.headers["content-range"].endswith(f"/{size}")
    beyond = httpx.get(address, headers=headers | {"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    again = httpx.get(address, headers=headers | {"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    stale = httpx.get(address, headers=headers | {"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (stale.status_code, len(stale.content)) == (200, size)
    odd = httpx.get(address, headers=headers, params={"variant": "poster"})
    assert (odd.status_code, odd.json()["error"]["param"]) == (400, "variant")


def test_a_running_video_can_be_looked_at_and_cancelled(client: openai.OpenAI) -> None:
    made = client.videos.create(model="long-film", prompt=PROMPT)
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.download_content(made.id)
    assert caught.value.code == "video_not_ready"
    looked = client.videos.with_raw_response.retrieve(made.id)
    assert int(looked.headers["openai-poll-after-ms"]) > 0
    assert looked.parse().status in ("queued", "in_progress")
    assert client.videos.delete(made.id).deleted


def test_a_list_by_pages(client: openai.OpenAI) -> None:
    made = [client.videos.create(model="film", prompt=f"{n}", size="320x240", seconds="1").id for n in range(5)]
    listed = [video.id for video in client.videos.list(limit=2)]  # the SDK follows the pages
    assert listed[:5] == made[::-1]
    oldest = [video.id for video in client.videos.list(limit=3, order="asc")]
    assert oldest == listed[::-1]


def test_lists_that_cannot_be_made(client: openai.OpenAI) -> None:
    for query, param in (
        ("after=video_nobody", "after"),
        ("limit=x", "limit"),
        ("limit=101", "limit"),
        ("order=up", "order"),
    ):
        answer = httpx.get(f"{client.base_url}videos?{query}", headers={"api-key": KEY})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    empty = httpx.get(f"{client.base_url}videos?limit=0", headers={"api-key": KEY})
    assert (empty.status_code, empty.json()["data"]) == (200, [])


def test_a_form_with_a_picture(client: openai.OpenAI) -> None:
    png = base64.b64decode(
        client.images.generate(model="picture", prompt=PROMPT, size="320x240", response_format="b64_json")
        .data[0]
        .b64_json
    )
    made = client.videos.create(
        model="film", prompt=PROMPT, seconds="1", size="320x240", input_reference=("a.png", png, "image/png")
    )
    assert client.videos.poll(made.id, poll_interval_ms=20).status == "completed"
    for wrong in ("ftp://x/y.png", "data:image/png;base64,???", {"file_id": "file-1"}, 7):
        body = {"model": "film", "prompt": PROMPT, "input_reference": wrong}
        answer = httpx.post(f"{client.base_url}videos", json=body, headers={"api-key": KEY})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input_reference")


def test_a_form_of_plain_fields(client: openai.OpenAI) -> None:
    def post(fields: dict[str, str]) -> httpx.Response:
        parts = {name: (None, value) for name, value in fields.items()}
        return httpx.post(f"{client.base_url}videos", files=parts, headers={"api-key": KEY})

    good = {"model": "film", "prompt": PROMPT, "seconds": "1", "size": "320x240", "user": "null"}
    assert post(good | {"input_reference[image_url]": "https://example.com/a.png"}).json()["seconds"] == "1"
    assert post(good | {"input_reference": "data:image/png;base64,AAAA"}).status_code == 200
    for fields, param in (
        ({"seconds": "x"}, "seconds"),
        ({"styles[]": "a"}, "styles"),
        ({"input_reference[file_id]": "f"}, "input_reference"),
        ({"input_reference": "x", "input_reference[image_url]": "y"}, "input_reference"),
        ({"a[b][c]": "x"}, None),
        ({"seed": "x"}, "seed"),
    ):
        answer = post(good | fields)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert post(good | {"seed": "-5", "user": "5"}).status_code == 200
    for names in (["prompt", "prompt"], ["prompt", "prompt[]"], ["prompt[]", "prompt"], ["prompt[a]", "prompt"]):
        twice = [("model", (None, "film")), *((name, (None, PROMPT)) for name in names)]
        answer = httpx.post(f"{client.base_url}videos", files=twice, headers={"api-key": KEY})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")
    pictures = [("input_reference", ("a.png", b"x"))] * 2
    answer = httpx.post(f"{client.base_url}videos", files=pictures, data=good, headers={"api-key": KEY})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input_reference")
    headers = {"api-key": KEY, "Content-Type": "multipart/form-data; boundary=x"}
    broken = httpx.post(f"{client.base_url}videos", content=b"--y\r\n", headers=headers)
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_form")


def test_an_id_that_litellm_wrapped(client: openai.OpenAI) -> None:
    made = client.videos.create(model="film", prompt=PROMPT, size="320x240", seconds="1")
    wrapped = f"litellm:custom_llm_provider:openai;model_id:film;video_id:{made.id}"
    assert client.videos.retrieve("video_" + base64.b64encode(wrapped.encode()).decode()).id == made.id


def test_speech_from_a_task(client: openai.OpenAI) -> None:
    answer = client.audio.speech.create(model="voice", voice="any", input="Hello there, you.", response_format="flac")
    assert answer.content[:4] == b"fLaC"


def test_a_retry_is_joined_to_the_first_try(client: openai.OpenAI) -> None:
    body = {"model": "film", "prompt": "once", "size": "320x240", "seconds": 1}

    def create(headers: dict[str, str], **more: object) -> str:
        answer = httpx.post(f"{client.base_url}videos", json=body | more, headers={"api-key": KEY} | headers)
        return answer.json()["id"]

    first = create({"x-stainless-retry-count": "0"})
    assert create({"x-stainless-retry-count": "1"}) == first
    assert create({"x-stainless-retry-count": "2"}, seconds=2) != first
    assert create({}) != first  # a new call is a new video
    keyed = create({"Idempotency-Key": "k-1"})
    assert create({"Idempotency-Key": "k-1"}) == keyed
    assert create({"Idempotency-Key": "k-2"}) != keyed
    other = httpx.post(
        f"{client.base_url}videos", json=body | {"prompt": "other"}, headers={"api-key": KEY, "Idempotency-Key": "k-1"}
    )
    assert (other.status_code, other.json()["error"]["code"]) == (400, "idempotency_key_reused")


def test_another_key_s_video_is_not_there(tmp_path: Path) -> None:
    """The master key was changed: what the old one made is nobody's."""
    with serving(config_of(CONFIG.format(data=tmp_path, key=KEY))) as running:
        body = {"model": "long-film", "prompt": PROMPT}
        made = httpx.post(f"{running.base}/v1/videos", json=body, headers={"api-key": KEY}).json()["id"]
    other = {"api-key": "sk-another-key-for-this-test"}
    with serving(config_of(CONFIG.format(data=tmp_path, key=other["api-key"]))) as running:
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/content")):
            answer = httpx.request(method, f"{running.base}/v1/videos/{made}{path}", headers=other)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "video_not_found")
        assert httpx.get(f"{running.base}/v1/videos", headers=other).json()["data"] == []


def test_a_video_lives_through_a_restart(tmp_path: Path) -> None:
    config = CONFIG.format(data=tmp_path, key=KEY).replace("seconds: 0.1", "seconds: 1.5")
    body = {"model": "film", "prompt": PROMPT, "size": "320x240", "seconds": 1}
    with serving(config_of(config)) as running:
        made = httpx.post(f"{running.base}/v1/videos", json=body, headers={"api-key": KEY}).json()
    with (
        serving(config_of(config)) as running,
        openai.OpenAI(base_url=f"{running.base}/v1", api_key=KEY) as client,
    ):
        done = client.videos.poll(made["id"], poll_interval_ms=50)
        assert done.status == "completed"
        assert done.created_at == made["created_at"]
        assert client.videos.download_content(made["id"]).read()[4:8] == b"ftyp"


def test_one_server_a_folder(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    secret = first.open()
    with pytest.raises(DataFolderError, match="in use by another process"):
        second.open()
    first.close()
    assert second.open() == secret
    second.close()
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0
    with pytest.raises(DataFolderError, match="data_dir"):
        DataFolder(tmp_path / "secret" / "below").open()


def test_a_folder_is_made_for_nobody_who_needs_none(tmp_path: Path) -> None:
    text = f"model_list: [{{model_name: e, params: {{model: local/espeak}}}}]\ngeneral_settings: {{data_dir: {tmp_path}/d, disable_spend_logs: true}}"
    with serving(config_of(text)) as running:
        answer = httpx.post(f"{running.base}/v1/images/generations", json={"model": "e", "prompt": "x"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    assert list(tmp_path.iterdir()) == []


def test_what_waits_too_long_goes_on(tmp_path: Path) -> None:
    config = CONFIG.format(data=tmp_path, key=KEY).replace("task_timeout: 20", "task_timeout: 0.2")
    with serving(config_of(config)) as running:
        body = {"model": "late-picture", "prompt": PROMPT}
        answer = httpx.post(f"{running.base}/v1/images/generations", json=body, headers={"api-key": KEY})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "task_timeout")
        assert json.loads(answer.text)["error"]["message"].count("img_") == 1
