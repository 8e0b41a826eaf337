"""Which of Kokoro's decoders this machine runs fastest: measured at load, checked against the package's own.

Torch is imported inside the functions: it takes seconds, and is not everywhere.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

_log = logging.getLogger(__name__)

# How far the sound's spectrum may be from that of the package's decoder, as a share. float32 in another order is within
# 0.00003, bfloat16 at 0.006: some 44 dB below the voice, where its own noise of breath is at 30.
_FURTHEST = {"float32": 0.001, "bfloat16": 0.02}

_MMAP_MAX, _TRIM_THRESHOLD, _ARENA_MAX = -4, -1, -8  # of malloc.h


def keep_memory() -> None:
    """Have glibc keep the buffers of one part for the next, instead of giving them back and asking for them again.

    Elsewhere nothing is changed. One arena, since those of other threads cannot hold buffers of this size.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        for option, value in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1)):
            mallopt(option, value)


@functools.cache
def processor_threads() -> int:
    """What torch would use. Asked once: it is one setting for the process, and changed afterwards."""
    import torch

    return int(torch.get_num_threads())


def fold_weight_norms(model: Any) -> None:
    """Work out once what the package works out at every call: the same samples, some 5 % sooner."""
    from torch.nn.utils import remove_weight_norm

    for module in model.modules():
        if hasattr(module, "weight_g"):
            remove_weight_norm(module)


def choose_decoder(model: Any, speak: Callable[[], bytes], *, fast: bool) -> str:
    """Give ``model`` the decoder with which ``speak`` takes least; says which one that is.

    The package's own stays where ``fast`` is off, where none is faster, and where the others fail or sound different.
    """
    if not fast:
        speak()  # the first time is the slowest
        return "speaks with the package's own decoder, as configured"
    reference = model.decoder
    least, sound = _measured(speak)
    best, name = reference, ""
    for kind in _kinds():
        try:
            model.decoder = _made(reference, kind)
            seconds, other = _measured(speak)
            apart = _distance(sound, other)
        except (RuntimeError, AttributeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
            _log.warning("Kokoro's %s decoder does not run here: %s", kind, str(error).partition("\n")[0])
            continue
        if not apart <= _FURTHEST[kind]:
            _log.warning("Kokoro's %s decoder sounds different here (by %.4f), so it is not used", kind, apart)
        elif seconds < least:
            best, name, least = model.decoder, kind, seconds
    model.decoder = best
    if best is reference:
        _log.warning("Kokoro speaks with the package's own decoder: none is faster here")
        return "speaks with the package's own decoder"
    return f"decodes in {name}"


def _kinds() -> Sequence[str]:
    """bfloat16 only where the processor has instructions for it: elsewhere it is slower, and not worth the try."""
    import torch

    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return ("float32", "bfloat16") if supported is not None and supported() else ("float32",)


def _made(reference: Any, kind: str) -> Any:
    import torch

    from engines.kokoro_decoder import Decoder

    with torch.inference_mode():
        return Decoder(reference, getattr(torch, kind)).eval()


def _measured(speak: Callable[[], bytes]) -> tuple[float, bytes]:
    """Seconds of this thread's processor time at best, and the sound, with the same noise in it each time."""
    import torch

    took, sound = [], b""
    with torch.random.fork_rng(devices=[]):
        for _ in range(3):
            torch.manual_seed(0)
            begun = time.thread_time()
            sound = speak()
            took.append(time.thread_time() - begun)
    return min(took), sound


def _distance(sound: bytes, other: bytes) -> float:
    """The difference of two sounds' spectra as a share of the first's; infinite where their lengths differ."""
    import numpy as np

    if len(sound) != len(other):
        return float("inf")
    window = np.hanning(512)

    def spectra(pcm: bytes) -> Any:
        frames = np.lib.stride_tricks.sliding_window_view(np.frombuffer(pcm, "<i2") / 32768, len(window))[::128]
        return np.abs(np.fft.rfft(frames * window))

    first, second = spectra(sound), spectra(other)
    return float(np.abs(first - second).sum() / max(first.sum(), 1e-9))
