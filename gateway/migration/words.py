"""Why a key of LiteLLM's does nothing here, where more can be said than that. docs/litellm.md has all keys."""

from __future__ import annotations

import re

NOTHING = "does nothing here"

_ACCESS = "restricts nobody here: the master key and virtual keys say who may call"
_BUDGETS = "binds nobody here: budgets are of virtual keys, of end users and of the whole gateway"

_WORDS = (
    (
        r"database_\w+|disable_prisma\w+|proxy_batch_write_at|store_model_in_db|supported_db_objects",
        "no database is needed",
    ),
    (r"redis_\w+|use_redis\w+|coordination_redis|cache_kwargs|force_redis\w+", "no Redis is needed"),
    (r"[io]?tp[md]|max_tokens|max_input_tokens|max_output_tokens", "media is not counted in tokens: rpm limits calls"),
    (r"context_window_fallbacks|enable_pre_call_checks?", "media has no context window"),
    (r"fallbacks", "write it as litellm_settings.fallbacks"),
    (r"access_groups", "virtual keys name the models themselves"),
    (
        r"(global_|default_)?max_parallel_requests|max_(in_flight|queued)_requests_per_worker",
        "virtual keys limit calls",
    ),
    (r"base_url", "write it as api_base"),
    (r"alert\w+", "nobody is alerted: /metrics and /health tell"),
    (r"(callback_settings|service_callbacks?|audit_log_callbacks|input_callback)", "nobody is told of calls by it"),
    (r"store_prompts_in_spend_logs", "texts are never kept in the ledger"),
    (r"\w*cost\w*|tiered_pricing", "no price that counts here"),
)

_LIMITS = (
    (r"blocked", "blocks nothing here: take the whole entry out if nobody is to use it"),
    (
        (
            r"allowed_ips|allowed_routes|admin_only_routes|custom_auth|enable_jwt_auth|litellm_jwtauth|enable_oauth2\w+"
            r"|oauth2_config_mappings|enforce_rbac|role_permissions|enforced_params|enforce_user_param"
            r"|access_windows|(allowed|blocked)_file_extensions|enforce_fallback_model_access|custom_key_policy"
        ),
        _ACCESS,
    ),
    (
        (
            r"max_budget|budget_duration|provider_budget_config|tag_budget_config|upperbound_key_generate_params"
            r"|default_(key_generate|internal_user|team)_params|(default_)?max_internal_user_budget|default_team_settings"
        ),
        _BUDGETS,
    ),
)


def why_nothing(key: str) -> str:
    """A few words, of a key that LiteLLM acts on and this gateway does not."""
    return next((words for pattern, words in (*_LIMITS, *_WORDS) if re.fullmatch(pattern, key)), NOTHING)


def is_limit(key: str) -> bool:
    """Whether somebody may rely on the key to keep callers or their spending within bounds."""
    return any(re.fullmatch(pattern, key) for pattern, _ in _LIMITS)
