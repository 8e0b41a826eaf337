"""Which deployments may answer a model name, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Generic, TypeVar

from gateway.errors import UnknownModel

D = TypeVar("D")


@dataclass(slots=True)
class Candidate(Generic[D]):
    """One deployment to ask. ``stands_in_for`` is the group that was asked for, where this is another one."""

    group: str
    deployment: D
    stands_in_for: str | None = None


class Routes(Generic[D]):
    """The table from model names to deployments.

    ``groups`` maps a ``model_name`` to its deployments; ``also`` other spellings (aliases, ``<vendor>/<model>``,
    ``<model>``) to a group; ``fallbacks`` a group to the groups that are asked when it cannot answer, with ``"*"`` for
    every group; ``content_policy`` the same where its rules forbid what was asked for.
    """

    def __init__(
        self,
        groups: Mapping[str, Sequence[D]],
        also: Mapping[str, str],
        fallbacks: Mapping[str, Sequence[str]],
        content_policy: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._groups = {name: list(members) for name, members in groups.items()}
        self._also = also
        self._fallbacks = fallbacks
        self._content_policy = content_policy or {}
        self._known: dict[str, list[Candidate[D]]] = {}
        self.changes = 0  # how often one was added

    def add(self, group: str, deployment: D) -> None:
        """One more, in a group that there is or a new one."""
        self._groups.setdefault(group, []).append(deployment)
        self._known.clear()
        self.changes += 1

    def groups(self) -> Sequence[str]:
        """Their names, in the order of the config."""
        return [*self._groups]

    def deployments(self, group: str) -> Sequence[D]:
        """Those of one group."""
        return self._groups[group]

    def group(self, model: str) -> str:
        """The group behind a model name. Raises ``UnknownModel``."""
        group = self._also.get(model, model)
        if group not in self._groups:
            near = get_close_matches(model, [*self._groups, *self._also], n=1)
            hint = f" Did you mean '{near[0]}'?" if near else " GET /v1/models lists the models there are."
            raise UnknownModel(f"The model '{model[:200]}' does not exist.{hint}", param="model")
        return group

    def stand_ins(self, group: str, wished: Sequence[str] | None = None) -> Sequence[str]:
        """The groups asked after it, each once: those ``wished`` for, else the config's. Raises ``UnknownModel``."""
        if wished is None:
            wished = self._fallbacks.get(group, self._fallbacks.get("*", ()))
        for name in wished:
            if self._also.get(name, name) not in self._groups:
                raise UnknownModel(f"The model '{name[:200]}' does not exist.", param="fallbacks")
        return self._others(group, wished)

    def after_refusal(self, group: str) -> list[str]:
        """The groups asked where the rules of ``group``'s provider forbid what was asked for."""
        return self._others(group, self._content_policy.get(group, self._content_policy.get("*", ())))

    def candidates(self, model: str) -> list[Candidate[D]]:
        """Every deployment that may answer, each once, group by group. Raises ``UnknownModel``."""
        group = self.group(model)
        if (known := self._known.get(group)) is not None:
            return known
        found = [Candidate(group, deployment) for deployment in self._groups[group]]
        for other in self.stand_ins(group):
            found += [Candidate(other, deployment, group) for deployment in self._groups[other]]
        self._known[group] = found
        return found

    def _others(self, group: str, names: Sequence[str]) -> list[str]:
        return [other for other in dict.fromkeys(self._also.get(name, name) for name in names) if other != group]
