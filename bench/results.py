"""What a run of ``bench.compare`` found, as tables, and as ratios that another run may be held against."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.processes import ROOT, Cores

KEPT = ROOT / "bench/RESULTS.json"
KOKORO = ROOT / "bench/KOKORO.json"
IDLE, ONE, CLIPS = "resident, idle", "resident, after one connection's load", "20 clips of 20 MB at once"
SLOW, STREAMS = "1,000 slow readers", "first byte of 50 streams at once"
_NOT_LOADS = (IDLE, ONE, CLIPS, SLOW, STREAMS)
NEARLY = 1.02
"""What hardly varies, as idle memory, has a spread of nothing."""

_Samples = dict[str, list[dict[str, float]]]
_Value = Callable[[dict[str, float]], float]

_INTRO = """# Results

Written by `make bench` (`python -m bench.compare --write`); `bench/RESULTS.json` has every sample. Each figure is the
median of the rounds, in brackets the least and the most. A ratio is made of two samples of one round, so that what else
the machine did is in both; above 1 it is in favour of this gateway. Absolute figures are this machine's only.

*direct* asks the upstream with nobody between; *nginx* is `proxy_pass` with connections kept open, one worker. *ours*
has everything on: a virtual key with limits and budgets, latency-based routing over two deployments with retries and a
fallback, the ledger on disk, metrics and the log. *litellm* is its proxy with one worker and its master key (it has
virtual keys and a ledger with Postgres only), *portkey* its open gateway (no keys, no ledger, told by a header where to
send). Pictures: ours keeps each on disk, as a task that survives a crash, and hands out its own address; the others
pass on what came.
"""


def machine(where: Cores) -> dict[str, Any]:
    """What it is measured on."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    pinned = "no pinning"
    if where.gateway is not None:
        pinned = f"gateways on core {where.gateway}, generator on {where.generator}, upstream on {where.upstream}"
    return {
        "machine": {
            "processor": cpu[1] if cpu else platform.machine(),
            "cores": os.cpu_count(),
            "memory": f"{int(memory[1]) / 2**20:.0f} GB" if memory else "",
            "kernel": (re.match(r"[\d.]*\d", platform.release()) or [""])[0],
            "python": platform.python_version(),
            "pinning": pinned,
        },
        "commit": commit.stdout.strip(),
    }


def _spread(values: Sequence[float], digits: int = 2) -> str:
    if not values:
        return "–"
    if len(values) == 1:
        return _number(values[0], digits)
    return (
        f"{_number(statistics.median(values), digits)} ({_number(min(values), digits)}–{_number(max(values), digits)})"
    )


def _number(value: float, digits: int) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{1 if abs(value) >= 10 else digits}f}"


def _by_round(samples: _Samples, name: str, value: _Value) -> list[float]:
    return [value(each) for each in samples.get(name, [])]


def _ratios(samples: _Samples, other: str, value: _Value) -> list[float]:
    """Theirs by ours, round by round; none where there is nothing to divide."""
    pairs = zip(_by_round(samples, other, value), _by_round(samples, "ours", value), strict=False)
    return [theirs / own for theirs, own in pairs if theirs and own]


def _inverse(values: list[float]) -> list[float]:
    return [1 / value for value in values]


def ratios(found: dict[str, Any]) -> dict[str, list[float]]:
    """Every ratio to another, by its name, one a round. Above 1 is in favour of ours."""
    made: dict[str, list[float]] = {}
    for what, samples in found["samples"].items():
        for other in samples:
            if other in ("ours", "direct"):
                continue
            kinds: dict[str, list[float]] = {}
            if what not in _NOT_LOADS:
                kinds["requests a second"] = _inverse(_ratios(samples, other, lambda each: each["rate"]))
                kinds["processor time"] = _ratios(samples, other, lambda each: each["cpu"])
            if what == STREAMS:
                kinds["median delay"] = _ratios(samples, other, lambda each: each["p50"])
            if what == IDLE:
                kinds["memory"] = _ratios(samples, other, lambda each: each["resident"])
            made |= {f"{what}, {kind}, {other} and ours": values for kind, values in kinds.items() if values}
    return made | _added(found)


def _added(found: dict[str, Any]) -> dict[str, list[float]]:
    """What each adds to the median of one connection."""
    samples = found["samples"].get("speech, 1 at once", {})
    added = _latencies(samples)
    return {
        f"latency added at one connection, {other} and ours": [
            theirs / own for theirs, own in zip(values, added["ours"], strict=False) if own > 0
        ]
        for other, values in added.items()
        if other != "ours" and "ours" in added
    }


def _latencies(samples: _Samples) -> dict[str, list[float]]:
    base = _by_round(samples, "direct", lambda each: each["p50"])
    return {
        name: [whole - least for whole, least in zip((each["p50"] for each in own), base, strict=False)]
        for name, own in samples.items()
        if name != "direct" and base
    }


def differ(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Print how the ratios of two runs compare. 1 where the ranges of one do not even touch, nor nearly."""
    worst, old = 0, ratios(before)
    for name, values in ratios(after).items():
        if name not in old or name.endswith(("nginx and ours",)):
            continue  # what is 30 times as fast is measured too coarsely beside it
        fits = min(values) <= max(old[name]) * NEARLY and max(values) * NEARLY >= min(old[name])
        worst |= not fits
        print(f"{'ok ' if fits else 'OUT'} {name}: {_spread(old[name])} before, {_spread(values)} now")
    return worst


def rendered(found: dict[str, Any]) -> str:
    """RESULTS.md."""
    samples: dict[str, _Samples] = found["samples"]
    parts = [_INTRO, _about(found)]
    loads = [what for what in samples if what not in _NOT_LOADS]
    if loads:
        parts.append(
            "## Load\n\nSpeech is 48 KB of mp3, asked and delivered as mp3. p50 and p99 in ms, memory in MB.\n"
        )
        parts += [_load(what, samples[what]) for what in loads]
    if added := _latencies(samples.get("speech, 1 at once", {})):
        rows = [[name, _spread(values, 3)] for name, values in added.items()]
        parts.append("## Latency added over direct\n\nAt one connection, median of each round less that of direct.\n")
        parts.append(_table(["", "ms"], rows))
    if STREAMS in samples:
        parts.append(_streams(samples[STREAMS]))
    if IDLE in samples:
        parts.append(_memory(samples))
    if SLOW in samples:
        parts.append(_slow(samples[SLOW]))
    if jobs := found.get("jobs"):
        parts.append(f"## Tasks in flight\n\n`python -m bench.many_jobs`: {jobs}.\n")
    if KOKORO.exists():
        parts.append(_kokoro(json.loads(KOKORO.read_text())))
    return "\n".join(parts)


def _about(found: dict[str, Any]) -> str:
    kept = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"{kept['processor']}, {kept['cores']} cores, {kept['memory']}; Linux {kept['kernel']}, "
        f"Python {kept['python']}; {kept['pinning']}. Commit {found['commit']}; {versions}; "
        f"asked by {found['generator']}. {found['settings']}: `{found['command']}`.\n"
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:], ""])


def _load(what: str, samples: _Samples) -> str:
    rows = []
    for name, own in samples.items():
        faster = dearer = ""
        if name not in ("ours", "direct"):
            faster = _spread(_inverse(_ratios(samples, name, lambda each: each["rate"])))
            dearer = _spread(_ratios(samples, name, lambda each: each["cpu"]))
        failed = sum(each["failed"] for each in own)
        row = [name + (f" ({failed:,.0f} failed)" if failed else "")]
        row += [_spread([each[key] for each in own], digits) for key, digits in (("rate", 1), ("p50", 2), ("p99", 2))]
        row += [
            _spread([each["cpu"] for each in own], 3),
            _spread([each["resident"] for each in own], 0),
            faster,
            dearer,
        ]
        rows.append(row)
    head = ["", "requests/s", "p50", "p99", "processor ms each", "memory", "ours ÷ its requests/s"]
    return f"### {what[0].upper()}{what[1:]}\n\n" + _table([*head, "its ÷ our processor ms"], rows)


def _streams(samples: _Samples) -> str:
    rows = [
        [
            name,
            _spread([each["p50"] for each in own]),
            _spread([each["p99"] for each in own]),
            _answered(own),
            "" if name in ("ours", "direct") else _spread(_ratios(samples, name, lambda each: each["p50"])),
        ]
        for name, own in samples.items()
    ]
    head = ["", "median ms", "worst ms", "whole", "times ours"]
    return (
        "## First byte of a stream\n\n50 streams at once, each 20 pieces of 4 KB over a second: from the moment in "
        "which the upstream sent the first piece to the moment in which the client saw it, by the same clock.\n\n"
    ) + _table(head, rows)


def _answered(own: list[dict[str, float]]) -> str:
    return f"{sum(each['whole'] for each in own):,.0f} of {sum(each['asked'] for each in own):,.0f}"


def _memory(samples: dict[str, _Samples]) -> str:
    rows = []
    for name, idle in samples[IDLE].items():
        one, clips = samples.get(ONE, {}).get(name, []), samples.get(CLIPS, {}).get(name, [])
        row = [name, _spread([each["resident"] for each in idle], 0), _spread([each["resident"] for each in one], 0)]
        rows.append([*row, _spread([each["added"] for each in clips], 0), _answered(clips)])
    head = ["", "idle", "after one connection's load", "added by 20 clips of 20 MB at once", "whole"]
    return "## Resident memory\n\nIn MB, each in a process of its own that did nothing else before.\n\n" + _table(
        head, rows
    )


def _slow(samples: _Samples) -> str:
    rows = [
        [
            name,
            _spread([each["added"] for each in own], 0),
            _spread([each["spent"] for each in own]),
            _answered(own),
            _spread([each["p50"] for each in own]),
            _spread([each["p99"] for each in own]),
        ]
        for name, own in samples.items()
    ]
    head = ["", "MB added", "processor s", "whole", "another call meanwhile, median ms", "worst ms"]
    return (
        "## Slow readers\n\n1,000 at once, each of a clip of 1 MB that the upstream sends at once, read at 32 KB a "
        "second, and the rest at the end; beside them somebody asks for 48 KB now and then.\n\n"
    ) + _table(head, rows)


def _kokoro(found: dict[str, Any]) -> str:
    """As ``python -m bench.kokoro --json`` left it."""
    head = (
        "## Kokoro\n\nWritten by `make bench-kokoro`: full-size random weights, the package's `KPipeline` turn by turn "
        "with the gateway.\n\n"
    )
    rows = [
        [name, f"{each['value']:.3g} {each['unit']}", f"{each['spread'][0]:.3g} – {each['spread'][1]:.3g}"]
        for name, each in found.items()
    ]
    return head + _table(["", "median", "least – most"], rows)
