"""The command line as a user runs it: a process, its output and its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.version import __version__
from tests.conftest import ESPEAK
from tests.sound import hear

ROOT = Path(__file__).parent.parent.parent
ENV = {name: value for name, value in os.environ.items() if not name.startswith(("MEDIA_GATEWAY", "LITELLM"))}
DATA = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # one server at a time
ENV["MEDIA_GATEWAY_DATA_DIR"] = DATA.name


def run(*args: str, stdin: bytes = b"", cwd: Path | None = None, env: dict[str, str] | None = None):
    command = [sys.executable, "-m", "gateway", *args]
    path = {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, input=stdin, capture_output=True, cwd=cwd, env=ENV | path | (env or {}), timeout=60, check=False
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(ESPEAK)
    return path


def test_version() -> None:
    assert run("version").stdout.decode().strip() == __version__


def test_a_good_config_is_shown_resolved(config: Path) -> None:
    done = run("check", str(config))
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert ["espeak", "local", "local/espeak", "audio_speech"] in rows
    assert ["tts-1", "", "-> absent", "alias"] in rows


def test_the_example_is_good() -> None:
    done = run("check", str(ROOT / "config.example.yaml"))
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_bad_config_is_refused_with_every_fault() -> None:
    faulty = ROOT / "tests" / "config" / "faulty.yaml"
    done = run("check", str(faulty))
    assert (done.returncode, done.stdout) == (1, b"")
    lines = [line for line in done.stderr.decode().splitlines() if ": error: " in line]
    assert len(lines) >= 30
    assert all(re.match(rf"{re.escape(str(faulty))}:\d+:\d+: error: ", line) for line in lines)
    assert run("serve", "-c", str(faulty)).returncode == 1
    missing = run("check", "nowhere.yaml")
    assert missing.returncode == 1
    assert b"nowhere.yaml" in missing.stderr


def test_the_usual_config_is_the_one_in_this_folder_else_the_example(config: Path, tmp_path: Path) -> None:
    assert b"lenient" in run("models", cwd=config.parent).stdout
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run("models", cwd=empty)
    assert b"kokoro-82m" in done.stdout
    assert b"config.example.yaml" in done.stderr
    assert b"lenient" in run("models", cwd=empty, env={"MEDIA_GATEWAY_CONFIG": str(config)}).stdout


def test_models(config: Path) -> None:
    rows = json.loads(run("models", "-c", str(config), "--json").stdout)
    by_model = {row["model"]: row for row in rows}
    assert by_model["espeak"]["state"] == "idle"
    assert by_model["absent"]["state"] == "unavailable"
    assert by_model["absent"]["fallback"] == "espeak"


def test_voices(config: Path) -> None:
    every = run("voices", "-c", str(config)).stdout.decode()
    assert "af_heart\t" in every
    some = json.loads(run("voices", "-c", str(config), "-m", "espeak", "--json").stdout)
    assert {"pt-br", "alloy"} <= {row["voice"] for row in some}
    wrong = run("voices", "-c", str(config), "-m", "espeek")
    assert (wrong.returncode, wrong.stdout) == (1, b"")
    assert b"Did you mean 'espeak'" in wrong.stderr


def test_say_writes_a_file_in_the_format_of_its_name(config: Path, tmp_path: Path) -> None:
    for wished in ("mp3", "opus", "aac", "flac", "wav", "pcm"):
        out = tmp_path / f"out.{wished}"
        done = run("say", "Hello there, whoever you are.", "-c", str(config), "-o", str(out))
        assert (done.returncode, done.stdout) == (0, b""), done.stderr
        assert 1 < hear(out.read_bytes(), wished).seconds < 5
    wav = (tmp_path / "out.wav").read_bytes()
    assert int.from_bytes(wav[40:44], "little") == len(wav) - 44  # a file knows its length


def test_say_is_a_filter(config: Path) -> None:
    done = run("say", "-c", str(config), "-f", "flac", "-v", "fr", "-m", "espeak", stdin="Bonjour à tous.".encode())
    assert done.returncode == 0, done.stderr
    assert hear(done.stdout, "flac").seconds > 0.5
    fast = run(
        "say", "-", "-c", str(config), "-f", "flac", "-v", "fr", "--speed", "3", stdin="Bonjour à tous.".encode()
    )
    assert hear(fast.stdout, "flac").seconds < hear(done.stdout, "flac").seconds / 2


def test_say_to_a_reader_who_leaves(config: Path) -> None:
    command = [sys.executable, "-m", "gateway", "say", "-c", str(config), "-f", "pcm"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENV | {"PYTHONPATH": str(ROOT)},
    )
    process.stdout.close()
    _, errors = process.communicate(b"Hello there. " * 300, timeout=60)
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (("say", "  "), 2, "nothing to say"),
        (("say", "x", "-f", "ogg"), 2, "choose from mp3, opus"),
        (("say", "x", "-m", "nope"), 1, "does not exist"),
        (("say", "x", "-v", "nobody"), 1, "unknown voice"),
        (("say", "x", "-o", "/nowhere/at/all.mp3"), 1, "No such file"),
        (("say", "x", "--speed", "9"), 2, "--speed"),
        (("pull", "espeak"), 2, "nothing to download"),
        (("frobnicate",), 2, "No such command"),
        (("serve", "--host", "0.0.0.0", "--port", "0"), 1, "refusing to listen on 0.0.0.0"),
        (("serve", "--host", "example.org", "--port", "0"), 1, "refusing to listen"),
    ],
)
def test_what_cannot_be_done(config: Path, args: tuple[str, ...], code: int, text: str) -> None:
    done = run(*args, cwd=config.parent)
    assert done.returncode == code, done.stderr
    assert text in done.stderr.decode()
    assert b"Traceback" not in done.stderr


@contextmanager
def served(
    *args: str, cwd: Path, env: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """A server process, its address, and the lines that it printed until then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--port", "0", *args],
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=ENV | {"PYTHONPATH": str(ROOT)} | (env or {}),
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(r"listening on (http://\S+)", line):
            break
    try:
        assert found, lines
        yield process, found[1].replace("0.0.0.0", "127.0.0.1"), lines
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_serve_says_what_is_ready_and_why_not_and_ends_politely(config: Path) -> None:
    with served(cwd=config.parent) as (process, base, lines):
        text = "".join(lines)
        assert "whoever reaches 127.0.0.1" in text
        assert re.search(r"absent \(local\): unavailable: .*media-gateway.* espeak answers", text)
        assert "espeak (local): " in text
        body = {"model": "espeak", "voice": "alloy", "input": "Hello.", "response_format": "wav"}
        assert httpx.post(f"{base}/v1/audio/speech", json=body).content[:4] == b"RIFF"
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "POST /v1/audio/speech 200" in rest
        assert "Hello" not in rest


def test_serve_on_every_address_needs_a_key_or_a_word(config: Path) -> None:
    with served("--host", "0.0.0.0", cwd=config.parent, env={"MEDIA_GATEWAY_MASTER_KEY": "sk-for-this-test"}) as (
        _,
        base,
        lines,
    ):
        assert httpx.get(f"{base}/v1/models").status_code == 401
        assert httpx.get(f"{base}/v1/models", headers={"api-key": "sk-for-this-test"}).status_code == 200
        assert "sk-for-this-test" not in "".join(lines)
    with served("--host", "0.0.0.0", "--no-auth", cwd=config.parent) as (_, base, _lines):
        assert httpx.get(f"{base}/v1/models").status_code == 200


def test_a_port_that_is_taken(config: Path) -> None:
    with served(cwd=config.parent) as (_, base, _lines):
        other = {"MEDIA_GATEWAY_DATA_DIR": str(config.parent / "other")}
        done = run("serve", "--port", base.rpartition(":")[2], cwd=config.parent, env=other)
    assert done.returncode == 1
    assert b"address already in use" in done.stderr
