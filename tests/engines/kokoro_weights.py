"""Random weights that the real ``kokoro`` loader accepts: ``python -m tests.engines.kokoro_weights OUT [--full]``.

The architecture and the vocabulary are those of the published ``config.json``; every number in the weights is made up.
They are set so that a test can foretell the sound: each phoneme (and the mark before and after them) lasts exactly
``FRAMES`` frames of 25 ms at speed 1, the pitch is about 160 Hz and the level about 0.05 RMS.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

REPOSITORY = "hexgrad/Kokoro-82M"
FRAMES = 3
SAMPLES_PER_FRAME = 600
RMS = 0.05
VOICES = tuple("af_heart am_adam bm_george ef_dora ff_siwis hf_alpha if_sara jf_alpha pf_dora zf_xiaobei".split())

# Token ids, as runs of neighbours: the id of the first character, then the characters.
_TOKENS = {
    1: ";:,.!?", 9: '—…"()“” \u0303ʣʥʦʨᵝ\uab67AI', 31: "O", 33: "Q", 35: "ST", 39: "W", 41: "Yᵊabcdef", 50: "hijklmnopqrstuvwxyzɑɐɒæ",
    75: "βɔɕç", 80: "ɖðʤə", 85: "ɚɛɜ", 90: "ɟ", 92: "ɡ", 99: "ɥ", 101: "ɨɪʝ", 110: "ɯɰŋɳɲɴø", 118: "ɸθœ", 123: "ɹ", 125: "ɾɻ",
    128: "ʁɽʂʃʈʧ", 135: "ʊʋ", 138: "ʌɣɤ", 142: "χʎ", 147: "ʒʔ", 156: "ˈˌː", 162: "ʰ", 164: "ʲ", 169: "↓", 171: "→↗↘", 177: "ᵻ",
}  # fmt: skip
VOCABULARY = {character: first + i for first, characters in _TOKENS.items() for i, character in enumerate(characters)}

FULL: dict[str, Any] = {
    "dim_in": 64,
    "dropout": 0.2,
    "hidden_dim": 512,
    "istftnet": {
        "upsample_kernel_sizes": [20, 12],
        "upsample_rates": [10, 6],
        "gen_istft_hop_size": 5,
        "gen_istft_n_fft": 20,
        "resblock_dilation_sizes": [[1, 3, 5]] * 3,
        "resblock_kernel_sizes": [3, 7, 11],
        "upsample_initial_channel": 512,
    },
    "max_conv_dim": 512,
    "max_dur": 50,
    "multispeaker": True,
    "n_layer": 3,
    "n_mels": 80,
    "n_token": 178,
    "plbert": {
        "hidden_size": 768,
        "num_attention_heads": 12,
        "intermediate_size": 2048,
        "max_position_embeddings": 512,
        "num_hidden_layers": 12,
        "dropout": 0.1,
    },
    "style_dim": 128,
    "text_encoder_kernel_size": 5,
    "vocab": VOCABULARY,
}


def tiny() -> dict[str, Any]:
    """The least that the package's code accepts: widths of 512, 1024 and 128 are written into it.

    One upsampling stage of 1 with a hop of 300 replaces 10 x 6 x 5, so the sample rate stays.
    """
    config = copy.deepcopy(FULL)
    config.update(n_layer=1, max_dur=8, text_encoder_kernel_size=1)
    config["plbert"].update(hidden_size=16, num_attention_heads=1, intermediate_size=16, num_hidden_layers=1)
    config["istftnet"].update(
        upsample_kernel_sizes=[1],
        upsample_rates=[1],
        gen_istft_hop_size=300,
        gen_istft_n_fft=1200,
        resblock_dilation_sizes=[[1, 1, 1]],
        resblock_kernel_sizes=[1],
    )
    return config


def make_weights(folder: Path, voices: Sequence[str] = VOICES, *, full: bool = False) -> None:
    """Write ``config.json``, ``kokoro-v1_0.pth`` and ``voices/<id>.pt`` to ``folder``, the hub's layout.

    ``full`` is the true architecture of 82 million parameters (330 MB); otherwise everything is a few megabytes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch comes: as the engine does
    import torch
    from kokoro import KModel

    config = FULL if full else tiny()
    (folder / "voices").mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(20)
        packs = {voice: _pack(full=full) for voice in voices}
        for voice, pack in packs.items():
            torch.save(pack, folder / "voices" / f"{voice}.pt")
        modules = _modules(config)
        _set_timing(modules["predictor"])
        modules["decoder"].generator.conv_post.weight_g.mul_(0.1)  # what follows is exp(): keep it from bursting
        state = {name: _published(name, module, small=not full) for name, module in modules.items()}
        path = folder / "kokoro-v1_0.pth"
        torch.save(state, path)
        model = KModel(repo_id=REPOSITORY, config=config, model=str(path)).eval()
        audio = model("həlˈO wˈɜɹld, hˌW ˈɑɹ ju?", packs[voices[0]][23], 1.0)
        # The last convolution gives the logarithm of each bin's magnitude, then its phase.
        bias = state["decoder"]["module.generator.conv_post.bias"]
        bias[: len(bias) // 2] += math.log(RMS / audio.square().mean().sqrt().item())
        torch.save(state, path)


def _pack(*, full: bool) -> Tensor:
    """A voice: the rows of a real one differ a little from each other."""
    import torch

    base = torch.randn(1, 1, 256) * 0.15
    return base + torch.randn(510, 1, 256) * 0.01 if full else base.expand(510, 1, 256)


def _modules(config: Mapping[str, Any]) -> dict[str, Module]:
    """The five parts of ``kokoro.model.KModel``, under the names that they have in the weights file."""
    import torch
    from kokoro.istftnet import Decoder
    from kokoro.modules import CustomAlbert, ProsodyPredictor, TextEncoder
    from transformers import AlbertConfig

    hidden, layers, style = config["hidden_dim"], config["n_layer"], config["style_dim"]
    return {
        "bert": CustomAlbert(AlbertConfig(vocab_size=config["n_token"], **config["plbert"])),
        "bert_encoder": torch.nn.Linear(config["plbert"]["hidden_size"], hidden),
        "predictor": ProsodyPredictor(style, hidden, layers, config["max_dur"], config["dropout"]),
        "decoder": Decoder(dim_in=hidden, style_dim=style, dim_out=config["n_mels"], **config["istftnet"]),
        "text_encoder": TextEncoder(hidden, config["text_encoder_kernel_size"], layers, config["n_token"]),
    }


def _set_timing(predictor: Any) -> None:
    """A phoneme's length is a sum of sigmoids: ``FRAMES`` of them are 1, the others 0. The pitch is near 160 Hz."""
    duration = predictor.duration_proj.linear_layer
    duration.weight.zero_()
    duration.bias.fill_(-30.0)
    duration.bias[:FRAMES] = 30.0
    predictor.F0_proj.weight.mul_(20.0)
    predictor.F0_proj.bias.fill_(160.0)
    predictor.N_proj.bias.zero_()


def _published(name: str, module: Module, *, small: bool) -> dict[str, Tensor]:
    """State as it stands in the published file: keys begin with ``module.``, instance norms have no affine part.

    ``small`` repeats the first row of each large matrix: one row is stored, and read back at full size.
    """
    state = {}
    for key, value in module.state_dict().items():
        instance_norm = ".norm.weight" in key or ".norm.bias" in key
        if instance_norm and (name == "decoder" or key.startswith(("F0.", "N."))):
            continue
        row = value[:1].clone().expand_as(value) if small and value.numel() > 4096 else value.clone()
        state[f"module.{key}"] = row
    return state


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--full", action="store_true", help="the true 82M architecture, with all 54 voices")
    options = parser.parse_args()
    if options.full:
        from engines.kokoro_voices import VOICE_IDS

        make_weights(options.out, VOICE_IDS, full=True)
    else:
        make_weights(options.out)


if __name__ == "__main__":
    main()
