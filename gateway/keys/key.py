"""A virtual key, as it is kept: its hash and what it may do."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

_TOKEN = re.compile(r"[0-9a-f]{64}", re.ASCII)

LIMITS = {
    "usd": "max_budget",
    "characters": "max_characters",
    "audio_seconds": "max_audio_seconds",
    "images": "max_images",
    "video_seconds": "max_video_seconds",
}
"""Units and the fields that limit them."""


@dataclass(frozen=True, slots=True)
class VirtualKey:
    """``token`` is the SHA-256 of the key in hex: the key itself is kept nowhere.

    ``models``: names, aliases and beginnings of names (``group/*``); empty is all. ``max_budget`` in US dollars, as the
    other ``max_`` fields for one period of ``budget_duration``; without that, for ever. ``None`` is no limit. Times are
    seconds since the epoch. ``user_id`` and ``team_id`` are kept and shown, nothing more.
    """

    token: str
    key_name: str
    key_alias: str | None = None
    models: tuple[str, ...] = ()
    max_budget: float | None = None
    budget_duration: str | None = None
    rpm_limit: int | None = None
    max_parallel_requests: int | None = None
    max_characters: int | None = None
    max_audio_seconds: float | None = None
    max_images: int | None = None
    max_video_seconds: float | None = None
    expires: float | None = None
    blocked: bool = False
    user_id: str | None = None
    team_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0

    def may_use(self, *names: str) -> bool:
        """Whether one of the names of a model is among ``models``."""
        return not self.models or any(_fits(pattern, name) for pattern in self.models for name in names)


def _fits(pattern: str, name: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return pattern == name


def new_key() -> str:
    """A key nobody can guess: ``sk-`` and 32 random bytes in letters that a URL may hold."""
    return f"sk-{secrets.token_urlsafe(32)}"


def token_of(key: str) -> str:
    """The SHA-256 of a key in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def token_named(key: str) -> str:
    """The token of what names a key: the key itself, or its token."""
    return key if _TOKEN.fullmatch(key) else token_of(key)


def name_of(key: str) -> str:
    """What of a key may be shown: its last four letters."""
    return f"sk-...{key[-4:]}"


def to_json(key: VirtualKey) -> str:
    """All of it but the token."""
    row = {each.name: getattr(key, each.name) for each in fields(key) if each.name != "token"}
    return json.dumps(row, ensure_ascii=False)


def from_json(token: str, text: str) -> VirtualKey:
    """The key of a row."""
    row = json.loads(text)
    return VirtualKey(token, **{**row, "models": tuple(row["models"]), "tags": tuple(row["tags"])})
