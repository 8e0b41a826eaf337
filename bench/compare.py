"""The gateway beside others before the same upstream, in one run: who answers how much, how soon, for how much work.

    python -m bench.compare --install                 LiteLLM and Portkey into .bench/, once
    python -m bench.compare                           all of it; writes bench/RESULTS.json and bench/RESULTS.md
    python -m bench.compare --only ours,nginx --rounds 2 --seconds 2 --no-write
    python -m bench.compare --also ../other-tree      another version of this gateway beside this one
    python -m bench.compare --check bench/RESULTS.json   do the ratios of this run fit those of another?

The contenders are asked in turns, each round in another order, so that whatever else the machine does hits all.
A ratio is made of two samples of the same round. The gateways have one core, what asks and what answers another.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.contenders import OPENERS, Contender, Place, install, other_tree
from bench.load import LOADS, check, measure
from bench.processes import cores
from bench.upstreams import open_upstream


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each load of each contender in each round")
    parser.add_argument("--only", default=",".join(OPENERS), help="names of contenders")
    parser.add_argument("--loads", default="", help="only those loads that have this in their name")
    parser.add_argument("--also", type=Path, action="append", default=[], help="another tree of this gateway")
    parser.add_argument("--no-pin", action="store_true", help="let the system choose the cores")
    parser.add_argument("--install", action="store_true", help="install what is compared with, and end")
    options = parser.parse_args()
    if options.install:
        install()
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    where = cores(not options.no_pin)
    loads = [load for load in LOADS if options.loads in load.name]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place = Place(folder, open_upstream(folder, where, stack), where, stack)
        openers = [OPENERS[name] for name in options.only.split(",")] + [other_tree(path) for path in options.also]
        found: list[Contender] = [each for opener in openers if (each := opener(place)) is not None]
        for who in found:
            print(f"{who.name} {who.version}: {who.process.resident():.0f} MB idle")
            for load in loads:
                if why := check(who, load):
                    print(f"{who.name}, {load.name}: {why}")
        for load in loads:
            for turn in range(options.rounds):
                turned = found[turn % len(found) :] + found[: turn % len(found)]
                for who in turned:
                    sample = measure(who, load, options.seconds, folder, where.generator)
                    print(load.name, turn, who.name, sample, flush=True)


if __name__ == "__main__":
    main()
