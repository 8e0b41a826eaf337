"""What may be said of a key when it is made or changed, as LiteLLM spells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat

from gateway.keys.periods import duration, period_duration

# Fields of LiteLLM's that change what a key may do, and that are not acted on: a key must not look narrower than it is.
NOT_ACTED_ON = frozenset(
    """
    agent_id aliases allowed_cache_controls allowed_passthrough_routes allowed_routes allowed_vector_store_indexes
    auto_rotate budget_fallbacks budget_id budget_limits config disabled_callbacks end_user_budget_id enforced_params
    guardrails key_type model_max_budget model_rpm_limit model_tpm_limit object_permission organization_id permissions
    policies project_id prompts rotation_interval router_settings rpm_limit_type send_invite_email soft_budget spend
    tpd_limit tpm_limit tpm_limit_type
    """.split()
)

_GIVEN_KEY = r"^sk-[A-Za-z0-9_-]{29,200}$"


def _duration(text: str) -> str:
    if text != "-1":
        duration(text)
    return text


def _period(text: str) -> str:
    period_duration(text)
    return text


Name = Annotated[str, Field(min_length=1, max_length=256)]
Count = Annotated[int, Field(ge=0, strict=True)]
Amount = Annotated[FiniteFloat, Field(ge=0)]


class KeyFields(BaseModel):
    """``null`` is no limit; in a change it lifts the one there is. Money in US dollars, times in seconds."""

    model_config = ConfigDict(extra="forbid", title="KeyFields")

    key_alias: Name | None = None
    models: Annotated[list[Name], Field(max_length=1000)] | None = Field(
        None, description="Names, aliases, beginnings such as `group/*`; empty: all."
    )
    max_budget: Amount | None = Field(None, description="US dollars a period.")
    budget_duration: Annotated[str, AfterValidator(_period)] | None = Field(
        None, description="The period of all budgets: 30d, 24h, 1mo. Without it they are never renewed."
    )
    rpm_limit: Count | None = Field(None, description="Calls a minute.")
    max_parallel_requests: Count | None = Field(None, description="Calls at once.")
    max_characters: Count | None = Field(None, description="Characters spoken a period.")
    max_audio_seconds: Amount | None = Field(None, description="Seconds of speech a period.")
    max_images: Count | None = Field(None, description="Pictures a period.")
    max_video_seconds: Amount | None = Field(None, description="Seconds of video a period.")
    duration: Annotated[str, AfterValidator(_duration)] | None = Field(
        None, description="How long the key is good for, from now on: 30d; -1: for ever."
    )
    blocked: Annotated[bool, Field(strict=True)] | None = None
    user_id: Name | None = Field(None, description="Kept and shown.")
    team_id: Name | None = Field(None, description="Kept and shown.")
    metadata: dict[str, Any] | None = Field(None, description="Kept and shown.")
    tags: Annotated[list[Name], Field(max_length=100)] | None = None


class NewKey(KeyFields):
    """``POST /key/generate``."""

    key: Annotated[str, Field(pattern=_GIVEN_KEY)] | None = Field(
        None, description="The key itself, where one that exists elsewhere is taken over; else one is made."
    )


class ChangedKey(KeyFields):
    """``POST /key/update``."""

    key: Annotated[str, Field(min_length=1)] = Field(description="The key, or its token.")


def unacted(fields: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """``fields`` without LiteLLM's that are empty, and the first that is not and that nothing is done with."""
    names = [name for name in fields if name in NOT_ACTED_ON]
    kept = {name: value for name, value in fields.items() if name not in names}
    empty: tuple[object, ...] = (None, False, 0, "", [], {})
    return kept, next((name for name in names if fields[name] not in empty), None)
