"""docs/clients.md, from what the clients said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.version import __version__
from tests.acceptance.clients import Client

ENDPOINTS = ("models", "speech", "speech stream", "transcriptions", "images", "image edits", "videos", "errors")


@dataclass(frozen=True)
class Tried:
    """One line of a client's."""

    client: str
    version: str
    endpoint: str
    call: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True)
class Ran:
    """What became of a client. ``fault``: why there is less to tell than there should be."""

    client: Client
    tried: tuple[Tried, ...]
    fault: str = ""

    @property
    def ok(self) -> bool:
        return not self.fault and all(each.ok for each in self.tried)

    @property
    def title(self) -> str:
        return self.tried[0].client if self.tried else self.client.name

    @property
    def version(self) -> str:
        return self.tried[0].version if self.tried else ""

    def at(self, endpoint: str) -> list[Tried]:
        return [each for each in self.tried if each.endpoint == endpoint]


_TOP = """\
# Clients

Written by `make acceptance`; do not edit by hand. It installs each client into an environment apart from the gateway's, starts
the gateway as a process of its own with [this config](../tests/acceptance/config.yaml), and lets each client make its calls over
a socket. Every answer is decoded on the client's side: sound by libsndfile or ffmpeg, pictures by Pillow, films by ffmpeg (by
Node's clients: their frames and headers); errors are the client's own exceptions. This is what gateway {version} gave.

A cell says how many of the calls that were tried went well; `–`: the client has no such call, or none was tried. Speech is
eSpeak's (`tts-1`), the sandbox's (`tts-1-hd`) and a simulated OpenAI's (`gpt-4o-mini-tts`); transcriptions are the simulated
OpenAI's; pictures and films are the sandbox's.
"""


def page(results: Sequence[Ran]) -> str:
    """The whole document."""
    rows = [
        "| client | version | " + " | ".join(ENDPOINTS) + " |",
        "|---|---|" + "---|" * len(ENDPOINTS),
        *(f"| {each.title} | {each.version or '?'} | {' | '.join(_cells(each))} |" for each in results),
    ]
    faults = [line for each in results for line in _faults(each)]
    parts = [_TOP.format(version=__version__), "\n".join(rows) + "\n"]
    if faults:
        parts.append("## What went wrong\n\n" + "\n".join(faults) + "\n")
    parts.append("## What was called, and how to set each client up\n")
    titles = dict.fromkeys(each.title for each in results)
    parts.extend(_section(title, [each for each in results if each.title == title]) for title in titles)
    return "\n".join(parts)


def _cells(ran: Ran) -> list[str]:
    if not ran.tried:
        return ["not run"] * len(ENDPOINTS)
    return [_cell(ran.at(endpoint)) for endpoint in ENDPOINTS]


def _cell(tried: list[Tried]) -> str:
    if not tried:
        return "–"
    good = sum(each.ok for each in tried)
    return f"{good}" if good == len(tried) else f"**{good} of {len(tried)}**"


def _faults(ran: Ran) -> list[str]:
    wrong = [f"`{each.call}`: {_plain(each.detail)}" for each in ran.tried if not each.ok]
    if ran.fault:
        wrong.append(_plain(ran.fault))
    return [f"- {ran.title} {ran.version}: {each}" for each in wrong]


def _plain(text: str) -> str:
    """In one line, with no address or path of the machine it ran on."""
    text = re.sub(r"https?://[^\s'\"`]+", "(an address)", text)
    return " ".join(re.sub(r"(?<![\w.])/[^\s'\"`:]+/[^\s'\"`:]*", "(a path)", text).split())


def _section(title: str, versions: Sequence[Ran]) -> str:
    """Of one client, in all the versions that were run."""
    notes = [f"- {note}" for note in dict.fromkeys(note for each in versions for note in each.client.notes)]
    calls = [
        (endpoint, dict.fromkeys(f"`{tried.call}`" for each in versions for tried in each.at(endpoint)))
        for endpoint in ENDPOINTS
    ]
    told = [f"- {endpoint}: {', '.join(names)}" for endpoint, names in calls if names]
    return "\n".join((f"### {title}", "", *notes, *told, ""))
