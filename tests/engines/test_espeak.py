"""The real eSpeak NG from its wheel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engines.errors import EngineFailed, EngineRefused, EngineUnavailable
from engines.espeak import FASTEST, SLOWEST, EspeakEngine
from engines.speech import Utterance
from tests.sound import Heard

SENTENCE = "The quick brown fox jumped over the lazy dog, and then it slept for a while."


@pytest.fixture(scope="module")
def engine() -> Iterator[EspeakEngine]:
    made = EspeakEngine()
    made.probe()
    assert made.load() == ()
    yield made
    made.close()


def said(engine: EspeakEngine, text: str = SENTENCE, voice: str = "en-us", speed: float = 1.0) -> Heard:
    utterance = Utterance(text, voice, speed)
    engine.check(utterance)
    return Heard(engine.rate, np.frombuffer(b"".join(engine.speak(utterance)), "<i2") / 32768)


def test_it_speaks(engine: EspeakEngine) -> None:
    heard = said(engine)
    assert 3.5 < heard.seconds < 6
    assert heard.loudness > 0.03


@pytest.mark.parametrize("speed", [0.5, 2.0, 4.0])
def test_speed_changes_the_length(engine: EspeakEngine, speed: float) -> None:
    assert said(engine, speed=speed).seconds == pytest.approx(said(engine).seconds / speed, rel=0.2)


@pytest.mark.parametrize(
    "voice", ["en-gb", "gmw/en-US", "es", "fr", "fr-fr", "hi", "it", "pt-br", "ja", "cmn", "en-US+F3"]
)
def test_languages(engine: EspeakEngine, voice: str) -> None:
    assert said(engine, "uno dos tres, 1 2 3", voice).loudness > 0.01


def test_variants_differ(engine: EspeakEngine) -> None:
    assert said(engine, voice="en-us+f3").samples.tobytes() != said(engine, voice="en-us+m3").samples.tobytes()


def test_there_are_more_than_a_hundred_voices(engine: EspeakEngine) -> None:
    ids = [voice.id for voice in engine.voices()]
    assert len(ids) == len(set(ids)) > 100
    assert {"en-us", "en-gb", "de", "yue"} <= set(ids)
    for voice in ids:
        engine.check(Utterance("x", voice))


@pytest.mark.parametrize(
    ("voice", "speed", "param", "message"),
    [
        ("en-uss", 1.0, "voice", "did you mean 'en-us'"),
        ("xx", 1.0, "voice", "unknown voice 'xx'"),
        ("en-us+f33", 1.0, "voice", "did you mean 'f3'"),
        ("en-us+../f3", 1.0, "voice", "unknown voice variant"),
        ("../en", 1.0, "voice", "unknown voice"),
        ("en-us", SLOWEST / 2, "speed", "between"),
        ("en-us", FASTEST * 2, "speed", "between"),
    ],
)
def test_refusals(engine: EspeakEngine, voice: str, speed: float, param: str, message: str) -> None:
    with pytest.raises(EngineRefused, match=message) as caught:
        engine.check(Utterance("x", voice, speed))
    assert caught.value.param == param


def test_a_text_with_nothing_to_say_is_a_short_silence(engine: EspeakEngine) -> None:
    assert said(engine, "...").seconds < 0.5


def test_markup_and_phoneme_codes_are_read_as_text(engine: EspeakEngine) -> None:
    assert said(engine, "<break time='60s'/> [[h@'loU]]").seconds < 10


def test_nothing_after_a_nul_is_lost(engine: EspeakEngine) -> None:
    assert said(engine, f"{SENTENCE}\x00{SENTENCE}").seconds > 1.8 * said(engine).seconds


def test_two_engines_do_not_share_a_voice(engine: EspeakEngine) -> None:
    other = EspeakEngine()
    other.load()
    alone = said(engine)
    mine = engine.speak(Utterance(f"{SENTENCE} {SENTENCE}", "en-us"))
    first = next(mine)
    said(other, voice="fr", speed=2)
    length = (len(first) + sum(map(len, mine))) / 2 / engine.rate
    assert length == pytest.approx(2 * alone.seconds, rel=0.1)
    other.close()


def test_it_must_be_loaded(engine: EspeakEngine) -> None:
    with pytest.raises(EngineFailed):
        next(EspeakEngine().speak(Utterance("x", "en-us")))


def test_a_missing_library_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("espeakng_loader.get_library_path", lambda: "/nowhere/libespeak-ng.so")
    with pytest.raises(EngineUnavailable):
        EspeakEngine().probe()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EngineUnavailable) as caught:
        EspeakEngine().probe()
    assert "pip install" in caught.value.hint
