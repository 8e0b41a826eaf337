"""From a LiteLLM config to one for this gateway: what becomes of each line, and a commented copy of the file."""

from gateway.migration.migrating import Finding, Migration, migrate

__all__ = ["Finding", "Migration", "migrate"]
