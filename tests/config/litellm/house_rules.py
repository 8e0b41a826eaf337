"""A custom guardrail as one writes it for LiteLLM's proxy."""

from __future__ import annotations

from typing import Any


class HouseRules:
    """Refuses long prompts, and asks for the house's style in the others. ``most`` is from the config."""

    def __init__(self, most: int, **more: Any) -> None:
        self.most = most

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> Any:
        """Called by keyword; a text as its answer refuses the call."""
        if len(data["prompt"]) > self.most:
            return "too long for the house"
        data["prompt"] += ", hand-drawn"
        return data
