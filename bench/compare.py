"""The gateway beside others before the same upstream, in one run: who answers how much, how soon, for how much work.

    python -m bench.compare --install                    LiteLLM and Portkey into .bench/, once
    python -m bench.compare --write                      all of it (minutes), to bench/RESULTS.json and bench/RESULTS.md
    python -m bench.compare --only ours,nginx --loads speech --parts loads --rounds 2 --seconds 2
    python -m bench.compare --also ../other-tree         another version of this gateway beside this one
    python -m bench.compare --check bench/RESULTS.json   do the ratios of this run fit those of another?
    python -m bench.compare --render                     RESULTS.md anew from RESULTS.json

The contenders are asked in turns, each round in another order, so that whatever else the machine does hits all.
A ratio is made of two samples of one round. The gateways have one core, what asks and what answers another.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench import paced, results
from bench.contenders import OPENERS, Contender, Place, install, other_tree
from bench.load import LOADS, Generator, Load, check, measure, version
from bench.processes import ROOT, Cores, cores
from bench.upstreams import Upstream, open_upstream

PARTS = ("memory", "loads", "streams", "jobs")
_OPENER = Callable[[Place], Contender | None]


class Run:
    """One run. ``found`` is what ``results`` reads: lists of samples, one a round, by what and by whom."""

    def __init__(self, options: argparse.Namespace, where: Cores, folder: Path, upstream: Upstream) -> None:
        self._options = options
        self._where = where
        self._folder = folder
        self._upstream = upstream
        self._generator = Generator(options.seconds, folder, where.generator, upstream.asked)
        self._openers: dict[str, _OPENER] = {name: OPENERS[name] for name in options.only.split(",")}
        self._openers |= {path.name: other_tree(path) for path in options.also}
        self.found: dict[str, Any] = {"versions": {}, "samples": {}}

    @contextmanager
    def _open(self, *openers: _OPENER) -> Iterator[list[Contender]]:
        """Each in a process of its own, new."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self._folder)))
            place = Place(folder, self._upstream, self._where, stack)
            opened = [each for opener in openers if (each := opener(place)) is not None]
            if (
                missing := set(self._openers) - {who.name.rpartition("@")[2] for who in opened}
                if len(openers) > 1
                else ()
            ):
                print(f"not installed, left out: {', '.join(sorted(missing))}")
            self.found["versions"].update({who.name: who.version for who in opened})
            yield opened

    def _note(self, what: str, who: Contender, sample: dict[str, float]) -> None:
        self.found["samples"].setdefault(what, {}).setdefault(who.name, []).append(sample)
        shown = ", ".join(f"{key} {value:.4g}" for key, value in sample.items())
        print(f"{what}: {who.name}: {shown}", flush=True)

    def memory(self) -> None:
        """Of processes that have done nothing else: idle, after a load, with large clips; then with slow readers."""
        for _ in range(min(2, self._options.rounds)):
            for name, opener in self._openers.items():
                if name == "direct":
                    continue
                with self._open(opener) as opened:
                    for who in opened:
                        self._note(results.IDLE, who, {"resident": who.process.resident()})
                        self._load(who, LOADS[0], results.ONE)
                        self._note(results.CLIPS, who, paced.clips(who).as_dict())
                with self._open(opener) as opened:
                    for who in opened:
                        self._note(results.SLOW, who, paced.slow_readers(who, self._options.slow).as_dict())

    def loads(self) -> None:
        """As many requests as they answer, and streams in between."""
        wanted = [load for load in LOADS if self._options.loads in load.name]
        streams = "streams" in self._options.parts
        with self._open(*self._openers.values()) as opened:
            for who in opened:
                for load in wanted:
                    if why := check(who, load):
                        raise SystemExit(f"{who.name}, {load.name}: {why}")
                if streams:
                    paced.first_byte(who)  # opens what a first one opens
                measure(who, LOADS[1], self._generator)  # warm
            for turn in range(self._options.rounds):
                ordered = opened[turn % len(opened) :] + opened[: turn % len(opened)]
                for load in wanted:
                    for who in ordered:
                        self._load(who, load, load.name)
                for who in ordered if streams else []:
                    self._note(results.STREAMS, who, paced.first_byte(who).as_dict())

    def _load(self, who: Contender, load: Load, what: str) -> None:
        self._note(what, who, measure(who, load, self._generator).as_dict())

    def jobs(self) -> None:
        """Ten thousand tasks in flight; ours alone."""
        command = [sys.executable, "-m", "bench.many_jobs"]
        told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        self.found["jobs"] = told.stdout.strip() or told.stderr.strip()[-300:]
        print(self.found["jobs"], flush=True)


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """All the parts that are wanted."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    where = cores(not options.no_pin)
    about = results.machine(where)
    about["settings"] = f"{options.rounds} rounds, {options.seconds:g} s for each load of each contender in each round"
    about["generator"] = version()
    given = (Path(each).name if "/" in each else each for each in sys.argv[1:])
    about["command"] = " ".join(("python -m bench.compare", *given))
    everywhere = os.sched_getaffinity(0)
    if where.generator is not None:
        os.sched_setaffinity(0, {int(where.generator)})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = Run(options, where, folder, open_upstream(folder, where, stack))
        if "memory" in options.parts:
            run.memory()
        if "loads" in options.parts:
            run.loads()
    os.sched_setaffinity(0, everywhere)
    if "jobs" in options.parts:
        run.jobs()
    return {**about, **run.found}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each load of each contender in each round")
    parser.add_argument("--slow", type=float, default=8.0, help="seconds for which the slow readers are slow")
    parser.add_argument("--only", default=",".join(OPENERS), help="names of contenders")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--loads", default="", help="only those loads that have this in their name")
    parser.add_argument("--also", type=Path, action="append", default=[], help="another tree of this gateway")
    parser.add_argument("--no-pin", action="store_true", help="let the system choose the cores")
    parser.add_argument("--install", action="store_true", help="install what is compared with, and end")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.json and bench/RESULTS.md")
    parser.add_argument("--render", action="store_true", help="write bench/RESULTS.md from bench/RESULTS.json, and end")
    parser.add_argument("--check", type=Path, help="a RESULTS.json; exits 1 where a ratio is outside of its spread")
    return parser.parse_args()


def main() -> None:
    """Measure, print, and write."""
    options = arguments()
    if options.install:
        install()
        return
    if options.render:
        results.KEPT.with_suffix(".md").write_text(results.rendered(json.loads(results.KEPT.read_text())))
        return
    before = json.loads(options.check.read_text()) if options.check else None
    found = measured(options)
    text = results.rendered(found)
    print(text)
    if options.write:
        results.KEPT.write_text(json.dumps(found, indent=1) + "\n")
        results.KEPT.with_suffix(".md").write_text(text)
    if before is not None:
        raise SystemExit(results.differ(before, found))


if __name__ == "__main__":
    main()
