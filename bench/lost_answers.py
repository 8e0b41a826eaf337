"""Calls by OpenAI's SDK while answers are lost, cut in half or late: is anything charged twice, or lost?

    python -m bench.lost_answers --calls 2000        # from the root of the repository

Both lines lose: from the client to the gateway, and from the gateway to a server that behaves as Runway does and has a
ledger. Looks are taken every 0.02 s instead of 5. Exits 1 on a second charge, a task that does not end, or one that no
caller was told of.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.lost import lose


def shown(counts: Counter[str]) -> str:
    """The commonest first."""
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--client", type=float, default=0.3, help="the part of answers lost to the client")
    parser.add_argument("--upstream", type=float, default=0.3, help="the part of answers lost to the gateway")
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(
            lose(options.calls, options.client, options.upstream, options.seed, options.at_once, Path(folder))
        )
    print(f"{len(found.calls)} logical calls in {time.monotonic() - begun:.0f} s: {shown(found.ends)}")
    print(f"connection errors expected: {options.client**6 * options.calls:.1f}")
    print(f"charges for each thing asked for: {min(found.charges):g} to {max(found.charges):g}")
    print(f"tasks, all of them ended: {shown(found.rows)}")
    print(f"answers to the client: {shown(found.client)}")
    print(f"answers to the gateway: {shown(found.upstream)}")
    for each in found.wrong:
        print(f"WRONG {each}")
    raise SystemExit(bool(found.wrong))


if __name__ == "__main__":
    main()
