"""Pictures made from pictures through OpenAI's own SDK, drawn by the sandbox, against the real server."""

from __future__ import annotations

import base64
import io
import json
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from gateway.api import forms
from tests.conftest import KEY
from tests.serving import Running, config_of, serving
from tests.upstreams.runway import Runway

CONFIG = """
model_list:
  - {{model_name: picture, params: {{model: sandbox/image, seconds: 0.05, poll_interval: 0.02}}}}
  - {{model_name: film, params: {{model: sandbox/video, seconds: 0.05, poll_interval: 0.02}}}}
  - {{model_name: maskless, params: {{model: runwayml/gen4_image, api_key: key_0, api_base: 'http://127.0.0.1:9'}}}}
  - {{model_name: lenient, params: {{model: sandbox/image, seconds: 0.05, poll_interval: 0.02,
      additional_drop_params: [mask]}}}}
router_settings: {{model_group_alias: {{gpt-image-2: picture}}}}
general_settings: {{data_dir: {data}, task_timeout: 20, master_key: {key}, max_request_size_mb: 1}}
"""
PROMPT = "Two colours"
RED, BLUE = (220, 20, 20), (20, 20, 220)
HEADERS = {"api-key": KEY}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(config_of(CONFIG.format(data=tmp_path_factory.mktemp("data"), key=KEY))) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def drawn(colour: tuple[int, ...] = RED, size: tuple[int, int] = (400, 200), kind: str = "png") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def half_mask(size: tuple[int, int] = (400, 200)) -> bytes:
    """Its left half is transparent."""
    out = io.BytesIO()
    mask = Image.new("RGBA", size, (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, size[0] // 2, size[1]))
    mask.save(out, "png")
    return out.getvalue()


def pixels(encoded: str | None) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(encoded or ""))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def near(pixels: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    return np.abs(pixels - np.array(colour)).max(axis=-1) < 30


def edit(client: openai.OpenAI, **given: Any) -> np.ndarray:
    call: dict[str, Any] = {"model": "picture", "prompt": PROMPT, "size": "600x600", "response_format": "b64_json"}
    made = client.images.edit(**(call | given))
    return pixels(made.data[0].b64_json)


def test_a_picture_of_a_picture(client: openai.OpenAI) -> None:
    shown = edit(client, image=("a.png", drawn(), "image/png"))
    assert shown.shape == (600, 600, 3)
    red = near(shown, RED)
    assert red.mean() > 0.15, "the reference is shown"
    assert red[300, 300]
    assert not red[:140].any(), "under the prompt"


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_raw_bytes_are_known_by_their_first_ones(client: openai.OpenAI, kind: str) -> None:
    assert near(edit(client, image=drawn(kind=kind)), RED).mean() > 0.15


def test_several_pictures(client: openai.OpenAI) -> None:
    made = client.images.edit(
        model="picture",
        prompt=PROMPT,
        image=[drawn(), drawn(BLUE)],
        n=2,
        size="600x600",
        response_format="b64_json",
        output_format="webp",
        quality="high",
        input_fidelity="high",
        background="auto",
        user="7",
        extra_body={"seed": 5},
    )
    assert (len(made.data), made.output_format, made.size) == (2, "webp", "600x600")
    assert all(near(pixels(each.b64_json), RED).mean() > 0.15 for each in made.data)


def test_events_of_an_edit(client: openai.OpenAI) -> None:
    events = list(
        client.images.edit(model="picture", prompt=PROMPT, image=drawn(), size="600x600", stream=True, partial_images=1)
    )
    assert [event.type for event in events] == ["image_edit.completed"]
    assert near(pixels(events[0].b64_json), RED).mean() > 0.15


def test_where_the_mask_is_transparent_the_picture_is_gone(client: openai.OpenAI) -> None:
    whole, masked = (near(edit(client, image=drawn(), **more), RED) for more in ({}, {"mask": half_mask()}))
    assert masked.sum() == pytest.approx(whole.sum() / 2, rel=0.1)
    assert whole[300, 100:500:50].all()
    assert not masked[300, 100:280].any()
    assert masked[300, 320:500].all()


def test_a_mask_is_refused_or_left_out_never_ignored(client: openai.OpenAI) -> None:
    given: dict[str, Any] = {"prompt": PROMPT, "image": drawn(), "mask": half_mask()}
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(model="maskless", size="1024x1024", **given)
    assert (caught.value.param, caught.value.code) == ("mask", "unsupported_parameter")
    answer = client.images.with_raw_response.edit(model="lenient", size="600x600", **given)
    assert answer.headers["x-media-gateway-dropped-params"] == "mask"


def test_a_json_body(server: Running) -> None:
    uri = "data:image/png;base64," + base64.b64encode(drawn()).decode()
    body = {"model": "picture", "prompt": PROMPT, "size": "600x600", "response_format": "b64_json"}
    body["images"] = [{"image_url": uri}, {"image_url": "https://example.com/a.png"}]
    body["mask"] = {"image_url": "data:image/png;base64," + base64.b64encode(half_mask()).decode()}
    answer = httpx.post(f"{server.base}/images/edits", json=body, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    assert 0.15 < near(pixels(answer.json()["data"][0]["b64_json"]), RED).mean() < 0.3, "a half of it"


FORMS: dict[str, tuple[dict[str, Any], list[tuple[str, Any]], str]] = {
    "no picture": ({}, [], "image"),
    "too many": ({}, [("image[]", drawn(size=(16, 16)))] * 17, "image"),
    "not a picture": ({}, [("image", b"GIF89a" + bytes(50))], "image"),
    "a picture broken off": ({}, [("image", drawn()[:20])], "image"),
    "a mask of another size": ({}, [("image", drawn()), ("mask", half_mask((100, 100)))], "mask"),
    "a mask that is no png": ({}, [("image", drawn()), ("mask", drawn(kind="jpeg"))], "mask"),
    "two masks": ({}, [("image", drawn()), ("mask", half_mask()), ("mask", half_mask())], "mask"),
    "an overlay": ({}, [("image", drawn()), ("markup", half_mask())], "markup"),
    "no prompt": ({"prompt": ""}, [("image", drawn())], "prompt"),
    "too many asked for": ({"n": "11"}, [("image", drawn())], "n"),
    "no number": ({"n": "two"}, [("image", drawn())], "n"),
    "no truth value": ({"stream": "maybe"}, [("image", drawn())], "stream"),
    "a model of films": ({"model": "film"}, [("image", drawn())], "model"),
    "compression": ({"output_compression": "50"}, [("image", drawn())], "output_compression"),
}


@pytest.mark.parametrize("kind", FORMS)
def test_bad_forms(server: Running, kind: str) -> None:
    fields, files, param = FORMS[kind]
    parts = [(name, ("f", data)) for name, data in files]
    plain = [(name, (None, text)) for name, text in ({"model": "picture", "prompt": PROMPT} | fields).items()]
    answer = httpx.post(f"{server.base}/v1/images/edits", files=[*plain, *parts], headers=HEADERS)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"images": []}, "images"),
        ({"images": [{"file_id": "file-1"}]}, "images"),
        ({"images": [None]}, "images"),
        ({"images": ["data:image/png;base64,AAAA"]}, "images"),
        ({"image": "https://example.com/a.png", "images": ["https://example.com/a.png"]}, "images"),
        ({"images": ["https://example.com/a.png"], "mask": {"file_id": "file-1"}}, "mask"),
        ({}, "image"),
    ],
)
def test_bad_json(server: Running, more: dict[str, Any], param: str) -> None:
    body = {"model": "picture", "prompt": PROMPT} | more
    answer = httpx.post(f"{server.base}/v1/images/edits", json=body, headers=HEADERS)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


def test_a_form_that_says_not_how_long_it_is(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    form = httpx.Request(
        "POST",
        f"{server.base}/v1/images/edits",
        data={"model": "gpt-image-2", "prompt": PROMPT, "size": "64x64"},
        files={"image": drawn()},
    )
    whole = form.read()
    headers = {**HEADERS, "content-type": form.headers["content-type"]}

    halves = (whole[: len(whole) // 2], whole[len(whole) // 2 :])
    made = httpx.post(form.url, headers=headers, content=iter(halves))
    assert pixels(made.json()["data"][0]["b64_json"]).shape == (64, 64, 3)

    monkeypatch.setattr(forms, "FORM_LIMIT", len(whole) - 1)
    for how, body in (
        ({"content-length": str(len(whole))}, whole),
        ({"transfer-encoding": "chunked"}, b"%x\r\n%s\r\n0\r\n\r\n" % (len(whole), whole)),
    ):
        lines = [f"{name}: {value}" for name, value in {**headers, "host": "x", **how}.items()]
        head = "\r\n".join([f"POST {form.url.path} HTTP/1.1", *lines, "", ""]).encode()
        # In one piece: a server that has answered closes, and what the client still sends would hide the answer.
        with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
            sock.sendall(head + body)
            answer = HTTPResponse(sock)
            answer.begin()
            error = json.load(answer)["error"]
        assert (answer.status, error["code"]) == (413, "request_too_large")
        assert f"{len(whole) - 1:,} bytes" in error["message"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_variations_are_refused_in_words(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="images/edits") as caught:
        client.images.create_variation(image=drawn())
    assert caught.value.code == "unsupported_operation"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").images.create_variation(image=drawn())


def test_a_retry_of_a_form_is_joined_by_what_is_in_its_files(client: openai.OpenAI) -> None:
    def edited(picture: bytes, retry: str) -> str:
        made = client.images.edit(
            model="picture",
            prompt="once",
            image=("a.png", picture),
            size="64x64",
            extra_headers={"x-stainless-retry-count": retry},
        )
        return made.data[0].url.partition("?")[0]

    first = edited(drawn(), "0")
    assert edited(drawn(), "1") == first
    assert edited(drawn(BLUE), "1") != first


def test_a_key_is_for_one_set_of_pictures(client: openai.OpenAI) -> None:
    def edited(**given: Any) -> str:
        call: dict[str, Any] = {"image": drawn(), "extra_headers": {"Idempotency-Key": "one"}}
        made = client.images.edit(model="picture", prompt="keyed", size="64x64", **(call | given))
        return made.data[0].url.partition("?")[0]

    assert edited() == edited()
    for other in ({"image": drawn(BLUE)}, {"mask": half_mask()}, {"image": [drawn(), drawn(BLUE)]}):
        with pytest.raises(openai.BadRequestError) as caught:
            edited(**other)
        assert caught.value.code == "idempotency_key_reused"


def test_runway_gets_the_pictures(tmp_path: Path) -> None:
    """It answers later than the call waits: what it took is in its ledger."""
    with Runway(seconds=60) as runway:
        text = f"""
model_list: [{{model_name: gen4, params: {{model: runwayml/gen4_image, api_key: {runway.key}, api_base: "{runway.base}"}}}}]
general_settings: {{data_dir: {tmp_path}, task_timeout: 0.5}}
"""
        with (
            serving(config_of(text)) as running,
            openai.OpenAI(base_url=f"{running.base}/v1", api_key="x", max_retries=0) as client,
            pytest.raises(openai.InternalServerError) as caught,
        ):
            client.images.edit(model="gen4", prompt=PROMPT, image=[drawn(), drawn(kind="webp")], size="1024x1024")
        assert caught.value.code == "task_timeout"
        (taken,) = runway.ledger
        uris = [each["uri"] for each in taken["body"]["referenceImages"]]
        assert [uri.partition(";")[0] for uri in uris] == ["data:image/png", "data:image/webp"]
        assert base64.b64decode(uris[0].partition(",")[2]) == drawn()
