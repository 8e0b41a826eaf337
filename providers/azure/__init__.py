"""Azure OpenAI (https://learn.microsoft.com/azure/ai-services/openai/reference): deployments of OpenAI's models.

Azure AI Speech, ``azure/speech/...``, is in ``speech.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr

from engines.media import AudioFormat
from providers.azure.speech import KEY_VARIABLES, MODELS, AzureSpeech, AzureSpeechSettings, variable
from providers.base.contract import Provider
from providers.base.dialects.openai.host import Host
from providers.base.dialects.openai.models import FAMILIES, Everything, ModelSettings
from providers.base.vendor import Facts, Resources, Vendor
from providers.base.wire import Wire

BASE_VARIABLES = ("AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT")
TOKEN_VARIABLES = ("AZURE_AD_TOKEN", "AZURE_OPENAI_AD_TOKEN")
VERSION_VARIABLES = ("AZURE_API_VERSION", "OPENAI_API_VERSION")


class AzureSettings(ModelSettings):
    """``api_base`` is the resource (``https://NAME.openai.azure.com``). Without an ``api_version`` it is asked by its
    v1 API, which needs none. ``azure_ad_token`` stands in for a key.
    """

    api_key: SecretStr | None = None
    azure_ad_token: SecretStr | None = None
    api_base: str | None = Field(None, pattern=r"^https?://[^\s?#]+$")
    api_version: str | None = Field(None, pattern=r"^[\w.-]+$")


def addresses(base: str, version: str, deployment: str) -> Callable[[str], str]:
    """From a path of OpenAI's to an address: of the v1 API, or of a dated one, whose videos know no deployment."""
    base = base.rstrip("/").removesuffix("/v1").rstrip("/").removesuffix("/openai") + "/openai"
    if version in ("", "v1", "preview", "latest"):
        query = f"?api-version={version}" if version in ("preview", "latest") else ""
        return lambda path: f"{base}/v1{path}{query}"
    of_deployment = f"/deployments/{quote(deployment, safe='')}"
    return lambda path: f"{base}{'' if path.startswith('/videos') else of_deployment}{path}?api-version={version}"


def host_of(deployment: str, settings: AzureSettings, wire: Wire) -> Host:
    """Where a deployment's calls go, and with what."""
    base = settings.api_base or variable(BASE_VARIABLES)
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    token = settings.azure_ad_token.get_secret_value() if settings.azure_ad_token else ""
    if not key and not token:
        key = variable(KEY_VARIABLES)
        token = "" if key else variable(TOKEN_VARIABLES)
    lacks = "" if key or token else f"no API key: set {KEY_VARIABLES[0]} or api_key in the config."
    return Host(
        "Azure OpenAI",
        addresses(base, settings.api_version or variable(VERSION_VARIABLES), deployment),
        wire,
        {"api-key": key} if key else {"Authorization": f"Bearer {token}"},
        trusted=frozenset({urlsplit(base).netloc} if base else ()),
        lacks=lacks if base else f"no address: set {BASE_VARIABLES[0]} or api_base in the config.",
    )


async def _open(model: str, settings: AzureSettings | AzureSpeechSettings, resources: Resources) -> Provider:
    wire = resources.shared(Wire, Wire)
    if isinstance(settings, AzureSpeechSettings):
        return AzureSpeech(model, settings, wire)
    return Everything(model, settings, host_of(model, settings, wire))


_DEPLOYMENT = Facts(
    "audio_speech",
    AzureSettings,
    "a deployment of Azure OpenAI, by its name: speech, pictures, films or transcriptions, whatever it is of",
    formats=tuple(AudioFormat),
)

VENDOR = Vendor(
    name="azure",
    models={
        **MODELS,
        **{name: Facts(mode, AzureSettings, "a deployment whose name begins so") for name, mode in FAMILIES.items()},
        "*": _DEPLOYMENT,
    },
    open=_open,
    env={
        "api_key": KEY_VARIABLES,
        "api_base": BASE_VARIABLES,
        "azure_ad_token": TOKEN_VARIABLES,
        "api_version": VERSION_VARIABLES,
    },
    docs="https://learn.microsoft.com/azure/ai-services/openai/reference",
)
