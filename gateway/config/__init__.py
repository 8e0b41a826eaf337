"""The YAML file that says which models there are: LiteLLM's proxy format, read strictly."""

from gateway.config.entries import Vendors
from gateway.config.guardrails import Guardrail
from gateway.config.loading import load_config, parse_config
from gateway.config.model import Config, GeneralSettings, LitellmSettings, ModelEntry, RouterSettings
from gateway.config.problems import ConfigError, Problem

__all__ = [
    "Config",
    "ConfigError",
    "GeneralSettings",
    "Guardrail",
    "LitellmSettings",
    "ModelEntry",
    "Problem",
    "RouterSettings",
    "Vendors",
    "load_config",
    "parse_config",
]
