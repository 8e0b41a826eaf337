"""Runway's models: everything that our table claims for them is let in by the server that has rules of its own."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from providers.base import errors
from providers.base.contract import (
    Failed,
    ImageRequest,
    Patient,
    Provider,
    Reference,
    SpeechRequest,
    SpeechTasks,
    TaskProvider,
    TaskRequest,
    VideoRequest,
)
from providers.base.vendor import Resources
from providers.runwayml import VENDOR, RunwaySettings
from providers.runwayml.models import MODELS, Image, Speech, Video
from providers.runwayml.requests import create, parts
from tests.contracts.tasks import TaskContract, look, watch
from tests.upstreams import runway as upstream
from tests.upstreams.runway import Runway
from tests.upstreams.runway_rules import MODELS as THEIRS
from tests.upstreams.runway_rules import validate

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
)
PNG_URI = "data:image/png;base64," + base64.b64encode(PNG).decode()
PICTURE = "https://media.example.com/a.png"
SOUND = "https://media.example.com/a.mp3"
FILM = "https://media.example.com/a.mp4"
OPTIONS: dict[str, object] = {
    "seed": 7,
    "contentModeration": {"publicFigureThreshold": "low"},
    "stability": 0.5,
    "similarityBoost": 0.5,
    "style": 0,
    "useSpeakerBoost": True,
    "languageCode": "en",
    "applyTextNormalization": "auto",
    "outputFormat": "png",
    "sampleRate": 24000,
    "speechRate": 10,
    "loudnessRate": -10,
    "pitchRate": 2,
    "quality": "low",
    "background": "opaque",
    "grounding": True,
    "audio": False,
    "negativePrompt": "rain",
    "references": [{"uri": PICTURE}],
    "referenceVideos": [{"type": "video", "uri": FILM}],
    "referenceAudio": [{"type": "audio", "uri": SOUND}],
}
SPECIAL = {
    ("seed_audio", "outputFormat"): "wav",
    ("hailuo3", "resolution"): "2K",
    ("happyhorse_1_0", "resolution"): "720P",
}


def options(model: str, names: frozenset[str]) -> dict[str, object]:
    return {name: SPECIAL.get((model, name), OPTIONS.get(name)) for name in names}


def everything(model: str) -> Iterator[TaskRequest]:
    """Requests with all that the table says of a model: each ratio and length, the longest text, each option."""
    facts = MODELS[model]
    if isinstance(facts, Speech):
        voice = "Maya" if facts.voice == "runway-preset" else SOUND
        yield SpeechRequest("a", voice)
        for speed in facts.speeds:
            yield SpeechRequest("a" * facts.longest, voice, speed=speed, extra=options(model, facts.options))
    elif isinstance(facts, Image):
        fewest, most = facts.references
        few, beside = (Reference(url=PICTURE),) * fewest, {"tag": "pic_1", "subject": "human"}
        yield ImageRequest("a", None, None, few)
        for ratio in facts.ratios:
            yield ImageRequest("a" * facts.longest, None, None, few, {"ratio": ratio, **options(model, facts.options)})
        full = {"uri": PNG_URI} | {name: beside[name] for name in facts.beside}
        yield ImageRequest("a", None, None, (Reference(data=PNG),), {"referenceImages": [full] * (most - 1)})
    else:
        yield from films(model, facts)


def films(model: str, facts: Video) -> Iterator[TaskRequest]:
    for reference, ratios, more in (
        (Reference(url=PICTURE), facts.from_image, facts.image_options),
        (None, facts.from_text, facts.text_options),
    ):
        if ratios is not None:
            extra = options(model, facts.options | more)
            yield VideoRequest("ab", reference=reference)
            for size in ratios:
                yield VideoRequest("a" * facts.longest, None, size.replace(":", "x"), reference, extra)
            for seconds in facts.seconds:
                yield VideoRequest("ab", seconds, None, reference)
    if facts.frames:
        yield VideoRequest("ab", extra={"promptImage": [{"uri": PICTURE, "position": each} for each in facts.frames]})
    yield VideoRequest("ab", extra={"promptImage": PNG_URI})


@pytest.mark.parametrize("model", MODELS)
def test_what_we_say_a_model_takes_is_taken(model: str) -> None:
    paths = set()
    for request in everything(model):
        made = create(model, request)
        assert validate(made.path, dict(made.body)) == [], made
        paths.add(made.path)
    assert paths == {path for path, models in THEIRS.items() if model in models}


@pytest.mark.parametrize("model", MODELS)
def test_its_limits_are_runway_s(model: str) -> None:
    """One more than we take is refused there too: the table gives nothing away."""
    facts = MODELS[model]
    request = next(everything(model))
    made = create(model, request)
    too_long = {**made.body, "promptText": "a" * (facts.longest + 1)}
    assert [each["path"] for each in validate(made.path, too_long)] == [["promptText"]]
    if isinstance(facts, Image):
        many = {**made.body, "referenceImages": [{"uri": PICTURE}] * (facts.references[1] + 1)}
        assert [each["path"] for each in validate(made.path, many)] == [["referenceImages"]]
    elif isinstance(facts, Video):
        for seconds in (facts.seconds[0] - 1, facts.seconds[-1] + 1):
            assert [each["path"] for each in validate(made.path, {**made.body, "duration": seconds})] == [["duration"]]


@pytest.mark.parametrize(
    ("model", "extra", "says"),
    [
        ("gen4_image", [{"uri": "http://media.example.com/a.png"}], "https://"),
        ("gen4_image", [{"uri": "https://10.0.0.1/a.png"}], "name of a host"),
        ("gen4_image", [{"uri": "https://[::1]/a.png"}], "name of a host"),
        ("gen4_image", [{"uri": "https://[::1/a.png"}], "name of a host"),
        ("gen4_image", [{"uri": "https://media.example.com/" + "a" * 2048}], "2,048"),
        ("gen4_image", [{"uri": "/etc/passwd"}], "https://"),
        ("gen4_image", [{"uri": "file:///etc/passwd"}], "https://"),
        ("gen4_image", [{"uri": 5}], "https://"),
        ("gen4_image", [{"uri": "data:image/gif;base64,R0lGODlh"}], "png, jpeg or webp"),
        ("gen4_image", [{"uri": "data:text/html,<p>"}], "png, jpeg or webp"),
        ("gen4_image", [{"uri": PNG_URI + "A" * 5_242_880}], "3.9 MB"),
        ("gen4_image", [{"uri": PICTURE, "tag": "ab"}], "3 to 16"),
        ("gen4_image", [{"uri": PICTURE, "tag": "Ref"}], "3 to 16"),
        ("gen4_image", [{"uri": PICTURE, "tag": "a" * 17}], "3 to 16"),
        ("gen4_image", [{"uri": PICTURE, "weight": 2}], "knows no 'weight'"),
        ("gen4_image", [{"uri": PICTURE, "subject": "human"}], "knows no 'subject'"),
        ("gemini_image3_pro", [{"uri": PICTURE, "subject": "cat"}], "object or human"),
        ("seedream5_pro", [{"uri": PICTURE, "tag": "pic"}], "knows no 'tag'"),
        ("gen4_image", [PICTURE], '{"uri": …}'),
        ("gen4_image", {"uri": PICTURE}, "a list of"),
        ("gen4_image", [{"uri": PICTURE}] * 4, "0 to 3"),
        ("gen4_image_turbo", [], "1 to 3"),
    ],
)
def test_references_that_are_refused(model: str, extra: object, says: str) -> None:
    with pytest.raises(errors.Refused, match=says) as caught:
        create(model, ImageRequest("Like @pic", extra={"referenceImages": extra}))
    assert caught.value.param == "referenceImages"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("model", "extra", "param"),
    [
        ("gen4_turbo", {"promptImage": [{"uri": PICTURE, "position": "last"}]}, "promptImage"),
        ("gen4_turbo", {"promptImage": [{"uri": PICTURE}]}, "promptImage"),
        ("gen4_turbo", {"promptImage": [{"uri": "http://a.example.com/b", "position": "first"}]}, "promptImage"),
        ("gen4_turbo", {"promptImage": "/etc/passwd"}, "promptImage"),
        ("hailuo3", {"promptImage": [{"uri": PICTURE}]}, "promptImage"),
        ("seedance2", {"references": [{"uri": PICTURE}] * 10}, "references"),
        ("seedance2", {"referenceAudio": [{"type": "video", "uri": SOUND}]}, "referenceAudio"),
        ("seedance2", {"referenceAudio": [{"type": "audio", "uri": "data:video/mp4,"}]}, "referenceAudio"),
        ("seedance2", {"promptImage": PICTURE, "references": [{"uri": PICTURE}]}, "references"),
        ("gpt_image_2", {"outputCount": 2}, "outputCount"),
    ],
)
def test_other_options_that_are_refused(model: str, extra: dict[str, Any], param: str) -> None:
    request = ImageRequest("x", extra=extra) if isinstance(MODELS[model], Image) else VideoRequest("x", extra=extra)
    with pytest.raises(errors.Refused) as caught:
        create(model, request)
    assert caught.value.param == param


def test_a_film_of_a_picture_may_have_no_size() -> None:
    with pytest.raises(errors.Unsupported) as caught:
        create("happyhorse_1_0", VideoRequest("ab", None, "1280x720", Reference(url=PICTURE)))
    assert caught.value.param == "size"


# Voices, speeds and long texts.


@pytest.mark.parametrize(
    ("model", "voice", "given", "sent"),
    [
        ("eleven_v3", "", {"type": "runway-preset", "presetId": "Bernard"}, "Bernard"),
        ("eleven_v3", "", {"type": "runway-preset", "presetId": "bernard"}, "Bernard"),
        ("seed_audio", "", {"type": "reference-audio", "audioUri": SOUND}, SOUND),
        ("seed_audio", SOUND, None, SOUND),
        ("seed_audio", "data:audio/mpeg;base64,AAAA", None, "data:audio/mpeg;base64,AAAA"),
    ],
)
def test_voices_in_runway_s_words(model: str, voice: str, given: object, sent: str) -> None:
    body = create(model, SpeechRequest("x", voice, extra={} if given is None else {"voice": given})).body
    assert sent in body["voice"].values()
    assert validate("/v1/text_to_speech", dict(body)) == []


@pytest.mark.parametrize(
    ("model", "voice", "given"),
    [
        ("eleven_v3", "", {"type": "runway-preset", "presetId": "Nobody"}),
        ("eleven_v3", "", {"type": "runway-preset"}),
        ("eleven_v3", "", {"type": "runway-preset", "presetId": ["Maya"]}),
        ("eleven_v3", "", {"type": "runway-preset", "presetId": "Maya", "pitch": 2}),
        ("eleven_v3", "", {"type": "reference-audio", "audioUri": SOUND}),
        ("eleven_v3", "", "Maya"),
        ("eleven_v3", SOUND, None),
        ("seed_audio", "alloy", None),
        ("seed_audio", "http://media.example.com/a.mp3", None),
        ("seed_audio", "", {"type": "reference-audio", "audioUri": "http://media.example.com/a.mp3"}),
        ("seed_audio", "", {"type": "runway-preset", "presetId": "Maya"}),
    ],
)
def test_voices_that_are_refused(model: str, voice: str, given: object) -> None:
    with pytest.raises(errors.Refused) as caught:
        create(model, SpeechRequest("x", voice, extra={} if given is None else {"voice": given}))
    assert (caught.value.param, caught.value.status) == ("voice", 400)


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [
        ("eleven_multilingual_v2", 2.0, 1.0),
        ("eleven_multilingual_v2", 0.25, 1.0),
        ("eleven_v3", 1.1, 1.1),
        ("eleven_v3", 4.0, 1.2),
        ("eleven_v3", 0.25, 0.7),
        ("eleven_v3", 1.0, 1.0),
    ],
)
def test_its_part_of_the_speed(model: str, asked: float, sent: float) -> None:
    (part,) = parts(model, SpeechRequest("x", "Maya", speed=asked))
    assert part.speed == sent
    assert create(model, part).body.get("speed", 1.0) == sent


def test_a_long_text_is_cut_and_every_part_keeps_the_rest_of_the_call() -> None:
    text = "One, two, three, and so on. " * 100
    asked = SpeechRequest(text, "Maya", speed=0.5, extra={"seed": 3})
    made = parts("eleven_multilingual_v2", asked)
    assert len(made) == 3
    assert " ".join(part.text for part in made) == text.strip()
    assert {(part.voice, part.speed, part.extra["seed"]) for part in made} == {("Maya", 1.0, 3)}
    assert len(parts("eleven_v3", asked)) == 1
    assert [part.text for part in parts("eleven_v3", SpeechRequest("", "Maya"))] == [""]


# The law for all models that make tasks.


@pytest.fixture
def runway() -> Iterator[Runway]:
    with Runway(seconds=60) as server:
        yield server


@pytest.fixture
def elapse(runway: Runway) -> Callable[[], None]:
    return lambda: runway.advance(6)


@pytest.fixture
async def provider(runway: Runway, request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    resources = Resources()
    settings = RunwaySettings.model_validate({"api_key": runway.key, "api_base": runway.base})
    yield await VENDOR.open(request.cls.model, settings, resources)
    await resources.close()


class RunwayContract(TaskContract):
    async def test_cancelling_what_has_ended_is_harmless(
        self, provider: TaskProvider, asked: TaskRequest, elapse: Callable[[], None]
    ) -> None:
        """But for its outputs: Runway's one way to stop a task also deletes what an ended one has made."""
        task = (await provider.submit(asked)).task
        await watch(provider, task, elapse)
        await provider.cancel(task)
        state = await look(provider, task)
        assert isinstance(state, Failed)
        assert isinstance(state.error, errors.Gone)


class TestSpeech(RunwayContract):
    model, media_type = "eleven_multilingual_v2", "audio/mpeg"

    @pytest.fixture
    def asked(self) -> TaskRequest:
        return SpeechRequest("Hello there.", "Maya")

    def test_it_leaves_to_the_gateway_what_runway_cannot(self, provider: Provider) -> None:
        assert isinstance(provider, SpeechTasks)
        assert isinstance(provider, Patient)


class TestImage(RunwayContract):
    model, media_type = "gen4_image", "image/png"

    @pytest.fixture
    def asked(self) -> TaskRequest:
        return ImageRequest("A lake", "1280x720")


class TestVideo(RunwayContract):
    model, media_type = "gen4.5", "video/mp4"

    @pytest.fixture
    def asked(self) -> TaskRequest:
        return VideoRequest("A lake", 2, "1280x720")


async def test_progress_is_runway_s(runway: Runway) -> None:
    resources = Resources()
    settings = RunwaySettings.model_validate({"api_key": runway.key, "api_base": runway.base})
    provider = await VENDOR.open("gen4_image", settings, resources)
    runway.next(upstream.throttled(30))
    task = (await provider.submit(ImageRequest("A lake"))).task
    seen = []
    for step in (0, 31, 14, 30):
        runway.advance(step)
        seen.append((await provider.poll(task)).progress)
    for nonsense in (2, -1, "half", None, True):
        runway.next(upstream.Fault(change={"progress": nonsense}), where="poll")
        seen.append((await provider.poll(task)).progress)
    await resources.close()
    assert seen[:2] == [0.0, 0.0]  # queued, and waiting
    assert seen[2:4] == pytest.approx([0.25, 0.75], abs=0.01)
    assert seen[4:] == [None] * 5


@pytest.mark.parametrize(
    ("given", "variable", "patience"),
    [
        ({}, None, None),
        ({}, "", None),
        ({}, "45", 45.0),
        ({"polling_timeout": 7}, "45", 7.0),
        ({"polling_timeout": 0.5}, None, 0.5),
    ],
)
async def test_patience(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], variable: str | None, patience: float | None
) -> None:
    monkeypatch.delenv("RUNWAYML_POLLING_TIMEOUT", raising=False)
    if variable is not None:
        monkeypatch.setenv("RUNWAYML_POLLING_TIMEOUT", variable)
    resources = Resources()
    provider = await VENDOR.open("gen4_image", RunwaySettings.model_validate(given), resources)
    await resources.close()
    assert isinstance(provider, Patient)
    assert provider.patience == patience


@pytest.mark.parametrize("variable", ["soon", "0", "-1", "inf"])
def test_a_patience_that_is_none(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("RUNWAYML_POLLING_TIMEOUT", variable)
    with pytest.raises(ValueError, match="polling_timeout"):
        RunwaySettings()
