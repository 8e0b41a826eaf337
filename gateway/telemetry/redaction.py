"""Keeping keys out of what is written down."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, SecretStr

from gateway.config import Config
from gateway.config.guardrails import HookSettings

MASK = "***"
_SHORTEST = 6  # a shorter one would be found in the middle of words
_NAMED = re.compile(r"(KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_WORD = re.compile(r"[a-z_]{0,15}")  # SORT_KEY=timestamp
_LOOKS_LIKE = (r"(?<![\w-])sk-[\w-]{6,}", r"(?<=[Bb]earer )[\w.+/=-]{6,}")


class Redactor:
    """Takes ``secrets`` out of a text, in their usual spellings, and whatever looks like a key of ours."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        long = {each for secret in secrets if len(secret) >= _SHORTEST for each in _spellings(secret)}
        known = (re.escape(each) for each in sorted(long, key=len, reverse=True))
        self._pattern = re.compile("|".join((*known, *_LOOKS_LIKE)))
        self._marks = (*long, "sk-", "earer ")

    def __call__(self, text: str) -> str:
        """``text`` with a mask where a key stood."""
        # Looking for plain texts is many times as fast as the pattern, and nearly always all there is to do.
        return self._pattern.sub(MASK, text) if any(mark in text for mark in self._marks) else text

    def of(self, value: Any) -> Any:
        """The same of every text in plain data."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {name: self.of(each) for name, each in value.items()}
        return [self.of(each) for each in value] if isinstance(value, list | tuple) else value


def secrets_of(config: Config, env: Mapping[str, str] = os.environ) -> set[str]:
    """Every secret of a config, and what stands in the environment under the name of one."""
    parts = [config.general, *(entry.settings for entry in config.models)]
    hooks = (guard.settings.params for guard in config.guardrails if isinstance(guard.settings, HookSettings))
    found = {secret for part in parts for secret in _secrets(part)}
    found.update(value for name, value in env.items() if _NAMED.search(name) and not _WORD.fullmatch(value))
    found.update(str(value) for params in hooks for name, value in params.items() if _NAMED.search(name))
    return found


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _secrets(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secrets(each)


def _spellings(secret: str) -> set[str]:
    written = (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret))
    return {secret, quote(secret, safe=""), quote(secret), *(each[1:-1] for each in written)}
