"""When the first sound of a vendor that streams reaches the client, as a share of the time that the vendor takes.

    python -m bench.vendor_first_byte

Every vendor's simulator sends 20 chunks, one each 0.1 s, through a gateway, in each format. The first chunk itself is
sent after 5 % of the time (by OpenAI's at once). Exits 1 where the first audio byte is later than --limit (15 %) of the
whole.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.first_byte import FORMATS, SENTENCE, measure
from tests.serving import config_of, serving
from tests.upstreams.every import STREAMED, every

CHARACTERS = 60
"""Four seconds of sound: 20 pieces of those vendors that send 0.2 s at once; the others cut theirs in 20."""


def main() -> None:
    """Measure and print a line a vendor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=0.15)
    limit = parser.parse_args().limit
    worst = 0.0
    print(f"{'':12}" + "".join(f"{format:>8}" for format in FORMATS) + "   whole")
    with (
        tempfile.TemporaryDirectory() as folder,
        every(Path(folder), pace=0.1) as vendors,
        serving(config_of(vendors.config)) as running,
    ):
        for vendor in STREAMED:
            measure(running.base, vendor, "mp3", len(SENTENCE) // 20)  # opens what a first request opens
            found = [measure(running.base, vendor, format, CHARACTERS)[:2] for format in FORMATS]
            shares = [first / whole for first, whole in found]
            worst = max(worst, *shares)
            slowest = max(whole for _, whole in found)
            print(f"{vendor:12}" + "".join(f"{share:8.1%}" for share in shares) + f"{slowest:6.2f} s", flush=True)
    raise SystemExit(worst > limit)


if __name__ == "__main__":
    main()
