"""Kokoro: voices and blends, chunks on demand, nothing lost, nothing fetched. The weights are random, the loader real."""

from __future__ import annotations

import importlib.util
import io
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines import kokoro
from engines.errors import EngineFailed, EngineUnavailable
from engines.kokoro import KokoroEngine
from engines.residency import Resident
from engines.speech import Utterance
from tests.engines.kokoro_weights import FRAMES, SAMPLES_PER_FRAME

needs_kokoro = pytest.mark.skipif(sys.version_info >= (3, 13), reason="the kokoro package needs Python below 3.13")

SHAPES = [
    "word ",
    "7",
    "7,",
    "w",
    "a",
    "я",
    "好",
    "あ",
    "é",
    "ñ",
    "😀",
    "x1y2",
    "Yes? ",
    "https://a.example/b ",
    "a\n\n",
]


@pytest.fixture(scope="module")
def engine(kokoro_folder: Path) -> Iterator[KokoroEngine]:
    engine = KokoroEngine(folder=kokoro_folder, threads=1)
    engine.load()
    yield engine
    engine.close()


class Spy:
    """Stands in for the model: says nothing, loudly, and keeps what it was given."""

    def __init__(self, vocabulary: dict[str, int]) -> None:
        self.vocab = vocabulary
        self.phonemes: list[str] = []
        self.styles: list[Any] = []
        self.gate = threading.Semaphore(1_000_000)
        self.decoder = SimpleNamespace(spreads=False)

    def __call__(self, phonemes: str, style: Any, speed: float) -> Any:
        import torch

        self.gate.acquire()
        assert all(phoneme in self.vocab for phoneme in phonemes)
        self.phonemes.append(phonemes)
        self.styles.append(style)
        return torch.ones(SAMPLES_PER_FRAME * len(phonemes)) * 0.9


@pytest.fixture
def spy(engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch) -> Spy:
    spy = Spy(engine._model.vocab)
    monkeypatch.setattr(engine, "_model", spy)
    return spy


def samples(chunk: bytes) -> np.ndarray:
    return np.frombuffer(chunk, "<i2")


def sounding(phonemes: str) -> int:
    return len(re.sub(r"\W", "", phonemes))


# What is missing.


def test_importing_the_engine_is_cheap() -> None:
    code = "import sys, engines.kokoro; print([m for m in sys.modules if m in ('torch', 'kokoro', 'misaki', 'spacy')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_probe_names_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(kokoro, "sys", SimpleNamespace(version_info=(3, 12, 1)))
    with pytest.raises(EngineUnavailable, match="torch, kokoro, huggingface_hub") as caught:
        KokoroEngine().probe()
    assert 'pip install "media-gateway[kokoro]"' in caught.value.hint
    monkeypatch.setattr(kokoro, "sys", SimpleNamespace(version_info=(3, 13, 0)))
    with pytest.raises(EngineUnavailable, match=r"needs Python 3\.12 or older"):
        KokoroEngine().probe()


@needs_kokoro
@pytest.mark.parametrize("gone", ["config.json", "kokoro-v1_0.pth", "voices"])
def test_probe_names_missing_files(kokoro_folder: Path, tmp_path: Path, gone: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(kokoro_folder, folder)
    engine = KokoroEngine(folder=folder)
    engine.probe()
    (folder / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(EngineUnavailable, match=gone) as caught:
        engine.probe()
    assert "media-gateway pull kokoro-82m" in caught.value.hint
    assert str(folder) in caught.value.hint
    with pytest.raises(EngineUnavailable):
        engine.load()


@needs_kokoro
def test_probe_looks_in_the_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EngineUnavailable, match="not found in the Hugging Face cache") as caught:
        KokoroEngine().probe()
    assert caught.value.hint == "Run: media-gateway pull kokoro-82m"


@needs_kokoro
@pytest.mark.parametrize("name", ["config.json", "kokoro-v1_0.pth"])
def test_broken_weights_do_not_load(kokoro_folder: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(kokoro_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).write_bytes(b"no such thing")
    engine = KokoroEngine(folder=tmp_path)
    with pytest.raises(EngineUnavailable, match="are no Kokoro model"):
        engine.load()
    with pytest.raises(EngineFailed, match="not loaded"):
        next(iter(engine.speak(Utterance("Hi.", "af_heart"))))


@needs_kokoro
def test_a_package_that_cannot_be_imported(kokoro_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "kokoro", None)
    with pytest.raises(EngineUnavailable, match="cannot be imported"):
        KokoroEngine(folder=kokoro_folder).load()


class Payload:
    """Unpickled, this would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.target, "harm")


@needs_kokoro
@pytest.mark.parametrize("kind", ["pickle", "archive", "shape", "list", "empty"])
def test_a_voice_file_with_anything_but_a_voice_is_refused(engine: KokoroEngine, tmp_path: Path, kind: str) -> None:
    import torch

    target = tmp_path / "harm.txt"
    archive = io.BytesIO()
    torch.save({"shape": torch.zeros(4, 4), "list": [1]}.get(kind, Payload(target)), archive)
    voice = kokoro_file(engine, "af_sky")
    voice.write_bytes({"pickle": pickle.dumps(Payload(target)), "empty": b""}.get(kind, archive.getvalue()))
    try:
        with pytest.raises(EngineUnavailable, match=r"af_sky\.pt is no Kokoro voice"):
            next(iter(engine.speak(Utterance("Hi.", "af_sky"))))
    finally:
        voice.unlink()
    assert not target.exists()


def kokoro_file(engine: KokoroEngine, voice: str) -> Path:
    assert engine._folder is not None
    return engine._folder / "voices" / f"{voice}.pt"


# Sound.


@needs_kokoro
def test_loading_and_speaking_is_silent_and_offline(
    kokoro_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("OMP_WAIT_POLICY", "")
    monkeypatch.delenv("OMP_WAIT_POLICY")
    engine = KokoroEngine(folder=kokoro_folder, threads=1)
    notes = engine.load()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    assert any("en_core_web_sm is not installed" in note for note in notes)
    assert "44 of 54 voices have no file here" in notes[-1]
    for voice in ("af_heart", "bm_george", "ef_dora", "ff_siwis", "hf_alpha", "if_sara", "pf_dora"):
        (chunk,) = engine.speak(Utterance("Ana, no.", voice))
        assert len(chunk) > 10_000, voice
    with pytest.raises(EngineUnavailable, match=r"voices/af_sky\.pt not found"):
        next(iter(engine.speak(Utterance("Hi.", "af_heart+af_sky"))))
    engine.close()
    assert (engine._model, engine._packs) == (None, {})
    assert capfd.readouterr() == ("", "")


@needs_kokoro
@pytest.mark.parametrize("voice", ["jf_alpha", "zf_xiaobei"])
def test_a_language_without_its_packages_is_unavailable_before_any_sound(
    engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch, voice: str
) -> None:
    extra = {"j": "ja", "z": "zh"}[voice[0]]
    monkeypatch.setitem(sys.modules, f"misaki.{extra}", None)
    monkeypatch.delattr(f"misaki.{extra}", raising=False)
    with pytest.raises(EngineUnavailable) as caught:
        next(iter(engine.speak(Utterance("你好。", voice))))
    assert f"media-gateway[kokoro-{extra}]" in caught.value.hint


@needs_kokoro
@pytest.mark.parametrize(("speed", "frames"), [(1.0, FRAMES), (2.0, 2), (4.0, 1), (0.5, 2 * FRAMES)])
def test_a_phoneme_takes_its_time_at_every_speed(engine: KokoroEngine, speed: float, frames: int) -> None:
    (chunk,) = engine.speak(Utterance("Hello, world!", "af_heart", speed))
    marks = len("həlˈO, wˈɜɹld!") + 2  # and one for the beginning, one for the end
    assert len(chunk) == 2 * SAMPLES_PER_FRAME * frames * marks
    assert np.sqrt(np.mean((samples(chunk) / 32768) ** 2)) == pytest.approx(0.05, rel=0.3)


@needs_kokoro
def test_voices_and_blends_sound_different(engine: KokoroEngine) -> None:
    import torch

    def sound(voice: str) -> bytes:
        torch.manual_seed(7)  # the model adds noise of its own
        return b"".join(engine.speak(Utterance("Hello.", voice)))

    assert sound("af_heart") == sound("af_heart(3)")
    different = ["af_heart", "am_adam", "af_heart+am_adam", "af_heart(2)+am_adam"]
    assert len({sound(voice) for voice in different}) == len(different)


@needs_kokoro
def test_a_blend_is_the_weighted_mean(engine: KokoroEngine, spy: Spy) -> None:
    import torch

    heart, adam = (torch.load(kokoro_file(engine, voice)) for voice in ("af_heart", "am_adam"))
    list(engine.speak(Utterance("Hello.", "af_heart(3)+am_adam(1)")))
    row = len(spy.phonemes[0]) - 1
    assert torch.allclose(spy.styles[0], heart[row] * 0.75 + adam[row] * 0.25)


@needs_kokoro
@pytest.mark.parametrize("text", [".", "...", "?!", "—", " ", "", "\n", "\u200b"])
def test_text_without_words_is_a_short_silence(engine: KokoroEngine, spy: Spy, text: str) -> None:
    engine.check(Utterance(text, "af_heart"))
    (chunk,) = engine.speak(Utterance(text, "af_heart"))
    assert chunk == bytes(2 * 7200)
    assert spy.phonemes == []


@needs_kokoro
@pytest.mark.parametrize("unit", SHAPES)
@pytest.mark.parametrize("voice", ["af_heart", "ef_dora"])
def test_4096_characters_are_spoken_in_full(engine: KokoroEngine, spy: Spy, voice: str, unit: str) -> None:
    text = (unit * 4096)[:4096]
    times = len(text) / len(unit)
    # A long run of digits is read digit by digit: as a text of single ones.
    fair = "7 " * 10 if unit[0] == "7" else unit * 10
    each = sounding(engine._phonemise(voice[0], fair)) / 10
    chunks = list(engine.speak(Utterance(text, voice)))
    assert sum(map(sounding, spy.phonemes)) >= 0.95 * each * times
    assert len(chunks) == len(spy.phonemes)
    assert max(map(len, spy.phonemes)) <= 200
    assert sum(map(len, chunks)) == 2 * SAMPLES_PER_FRAME * sum(map(len, spy.phonemes))


@needs_kokoro
def test_nothing_is_made_before_it_is_asked_for(engine: KokoroEngine, spy: Spy) -> None:
    text = "This is the first sentence of a text. " + "It goes on and on for quite a while as all others do here. " * 20
    steps = engine.speak(Utterance(text, "af_heart"))
    assert spy.phonemes == []
    for count in (1, 2, 3):
        next(steps)
        assert len(spy.phonemes) == count
    assert len(spy.phonemes[0]) < 45
    assert len(spy.phonemes[1]) > 45
    steps.close()
    assert len(spy.phonemes) == 3


@needs_kokoro
def test_pieces_grow_with_the_lead_in_playing(engine: KokoroEngine, spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_cost", 1 / 6)
    leads = iter([0.0, 1.0, 3.0, 100.0])
    parts = engine.parts(Utterance("no pause in these words and so on and on " * 20, "af_heart"), lambda: next(leads))
    begun = [next(parts).seconds for _ in range(5)]
    assert begun[1] <= 1.1 * begun[2] < begun[3] < 1.7 * begun[4]  # 60, 60, 90 and, however long the lead, 90
    assert begun[3] == pytest.approx(begun[4], rel=0.2)
    assert max(begun) < 9
    assert spy.phonemes == []


@needs_kokoro
def test_slow_speech_comes_in_shorter_pieces(engine: KokoroEngine, spy: Spy) -> None:
    list(engine.speak(Utterance("no words end here but go on and on " * 20, "af_heart", 0.25)))
    assert max(map(len, spy.phonemes)) <= 94


@needs_kokoro
def test_joins_do_not_click(engine: KokoroEngine, spy: Spy) -> None:
    text = "One sentence is here. " * 20
    sound = samples(b"".join(engine.speak(Utterance(text, "af_heart"))))  # the spy's is 0.9 from end to end
    assert len(spy.phonemes) > 2
    assert np.abs(np.diff(sound.astype(int))).max() < 400
    assert sound.max() == round(0.9 * 32767)
    assert sound[0] == sound[-1] == 0


@needs_kokoro
def test_loud_sound_is_clipped_not_wrapped(engine: KokoroEngine, spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(engine, "_model", lambda *_: torch.tensor([-2.0] * 300 + [2.0] * 300))
    chunk = samples(engine._render("a", torch.zeros(1, 1, 256), 1.0))
    assert (chunk.min(), chunk.max()) == (-32768, 32767)


@needs_kokoro
async def test_a_listener_who_leaves_stops_the_synthesis(engine: KokoroEngine, spy: Spy) -> None:
    spy.gate = threading.Semaphore(1)
    resident = Resident(_Loaded(engine), "kokoro")
    listening = resident.speak(Utterance("A sentence is here. " * 60, "af_heart"))
    assert len(await anext(listening)) > 0
    await listening.aclose()
    spy.gate.release(100)  # the chunk in hand may be finished
    await resident.close()
    assert len(spy.phonemes) <= 2


@needs_kokoro
async def test_from_end_to_end_on_its_own_thread(kokoro_folder: Path) -> None:
    resident = Resident(KokoroEngine(folder=kokoro_folder, threads=1), "kokoro")
    assert resident.state == "idle"
    chunks = [chunk async for chunk in resident.speak(Utterance("Hello there. And more of it.", "af_heart(2)+am_adam"))]
    assert resident.state == "ready"
    assert "eSpeak NG" in resident.detail
    assert len(chunks) == 1
    await resident.close()


class _Loaded:
    """The engine of this module for a ``Resident``, which would load it and, in the end, close it."""

    def __init__(self, engine: KokoroEngine) -> None:
        self.rate, self.voices, self.check, self.speak = engine.rate, engine.voices, engine.check, engine.speak

    def probe(self) -> None:
        pass

    def load(self) -> list[str]:
        return []

    def close(self) -> None:
        pass
