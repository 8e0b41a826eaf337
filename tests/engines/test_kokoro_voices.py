"""Kokoro's voices and the spelling of blends. No model is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engines.errors import EngineRefused
from engines.kokoro import KokoroEngine
from engines.kokoro_voices import LANGUAGES, VOICE_IDS, parse
from engines.speech import Utterance, Voice


def test_the_54_voices() -> None:
    voices = {voice.id: voice for voice in KokoroEngine().voices()}
    assert len(voices) == 54
    assert voices["bm_george"] == Voice("bm_george", "George", "en-GB", "male")
    assert {voice.language for voice in voices.values()} == set(LANGUAGES.values())


def test_a_blend_is_normalised_and_takes_the_first_language() -> None:
    assert parse("af_heart", VOICE_IDS).parts == (("af_heart", 1.0),)
    assert parse(" bf_emma ( 3 ) + af_sky", VOICE_IDS).parts == (("bf_emma", 0.75), ("af_sky", 0.25))
    assert parse("bf_emma(.5)+af_sky(1.5)", VOICE_IDS).parts == (("bf_emma", 0.25), ("af_sky", 0.75))
    assert parse("bf_emma+af_sky", VOICE_IDS).language == "b"


@pytest.mark.parametrize(
    ("voice", "said"),
    [
        ("af_hart", "did you mean af_heart"),
        ("AF_BELLA", "did you mean af_bella"),
        ("nobody_at_all", "there is no voice 'nobody_at_all'"),
        ("", "is not a voice"),
        ("af_sky+", "'' is not a voice"),
        ("+", "is not a voice"),
        ("af_sky+af_bela(2)", "'af_bela'; did you mean af_bella"),
        ("af_sky(0)", "weight in 'af_sky(0)'"),
        ("af_sky(-1)", "weight"),
        ("af_sky(nan)", "weight"),
        ("af_sky(inf)", "weight"),
        ("af_sky(1e3)", "weight"),
        ("af_sky(" + "9" * 400 + ")", "weight"),
        ("af_sky()", "weight"),
        ("af_sky(1)(2)", "is not a voice"),
        ("af_sky(1", "is not a voice"),
        ("af_sky,af_bella", "is not a voice"),
        ("+".join(["af_sky"] * 9), "at most 8 voices"),
        ("../af_heart", "is not a voice"),
        ("/etc/passwd", "is not a voice"),
        ("af_heart.pt", "is not a voice"),
        ("voices/af_heart", "is not a voice"),
        ("af_heart\x00", "is not a voice"),
        ("x" * 100_000, "there is no voice 'xxx"),
    ],
)
def test_a_wrong_voice_is_refused_by_name(voice: str, said: str) -> None:
    with pytest.raises(EngineRefused, match=re.escape(said)) as caught:
        KokoroEngine().check(Utterance("Hi.", voice))
    assert caught.value.param == "voice"
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("speed", [0.24, 4.01, 0, -1, float("nan"), float("inf")])
def test_a_speed_out_of_range_is_refused(speed: float) -> None:
    with pytest.raises(EngineRefused, match=r"from 0\.25 to 4") as caught:
        KokoroEngine().check(Utterance("Hi.", "af_sky", speed))
    assert caught.value.param == "speed"


def test_voices_of_ones_own_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "voices").mkdir()
    for name in (
        "af_mine.pt",
        "bm_mine_2.pt",
        "xx_nolanguage.pt",
        "af_heart.pt",
        "AF_BIG.pt",
        "af_text.txt",
        "af-x.pt",
    ):
        (tmp_path / "voices" / name).touch()
    engine = KokoroEngine(folder=tmp_path)
    assert [voice.id for voice in engine.voices()][54:] == ["af_mine", "bm_mine_2"]
    assert engine.voices()[-1].name == "Mine 2"
    engine.check(Utterance("Hi.", "af_mine(2)+af_sky"))
    with pytest.raises(EngineRefused):
        engine.check(Utterance("Hi.", "xx_nolanguage"))
