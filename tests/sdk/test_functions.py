"""Every function as LiteLLM's users call it: in a script, awaited, and in a notebook, whose loop runs already."""

from __future__ import annotations

import asyncio
import base64
import inspect
import io
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image
from providers.scripted import Stream

import gateway
from engines.codec import wav_header
from gateway import sdk
from tests.sound import hear, tone
from tests.upstreams.gemini import Gemini
from tests.upstreams.openai import OpenAI
from tests.upstreams.runway import UNAUTHORIZED, Runway, fails

Call = Callable[..., Any]
SAID = wav_header(size=4800) + tone(0.1)


def script(name: str, *given: Any, **named: Any) -> Any:
    return getattr(gateway, name)(*given, **named)


def awaited(name: str, *given: Any, **named: Any) -> Any:
    return asyncio.run(getattr(gateway, f"a{name}")(*given, **named))


def notebook(name: str, *given: Any, **named: Any) -> Any:
    async def cell() -> Any:
        return getattr(gateway, name)(*given, **named)

    return asyncio.run(cell())


ways = pytest.mark.parametrize("call", [script, awaited, notebook])


def account(runway: Runway) -> dict[str, str]:
    return {"api_key": runway.key or "", "api_base": runway.base}


def billed(runway: Runway) -> float:
    return sum(entry["credits"] for entry in runway.ledger) / 100


@ways
def test_speech(call: Call, runway: Runway, tmp_path: Path) -> None:
    answer = call(
        "speech",
        model="runwayml/eleven_multilingual_v2",
        input="Step right up, ladies and gentlemen!",
        voice="alloy",
        optional_params={},
        organization=None,
        client=None,
        max_retries=1,
        timeout=600,
        **account(runway),
    )
    assert runway.ledger[0]["body"]["voice"] == {"type": "runway-preset", "presetId": "Maya"}
    assert answer.content_type == "audio/mpeg"
    assert hear(answer.content, "mp3").seconds > 0.5
    assert b"".join(answer.iter_bytes(chunk_size=1000)) == answer.read() == answer.content
    answer.stream_to_file(tmp_path / "speech.mp3")
    assert (tmp_path / "speech.mp3").read_bytes() == answer.content
    cost = gateway.completion_cost(completion_response=answer)
    assert cost == pytest.approx(billed(runway))
    assert answer._hidden_params["response_cost"] == cost > 0
    assert answer._hidden_params["custom_llm_provider"] == "runwayml"


@ways
def test_local_voices_and_formats(call: Call) -> None:
    answer = call("speech", "local/espeak", "Hello there.", response_format="wav", speed=1.5)
    assert (answer.content[:4], answer.content_type) == (b"RIFF", "audio/wav")
    assert gateway.completion_cost(answer) == 0.0


def test_speech_without_a_voice_and_priced_by_tokens() -> None:
    with Gemini() as gemini:
        answer = gateway.speech(
            model="gemini/gemini-2.5-flash-preview-tts",
            input="the quick brown fox jumped over the lazy dogs",
            api_key=gemini.key,
            api_base=gemini.base,
        )
    assert hear(answer.content, "mp3").seconds > 0.5
    usage = answer.usage or {}
    cost = usage["input_tokens"] * 5e-07 + usage["output_tokens"] * 1e-05
    assert gateway.completion_cost(completion_response=answer) == pytest.approx(cost)


@ways
def test_images(call: Call, runway: Runway) -> None:
    answer = call(
        "image_generation",
        prompt="A serene mountain lake",
        model="runwayml/gen4_image",
        size="1024x1024",
        n=2,
        **account(runway),
    )
    assert len(answer.data) == len(answer["data"]) == 2
    with urllib.request.urlopen(answer.data[1].url) as file:
        assert Image.open(io.BytesIO(file.read())).format == "PNG"
    assert gateway.completion_cost(completion_response=answer) == pytest.approx(billed(runway))
    assert len(runway.ledger) == 2


def test_an_image_as_base64() -> None:
    answer = gateway.image_generation("A lake", "sandbox/image", response_format="b64_json", output_format="webp")
    assert base64.b64decode(answer.data[0].b64_json or "")[8:12] == b"WEBP"
    assert answer.data[0].url is None


@ways
def test_videos(call: Call, runway: Runway) -> None:
    made = call(
        "video_generation",
        model="runwayml/gen4_turbo",
        prompt="A high quality demo video",
        input_reference="https://media.example.com/logo.jpg",
        seconds=5,
        size="1280x720",
        **account(runway),
    )
    assert (made.object, made.model, made.seconds, made["size"]) == ("video", "runwayml/gen4_turbo", "5", "1280x720")
    assert made.status in ("queued", "in_progress")
    assert gateway.completion_cost(completion_response=made) == pytest.approx(0.25) == billed(runway)
    while (state := call("video_status", video_id=made.id)).status == "in_progress":
        assert state.id == made.id
    assert (state.status, state.progress, state.error) == ("completed", 100, None)
    assert gateway.completion_cost(completion_response=state) == pytest.approx(0.25)
    film = call("video_content", video_id=made.id)
    with av.open(io.BytesIO(film)) as container:
        assert container.streams.video[0].frames > 0
    assert call("video_content", made.id, variant="thumbnail")[8:12] == b"WEBP"


def test_a_film_from_a_file(runway: Runway, tmp_path: Path) -> None:
    picture = tmp_path / "lake.png"
    Image.new("RGB", (640, 360), "green").save(picture)
    for given in (picture, str(picture), picture.read_bytes(), picture.open("rb")):
        gateway.video_generation(
            "A lake", "runwayml/gen4_turbo", given, ratio="1280:720", seconds="5", **account(runway)
        )
        if isinstance(given, io.IOBase):
            given.close()
    assert all(entry["body"]["promptImage"].startswith("data:image/png;base64,") for entry in runway.ledger)
    assert len(runway.ledger) == 4
    with pytest.raises(sdk.BadRequestError, match="no.png cannot be read"):
        gateway.video_generation("A lake", "runwayml/gen4_turbo", tmp_path / "no.png", **account(runway))


def test_a_film_that_fails(runway: Runway) -> None:
    runway.next(fails("SAFETY.INPUT.TEXT"))
    made = gateway.video_generation("A lake", "runwayml/gen4.5", seconds=5, **account(runway))
    while (state := gateway.video_status(made.id)).status == "in_progress":
        pass
    assert (state.status, (state.error or {})["code"]) == ("failed", "content_policy_violation")
    with pytest.raises(sdk.BadRequestError, match="The video failed"):
        gateway.video_content(made.id)
    with pytest.raises(sdk.BadRequestError, match="cost of this call is not known"):
        gateway.completion_cost(state)


@ways
def test_transcription(call: Call) -> None:
    with OpenAI() as openai:
        answer = call(
            "transcription",
            model="openai/whisper-1",
            file=("talk.wav", gateway.speech("local/espeak", "Hello.", response_format="wav").content),
            api_key=openai.key,
            api_base=openai.base,
        )
    assert answer.text
    assert answer.text == answer["text"]


def test_what_goes_wrong_has_the_names_that_people_catch(runway: Runway) -> None:
    def speak(model: str = "runwayml/eleven_multilingual_v2", **more: Any) -> sdk.APIError:
        with pytest.raises(sdk.APIError) as caught:
            gateway.speech(**{"model": model, "input": "Hello.", "voice": "Maya", **account(runway), **more})
        return caught.value

    runway.next(UNAUTHORIZED)
    wrong = speak(max_retries=0)
    assert (type(wrong), wrong.llm_provider) == (sdk.AuthenticationError, "runwayml")
    runway.next(fails("SAFETY.INPUT.TEXT"))
    assert isinstance(speak(), sdk.ContentPolicyViolationError)
    unsupported = speak(instructions="Whisper.")
    assert (type(unsupported), unsupported.param) == (sdk.UnsupportedParamsError, "instructions")
    assert gateway.speech(
        "runwayml/eleven_multilingual_v2", "Hello.", drop_params=True, instructions="Whisper.", **account(runway)
    )._hidden_params["additional_headers"]["x-media-gateway-dropped-params"]
    for more, param in (
        ({"client": object()}, "client"),
        ({"input": " "}, "input"),
        ({"model": "nobody/tts"}, "model"),
        ({"speed": 9}, "speed"),
        ({"guardrails": ["nobody"]}, "guardrails"),
        ({"cache": {"ttl": -1}}, "cache.ttl"),
        ({"api_base": "no address"}, "api_base"),
    ):
        error = speak(**more)
        assert (type(error), error.param, error.status_code) == (sdk.BadRequestError, param, 400), str(error)
    assert len(runway.ledger) == 2
    with pytest.raises(sdk.NotFoundError):
        gateway.video_status("video_no")
    with pytest.raises(sdk.BadRequestError) as caught:
        gateway.image_generation("A lake", "local/espeak")
    assert str(caught.value) == "The model 'local/espeak' does not make images."
    with pytest.raises(sdk.BadRequestError, match="completion_response"):
        gateway.completion_cost()


@ways
def test_a_picture_is_changed(call: Call, tmp_path: Path) -> None:
    picture, mask = tmp_path / "lake.png", io.BytesIO()
    Image.new("RGB", (64, 64), "green").save(picture)
    Image.new("RGBA", (64, 64)).save(mask, "png")
    with OpenAI() as openai, picture.open("rb") as file:
        account = {"model": "openai/gpt-image-2", "api_key": openai.key, "api_base": openai.base}
        answer = call(
            "image_edit", file, "A boat", mask=mask.getvalue(), size="1024x1024", response_format="url", **account
        )
        several = call("image_edit", image=[picture, str(picture), picture.read_bytes()], prompt="A boat", **account)
        sent = [*openai.requests]
        with pytest.raises(sdk.BadRequestError) as caught:
            call("image_edit", tmp_path / "no.png", "A boat", **account)
        assert "no.png cannot be read" in str(caught.value)
        for wrong, param in (({"image": [b"GIF89a"]}, "image"), ({"image": []}, "image"), ({"mask": b"x"}, "mask")):
            with pytest.raises(sdk.BadRequestError) as caught:
                call("image_edit", **{"image": picture, "prompt": "A boat", **wrong, **account})
            assert caught.value.param == param
    assert [(asked.body.get("size"), sum(map(len, asked.files.values()))) for asked in sent] == [
        ("1024x1024", 2),
        (None, 3),
    ]
    with urllib.request.urlopen(answer.data[0].url) as made:
        assert Image.open(made).format == "PNG"
    assert several.data[0].b64_json  # as OpenAI answers for models of that name
    assert gateway.completion_cost(several) > 0
    assert several._hidden_params["custom_llm_provider"] == "openai"


def test_an_answer_of_speech_is_its_own_http_answer(tmp_path: Path) -> None:
    answer = gateway.speech("local/espeak", "Hello there.", response_format="wav")
    http = answer.response
    assert (http.status_code, http.is_success, http.raise_for_status().content) == (200, True, answer.content)
    assert http.headers["Content-Type"] == answer.content_type == "audio/wav"
    assert http.headers["content-length"] == str(len(answer.content))
    assert http.headers["x-media-gateway-model"] == "local/espeak"
    assert http.headers.get("x-request-id") is None
    assert http.text.startswith("RIFF")
    with pytest.raises(ValueError):  # noqa: PT011
        http.json()
    for name in ("write_to_file", "stream_to_file", "astream_to_file"):
        done = getattr(answer, name)(tmp_path / name)
        if done is not None:
            asyncio.run(done)
        assert (tmp_path / name).read_bytes() == answer.content
    assert b"".join(answer.iter_raw(7)) == asyncio.run(http.aread()) == answer.content
    pcm = gateway.speech("local/espeak", "Hello there.", response_format="pcm").headers
    assert (pcm["content-type"], pcm["X-Sample-Rate"]) == ("audio/pcm; rate=24000; channels=1", "24000")


async def test_every_function_that_waits_works_where_a_loop_runs(runway: Runway, tmp_path: Path) -> None:
    """A notebook: each of them in one process, one after another, and then all of them again on threads of a loop."""
    picture, config = tmp_path / "lake.png", tmp_path / "config.yaml"
    Image.new("RGB", (64, 64), "green").save(picture)
    config.write_text("model_list: [{model_name: robot, litellm_params: {model: local/espeak}}]")

    def film() -> str:
        made = gateway.video_generation("A lake", "scripted/errand")
        while gateway.video_status(made.id).status != "completed":
            pass
        return made.id

    with OpenAI() as openai:
        whisper = {"api_key": openai.key, "api_base": openai.base}
        cells: dict[str, Callable[[], Any]] = {
            "speech": lambda: gateway.speech("local/espeak", "Hello.", stream=True).content,
            "image_generation": lambda: gateway.image_generation("A lake", "scripted/painter"),
            "image_edit": lambda: gateway.image_edit(picture, "A boat", "scripted/painter"),
            "video_generation": lambda: gateway.video_generation("A lake", "scripted/errand"),
            "video_status": lambda: gateway.video_status(film()),
            "video_content": lambda: gateway.video_content(film()),
            "video_list": gateway.video_list,
            "video_remix": lambda: gateway.video_remix(film(), "A sea"),
            "video_delete": lambda: gateway.video_delete(film()),
            "transcription": lambda: gateway.transcription("openai/whisper-1", ("a.wav", SAID), **whisper),
            "completion_cost": lambda: gateway.completion_cost(model="openai/tts-1", prompt="Hello."),
            "configure": lambda: gateway.configure(config) is None and gateway.speech("robot", "Hello.", "alloy"),
            "close": lambda: sdk.close() is None,
        }
        functions = {name: getattr(sdk, name) for name in sdk.__all__ if not isinstance(getattr(sdk, name), type)}
        assert {name for name, each in functions.items() if not inspect.iscoroutinefunction(each)} == set(cells)
        for name, each in functions.items():
            if inspect.iscoroutinefunction(each):
                waits = functions[name[1:]]
                assert inspect.signature(each) == inspect.signature(waits)
            assert name == "close" or getattr(gateway, name) is each
        for name, cell in cells.items():
            assert cell(), name
        del cells["configure"], cells["close"]  # they would take what the others use
        assert all(await asyncio.gather(*map(asyncio.to_thread, cells.values())))


def test_keys_come_from_the_environment_at_each_call(runway: Runway, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook the first cell fails, the second sets the key, and the first works."""
    monkeypatch.setenv("RUNWAYML_API_BASE", runway.base)
    model = "runwayml/eleven_multilingual_v2"
    with pytest.raises(sdk.AuthenticationError, match="Give api_key"):
        gateway.speech(model, "Hello.", api_base=runway.base)
    monkeypatch.setenv("RUNWAYML_API_KEY", runway.key or "")
    assert gateway.speech(model, "Hello.", api_base=runway.base).content


def test_a_config_s_names_fallbacks_and_prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("""
model_list:
  - model_name: narrator
    litellm_params: {model: local/kokoro-82m, path: /nonexistent, voice: af_heart}
  - model_name: robot
    litellm_params: {model: local/espeak, input_cost_per_character: 0.001}
litellm_settings:
  fallbacks: [{narrator: [robot]}]
general_settings: {master_key: sk-test-0123456789}
""")
    for use in (lambda: gateway.configure(config), lambda: monkeypatch.setenv("MEDIA_GATEWAY_CONFIG", str(config))):
        use()
        answer = gateway.speech("narrator", "Hello there.", "alloy")
        headers = answer._hidden_params["additional_headers"]
        assert headers["x-media-gateway-fallback"] == "narrator; reason=not_ready"
        assert gateway.completion_cost(answer) == pytest.approx(0.012)
        with pytest.raises(sdk.NotFoundError, match="Did you mean 'narrator'"):
            gateway.speech("narator", "Hello.", "alloy")
        assert gateway.speech("local/espeak", "Hello.", api_base=None).content
        sdk.configure(None)
    config.write_text("model_list: 7")
    with pytest.raises(sdk.BadRequestError, match="model_list: must be a list"):
        gateway.configure(config)


def test_fallbacks_of_a_call(runway: Runway) -> None:
    answer = gateway.speech("runwayml/eleven_multilingual_v2", "Hello.", "alloy", fallbacks=["local/espeak"])
    headers = answer._hidden_params["additional_headers"]
    assert headers["x-media-gateway-fallback"] == "runwayml/eleven_multilingual_v2; reason=no_key"
    assert headers["x-media-gateway-model"] == "local/espeak"
    assert gateway.completion_cost(answer) == 0.0


async def test_who_is_cancelled_cancels_the_call() -> None:
    task = asyncio.create_task(gateway.aspeech("scripted/endless", "Hello.", response_format="pcm"))
    while not Stream.live:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while Stream.live:
        await asyncio.sleep(0.01)


async def test_many_at_once() -> None:
    answers = await asyncio.gather(*(gateway.aspeech("local/espeak", f"Number {each}.") for each in range(8)))
    assert len({answer.content for answer in answers}) == 8


def test_a_function_that_waits_is_refused_on_the_loop_it_would_wait_for() -> None:
    async def inside() -> None:
        gateway.speech("local/espeak", "Hello.")

    with pytest.raises(RuntimeError, match="await its async form"):
        sdk._LOOP.run(inside())
