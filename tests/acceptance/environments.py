"""An environment for each client, or for those that need the same, made once and kept: virtual environments in
``.acceptance/``, Node's packages in ``node/``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.acceptance.clients import Client

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
KEPT = ROOT / ".acceptance"

# What the programs look into the answers with.
DECODERS = ("av", "numpy", "pillow", "soundfile")


class Unavailable(Exception):
    """The client cannot be run here; the message says what is missing."""


def command(client: Client, *, fresh: bool) -> list[str]:
    """What runs ``client``. Makes its environment where there is none, or anew."""
    program, *arguments = client.program.split()
    runs = _node(fresh=fresh) if client.kind == "node" else _python(client.requires, fresh=fresh)
    return [runs, str(HERE / client.kind / program), *arguments]


@cache
def _python(requires: tuple[str, ...], *, fresh: bool) -> str:
    folder = KEPT / "_".join(requires)
    wanted = "\n".join((*requires, *DECODERS))
    made = folder / "requires.txt"
    python = str(folder / "bin" / "python")
    if fresh or not made.exists() or made.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        _do([sys.executable, "-m", "venv", str(folder)])
        _do([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requires, *DECODERS])
        made.write_text(wanted)
    return python


@cache
def _node(*, fresh: bool) -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Unavailable("node and npm are not installed")
    folder = HERE / "node"
    wanted = (folder / "package-lock.json").read_text()
    made = folder / "node_modules" / ".made-of"
    if fresh or not made.exists() or made.read_text() != wanted:
        shutil.rmtree(made.parent, ignore_errors=True)
        _do([npm, "ci", "--no-audit", "--no-fund"], folder)
        made.write_text(wanted)
    return node


def _do(words: list[str], folder: Path = ROOT) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(f"could not be installed: {said[-1] if said else f'exit status {done.returncode}'}")
