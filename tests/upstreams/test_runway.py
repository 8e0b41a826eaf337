"""The simulated RunwayML, driven by RunwayML's own client."""

from __future__ import annotations

import io
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import IncompleteRead

import av
import pytest
import runwayml
from PIL import Image
from runwayml import RunwayML, TaskFailedError, TaskTimeoutError
from runwayml.lib import polling

from tests.upstreams.runway import (
    BAD_GATEWAY,
    CUT,
    DAILY_LIMIT,
    DROP_AFTER,
    DROP_BEFORE,
    FINE,
    GARBAGE,
    KEY,
    OUT_OF_CREDITS,
    OVERLOADED,
    UNAUTHORIZED,
    UNAVAILABLE,
    UNKNOWN_STATUS,
    Fault,
    Plan,
    Runway,
    cancelled,
    delay,
    fails,
    invalid,
    takes,
    throttled,
)
from tests.upstreams.runway_rules import MODELS, VOICES, issue, validate

DOT = "data:image/png;base64,iVBORw0KGgo="
MAYA = {"type": "runway-preset", "presetId": "Maya"}
SPEECH = {"model": "eleven_multilingual_v2", "promptText": "Hello there.", "voice": MAYA}
PICTURE = {"model": "gen4_image", "promptText": "A lighthouse", "ratio": "1920:1080"}
CLIP = {"model": "gen4_turbo", "promptImage": DOT, "ratio": "1280:720", "duration": 2}
SCENE = {"model": "gen4.5", "promptText": "A wave", "ratio": "720:1280", "duration": 3}


@pytest.fixture
def runway() -> Iterator[Runway]:
    """Its tasks end when the test says so."""
    with Runway(seconds=100) as server:
        yield server


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runway]:
    """Tasks that take a moment, and a client that asks often."""
    monkeypatch.setattr(polling, "POLL_TIME", 0.03)
    monkeypatch.setattr(polling, "POLL_JITTER", 0)
    with Runway() as server:
        yield server


def client_of(runway: Runway, **options) -> RunwayML:
    return RunwayML(api_key=KEY, base_url=runway.base, **{"max_retries": 0, **options})


@pytest.fixture
def client(runway: Runway) -> Iterator[RunwayML]:
    with client_of(runway) as client:
        yield client


@pytest.fixture
def patient(quick: Runway) -> Iterator[RunwayML]:
    with client_of(quick) as client:
        yield client


def speak(client: RunwayML, text: str = "Hello there."):
    return client.text_to_speech.create(model="eleven_multilingual_v2", prompt_text=text, voice=MAYA)


def fetch(url: str, **headers: str) -> tuple[bytes, str]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.read(), answer.headers["content-type"]


def refused(url: str, **headers: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(url, **headers)
    with caught.value:
        return caught.value.code


# The four creates, waited for.


def test_speech_is_an_mp3(quick: Runway, patient: RunwayML) -> None:
    made = speak(patient)
    assert made.estimated_cost.credits == 1
    done = made.wait_for_task_output(timeout=10)
    assert (done.id, done.status, done.cost.credits) == (made.id, "SUCCEEDED", 1)
    content, kind = fetch(done.output[0])
    assert kind == "audio/mpeg"
    with av.open(io.BytesIO(content)) as sound:
        assert sound.streams.audio[0].codec_context.name.startswith("mp3")
    assert quick.ledger == [
        {
            "id": made.id,
            "endpoint": "/v1/text_to_speech",
            "model": SPEECH["model"],
            "body": SPEECH,
            "key": KEY,
            "credits": 1,
        }
    ]


def test_a_picture_is_a_png(quick: Runway, patient: RunwayML) -> None:
    made = patient.text_to_image.create(
        model="gen4_image_turbo",
        prompt_text="Like @ref",
        ratio="1280:720",
        reference_images=[{"uri": DOT, "tag": "ref"}],
    )
    done = made.wait_for_task_output(timeout=10)
    content, kind = fetch(done.output[0])
    assert kind == "image/png"
    with Image.open(io.BytesIO(content)) as picture:
        assert (picture.format, picture.size) == ("PNG", (160, 90))
    assert quick.ledger[0]["body"]["referenceImages"] == [{"uri": DOT, "tag": "ref"}]
    assert quick.ledger[0]["credits"] == 2


def test_an_image_becomes_a_clip(quick: Runway, patient: RunwayML) -> None:
    made = patient.image_to_video.create(
        model="gen4_turbo", prompt_image=[{"uri": DOT, "position": "first"}], ratio="1280:720", duration=2, seed=7
    )
    done = made.wait_for_task_output(timeout=10)
    content, kind = fetch(done.output[0])
    assert kind == "video/mp4"
    with av.open(io.BytesIO(content)) as clip:
        assert clip.duration == 2_000_000
    assert done.cost.credits == 10


def test_a_text_becomes_a_clip(quick: Runway, patient: RunwayML) -> None:
    made = patient.text_to_video.create(
        model="veo3.1_fast", prompt_text="A wave", ratio="1080:1920", duration=4, audio=False
    )
    done = made.wait_for_task_output(timeout=10)
    assert fetch(done.output[0])[1] == "video/mp4"
    assert done.cost.credits == 40
    assert [each["endpoint"] for each in quick.ledger] == ["/v1/text_to_video"]


@pytest.mark.parametrize("code", ["SAFETY.INPUT.TEXT", "SAFETY.OUTPUT.VIDEO", "INTERNAL.BAD_OUTPUT.CODE01", None])
def test_a_task_that_fails(quick: Runway, patient: RunwayML, code: str | None) -> None:
    quick.next(fails(code))
    with pytest.raises(TaskFailedError) as caught:
        speak(patient).wait_for_task_output(timeout=10)
    task = caught.value.task_details
    assert (task.status, task.failure_code) == ("FAILED", code)
    assert task.failure
    assert task.cost.credits == (0 if code == "SAFETY.OUTPUT.VIDEO" else 1)
    assert speak(patient).wait_for_task_output(timeout=10).status == "SUCCEEDED"


def test_the_client_gives_up_and_the_task_is_billed(quick: Runway, patient: RunwayML) -> None:
    quick.next(takes(100))
    with pytest.raises(TaskTimeoutError):
        speak(patient).wait_for_task_output(timeout=0.05)
    assert len(quick.ledger) == 1
    assert not quick.deleted


# The life of a task.


def test_the_states_of_a_task(runway: Runway, client: RunwayML) -> None:
    runway.next(throttled(50))
    task = speak(client).id
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", task)
    seen = []
    for step in (0, 51, 48, 52):
        runway.advance(step)
        seen.append(client.tasks.with_raw_response.retrieve(task).http_response.json())
    assert [each["status"] for each in seen] == ["THROTTLED", "PENDING", "RUNNING", "SUCCEEDED"]
    assert 0.49 <= seen[2]["progress"] < 0.6
    assert [sorted(each) for each in seen[1:]] == [
        ["createdAt", "estimatedCost", "id", "status"],
        ["createdAt", "estimatedCost", "id", "progress", "status"],
        ["cost", "createdAt", "id", "output", "status"],
    ]
    assert len({each["createdAt"] for each in seen}) == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", seen[0]["createdAt"])


def test_a_cancelled_task(runway: Runway, client: RunwayML) -> None:
    runway.next(cancelled())
    task = speak(client).id
    runway.advance(100)
    assert client.tasks.retrieve(task).status == "CANCELLED"


def test_a_plan_waits_for_a_task(runway: Runway, client: RunwayML) -> None:
    runway.next(Plan())
    runway.next(fails(None))
    runway.next(DAILY_LIMIT)
    with pytest.raises(runwayml.RateLimitError):
        speak(client)
    ids = [speak(client).id, speak(client).id]
    runway.advance(100)
    assert [client.tasks.retrieve(task).status for task in ids] == ["SUCCEEDED", "FAILED"]


@pytest.mark.parametrize(("after", "status"), [(0, "PENDING"), (50, "RUNNING"), (100, "SUCCEEDED")])
def test_a_task_is_deleted_once(runway: Runway, client: RunwayML, after: float, status: str) -> None:
    task = speak(client).id
    runway.advance(after)
    output = getattr(client.tasks.retrieve(task), "output", [])
    assert client.tasks.delete(task) is None
    assert runway.deleted == {task: status}
    for again in (client.tasks.delete, client.tasks.retrieve):
        with pytest.raises(runwayml.NotFoundError) as caught:
            again(task)
        assert caught.value.body == {"error": "Could not find Task"}
    assert [refused(url) for url in output] == [404] * len(output)
    assert len(runway.ledger) == 1


def test_outputs_are_signed_anew_and_expire(runway: Runway, client: RunwayML) -> None:
    task = speak(client).id
    runway.advance(100)
    first, second = (client.tasks.retrieve(task).output[0] for _ in range(2))
    assert first != second
    assert fetch(first) == fetch(second)
    assert refused(first, Authorization=f"Bearer {KEY}") == 403
    assert refused(first.partition("?")[0]) == 403
    runway.expire_outputs()
    assert (refused(first), refused(second)) == (403, 403)
    assert fetch(client.tasks.retrieve(task).output[0])[0]


def test_polls_are_timed(runway: Runway, client: RunwayML) -> None:
    first, second = speak(client).id, speak(client).id
    for task in (first, second, first):
        client.tasks.retrieve(task)
    assert [len(runway.polls[task]) for task in (first, second)] == [2, 1]
    assert [task for task, _ in runway.fast_polls(60)] == [first]
    assert runway.fast_polls(0) == []
    assert [each.method for each in runway.requests] == ["POST", "POST", "GET", "GET", "GET"]
    assert runway.requests[0].headers["x-runway-version"] == "2024-11-06"


# What is let in.


def test_a_wrong_key(runway: Runway) -> None:
    with RunwayML(api_key="key_other", base_url=runway.base) as stranger, pytest.raises(runwayml.AuthenticationError):
        speak(stranger)
    assert not runway.ledger


def test_any_key_of_the_right_form() -> None:
    with Runway(key=None) as runway:
        with RunwayML(api_key="key_other", base_url=runway.base) as one:
            speak(one)
        with RunwayML(api_key="sk-other", base_url=runway.base) as two, pytest.raises(runwayml.AuthenticationError):
            speak(two)
        assert [each["key"] for each in runway.ledger] == ["key_other"]


@pytest.mark.parametrize("header", [{"X-Runway-Version": "2024-09-13"}, {"Content-Type": "text/plain"}])
def test_a_wrong_header(runway: Runway, header: dict[str, str]) -> None:
    with client_of(runway, default_headers=header) as client, pytest.raises(runwayml.BadRequestError):
        speak(client)
    assert not runway.ledger


def test_a_refusal_names_the_field(runway: Runway, client: RunwayML) -> None:
    with pytest.raises(runwayml.BadRequestError) as caught:
        speak(client, "a" * 1001)
    body = caught.value.body
    assert body["error"] == "Validation of body failed"
    assert body["docUrl"]
    assert [(each["code"], each["path"], each["maximum"]) for each in body["issues"]] == [
        ("too_big", ["promptText"], 1000)
    ]
    assert not runway.ledger
    with pytest.raises(runwayml.BadRequestError):
        client.post("/v1/text_to_image", body={**PICTURE, "ratio": "1:1"}, cast_to=object)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("speech", SPEECH | {"promptText": "\N{GRINNING FACE}" * 500}),
        *(("speech", SPEECH | {"voice": {"type": "runway-preset", "presetId": name}}) for name in VOICES),
        ("speech", SPEECH | {"model": "eleven_v3", "promptText": "a" * 5000, "speed": 0.7, "seed": 2**32 - 1}),
        ("speech", SPEECH | {"response_format": "mp3"}),  # tolerated: not a strict model
        ("image", PICTURE | {"referenceImages": []}),
        ("image", PICTURE | {"model": "gen4_image_turbo", "referenceImages": [{"uri": DOT}] * 3}),
        ("image_to_video", CLIP),
        ("image_to_video", {"model": "gen4_turbo", "promptImage": "https://a.example/b.png", "ratio": "960:960"}),
        ("image_to_video", SCENE | {"promptImage": "runway://upload/1", "ratio": "1584:672", "duration": 10.0}),
        (
            "image_to_video",
            CLIP
            | {"model": "veo3.1", "duration": 8}
            | {"promptImage": [{"uri": DOT, "position": "first"}, {"uri": DOT, "position": "last"}]},
        ),
        ("text_to_video", SCENE),
        ("text_to_video", {"model": "veo3.1", "promptText": "A wave", "ratio": "1920:1080"}),
    ],
)
def test_a_body_that_passes(endpoint: str, body: dict) -> None:
    assert validate(next(each for each in MODELS if each.endswith(endpoint)), body) == []


@pytest.mark.parametrize(
    ("endpoint", "body", "path"),
    [
        ("speech", {}, ["model"]),
        ("speech", [], []),
        ("speech", SPEECH | {"model": "tts-1"}, ["model"]),
        ("speech", SPEECH | {"promptText": ""}, ["promptText"]),
        ("speech", SPEECH | {"promptText": None}, ["promptText"]),
        ("speech", SPEECH | {"promptText": "\N{GRINNING FACE}" * 501}, ["promptText"]),
        ("speech", SPEECH | {"voice": "Maya"}, ["voice"]),
        ("speech", SPEECH | {"voice": MAYA | {"presetId": "alloy"}}, ["voice", "presetId"]),
        ("speech", SPEECH | {"model": "eleven_v3", "speed": 2.0}, ["speed"]),
        ("image", PICTURE | {"ratio": "1024x1024"}, ["ratio"]),
        ("image", PICTURE | {"seed": 2**32}, ["seed"]),
        ("image", PICTURE | {"seed": True}, ["seed"]),
        ("image", PICTURE | {"seed": 1.5}, ["seed"]),
        ("image", PICTURE | {"model": "gen4_image_turbo"}, ["referenceImages"]),
        ("image", PICTURE | {"model": "gen4_image_turbo", "referenceImages": []}, ["referenceImages"]),
        ("image", PICTURE | {"referenceImages": [{"uri": DOT}] * 4}, ["referenceImages"]),
        ("image", PICTURE | {"referenceImages": [{"uri": "http://a.example/b.png"}]}, ["referenceImages", 0, "uri"]),
        ("image", PICTURE | {"referenceImages": [{"uri": DOT, "tag": "a b c"}]}, ["referenceImages", 0, "tag"]),
        ("image", PICTURE | {"contentModeration": {"level": "low"}}, ["contentModeration"]),
        ("image_to_video", CLIP | {"duration": 11}, ["duration"]),
        ("image_to_video", CLIP | {"promptImage": "data:image/png;base64," + "A" * 5_242_880}, ["promptImage"]),
        ("image_to_video", CLIP | {"promptImage": [{"uri": DOT, "position": "last"}]}, ["promptImage"]),
        ("image_to_video", {"model": "gen4_turbo", "ratio": "1280:720"}, ["promptImage"]),
        ("text_to_video", CLIP, ["model"]),
        ("text_to_video", SCENE | {"ratio": "960:960"}, ["ratio"]),
        ("text_to_video", {"model": "gen4.5", "promptText": "A wave", "ratio": "1280:720"}, ["duration"]),
        ("text_to_video", SCENE | {"model": "veo3.1", "duration": 5}, ["duration"]),
    ],
)
def test_a_body_that_does_not_pass(endpoint: str, body: dict, path: list) -> None:
    issues = validate(next(each for each in MODELS if each.endswith(endpoint)), body)
    assert issues
    assert [each["path"] for each in issues] == [path] * len(issues)


# Faults.


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (invalid(issue("too_big", ["promptText"])), runwayml.BadRequestError, "Validation of body failed"),
        (OUT_OF_CREDITS, runwayml.BadRequestError, "enough credits"),
        (UNAUTHORIZED, runwayml.AuthenticationError, "key"),
        (DAILY_LIMIT, runwayml.RateLimitError, "daily task limit"),
        (BAD_GATEWAY, runwayml.InternalServerError, "<html>"),
        (UNAVAILABLE, runwayml.InternalServerError, "load"),
        (OVERLOADED, runwayml.InternalServerError, "timeout"),
        (Fault(418, "{}", headers={"Retry-After": "1"}), runwayml.APIStatusError, ""),
    ],
)
def test_a_status_instead_of_the_task(
    runway: Runway, client: RunwayML, fault: Fault, error: type[runwayml.APIStatusError], says: str
) -> None:
    runway.next(FINE)
    runway.next(fault)
    speak(client)
    with pytest.raises(error) as caught:
        speak(client)
    assert caught.value.status_code == fault.status
    assert says in caught.value.response.text
    assert len(runway.ledger) == 1
    speak(client)


@pytest.mark.parametrize(("fault", "billed"), [(DROP_BEFORE, 0), (DROP_AFTER, 1), (CUT, 1)])
def test_a_connection_that_ends(runway: Runway, client: RunwayML, fault: Fault, billed: int) -> None:
    runway.next(fault)
    with pytest.raises(runwayml.APIConnectionError):
        speak(client)
    assert len(runway.requests) == 1
    assert len(runway.ledger) == billed


def test_a_client_that_tries_again_pays_twice(runway: Runway) -> None:
    runway.next(DROP_AFTER)
    with client_of(runway, max_retries=1) as client:
        task = speak(client).id
    assert [each["id"] == task for each in runway.ledger] == [False, True]


def test_a_late_answer_is_billed(runway: Runway) -> None:
    runway.next(delay(30))
    with client_of(runway, timeout=0.2) as client, pytest.raises(runwayml.APITimeoutError):
        speak(client)
    assert len(runway.ledger) == 1


def test_garbage(runway: Runway, client: RunwayML) -> None:
    runway.next(GARBAGE)
    with pytest.raises(ValueError, match="Unterminated string"):
        speak(client)
    assert len(runway.ledger) == 1


def test_faults_of_the_other_requests(runway: Runway, client: RunwayML) -> None:
    task = speak(client).id
    runway.advance(100)
    for fault in (UNKNOWN_STATUS, UNAVAILABLE):
        runway.next(fault, where="poll")
    runway.next(BAD_GATEWAY, where="delete")
    for fault in (Fault(404), CUT):
        runway.next(fault, where="download")
    raw = client.tasks.with_raw_response.retrieve(task).http_response.json()
    assert raw["status"] == "HIBERNATING"
    with pytest.raises(runwayml.InternalServerError):
        client.tasks.retrieve(task)
    with pytest.raises(runwayml.InternalServerError):
        client.tasks.delete(task)
    output = client.tasks.retrieve(task).output[0]
    assert refused(output) == 404
    with pytest.raises(IncompleteRead):
        fetch(output)
    assert fetch(output)[0]
    assert not runway.deleted
    assert len(runway.polls[task]) == 3


def test_the_account(quick: Runway, patient: RunwayML) -> None:
    quick.balance = 7
    found = patient.organization.retrieve()
    assert found.credit_balance == 7
    assert found.usage.models["gen4_turbo"].daily_generations == 3
    stranger = RunwayML(api_key="key_" + "f" * 128, base_url=quick.base, max_retries=0)
    with stranger, pytest.raises(runwayml.AuthenticationError):
        stranger.organization.retrieve()
