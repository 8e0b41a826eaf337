"""When the first audio byte comes, as a share of the whole time, for each format of each model of a running server.

    python bench/first_byte.py http://127.0.0.1:4000 kokoro-82m espeak

Exits 1 where the share is over --limit (15 %).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import time
from urllib.parse import urlsplit

SENTENCE = "The quick brown fox jumped over the lazy dog, and then it slept for a while under the old oak tree. "
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


def measure(base: str, model: str, format: str, characters: int) -> tuple[float, float, int]:
    """Seconds to the first byte of sound, seconds in all, bytes. Container headers alone do not count as sound."""
    url = urlsplit(base)
    text = (SENTENCE * (characters // len(SENTENCE) + 1))[:characters]
    body = json.dumps({"model": model, "input": text, "voice": "alloy", "response_format": format})
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("MEDIA_GATEWAY_MASTER_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port or 80, timeout=600)
    begun = time.perf_counter()
    connection.request("POST", f"{url.path.rstrip('/')}/v1/audio/speech", body, headers)
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"{model} {format}: {answer.status} {answer.read().decode()}")
    size, first = 0, 0.0
    while part := answer.read1(65_536):
        size += len(part)
        if not first and size > 256:  # past the header of any of them
            first = time.perf_counter() - begun
    whole = time.perf_counter() - begun
    connection.close()
    return first, whole, size


def main() -> None:
    """Measure and print a line a format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--characters", type=int, default=4000)
    parser.add_argument("--limit", type=float, default=0.15)
    options = parser.parse_args()
    late = False
    for model in options.models:
        measure(options.base, model, "mp3", 20)  # loads what a first request loads
        for format in FORMATS:
            first, whole, size = measure(options.base, model, format, options.characters)
            late |= first / whole > options.limit
            share = f"first {first:7.3f} s  whole {whole:7.2f} s  share {first / whole:6.1%}"
            print(f"{model:14} {format:5} {share}  {size:,} bytes", flush=True)
    raise SystemExit(late)


if __name__ == "__main__":
    main()
