"""A gateway is killed at every boundary, started again, and asked again: is anything charged twice, or lost?

    python -m bench.kill_points --seeds 10        # from the root of the repository

The boundaries are before and after each commit, each exchange with the provider (and within: it has taken the task and
has not answered), each step of keeping an output, and each part of the answer to the client. A seed says what is made,
how many, for how many callers at once, whether they are OpenAI's SDK or send an Idempotency-Key, how long the tasks
take, which of the callers it hits, and whether the next process dies too. Exits 1 where a story ends wrong.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

from tests.chaos.story import MODELS, Plot, boundaries, plot_of, stage, tell


def main() -> None:
    """Tell all the stories and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    begun, wrong = time.monotonic(), 0
    counts, states = Counter[str](), Counter[str]()
    with stage() as (runway, gateways):
        points = list(dict.fromkeys(each for kind in MODELS for each in boundaries(Plot(kind), runway, gateways)))
        for point in points:
            for seed in range(options.seeds):
                plot = plot_of(point, points, seed)
                try:
                    end = tell(plot, runway, gateways)
                except AssertionError as error:
                    wrong += 1
                    print(f"WRONG {plot}: {error}", flush=True)
                    continue
                charges = sum(end.charges.values())
                counts.update(calls=plot.calls, deaths=end.deaths, charges=charges)
                states.update(f"{row['state']} {row['code']}".strip() for row in end.rows)
    stories = len(points) * options.seeds
    print(
        f"{len(points)} boundaries, {stories} stories in {time.monotonic() - begun:.0f} s: {counts['deaths']} gateways "
        f"killed, {counts['calls']} calls, {counts['charges']} charges, {wrong} stories that ended wrong"
    )
    print("rows: " + ", ".join(f"{number} {state}" for state, number in states.most_common()))
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
