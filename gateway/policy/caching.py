"""What a kept answer is found by, and what a call may say of the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from providers.base.contract import SpeechRequest


@dataclass(frozen=True, slots=True)
class CacheWishes:
    """One call's, as in LiteLLM's ``cache`` object. Times are seconds.

    ``no_cache``: take nothing that is kept; ``no_store``: keep nothing of it. ``ttl``: how long it may be kept,
    ``max_age``: how old what is kept may be; ``namespace``: calls share answers only within theirs. ``use_cache``:
    wanted also where the config has it off unless asked for.
    """

    no_cache: bool = False
    no_store: bool = False
    use_cache: bool = False
    ttl: float | None = None
    max_age: float | None = None
    namespace: str = ""


def cache_key(where: Sequence[str], request: SpeechRequest) -> str:
    """SHA-256, in hex, of everything that an answer depends on. ``where`` says what is asked, and what tells it apart.

    Who asks is no part of it: the keys of one gateway share answers.
    """
    about = {
        "where": list(where),
        "text": request.text,
        "voice": request.voice,
        "format": request.format,
        "speed": request.speed,
        "instructions": request.instructions,
        "extra": dict(request.extra),
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=repr).encode()).hexdigest()
