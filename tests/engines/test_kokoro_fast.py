"""Kokoro's fast decoder does what the package's does, and is used only where that is so."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from engines import kokoro_fast
from engines.kokoro import KokoroEngine
from engines.speech import Utterance
from tests.engines.kokoro_weights import FULL

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 13), reason="the kokoro package needs Python below 3.13")


@pytest.fixture(scope="module")
def reference() -> Any:
    """The package's decoder with all its kinds of layers, and nothing in it that is 0 or 1 by chance."""
    import torch
    from kokoro.istftnet import Decoder
    from torch.nn.utils import remove_weight_norm

    shape = FULL["istftnet"] | {"resblock_kernel_sizes": [3, 5], "resblock_dilation_sizes": [[1, 3, 5]] * 2}
    with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's way of norming weights is an old one
        torch.manual_seed(3)
        decoder = Decoder(dim_in=512, style_dim=128, dim_out=80, **shape).eval()
        for module in decoder.modules():
            if hasattr(module, "weight_g"):
                remove_weight_norm(module)
        for name, value in decoder.named_parameters():
            if "alpha" in name or "norm.weight" in name:
                value.uniform_(0.5, 2.0)
            elif "norm.bias" in name:
                value.uniform_(-0.5, 0.5)
    return decoder


@pytest.mark.parametrize(("kind", "bound"), [("float32", 1e-3), ("bfloat16", 0.05)])
def test_the_same_sound(reference: Any, kind: str, bound: float) -> None:
    import torch

    from engines.kokoro_decoder import Decoder

    def sound(decoder: Any) -> Any:
        torch.manual_seed(4)
        pitch = 150 + 50 * torch.rand(1, 24)
        made = decoder(torch.randn(1, 512, 12), pitch, torch.randn(1, 24), torch.randn(1, 128) * 0.3)
        return torch.stft(made.flatten(), 512, 128, window=torch.hann_window(512), return_complex=True).abs()

    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        other = Decoder(reference, getattr(torch, kind))
        first, second = sound(reference), sound(other)
    assert first.shape == second.shape
    assert float((first - second).abs().sum() / first.sum()) < bound


def loaded(folder: Path, **options: Any) -> tuple[KokoroEngine, str]:
    engine = KokoroEngine(folder=folder, threads=1, **options)
    note, *_ = engine.load()
    assert list(engine.speak(Utterance("Hello.", "af_heart")))
    return engine, note


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is made by this project's decoder counts as made in no time."""
    measured = kokoro_fast._measured

    def other(speak: Any) -> bool:
        return type(speak.func.__self__._model.decoder).__module__ == "engines.kokoro_decoder"

    def instead(speak: Any) -> Any:
        seconds, sound = measured(speak)
        return (0.0 if other(speak) else seconds), sound

    monkeypatch.setattr(kokoro_fast, "_measured", instead)


@pytest.mark.usefixtures("quick")
def test_the_fastest_that_sounds_the_same_is_used(kokoro_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, note = loaded(kokoro_folder)
    assert note == "decodes in float32"
    assert type(engine._model.decoder).__module__ == "engines.kokoro_decoder"
    monkeypatch.setattr(kokoro_fast, "_kinds", lambda: ["bfloat16"])
    assert loaded(kokoro_folder)[1] == "decodes in bfloat16"


def test_the_package_s_own_where_configured(kokoro_folder: Path) -> None:
    engine, note = loaded(kokoro_folder, fast=False)
    assert "as configured" in note
    assert type(engine._model.decoder).__module__ == "kokoro.istftnet"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", ["quieter", "shorter", "raises"])
def test_the_package_s_own_where_the_others_are_wrong(
    kokoro_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    made = kokoro_fast._made

    def wrong(reference: Any, kind: str) -> Any:
        decoder = made(reference, kind)
        forward = decoder.forward
        if fault == "raises":
            raise RuntimeError("could not create a primitive")
        change = {"quieter": lambda sound: sound * 0.9, "shorter": lambda sound: sound[..., :-600]}[fault]
        decoder.forward = lambda *given: change(forward(*given))
        return decoder

    monkeypatch.setattr(kokoro_fast, "_made", wrong)
    with caplog.at_level(logging.WARNING):
        engine, note = loaded(kokoro_folder)
    assert type(engine._model.decoder).__module__ == "kokoro.istftnet"
    assert note == "speaks with the package's own decoder"
    assert "could not create a primitive" in caplog.text or "sounds different" in caplog.text
