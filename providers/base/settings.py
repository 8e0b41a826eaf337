"""Typed parameters of one deployment, as they stand under ``litellm_params:`` (or ``params:``) in the YAML."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class VendorSettings(BaseModel):
    """Base of a vendor's settings. Fields are YAML keys; secrets are ``SecretStr``; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
