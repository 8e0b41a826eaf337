"""Kokoro's voices as data, and how a voice is spelled: an id, or a blend such as ``af_bella(2)+af_sky(1)``.

Source: the file list and VOICES.md of ``hexgrad/Kokoro-82M``, release v1.0. Nothing here needs a model package.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from engines.errors import EngineRefused
from engines.speech import Voice

LANGUAGES = {
    "a": "en-US",
    "b": "en-GB",
    "e": "es-ES",
    "f": "fr-FR",
    "h": "hi-IN",
    "i": "it-IT",
    "j": "ja-JP",
    "p": "pt-BR",
    "z": "zh-CN",
}
"""BCP 47 tag by the first letter of a voice id, which is also the package's own language code."""

VOICE_IDS: tuple[str, ...] = tuple(
    """
    af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river af_sarah af_sky
    am_adam am_echo am_eric am_fenrir am_liam am_michael am_onyx am_puck am_santa
    bf_alice bf_emma bf_isabella bf_lily bm_daniel bm_fable bm_george bm_lewis
    ef_dora em_alex em_santa ff_siwis hf_alpha hf_beta hm_omega hm_psi if_sara im_nicola
    jf_alpha jf_gongitsune jf_nezumi jf_tebukuro jm_kumo pf_dora pm_alex pm_santa
    zf_xiaobei zf_xiaoni zf_xiaoxiao zf_xiaoyi zm_yunjian zm_yunxi zm_yunxia zm_yunyang
    """.split()
)
"""The 54 voices of v1.0."""

MAX_PARTS = 8
MAX_WEIGHT = 1000.0

_GENDERS = {"f": "female", "m": "male"}
_ID = re.compile(r"[a-z]{2}_[a-z0-9_]+")
_PART = re.compile(r"(?P<id>\w+)\s*(?:\((?P<weight>[^()]*)\))?")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Blend:
    """One voice or a mix of several. ``parts`` are (voice id, share); the shares sum to 1."""

    parts: tuple[tuple[str, float], ...]

    @property
    def language(self) -> str:
        """The language letter: that of the first voice named."""
        return self.parts[0][0][0]


def describe(voice_id: str) -> Voice:
    """``af_bella`` as a ``Voice``: the first letter is its language, the second its gender, the rest its name."""
    name = voice_id[3:].replace("_", " ").title()
    return Voice(voice_id, name, LANGUAGES[voice_id[0]], _GENDERS.get(voice_id[1], ""))


def own_voices(folder: Path) -> list[str]:
    """Ids of the ``*.pt`` files in ``folder`` that are named like a voice and are not in ``VOICE_IDS``, sorted."""
    stems = {path.stem for path in folder.glob("*.pt")} - set(VOICE_IDS)
    return sorted(stem for stem in stems if _ID.fullmatch(stem) and stem[0] in LANGUAGES)


def parse(spelling: str, known: Collection[str]) -> Blend:
    """Read ``id`` or ``id(weight)+id(weight)…``; a weight left out is 1, spaces are free.

    Every id must be in ``known``, so that what comes from a caller never becomes part of a path unseen. Raises
    ``EngineRefused`` naming the part that is wrong.
    """
    parts = spelling.split("+")
    if len(parts) > MAX_PARTS:
        raise _refused(f"a blend has at most {MAX_PARTS} voices, not {len(parts)}")
    weights = [_part(part.strip(), known) for part in parts]
    total = math.fsum(weight for _, weight in weights)
    return Blend(tuple((voice, weight / total) for voice, weight in weights))


def _part(part: str, known: Collection[str]) -> tuple[str, float]:
    match = _PART.fullmatch(part)
    if match is None:
        raise _refused(
            f"{_quoted(part)} is not a voice; a voice is an id such as af_heart, or a blend such as "
            "af_bella(2)+af_sky(1)"
        )
    voice = match["id"]
    if voice not in known:
        near = difflib.get_close_matches(voice[:64].lower(), sorted(known), n=3)
        guess = f"; did you mean {' or '.join(near)}?" if near else ""
        raise _refused(f"there is no voice {_quoted(voice)}{guess}")
    return voice, _weight(match["weight"], part)


def _weight(text: str | None, part: str) -> float:
    if text is None:
        return 1.0
    number = float(text) if _NUMBER.fullmatch(text.strip()) else 0.0
    if not 0 < number <= MAX_WEIGHT:
        raise _refused(f"the weight in {_quoted(part)} must be a number above 0 and at most {MAX_WEIGHT:g}")
    return number


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 64 else text[:63] + "…")


def _refused(message: str) -> EngineRefused:
    return EngineRefused(message, "voice")
