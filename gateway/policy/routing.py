"""Which deployments may answer a model name, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Generic, TypeVar

from gateway.errors import UnknownModel

D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Candidate(Generic[D]):
    """One deployment to ask. ``stands_in_for`` is the group that was asked for, where this is another one."""

    group: str
    deployment: D
    stands_in_for: str | None = None


class Routes(Generic[D]):
    """The table from model names to deployments.

    ``groups`` maps a ``model_name`` to its deployments; ``also`` other spellings (aliases, ``<vendor>/<model>``) to a
    group; ``fallbacks`` a group to the groups that are asked when it cannot answer, with ``"*"`` for every group.
    """

    def __init__(
        self,
        groups: Mapping[str, Sequence[D]],
        also: Mapping[str, str],
        fallbacks: Mapping[str, Sequence[str]],
    ) -> None:
        self._groups = groups
        self._also = also
        self._fallbacks = fallbacks

    def group(self, model: str) -> str:
        """The group behind a model name. Raises ``UnknownModel``."""
        group = self._also.get(model, model)
        if group not in self._groups:
            near = get_close_matches(model, [*self._groups, *self._also], n=1)
            hint = f" Did you mean '{near[0]}'?" if near else " GET /v1/models lists the models there are."
            raise UnknownModel(f"The model '{model[:200]}' does not exist.{hint}", param="model")
        return group

    def candidates(self, model: str) -> list[Candidate[D]]:
        """Every deployment that may answer, each once, in the order of asking. Raises ``UnknownModel``."""
        group = self.group(model)
        found = [Candidate(group, deployment) for deployment in self._groups[group]]
        seen = {group}
        for name in self._fallbacks.get(group, self._fallbacks.get("*", ())):
            other = self._also.get(name, name)
            if other not in seen:
                seen.add(other)
                found += [Candidate(other, deployment, group) for deployment in self._groups[other]]
        return found
