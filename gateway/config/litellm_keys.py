"""The keys that LiteLLM's proxy knows, place by place, so that its configuration files can be read here as they are.

Source: LiteLLM's proxy config reference ("All settings") and its model list and router documentation, version 1.109.
A key that is here and that the gateway does not act on gets a warning; one that is nowhere is an error.
"""

from __future__ import annotations

TOP = frozenset(
    """
    agent_list assistant_settings callback_settings credential_list files_settings finetune_settings
    mcp_servers mcp_tools prompts search_tools vector_store_registry worker_registry
    """.split()
)

MODEL_ENTRY = frozenset("blocked rpm tpm".split())

# litellm_params: what a deployment takes, what a call takes (as its defaults), then the credentials of vendors.
PARAMS = frozenset(
    """
    additional_headers allow_client_keepalive_override allowed_fails allowed_fails_policy allowed_model_region
    allowed_openai_params api_base api_key api_version base_model base_url budget_duration cache cache_key caching
    caching_groups client configurable_clientside_auth_params context_window_fallback_dict cooldown_time
    default_api_key_rpm_limit default_api_key_tpm_limit disable_add_transform_inline_image_block
    ensure_alternating_roles extra_body extra_headers fallbacks fastest_response force_timeout headers
    hf_model_name id input_cost_per_token itpm keepalive_seconds litellm_credential_name litellm_metadata
    litellm_session_id litellm_trace_id max_budget max_fallbacks max_file_size_mb max_parallel_requests max_retries
    merge_reasoning_content_in_choices metadata mock_response mock_timeout model_config model_info no-log num_retries
    order organization otpm prompt_id prompt_label prompt_variables prompt_version provider_affinity_header
    provider_specific_header region_name request_timeout retry_policy rpd rpm ssl_verify stream_timeout
    supports_system_message tag_regex tags timeout tpd tpm ttl use_chat_completions_api use_in_pass_through
    use_litellm_proxy use_xai_oauth weight

    audio dimensions encoding_format frequency_penalty function_call functions instructions language logit_bias
    logprobs max_completion_tokens max_tokens modalities n parallel_tool_calls prediction presence_penalty project
    prompt quality reasoning_effort response_format seconds seed service_tier size speed stop store stream
    stream_format stream_options style temperature thinking tool_choice tools top_k top_logprobs top_p user verbosity
    web_search_options

    adaptive_router_config adaptive_router_default_model auto_router_config auto_router_config_path
    auto_router_default_model auto_router_embedding_model auto_router_max_input_chars auto_router_model_compression
    auto_router_routing_compression complexity_router_config complexity_router_default_model quality_router_config
    quality_router_default_model search_tool_name vector_store_id

    aws_access_key_id aws_batch_role_arn aws_bedrock_project_id aws_bedrock_runtime_endpoint aws_external_id
    aws_profile_name aws_region_name aws_role_name aws_secret_access_key aws_session_name aws_session_tags
    aws_session_token aws_sts_endpoint aws_web_identity_token azure_ad_token azure_ad_token_provider azure_password
    azure_scope azure_username bedrock_tags bucket_name client_id client_secret embedding_model gcs_bucket_name
    index_name milvus_db_name milvus_partition_names milvus_text_field s3_access_key_id s3_bucket_name
    s3_bucket_owner s3_encryption_key_id s3_endpoint_url s3_output_bucket_name s3_region_name s3_secret_access_key
    tenant_id valkey_embedding_field valkey_host valkey_password valkey_port valkey_ssl valkey_text_field
    vector_bucket_name vertex_credentials vertex_location vertex_project watsonx_region_name

    arize_api_key arize_space_id arize_space_key gcs_path_service_account humanloop_api_key langfuse_host
    langfuse_prompt_version langfuse_public_key langfuse_secret langfuse_secret_key langsmith_api_key
    langsmith_base_url langsmith_project langsmith_sampling_rate litellm_disabled_callbacks posthog_api_key
    posthog_api_url turn_off_message_logging
    """.split()
)

MODEL_INFO = frozenset(
    """
    access_groups access_windows allow_fail_open allowed_fails allowed_fails_policy blocked cooldown_time created_at
    created_by db_model description direct_access disable_background_health_check discoverable enable_tag_filtering
    health_check_max_tokens health_check_model health_check_params health_check_timeout health_check_voice
    internal_router_model key litellm_provider max_input_tokens max_output_tokens max_tokens member_auto_router
    metadata order output_vector_size pricing_provider prompt_cache_min_tokens provider_specific_entry ptu_count
    ptu_effective_from ptu_effective_to regional_endpoint_uplift_multiplier regional_processing_uplift_multiplier_eu
    regional_processing_uplift_multiplier_us rpm search_context_cost_per_query source supported_endpoints
    supported_environments supported_modalities supported_openai_params supported_output_modalities
    supported_regions supported_resolutions team_id team_public_model_name thinking_always_on tier tiered_pricing
    tpm updated_at updated_by use_openai_responses_path uses_embed_content version web_search_billing_unit

    supports_adaptive_thinking supports_assistant_prefill supports_audio_input supports_audio_output
    supports_computer_use supports_embedding_image_input supports_fast_mode supports_function_calling
    supports_image_size supports_legacy_thinking supports_low_reasoning_effort supports_max_reasoning_effort
    supports_mid_conversation_system supports_minimal_reasoning_effort supports_native_streaming
    supports_native_structured_output supports_none_reasoning_effort supports_output_config
    supports_parallel_function_calling supports_pdf_input supports_prompt_cache_breakpoint supports_prompt_caching
    supports_reasoning supports_response_schema supports_system_messages supports_tool_choice supports_tool_search
    supports_url_context supports_video_input supports_vision supports_web_search supports_xhigh_reasoning_effort
    """.split()
)

# The routing strategies that are not here.
STRATEGIES = frozenset(
    """
    cost-based-routing provider-budget-routing usage-based-routing usage-based-routing-v2
    """.split()
)

MODES = frozenset(
    """
    audio_speech audio_transcription batch chat completion embedding image_edit image_generation moderation
    moderations ocr realtime rerank responses search vector_store video_generation
    """.split()
)

GENERAL = frozenset(
    """
    admin_only_routes admission_queue_timeout_seconds alert_to_webhook_url alert_type_config alert_types alerting
    alerting_args alerting_threshold allow_cli_sso_verification_uri_complete allow_client_side_credentials
    allow_requests_on_db_unavailable allow_unmanaged_response_ids allow_user_auth allowed_file_extensions allowed_ips
    allowed_routes always_include_stream_usage apply_user_budget_to_team_keys auto_redirect_ui_login_to_sso
    background_health_check_model_groups background_health_checks blocked_file_extensions cancel_on_disconnect
    completion_model control_plane_url coordination_redis custom_auth custom_auth_run_common_checks
    custom_key_generate custom_key_policy custom_key_update custom_sso custom_ui_sso_sign_in_handler
    dangerously_permit_weak_or_unset_master_key database_args database_connect_timeout
    database_connection_pool_limit database_connection_pool_timeout database_connection_timeout
    database_disable_prepared_statements database_extra_connection_params database_lock_timeout
    database_socket_timeout database_statement_timeout database_type database_url default_team_disabled
    disable_adding_master_key_hash_to_db disable_auto_add_proxy_admin_to_teams
    disable_batch_input_file_rate_limiting disable_budget_reservation disable_env_credential_login
    disable_error_logs disable_master_key_return disable_prisma_schema_update disable_reset_budget
    disable_responses_id_security disable_retry_on_max_parallel_request_limit_error
    disable_spend_updates drain_endpoint_token embedding_model enable_drain_endpoint enable_health_check_routing
    enable_jwt_auth enable_mcp_registry enable_oauth2_auth enable_oauth2_proxy_auth enable_public_model_hub
    enforce_fallback_budget enforce_fallback_model_access enforce_rbac enforce_user_param enforced_params
    fail_closed_budget_enforcement fail_closed_rate_limit_enforcement failed_login_block_seconds
    failed_login_window_seconds forward_client_headers_to_llm_api forward_llm_provider_auth_headers
    forward_openai_org_id global_max_parallel_requests health_check_concurrency health_check_details
    health_check_ignore_transient_errors health_check_interval health_check_skip_disabled_background_models
    health_check_staleness_threshold image_generation_model include_call_id_in_error_body infer_model_from_keys
    key_management_settings key_management_system legacy_unscoped_spend_list_endpoints litellm_jwtauth
    litellm_key_header_name litellm_license max_batch_file_records max_batch_file_size_mb
    max_batch_file_uploads_per_day max_failed_login_attempts_per_source
    max_failed_login_attempts_per_source_overrides max_file_downloads_per_minute max_file_size_mb
    max_in_flight_requests_per_worker max_parallel_requests max_queued_requests_per_worker max_response_size_mb
    maximum_autorouter_session_retention_period maximum_daily_tag_spend_retention_period
    maximum_health_check_retention_period maximum_spend_logs_cleanup_batch_size
    maximum_spend_logs_cleanup_batch_timeout maximum_spend_logs_cleanup_cron maximum_spend_logs_cleanup_max_batches
    maximum_spend_logs_cleanup_run_budget maximum_spend_logs_retention_interval
    mcp_client_side_auth_header_name mcp_internal_ip_ranges mcp_required_fields mcp_trusted_proxy_ranges
    mcp_xff_num_trusted_hops missing_session_id model_list_healthy_only moderation_model oauth2_config_mappings otel
    pass_through_endpoints pass_through_request_timeout plugins provider_url_destination_allowed_hosts
    proxy_batch_polling_interval proxy_batch_write_at proxy_budget_rescheduler_max_time
    proxy_budget_rescheduler_min_time proxy_config_reload_interval_seconds reject_clientside_metadata_tags
    require_end_user_mcp_access_defined require_key_mcp_access_defined role_permissions scheduled_job_stagger
    scope_spend_list_endpoints_to_caller search_tool_deny_by_default search_tools service_account_settings
    skip_batch_input_file_rate_limiting_for_models skip_batch_input_file_rate_limiting_for_providers
    spend_capture_rate_check spend_report_frequency sse_keepalive_ping_interval_seconds store_model_in_db
    store_prompts_in_spend_logs supported_db_objects token_rate_limit_type trusted_proxy_ranges ui_access_mode
    use_azure_key_vault use_client_credentials_pass_through_routes use_google_kms use_redis_transaction_buffer
    use_shared_health_check use_spend_logs_partitioning use_x_forwarded_for user_api_key_cache_max_size
    user_api_key_cache_ttl user_header_mappings user_header_name user_mcp_management_mode user_url_allowed_hosts
    user_url_validation vector_store_deny_by_default
    """.split()
)

ROUTER = frozenset(
    """
    alerting_config allow_client_keepalive_override allowed_fails allowed_fails_policy assistants_config
    auto_router_capability_limit background_health_check_model_groups cache_kwargs cache_responses caching_groups
    client_ttl content_policy_fallbacks context_window_fallbacks cooldown_time debug_level default_litellm_params
    default_max_parallel_requests default_priority deployment_affinity_ttl_seconds disable_cooldowns
    enable_health_check_routing enable_pre_call_check enable_pre_call_checks enable_tag_filtering
    enable_weighted_failover fallback_access_check fallback_budget_check guardrail_list
    health_check_ignore_transient_errors health_check_staleness_threshold heuristic_v2_router_limit
    ignore_invalid_deployments keepalive_seconds max_fallbacks max_retries model_group_affinity_config
    model_group_retry_policy num_retries optional_pre_call_checks polling_interval provider_budget_config redis_db
    redis_host redis_password redis_port redis_ssl redis_url redis_username retry_after retry_policy
    router_general_settings routing_groups routing_strategy routing_strategy_args search_tools set_verbose
    stream_timeout tag_filtering_match_any tag_routing_prefix timeout weights
    """.split()
)

# Most of what stands under router_settings may also stand here.
LITELLM = ROUTER | frozenset(
    """
    model_group_alias
    add_function_to_prompt allowed_fails api_base api_key api_version audit_log_callbacks budget_duration
    budget_exceeded_status_code budget_reset_time cache cache_params callbacks cost_discount_config
    cost_margin_config custom_prometheus_labels custom_prometheus_metadata_labels custom_provider_map
    datadog_params default_in_memory_ttl default_internal_user_params default_key_generate_params
    default_max_internal_user_budget default_redis_ttl default_team_params default_team_settings
    disable_add_transform_inline_image_block disable_aiohttp_transport disable_copilot_system_to_assistant
    disable_end_user_cost_tracking disable_end_user_cost_tracking_prometheus_only disable_hf_tokenizer_download
    disable_stop_sequence_limit enable_azure_ad_token_refresh enable_end_user_cost_tracking_prometheus_only
    enable_json_schema_validation enable_key_alias_format_validation enable_preview_features
    enable_redis_auth_cache failure_callback force_ipv4 force_redis_hash_tag_grouping global_bitbucket_config
    global_disable_no_log_param global_gitlab_config global_prompt_directory headers http2
    input_callback json_logs key_alias_pattern key_generation_settings langfuse_default_tags
    langfuse_enable_update_trace_keys log_raw_request_response max_budget max_end_user_budget
    max_internal_user_budget max_tokens max_ui_session_budget mcp_aliases model_alias_map model_group_settings
    modify_params organization overwrite_user_with_key_hash post_call_rules pre_call_rules
    priority_reservation priority_reservation_settings prometheus_initialize_budget_metrics
    prometheus_metrics_config public_model_groups redact_messages_in_exceptions redact_user_api_key_info
    request_correlation_in_logs request_timeout require_auth_for_metrics_endpoint require_managed_files responses
    return_response_headers route_all_chat_openai_to_responses s3_audit_callback_params s3_callback_params
    service_callback service_callbacks skip_system_message_in_guardrail skip_tool_message_in_guardrail ssl_certificate
    ssl_verify standard_logging_payload_excluded_fields store_audit_logs success_callback suppress_debug_info
    tag_budget_config telemetry turn_off_message_logging ui_theme_config upperbound_key_generate_params
    use_chat_completions_url_for_anthropic_messages user_url_allowed_hosts user_url_validation
    vector_store_registry
    """.split()
)

# litellm_settings.cache_params: the types of caches, and what each takes.
CACHE_TYPES = frozenset("azure-blob gcs qdrant-semantic redis redis-semantic s3 valkey-semantic".split())

CACHE_PARAMS = frozenset(
    """
    default_in_memory_ttl default_in_redis_ttl disk_cache_dir host max_connections password port redis_flush_size
    redis_startup_nodes sentinel_nodes sentinel_password service_name similarity_threshold socket_timeout ssl url
    username
    """.split()
)

# Where else LiteLLM lets guards be put on calls: at the top of the file; and in litellm_params and litellm_settings.
POLICIES = frozenset("policies policy_attachments".split())
GUARDS_ELSEWHERE = frozenset(("guardrails",))

# guardrails[]: the entry, and litellm_params whatever the kind of guard.
GUARDRAIL = frozenset("guardrail_id guardrail_info".split())

GUARDRAIL_PARAMS = frozenset(
    """
    additional_provider_specific_params api_base api_endpoint api_key credentials custom_code detect_secrets_config
    end_session_after_n_fails experimental_use_latest_role_message_only extra_headers fail_on_error guard_name
    location mask_request_content mask_response_content model on_sensitive_data on_violation
    realtime_violation_message sensitive_data_route_to_model severity_threshold skip_system_message_in_guardrail
    skip_tool_message_in_guardrail sticky_session_routing template_id unreachable_fallback
    violation_message_template
    mask_pii_fail_closed mock_redacted_text output_parse_pii presidio_analyzer_api_base presidio_anonymizer_api_base
    presidio_language
    """.split()
)


# Prices of media, for near misses.
COMMON_COSTS = frozenset(
    """
    input_cost_per_character input_cost_per_image input_cost_per_second input_cost_per_token output_cost_per_image
    output_cost_per_second output_cost_per_token output_cost_per_video_per_second
    """.split()
)


def is_cost(key: str) -> bool:
    """Whether ``key`` is a price: the cost map has over a hundred of them, and each release adds some."""
    return "cost" in key


# The master keys that stand in LiteLLM's documentation and examples.
PUBLIC_MASTER_KEYS = frozenset(
    """
    sk-1234 sk-12345 sk-123456 sk-1234567890 sk-master sk-master-key sk-my-master-key sk-my-special-key
    sk-my_special_key my_special_key sk-litellm sk-litellm-master-key sk-litellm-key sk-anything anything sk-test
    sk-xxx sk-xxxx changeme sk-changeme
    """.split()
)
