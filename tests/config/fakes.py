"""Vendors that exist only here, to show that the configuration reader knows none by name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from gateway.config import Config, ConfigError, Problem, load_config, parse_config
from providers.base.contract import Provider
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts, Resources, Vendor

CANARY = "CANARY-7f3a"
"""Stands for a secret wherever one may stand; no text that the reader makes may hold it."""


class Reverb(BaseModel):
    model_config = ConfigDict(extra="forbid")

    room: Literal["small", "large"] = "small"
    mix: float = Field(0.5, ge=0, lt=1)
    stamp: SecretStr | None = None

    @field_validator("stamp")
    @classmethod
    def _no_stamps(cls, stamp: SecretStr | None) -> SecretStr | None:
        if stamp is not None:
            raise ValueError(f"{stamp.get_secret_value()[1:]}... is no stamp")
        return stamp


class ToneSettings(VendorSettings):
    """One field of each kind that a vendor may have."""

    api_key: SecretStr | None = None
    signature: SecretStr | None = None
    pitch: int = Field(440, ge=20, le=20_000)
    loudness: float | None = None
    voices: Mapping[str, str] = Field(default_factory=dict)
    tags: tuple[str, ...] = Field((), max_length=3)
    folder: Path | None = None
    reverb: Reverb | None = None
    detune: int | list[int] = 0
    born: date | None = None
    cents: Annotated[int, Field(ge=0)] | None = None
    code: str = Field("aa", pattern="^[a-z]+$", min_length=2, max_length=4)
    pad_id: str | None = Field(None, alias="pad")

    @field_validator("code")
    @classmethod
    def _not_zz(cls, code: str) -> str:
        if code == "zz":
            raise ValueError("zz is taken")
        if code == "quot":
            raise ValueError(f"{code} is no code")
        return code


class BellSettings(VendorSettings):
    metal: str


async def _open(model: str, settings: Any, resources: Resources) -> Provider:
    raise NotImplementedError


class FakeVendors:
    """``tones`` with two models, ``anything`` with every model, ``bare`` that lists none, ``half`` not installed."""

    _all: Mapping[str, Mapping[str, Facts]] = {
        "anything": {"*": Facts("audio_speech", VendorSettings)},
        "bare": {},
        "tones": {"sine": Facts("audio_speech", ToneSettings), "bell": Facts("audio_speech", BellSettings)},
    }

    def names(self) -> tuple[str, ...]:
        return ("anything", "bare", "half", "tones")

    def load(self, name: str) -> Vendor:
        if name == "half":
            raise ModuleNotFoundError("No module named 'halftone'", name="halftone")
        return Vendor(name, self._all[name], _open)


def load(path: Path, env: Mapping[str, str] | None = None) -> Config:
    return load_config(path, env=env or {}, vendors=FakeVendors())


def parse(text: str, env: Mapping[str, str] | None = None) -> Config:
    return parse_config(text, "config.yaml", env=env or {}, vendors=FakeVendors())


def problems(text: str, env: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """Everything found in ``text``, be it good or bad."""
    try:
        return parse(text, env).warnings
    except ConfigError as error:
        found = error
    assert CANARY not in str(found)
    assert CANARY not in repr(found)
    assert found.__context__ is None
    return found.problems


def the_problem(text: str, env: Mapping[str, str] | None = None) -> Problem:
    """The only one."""
    (problem,) = problems(text, env)
    return problem
