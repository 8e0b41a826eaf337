"""Where Vertex AI is, for one deployment, and as whom it is asked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from providers.base import errors
from providers.base.auth.google import GoogleAccount
from providers.base.settings import VendorSettings
from providers.base.vendor import Resources
from providers.base.wire import Wire

PROJECT_VARIABLE, LOCATION_VARIABLE = "VERTEXAI_PROJECT", "VERTEXAI_LOCATION"
_WORD = r"^[A-Za-z0-9][A-Za-z0-9:._-]{0,99}$"


class VertexSettings(VendorSettings):
    """``vertex_credentials``: a service account's JSON (as text or as a mapping), or the path of its file.

    ``api_base`` stands in for all of Google's hosts but the one that signs in. ``poll_interval`` is for films.
    """

    vertex_project: str | None = Field(None, pattern=_WORD)
    vertex_location: str | None = Field(None, pattern=r"^[a-z0-9-]{1,40}$")
    vertex_credentials: SecretStr | None = None
    api_base: str | None = Field(None, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    api_version: Literal["v1", "v1beta1"] = "v1beta1"
    poll_interval: float = Field(10.0, ge=1.0, le=300.0)

    @field_validator("vertex_credentials", mode="before")
    @classmethod
    def _as_text(cls, given: object) -> object:
        return json.dumps(given) if isinstance(given, Mapping) else given


class Account:
    """``usual`` is the location where the config and the environment name none."""

    def __init__(self, settings: VertexSettings, usual: str, resources: Resources) -> None:
        self.wire = resources.shared(Wire, Wire)
        source = settings.vertex_credentials.get_secret_value() if settings.vertex_credentials else None
        self._google = resources.shared((GoogleAccount, source), lambda: GoogleAccount(source, self.wire))
        self._project = settings.vertex_project or os.environ.get(PROJECT_VARIABLE)
        self.location = settings.vertex_location or os.environ.get(LOCATION_VARIABLE) or usual
        self._settings = settings
        self.base = settings.api_base.rstrip("/") if settings.api_base else None

    @property
    def root(self) -> str:
        """What a resource's name stands under."""
        return f"{self.base or _host(self.location)}/{self._settings.api_version}"

    async def headers(self) -> dict[str, str]:
        """Sign in, if need be."""
        return await self._google.headers()

    async def project(self) -> str:
        """The config's, else that of the credentials."""
        if self._project is None and self._google.project is None:
            await self._google.headers()
        found = self._project or self._google.project
        if not found:
            raise errors.Unavailable("There is no vertex_project in the config of this gateway.", reason="settings")
        return found

    async def model(self, name: str) -> str:
        """The name of a model of Google's as a resource."""
        return f"projects/{await self.project()}/locations/{self.location}/publishers/google/models/{name}"


def _host(location: str) -> str:
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in ("us", "eu"):
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def body_of(found: Any) -> dict[str, Any]:
    """A JSON object, or an empty one."""
    return found if isinstance(found, dict) else {}
