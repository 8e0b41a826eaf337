"""What there is: models, their voices, and whether they can answer now."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.policy.routing import Routes
from gateway.services.deployments import Deployment, mode
from providers.base.contract import Readiness, SpeechProvider, SpeechTasks, Voice

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """One name that a caller may use as ``model``."""

    id: str
    provider: str
    mode: str
    alias_of: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How one deployment stands. ``covered_by`` are the groups that answer in its place."""

    model: str
    provider: str
    readiness: Readiness
    covered_by: tuple[str, ...] = ()


class Catalog:
    """Looks at the opened deployments; calls nobody."""

    def __init__(
        self, deployments: Sequence[Deployment], routes: Routes[Deployment], aliases: Mapping[str, str]
    ) -> None:
        self._deployments = deployments
        self._routes = routes
        self._listed: dict[str, Listed] = {}
        for deployment in deployments:
            entry = deployment.entry
            self._listed.setdefault(entry.model_name, Listed(entry.model_name, entry.vendor, mode(entry)))
        for alias, target in aliases.items():
            of = self._listed[routes.group(target)]
            self._listed[alias] = Listed(alias, of.provider, of.mode, of.id)

    def deployments(self) -> Sequence[Deployment]:
        """Every deployment, in the order of the config."""
        return self._deployments

    def group(self, model: str) -> str:
        """The group behind a model name. Raises ``UnknownModel``."""
        return self._routes.group(model)

    def models(self, making: str | None = None) -> list[Listed]:
        """Every model name and alias in the order of the config, or those of one mode."""
        return [listed for listed in self._listed.values() if making in (None, listed.mode)]

    def model(self, name: str) -> Listed:
        """One of them. Raises ``UnknownModel``."""
        return self._listed[name] if name in self._listed else self._listed[self._routes.group(name)]

    def voices(self, model: str | None = None) -> list[tuple[Voice, tuple[str, ...]]]:
        """Each voice with the models that have it; of one model where it is named. Raises ``UnknownModel``."""
        group = None if model is None else self._routes.group(model)
        found: dict[str, tuple[Voice, tuple[str, ...]]] = {}
        for deployment in self._deployments:
            name = deployment.entry.model_name
            if group in (None, name) and isinstance(deployment.provider, SpeechProvider | SpeechTasks):
                for voice in deployment.provider.voices():
                    known = found.get(voice.id, (voice, ()))
                    if name not in known[1]:
                        found[voice.id] = (known[0], (*known[1], name))
        return list(found.values())

    def standings(self) -> list[Standing]:
        """Every deployment, in the order of the config."""
        return [
            Standing(
                deployment.entry.model_name,
                deployment.entry.vendor,
                deployment.provider.readiness(),
                tuple(_others(self._routes, deployment)),
            )
            for deployment in self._deployments
        ]

    def announce(self) -> None:
        """Tell the log how every deployment stands."""
        for standing in self.standings():
            state, detail = standing.readiness.state, standing.readiness.detail
            told = f"{standing.model} ({standing.provider}): {state}" + (f": {detail}" if detail else "")
            if state != "unavailable":
                _log.info("%s", told)
            elif standing.covered_by:
                _log.warning("%s -- until then %s answers for it", told, ", ".join(standing.covered_by))
            else:
                _log.warning("%s -- until then calls to it fail", told)

    def warm(self) -> None:
        """Let every deployment load what its first request would wait for."""
        for deployment in self._deployments:
            deployment.provider.warm()


def _others(routes: Routes[Deployment], deployment: Deployment) -> Iterable[str]:
    for candidate in routes.candidates(deployment.entry.model_name):
        if candidate.stands_in_for and candidate.deployment.provider.readiness().state != "unavailable":
            yield candidate.group
