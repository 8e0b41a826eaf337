"""Secrets and prompts with a mark, on every route and into every fault: the mark is nowhere that others look."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from gateway.config import parse_config
from gateway.telemetry.logs import Sink, as_json, as_text
from gateway.telemetry.redaction import Redactor, secrets_of
from tests.serving import Running, serving
from tests.telemetry.collector import Collector, collecting
from tests.upstreams import runway as upstream
from tests.upstreams.runway import Runway

MASTER = "sk-CANARYsecretmaster0001"
VENDOR = "key_CANARYsecretvendor0002" + "ab" * 51
VIRTUAL = "sk-CANARYsecretvirtual0003"
WEBHOOK = "whsec_" + base64.b64encode(b"CANARYsecretwebhook0004-123456").decode()
SECRETS = (MASTER, VENDOR, VIRTUAL, WEBHOOK, "CANARYsecret")
PROMPT = "CANARYprompt"

CONFIG = f"""
model_list:
  - {{model_name: runway, params: {{model: runwayml/gen4_image, api_key: {VENDOR}, api_base: "BASE"}}}}
  - {{model_name: film, params: {{model: sandbox/video, seconds: 0, poll_interval: 0.02}}}}
  - {{model_name: picture, params: {{model: sandbox/image, seconds: 0, poll_interval: 0.02}}}}
  - {{model_name: bad-picture, params: {{model: sandbox/image-fails, seconds: 0, poll_interval: 0.02}}}}
  - {{model_name: voice, params: {{model: sandbox/speech, seconds: 0, poll_interval: 0.02}}}}
  - {{model_name: ok, params: {{model: scripted/ok}}}}
  - {{model_name: crash, params: {{model: scripted/crash}}}}
  - {{model_name: midway, params: {{model: scripted/breaks-midway}}}}
  - {{model_name: first, params: {{model: scripted/breaks-first}}}}
litellm_settings:
  fallbacks: [{{first: [ok]}}]
  callbacks: [watcher.Watcher]
guardrails:
  - guardrail_name: breaks
    litellm_params: {{guardrail: watcher.breaks, mode: pre_call}}
general_settings:
  master_key: {MASTER}
  data_dir: "DATA"
  webhook_url: http://127.0.0.1:9/hook
  webhook_secret: {WEBHOOK}
  egress_allow: [127.0.0.1]
"""
WATCHER = f"""
MARK = "{PROMPT}"
class Watcher:
    async def async_log_success_event(self, **told):
        if MARK not in repr(told):
            raise RuntimeError(MARK)
    async_log_failure_event = async_log_success_event
def breaks(text):
    raise ValueError(text)
"""


@contextmanager
def logging_to(*sinks: Sink) -> Iterator[None]:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    for sink in sinks:
        root.addHandler(sink)
    try:
        yield
    finally:
        root.setLevel(before)
        for sink in sinks:
            root.removeHandler(sink)
            sink.close()


def everything(client: httpx.Client, runway: Runway) -> list[httpx.Response]:
    """Every route, with prompts where they may stand and where they may not."""
    answers = []

    def post(path: str, **body: object) -> httpx.Response:
        answers.append(client.post(path, json=body))
        return answers[-1]

    speech = {"input": f"{PROMPT} spoken", "voice": "v"}
    for model in ("ok", "voice", "crash", "first", "no-such"):
        post("/v1/audio/speech", model=model, **speech, instructions=f"{PROMPT} instructed")
    post("/v1/audio/speech", model="ok", voice="v", input=f"{PROMPT} sse", stream_format="sse", response_format="pcm")
    with pytest.raises(httpx.RemoteProtocolError):
        post("/v1/audio/speech", model="midway", **speech)
    post("/v1/audio/speech", model="ok", voice=5, input=[f"{PROMPT} listed"])
    post("/v1/audio/speech", model="ok", **speech, speed=f"{PROMPT} speed", guardrails=["breaks"])
    post("/v1/audio/speech", model="ok", **speech, guardrails=["breaks"])
    answers.append(client.post("/v1/audio/speech", content=f'{{"input": "{PROMPT} broken'))
    runway.next(upstream.invalid({"message": f"promptText: '{PROMPT} quoted' is not allowed", "path": ["promptText"]}))
    post("/v1/images/generations", model="runway", prompt=f"{PROMPT} refused")
    runway.next(upstream.Fault(500, {"error": f"cannot do '{PROMPT} quoted' with {VENDOR}"}))
    post("/v1/images/generations", model="runway", prompt=f"{PROMPT} down")
    runway.next(upstream.fails("SAFETY.INPUT.TEXT"))
    for model in ("picture", "bad-picture", "runway"):
        post("/v1/images/generations", model=model, prompt=f"{PROMPT} painted")
    post("/v1/images/generations", model="picture", prompt={"text": f"{PROMPT} nested"})
    dot = io.BytesIO()
    Image.new("RGB", (8, 8)).save(dot, "png")
    form = {"model": "picture", "prompt": f"{PROMPT} edited"}
    answers.append(client.post("/v1/images/edits", data=form, files={"image": ("a.png", dot.getvalue())}))
    answers.append(client.post("/v1/images/edits", data=form, files={"image": ("a.png", PROMPT.encode())}))
    post("/v1/images/variations", prompt=PROMPT)
    video = post("/v1/videos", model="film", prompt=f"{PROMPT} filmed").json()["id"]
    post("/v1/videos", model="film", prompt=f"{PROMPT} filmed", seconds=f"{PROMPT} s")
    for _ in range(200):
        if client.get(f"/v1/videos/{video}").json()["status"] == "completed":
            break
    post(f"/v1/videos/{video}/remix", prompt=f"{PROMPT} again")
    post(f"/v1/videos/{video}/remix", prompt=[f"{PROMPT} again"])
    for path in ("/v1/videos/edits", "/v1/videos/extensions", "/v1/videos/characters"):
        post(path, prompt=f"{PROMPT} more", video={"id": video})
    answers.append(client.get(f"/v1/videos/{video}/content"))
    answers.append(client.delete(f"/v1/videos/{video}"))
    answers += [client.get(path) for path in ("/v1/models", "/v1/videos", "/v1/audio/voices", "/v1/nothing")]
    return answers


def keys_astray(base: str) -> list[httpx.Response]:
    """Keys where they do not belong, and wrong ones."""
    wrong = {"authorization": f"Bearer {VIRTUAL}", "user-agent": f"a/1 {VIRTUAL}", "x-request-id": VIRTUAL}
    right = {"authorization": f"Bearer {MASTER}"}
    body = {"model": VIRTUAL, "input": "x", "voice": "v"}
    return [
        httpx.get(f"{base}/v1/models", headers={**wrong, "x-request-id": "w"}),
        httpx.get(f"{base}/v1/models", headers={"x-api-key": VIRTUAL}),
        httpx.get(f"{base}/v1/models?api_key={MASTER}"),
        httpx.get(f"{base}/v1/videos/{VIRTUAL}/content", headers={"x-api-key": VIRTUAL}),
        httpx.post(f"{base}/v1/audio/speech", headers=right, json={**body, "model": "no-such"}),
    ]


def test_no_mark_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "watcher.py").write_text(WATCHER)
    logs = io.StringIO()
    with collecting() as collector, Runway(seconds=0, key=VENDOR) as runway:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        text = CONFIG.replace("BASE", runway.base).replace("DATA", str(tmp_path / "data"))
        config = parse_config(text, tmp_path / "config.yaml")
        redact = Redactor(secrets_of(config))
        sinks = [Sink(logs, render, redact=redact) for render in (as_text, as_json)]
        with logging_to(*sinks), serving(config) as server:
            errors, seen, key = visited(server, runway)
        check(logs.getvalue(), errors, seen, collector, key)
    kept = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert {"jobs.sqlite", "keys.sqlite", "ledger.sqlite"} <= {path.name for path in kept}
    for path in kept:
        found = [secret for secret in (*SECRETS, key) if secret.encode() in path.read_bytes()]
        assert not found, f"{path.name}: {found}"


SEEN = ("/metrics", "/readyz?verbose", "/health/readiness?verbose=1", "/livez", "/health", "/model/info", "/key/list")
SEEN += ("/spend/logs", "/spend/keys")


def made_key(client: httpx.Client) -> str:
    """A virtual key that works, used and misused once."""
    key = client.post("/key/generate", json={"key_alias": "canary", "models": ["ok"]}).json()["key"]
    own = {"authorization": f"Bearer {key}"}
    for model in ("ok", "voice"):
        client.post("/v1/audio/speech", json={"model": model, "input": PROMPT, "voice": "v"}, headers=own)
    client.get("/key/info", params={"key": key}, headers=own)
    return str(key)


def visited(server: Running, runway: Runway) -> tuple[list[httpx.Response], dict[str, str], str]:
    headers = {"authorization": f"Bearer {MASTER}"}
    with httpx.Client(base_url=server.base, headers=headers, timeout=30) as client:
        key = made_key(client)
        answers = everything(client, runway) + keys_astray(server.base)
        seen = {path: client.get(path).text for path in SEEN}
    assert {200, 400, 401, 404, 500} <= {answer.status_code for answer in answers}
    assert any(f"{PROMPT} quoted" in answer.text for answer in answers)  # a vendor's words reach the caller
    return [answer for answer in answers if answer.status_code >= 400], seen, key


def check(logs: str, errors: list[httpx.Response], seen: dict[str, str], collector: Collector, key: str) -> None:
    secrets = (*SECRETS, key)
    traces = b"".join(collector.raw).decode("latin-1")
    # That each of them was there to be looked at.
    assert logs.count("gateway.access") > 30
    assert "the callback watcher.Watcher failed: RuntimeError" in logs
    assert "ValueError at watcher.py" in logs
    assert len(collector.spans) > 30
    assert "litellm_proxy_failed_requests_metric_total" in seen["/metrics"]
    for name, text in {"logs": logs, "traces": traces, **seen}.items():
        marks = [mark for mark in (PROMPT, *secrets) if mark in text]
        assert not marks, f"{name}: {marks} in {next(line for line in text.splitlines() if marks[0] in line)}"
    for answer in errors:
        told = answer.text + json.dumps(dict(answer.headers))
        assert not [secret for secret in secrets if secret in told], answer.request.url
