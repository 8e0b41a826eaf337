"""The clients that are run, and what is to be said of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Client:
    """``program`` lies in the folder of its ``kind``. ``requires`` is what pip installs for it; a Node program's packages
    stand in ``node/package.json``. ``notes`` go into docs/clients.md, one line each; ``seconds`` is its time limit."""

    name: str
    kind: Literal["python", "node"]
    program: str
    requires: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 180


_OPENAI_NOTES = ('`OpenAI(base_url="http://HOST:4000/v1", api_key=KEY)`, or `OPENAI_BASE_URL` and `OPENAI_API_KEY`.',)

CLIENTS: tuple[Client, ...] = (Client("openai-python", "python", "openai_sdk.py", ("openai",), _OPENAI_NOTES),)
