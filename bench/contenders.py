"""Who is measured: the upstream itself, nginx, this gateway with everything on, LiteLLM's proxy and Portkey's gateway.

The last two are installed by ``install`` into ``.bench/``, which git ignores; what is not there is left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.processes import ROOT, Cores, Process, Start, free_port, start
from bench.upstreams import Upstream, nginx

INSTALLED = ROOT / ".bench"
_LITELLM = INSTALLED / "litellm/bin/litellm"
_PORTKEY = INSTALLED / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
_MASTER = "sk-for-the-bench-only"

_MODELS = """
model_list:
  - {{model_name: tts-1, litellm_params: {{model: openai/tts-1, api_base: "{fast}/v1", api_key: sk-none}}}}
  - {{model_name: tts-1, litellm_params: {{model: openai/tts-1, api_base: "{fast}/v1", api_key: sk-two}}}}
  - model_name: dall-e-3
    litellm_params: {{model: openai/dall-e-3, api_base: "{fast}/v1", api_key: sk-none}}
    model_info: {{mode: image_generation, output_cost_per_image: 0.000001}}
  - model_name: by-url
    litellm_params: {{model: openai/dall-e-3, api_base: "{fast}/urls/v1", api_key: sk-none}}
    model_info: {{mode: image_generation, output_cost_per_image: 0.000001}}
  - {{model_name: paced, litellm_params: {{model: openai/tts-1, api_base: "{paced}/v1", api_key: sk-none}}}}
"""
_OURS = (
    _MODELS
    + """
router_settings: {{routing_strategy: latency-based-routing, num_retries: 2, fallbacks: [{{tts-1: [paced]}}]}}
litellm_settings: {{max_budget: 100000, max_end_user_budget: 100000}}
general_settings: {{data_dir: {folder}/data, master_key: {master}, max_connections: 10000}}
"""
)
_LITELLMS = (
    _MODELS
    + """
router_settings: {{routing_strategy: simple-shuffle, num_retries: 2}}
litellm_settings: {{telemetry: false}}
general_settings: {{master_key: {master}}}
"""
)
_PROXY = """
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  upstream fast {{ server {fast}; keepalive 512; keepalive_requests 1000000000; }}
  upstream paced {{ server {paced}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    client_max_body_size 10m;
    location / {{ proxy_pass http://fast; }}
    location /paced/ {{ proxy_pass http://paced/; }}
  }}
"""
PREFIXES = {"tts-1": "", "dall-e-3": "", "by-url": "/urls", "paced": "/paced"}
"""The path before ``/v1`` by which those who do not read bodies find a model's upstream."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One that is up. ``bases`` is where each model is asked, without ``/v1``; ``headers`` what goes with it."""

    name: str
    version: str
    process: Process
    bases: Mapping[str, str]
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where and before what a contender is opened."""

    folder: Path
    upstream: Upstream
    cores: Cores
    stack: ExitStack


def direct(place: Place) -> Contender:
    """The upstream with nobody before it."""
    up = place.upstream
    bases = {model: f"{up.fast}{prefix}" for model, prefix in PREFIXES.items()}
    return Contender("direct", f"upstream: {up.made_of}", up.process, {**bases, "paced": up.paced})


def proxy(place: Place) -> Contender | None:
    """nginx with ``proxy_pass`` and connections that stay open: one worker, no keys, no ledger."""
    if shutil.which("nginx") is None:
        return None
    port = free_port()
    hosts = {"fast": place.upstream.fast[7:], "paced": place.upstream.paced[7:]}
    command = nginx("nginx", _PROXY.format(port=port, **hosts), place.folder)
    base = f"http://127.0.0.1:{port}"
    process = start(Start("nginx", command, f"{base}/asked", place.folder, {}, place.cores.gateway), place.stack)
    told = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    bases = {model: base + prefix for model, prefix in PREFIXES.items()}
    return Contender("nginx", told.strip().rpartition("/")[2], process, bases)


def ours(place: Place, name: str = "ours", tree: Path = ROOT) -> Contender:
    """This gateway, asked with a virtual key: its limits, budgets, routing over two deployments, ledger and metrics."""
    folder = place.folder / name
    folder.mkdir()
    config, port = folder / "config.yaml", free_port()
    config.write_text(our_config(place.upstream, folder))
    command = [sys.executable, "-m", "gateway", "serve", "-c", str(config), "--port", str(port)]
    base = f"http://127.0.0.1:{port}"
    env = {"PYTHONPATH": str(tree)}
    process = start(Start(name, command, f"{base}/readyz", folder, env, place.cores.gateway, tree), place.stack)
    key = virtual_key(base)
    command = [sys.executable, "-c", "from gateway.version import __version__ as v; print(v)"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tree, env={**os.environ, **env})
    return _keyed(name, told.stdout.strip(), process, base, key)


def litellm(place: Place) -> Contender | None:
    """LiteLLM's proxy, one worker; it has no virtual keys without Postgres, so the master key asks."""
    if not _LITELLM.exists():
        return None
    config, port = place.folder / "litellm.yaml", free_port()
    config.write_text(_filled(_LITELLMS, place.upstream, place.folder))
    command = [str(_LITELLM), "--config", str(config), "--port", str(port), "--host", "127.0.0.1", "--num_workers", "1"]
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "PYTHONPATH": "", "LITELLM_TELEMETRY": "0"}
    base = f"http://127.0.0.1:{port}"
    up = Start("litellm", command, f"{base}/health/liveliness", place.folder, env, place.cores.gateway, place.folder)
    process = start(up, place.stack)
    code = "from importlib.metadata import version; print(version('litellm'))"
    told = subprocess.run([str(_LITELLM.parent / "python"), "-c", code], capture_output=True, text=True, check=True)
    return _keyed("litellm", told.stdout.strip(), process, base, _MASTER)


def portkey(place: Place) -> Contender | None:
    """Portkey's gateway: no keys, no ledger; a header says where to."""
    if not _PORTKEY.exists() or shutil.which("node") is None:
        return None
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = ["node", str(_PORTKEY), f"--port={port}", "--headless"]
    env = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    process = start(Start("portkey", command, base, place.folder, env, place.cores.gateway), place.stack)
    hosts = {model: f"{place.upstream.fast}{prefix}/v1" for model, prefix in PREFIXES.items()}
    hosts["paced"] = f"{place.upstream.paced}/v1"
    common = {"x-portkey-provider": "openai", "authorization": "Bearer sk-none"}
    headers = {model: {**common, "x-portkey-custom-host": host} for model, host in hosts.items()}
    version = json.loads((_PORTKEY.parent.parent / "package.json").read_text())["version"]
    return Contender("portkey", version, process, dict.fromkeys(PREFIXES, base), headers)


OPENERS: dict[str, Callable[[Place], Contender | None]] = {
    "direct": direct,
    "nginx": proxy,
    "ours": ours,
    "litellm": litellm,
    "portkey": portkey,
}


def other_tree(path: Path) -> Callable[[Place], Contender]:
    """This gateway from another folder, to compare two versions of it."""
    return partial(ours, name=f"ours@{path.name}", tree=path.resolve())


def install() -> None:
    """LiteLLM's proxy and Portkey's gateway into ``.bench/``."""
    INSTALLED.mkdir(exist_ok=True)
    if not _LITELLM.exists():
        subprocess.run([sys.executable, "-m", "venv", str(INSTALLED / "litellm")], check=True)
        subprocess.run([str(_LITELLM.parent / "pip"), "install", "--quiet", "litellm[proxy]"], check=True)
    if not _PORTKEY.exists() and shutil.which("npm") is not None:
        folder = INSTALLED / "portkey"
        folder.mkdir(exist_ok=True)
        # Later node servers make headers that cannot be written to, and Portkey 1.15 answers 500 to speech.
        wanted = {"dependencies": {"@portkey-ai/gateway": "*"}, "overrides": {"@hono/node-server": "1.14.1"}}
        (folder / "package.json").write_text(json.dumps({"private": True, **wanted}))
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], check=True, cwd=folder)


def our_config(upstream: Upstream, folder: Path) -> str:
    """This gateway's, with everything on; its data goes into ``folder``."""
    return _filled(_OURS, upstream, folder)


def virtual_key(base: str) -> str:
    """A key of this gateway with limits of every kind."""
    limits = {"rpm_limit": 10**7, "max_budget": 100_000, "max_characters": 10**12, "models": list(PREFIXES)}
    headers = {"authorization": f"Bearer {_MASTER}", "content-type": "application/json"}
    request = urllib.request.Request(f"{base}/key/generate", json.dumps(limits).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        key: str = json.load(answer)["key"]
    return key


def _filled(text: str, upstream: Upstream, folder: Path) -> str:
    return text.format(fast=upstream.fast, paced=upstream.paced, folder=folder, master=_MASTER)


def _keyed(name: str, version: str, process: Process, base: str, key: str) -> Contender:
    headers = {model: {"authorization": f"Bearer {key}"} for model in PREFIXES}
    return Contender(name, version, process, dict.fromkeys(PREFIXES, base), headers)
