"""Pulling Kokoro from a hub that answers on a real socket as huggingface.co does, faults included."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engines.errors import EngineUnavailable
from engines.kokoro import KokoroEngine
from engines.speech import Utterance
from providers.base.errors import PullError
from providers.local import pull
from providers.local.pull import pull_kokoro
from tests.engines.kokoro_weights import make_weights

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 13), reason="the kokoro package needs Python below 3.13")

COMMIT = "c0ffee" + "0" * 34
NAME = "hexgrad/Kokoro-82M"


class Hub:
    """The repository's files, what was asked for, and what goes wrong: ``damage`` names a file that is served with one
    byte changed, ``cut`` one whose first answer breaks off half-way, ``status`` is the answer to everything."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[tuple[str, str, str]] = []
        self.damage = self.cut = ""
        self.status = 200
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                hub.answer(self)

            def do_GET(self) -> None:
                hub.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def gets(self, name: str) -> list[str]:
        """The ``Range`` of each GET of a file."""
        return [bytes_ for method, path, bytes_ in self.asked if method == "GET" and path.endswith(f"main/{name}")]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, _, query = request.path.partition("?")
        bytes_ = request.headers.get("Range", "")
        self.asked.append((request.command, path, bytes_))
        if self.status != 200:
            send(request, self.status, {"X-Error-Message": "the hub is being mended"})
        elif path == f"/api/models/{NAME}" and "blobs=" in query:
            siblings = [listed(name, content) for name, content in self.files.items()]
            body = json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings, "tags": []}).encode()
            send(request, 200, {"Content-Type": "application/json"}, body)
        elif (name := path.removeprefix(f"/{NAME}/resolve/main/")) in self.files:
            self.send_file(request, name, int(bytes_[len("bytes=") :].rstrip("-") or 0))
        else:
            send(request, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})

    def send_file(self, request: BaseHTTPRequestHandler, name: str, start: int) -> None:
        whole = self.files[name]
        headers = {"ETag": f'"{etag(name, whole)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if name == self.damage:
            whole = whole[:-1] + bytes([whole[-1] ^ 1])
        body = whole[start:]
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        cut = name == self.cut and request.command == "GET"
        if cut:
            self.cut = ""
        send(request, 206 if start else 200, headers, body, sent=len(body) // 2 if cut else len(body))


def send(
    request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes = b"", sent: int | None = None
) -> None:
    request.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(body[:sent])


def etag(name: str, content: bytes) -> str:
    if name.endswith((".pt", ".pth")):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def listed(name: str, content: bytes) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": etag("as text", content)}
    if name.endswith((".pt", ".pth")):
        sibling["lfs"] = {"size": len(content), "sha256": etag(name, content), "pointerSize": 134}
    return sibling


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("hub")
    make_weights(folder, ("af_heart", "bm_george"))
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {**found, "README.md": b"# Kokoro", "voices/readme.txt": b"not a voice", "voices/../../up.pt": b"no"}


@pytest.fixture
def hub(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pull, "WEIGHTS_SHA256", hashlib.sha256(files["kokoro-v1_0.pth"]).hexdigest())
    monkeypatch.setattr(pull, "_add_spacy_model", lambda report: None)
    hub = Hub(files)
    yield hub
    hub.close()


def fetch(hub: Hub, folder: Path | None = None, voices: list[str] | None = None) -> tuple[Path, list[str]]:
    lines: list[str] = []
    return pull_kokoro(folder=folder, endpoint=hub.url, voices=voices, report=lines.append), lines


def test_into_the_cache_from_which_the_engine_loads(hub: Hub, files: dict[str, bytes]) -> None:
    with pytest.raises(EngineUnavailable):
        KokoroEngine().probe()
    root, lines = fetch(hub)
    for name in ("config.json", "kokoro-v1_0.pth", "voices/af_heart.pt", "voices/bm_george.pt"):
        assert (root / name).read_bytes() == files[name]
    assert not (root / "README.md").exists()
    assert lines[0].startswith("hexgrad/Kokoro-82M: 4 files")
    assert [line.split(":")[0] for line in lines[1:]] == [
        "1/4 config.json",
        "2/4 kokoro-v1_0.pth",
        "3/4 voices/af_heart.pt",
        "4/4 voices/bm_george.pt",
    ]
    engine = KokoroEngine(threads=1)
    engine.load()
    assert len(list(engine.speak(Utterance("Hello.", "bm_george")))) == 1


def test_into_a_folder_from_which_the_engine_loads(hub: Hub, tmp_path: Path) -> None:
    root, _ = fetch(hub, tmp_path / "here", ["bm_george"])
    assert root == tmp_path / "here"
    assert [path.name for path in (root / "voices").iterdir()] == ["bm_george.pt"]
    KokoroEngine(folder=root).probe()
    assert not (tmp_path / "cache").exists()


def test_what_is_there_is_not_fetched_again(hub: Hub) -> None:
    fetch(hub)
    fetch(hub)
    assert len(hub.gets("kokoro-v1_0.pth")) == 1


def test_a_transfer_that_breaks_off_is_resumed(
    hub: Hub, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # it keeps whole chunks: of 10 MB
    hub.cut = "kokoro-v1_0.pth"
    root, _ = fetch(hub)
    assert (root / "kokoro-v1_0.pth").read_bytes() == files["kokoro-v1_0.pth"]
    first, second = hub.gets("kokoro-v1_0.pth")
    half = len(files["kokoro-v1_0.pth"]) // 2
    assert first == ""
    assert half - 1000 < int(second.removeprefix("bytes=").removesuffix("-")) <= half


@pytest.mark.parametrize("name", ["config.json", "kokoro-v1_0.pth", "voices/af_heart.pt"])
@pytest.mark.parametrize("into", ["cache", "folder"])
def test_a_damaged_file_is_deleted_and_named(hub: Hub, tmp_path: Path, name: str, into: str) -> None:
    folder = tmp_path / "folder" if into == "folder" else None
    hub.damage = name
    with pytest.raises(PullError, match=f"{name} is damaged"):
        fetch(hub, folder)
    assert not [path for path in (tmp_path / into).rglob(Path(name).name) if path.is_symlink() or path.is_file()]
    hub.damage = ""
    root, _ = fetch(hub, folder)
    KokoroEngine(folder=root).probe()


def test_a_file_that_rotted_on_disk_is_found(hub: Hub) -> None:
    root, _ = fetch(hub)
    (root / "kokoro-v1_0.pth").resolve().write_bytes(b"rot")
    with pytest.raises(PullError, match=r"kokoro-v1_0\.pth is damaged"):
        fetch(hub)
    fetch(hub)


def test_weights_that_are_not_the_release_are_not_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(PullError, match="not the published release"):
        fetch(hub)
    assert hub.gets("kokoro-v1_0.pth") == []


@pytest.mark.parametrize("voice", ["af_nobody", "../../up", "readme"])
def test_a_voice_that_the_repository_lacks(hub: Hub, voice: str) -> None:
    with pytest.raises(PullError, match="It has: af_heart, bm_george"):
        fetch(hub, voices=[voice])


def test_a_repository_without_weights(hub: Hub, files: dict[str, bytes]) -> None:
    hub.files = {"config.json": files["config.json"]}
    with pytest.raises(PullError, match=r"has no kokoro-v1_0\.pth"):
        fetch(hub)


def test_nobody_answers(hub: Hub) -> None:
    with pytest.raises(PullError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        pull_kokoro(folder=None, endpoint="http://127.0.0.1:9/", voices=None, report=print)


def test_the_hub_goes_away_between_two_files(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    def gone(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("An error happened while trying to locate the file") from OSError("no route")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", gone)
    with pytest.raises(PullError, match="cannot be reached: no route"):
        fetch(hub)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_the_hub_refuses(hub: Hub, status: int) -> None:
    hub.status = status
    with pytest.raises(PullError, match=f"answered {status}: .*the hub is being mended"):
        fetch(hub)


def test_something_else_than_a_hub_answers(hub: Hub) -> None:
    hub.files = {}
    with pytest.raises(PullError, match="has no config.json and no"):
        fetch(hub)
    with pytest.raises(PullError, match="must begin with https"):
        pull_kokoro(folder=None, endpoint="huggingface.example", voices=None, report=print)


def test_an_answer_that_is_not_json(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "dumps", lambda *_: "<html>a page to log in</html>")
    with pytest.raises(PullError, match="does not answer as the Hugging Face hub does"):
        fetch(hub)


@pytest.mark.parametrize(
    ("error", "said"),
    [(OSError(errno.ENOSPC, "No space left on device"), "The disk is full"), (PermissionError("no"), "failed: no")],
)
def test_the_disk_refuses(hub: Hub, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(PullError, match=said):
        fetch(hub)


def test_offline_by_choice(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PullError, match="HF_HUB_OFFLINE"):
        fetch(hub)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PullError, match="pip install"):
        pull_kokoro(folder=None, endpoint=None, voices=None, report=print)


# spaCy's English model.


def spacy_step(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> list[str]:
    """What is reported when the command that installs it ends with ``outcome``."""

    def run(command: list[str], **_: object) -> Any:
        assert command[1:] == ["-m", "spacy", "download", "en_core_web_sm"]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(subprocess, "run", run)
    lines: list[str] = []
    pull._add_spacy_model(lines.append)
    return lines


def test_spacy_installs_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = spacy_step(monkeypatch, SimpleNamespace(returncode=0))
    assert lines[-1] == "en_core_web_sm is installed"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (SimpleNamespace(returncode=1, stderr="Traceback\nno network\n", stdout=""), "(no network)"),
        (SimpleNamespace(returncode=2, stderr="", stdout=""), "(exit status 2)"),
        (subprocess.TimeoutExpired("spacy", 600), "timed out"),
        (PermissionError("no"), "(no)"),
    ],
)
def test_spacy_failing_is_a_warning(monkeypatch: pytest.MonkeyPatch, outcome: Any, reason: str) -> None:
    lines = spacy_step(monkeypatch, outcome)
    assert lines[-1].startswith("warning: en_core_web_sm was not installed")
    assert reason in lines[-1]


def test_spacy_is_left_alone_where_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    unused = AssertionError("nothing is to be run")
    with monkeypatch.context() as patched:
        patched.setattr("importlib.metadata.distribution", lambda name: object())
        assert spacy_step(patched, unused) == ["en_core_web_sm is installed"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert spacy_step(monkeypatch, unused) == []
