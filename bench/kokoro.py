"""Kokoro of this gateway against the package's own ``KPipeline``: the same weights, one run, turn by turn.

    python -m bench.kokoro [--rounds 3] [--json PATH] [--weights FOLDER]

The package is a process of its own that speaks with ``KPipeline`` as published, given all the threads it wants; the
gateway is a server of its own, asked over HTTP for PCM. One of them works at a time. The weights are of full size and
random, the same for both (330 MB, made in FOLDER unless they are there). Of each figure the median of the rounds is
printed, least and most in brackets; those of single seconds depend on the machine, the ratios little.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RATE = 24_000
SENTENCES = (
    "The quick brown fox jumped over the lazy dog, and then it slept for a while.",
    "Nobody had seen the old lighthouse lit since the winter of the great storm.",
    "When the train came in at last, half of the people on the platform had left.",
    "She folded the letter twice, put it under the lamp, and went out to the garden.",
    "Every morning the baker opened his window, looked at the sky, and said nothing.",
)


def text_of(characters: int) -> str:
    """About so many characters, whole sentences."""
    text = ""
    while len(text) < characters:
        text += SENTENCES[len(text) % len(SENTENCES)] + " "
    return text[:characters].strip()


# The package.


def stock(folder: Path) -> None:
    """The child process: a list of texts a line in, what it took a line out."""
    import spacy
    from spacy.language import Language

    @Language.component("all_nouns")
    def all_nouns(doc: Any) -> Any:
        for token in doc:
            token.tag_ = "." if token.is_punct else "NN"
        return doc

    # misaki would fetch the model that tags English. The tags choose between pronunciations, no more.
    nlp = spacy.blank("en")
    nlp.add_pipe("all_nouns")
    spacy.util.is_package = lambda _: True
    spacy.load = lambda *_, **__: nlp
    from kokoro import KModel, KPipeline

    repository = "hexgrad/Kokoro-82M"
    config, weights = str(folder / "config.json"), str(folder / "kokoro-v1_0.pth")
    model = KModel(repo_id=repository, config=config, model=weights).eval()
    pipeline = KPipeline("a", repo_id=repository, model=model)
    voice = str(folder / "voices" / "af_heart.pt")
    list(pipeline("Hello there, this is the first time.", voice=voice))
    print("ready", flush=True)
    for line in sys.stdin:
        begun, cpu, first, samples = time.perf_counter(), time.process_time(), 0.0, 0
        for text in json.loads(line):
            for part in pipeline(text, voice=voice):
                samples += len(part.audio)
                first = first or time.perf_counter() - begun
        took = [first, time.perf_counter() - begun, time.process_time() - cpu, samples / RATE]
        print(json.dumps(took), flush=True)


@dataclass
class Took:
    """Seconds: to the first sound, to the last, of processor time; and of sound."""

    first: float
    whole: float
    cpu: float
    sound: float


class Package:
    """The package's process."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "bench.kokoro", "--stock", str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read("ready")

    def _read(self, begin: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(begin):
                return line
        raise SystemExit("the package's process ended")

    def speak(self, texts: list[str]) -> Took:
        """One text after the other: the pipeline has no other way, and two at once only slow each other."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(texts) + "\n")
        self._process.stdin.flush()
        return Took(*json.loads(self._read("[")))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


# The gateway.


class Gateway:
    """The gateway's process."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder = tempfile.TemporaryDirectory()
        config = Path(self._folder.name) / "config.yaml"
        entry = f"{{model: local/kokoro-82m, path: {folder}, queue_size: 100}}"
        config.write_text(f"model_list:\n  - model_name: kokoro\n    litellm_params: {entry}\n")
        command = [sys.executable, "-m", "gateway", "serve", "-c", str(config), "--port", str(self.port)]
        self._log = (Path(self._folder.name) / "log").open("w+")
        environment = os.environ | {"MEDIA_GATEWAY_DATA_DIR": self._folder.name}
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, cwd=self._folder.name, env=environment
        )
        self._wait()

    def _wait(self) -> None:
        for _ in range(600):
            if self._process.poll() is not None:
                raise SystemExit("the gateway did not start:\n" + Path(self._log.name).read_text())
            try:
                self.speak("Hello there, this is the first time.")
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise SystemExit("the gateway is not ready")

    def note(self) -> str:
        """Which decoder it chose."""
        lines = Path(self._log.name).read_text().splitlines()
        return next((line for line in lines if "decode" in line), "")

    def _cpu(self) -> float:
        ticks = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")

    def speak(self, text: str, leave: Callable[[], bool] = lambda: False) -> Took:
        """Ask for ``text``; ``leave`` is asked after each read whether to hang up."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=900)
        cpu, begun, first, size = self._cpu(), time.perf_counter(), 0.0, 0
        body = json.dumps({"model": "kokoro", "input": text, "voice": "af_heart", "response_format": "pcm"})
        connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"{answer.status} {answer.read().decode()}")
        while part := answer.read1(65_536):
            size += len(part)
            first = first or time.perf_counter() - begun
            if leave():
                break
        connection.close()
        return Took(first, time.perf_counter() - begun, self._cpu() - cpu, size / (2 * RATE))

    def speak_all(self, texts: list[str], leave: Callable[[], bool] = lambda: False) -> list[Took]:
        """At once. The processor time of each is that of all."""
        took: dict[int, Took] = {}
        threads = [
            threading.Thread(target=lambda i=i, text=text: took.update({i: self.speak(text, leave)}))
            for i, text in enumerate(texts)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [took[i] for i in range(len(texts))]

    @contextmanager
    def probed(self) -> Iterator[list[float]]:
        """How long ``/livez`` takes, a look every 10 ms."""
        seconds: list[float] = []
        ended = threading.Event()

        def look() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            while not ended.wait(0.01):
                begun = time.perf_counter()
                connection.request("GET", "/livez")
                connection.getresponse().read()
                seconds.append(time.perf_counter() - begun)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield seconds
        finally:
            ended.set()
            thread.join()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        self._log.close()
        self._folder.cleanup()


# The figures.


@dataclass
class Figures:
    """What was measured, by name."""

    units: dict[str, str] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str) -> None:
        """One measurement more."""
        self.units[name] = unit
        self.values.setdefault(name, []).append(value)

    def found(self) -> dict[str, dict[str, Any]]:
        """Median, least and most of each."""
        return {
            name: {
                "value": round(statistics.median(values), 4),
                "unit": self.units[name],
                "spread": [round(min(values), 4), round(max(values), 4)],
            }
            for name, values in self.values.items()
        }


def one_round(package: Package, gateway: Gateway, figures: Figures, characters: int) -> None:
    """Everything once."""
    add = figures.add
    long, sentences = text_of(characters), [SENTENCES[i % 5] for i in range(12)]

    with gateway.probed() as looks:
        time.sleep(3)
    add("/livez of an idle gateway, p99", 1000 * statistics.quantiles(looks, n=100)[98], "ms")
    theirs = package.speak([long])
    with gateway.probed() as looks:
        ours = gateway.speak(long)
        add("long text, package", theirs.sound / theirs.whole, "x real time")
        add("long text, gateway", ours.sound / ours.whole, "x real time")
        add("long text, gateway : package", ours.sound / ours.whole * theirs.whole / theirs.sound, "x")
        add("long text, by processor time", ours.sound / ours.cpu * theirs.cpu / theirs.sound, "x")
        add("first audio of it, package", theirs.first, "s")
        add("first audio of it, gateway", ours.first, "s")
        add("first audio of it, package : gateway", theirs.first / ours.first, "x")

        begun, cpu = time.perf_counter(), gateway._cpu()
        all_of_them = gateway.speak_all(sentences)
        whole, cpu = time.perf_counter() - begun, gateway._cpu() - cpu
        sound = sum(each.sound for each in all_of_them)
    theirs = package.speak(sentences)
    add("twelve sentences, package", theirs.sound / theirs.whole, "x real time")
    add("twelve sentences, gateway", sound / whole, "x real time")
    add("twelve sentences, gateway : package", sound / whole * theirs.whole / theirs.sound, "x")
    add("twelve sentences, by processor time", sound / cpu * theirs.cpu / theirs.sound, "x")
    add("/livez meanwhile, p50", 1000 * statistics.median(looks), "ms")
    add("/livez meanwhile, p99", 1000 * statistics.quantiles(looks, n=100)[98], "ms")
    add("/livez meanwhile, most", 1000 * max(looks), "ms")
    for _ in range(3):
        crowd(gateway, figures)


def crowd(gateway: Gateway, figures: Figures) -> None:
    """What others mean for a short text."""
    alone = gateway.speak(SENTENCES[1])
    figures.add("one sentence alone, first audio", alone.first, "s")
    heard = threading.Event()
    lengths = [1500, 300, 900, 600, 2000, 0, 1200, 400, 800, 500]
    texts = [text_of(length) if length else SENTENCES[1] for length in lengths]
    shortest = []

    def first_of_ten() -> None:
        shortest.append(gateway.speak(SENTENCES[1]).first)
        heard.set()

    others = threading.Thread(target=lambda: gateway.speak_all([t for t in texts if t != SENTENCES[1]], heard.is_set))
    short = threading.Thread(target=first_of_ten)
    for thread in (others, short):
        thread.start()
    for thread in (others, short):
        thread.join()
    figures.add("shortest of ten at once, first audio", shortest[0], "s")
    figures.add("shortest of ten at once : alone", shortest[0] / alone.first, "x")

    heard.clear()
    behind = " ".join(SENTENCES * 3)
    long = threading.Thread(target=lambda: gateway.speak(behind, heard.is_set))
    long.start()
    time.sleep(0.3)
    figures.add("one sentence behind fifteen, first audio", gateway.speak(SENTENCES[1]).first, "s")
    heard.set()
    long.join()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--characters", type=int, default=4000)
    parser.add_argument("--weights", type=Path, default=Path(tempfile.gettempdir()) / "kokoro-bench-weights")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--stock", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stock:
        stock(options.stock)
        return
    if not (options.weights / "voices" / "af_heart.pt").exists():
        maker = "from pathlib import Path; import sys; from tests.engines.kokoro_weights import make_weights; "
        maker += "make_weights(Path(sys.argv[1]), ('af_heart',), full=True)"
        subprocess.run([sys.executable, "-c", maker, str(options.weights)], check=True)
    figures = Figures()
    gateway = Gateway(options.weights)
    package = Package(options.weights)
    try:
        print(gateway.note())
        for number in range(options.rounds):
            one_round(package, gateway, figures, options.characters)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    finally:
        package.close()
        gateway.close()
    print("| | median | least – most |\n|---|---|---|")
    for name, each in figures.found().items():
        low, high = each["spread"]
        print(f"| {name} | {each['value']:.3g} {each['unit']} | {low:.3g} – {high:.3g} |")
    if options.json:
        options.json.write_text(json.dumps(figures.found(), indent=1) + "\n")


if __name__ == "__main__":
    main()
