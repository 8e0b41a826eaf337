"""A gateway is killed with SIGKILL at every boundary in turn. Ten times as many stories: ``make chaos``."""

from __future__ import annotations

import pytest

from tests.chaos.story import MODELS, UNKNOWN, Death, Plot, boundaries, plot_of, stage, tell

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_killed_at_every_boundary() -> None:
    """Once at each, with the kinds of media taking turns: a charge, and an output; or none knows, and is told so."""
    with stage() as (runway, gateways):
        found: dict[Death, list[str]] = {}
        for kind in MODELS:
            for point in boundaries(Plot(kind), runway, gateways):
                found.setdefault(point, []).append(kind)
            assert {name for name, _ in found} >= set(UNKNOWN)
        assert len(found) > 40
        for number, (point, kinds) in enumerate(found.items()):
            plot = Plot(kinds[number % len(kinds)], deaths=[point])
            end = tell(plot, runway, gateways)
            assert end.deaths == 1, f"{plot}: it did not die"
            states = [(row["state"], row["code"]) for row in end.rows]
            if point[0] in UNKNOWN:
                assert states == [("failed", "submission_unknown")], plot
            else:
                assert states[-1] == ("completed", ""), plot
                assert end.charges == {"number 0": 1}, plot
                assert states[:-1] in ([], [("failed", "interrupted")]), plot


@pytest.mark.parametrize("seed", range(2))
def test_killed_again_and_again(seed: int) -> None:
    """Several calls at once, several pictures a call, and the next process may die too."""
    with stage() as (runway, gateways):
        others = boundaries(Plot("image"), runway, gateways)
        for point in others[seed::12]:
            tell(plot_of(point, others, seed), runway, gateways)
