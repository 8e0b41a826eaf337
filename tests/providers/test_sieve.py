"""Answers with media in them: long strings go to the disk, everything else is the answer that it was."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from providers.base import errors, sieve
from providers.base.exchange import Exchange, Reply
from providers.base.sieve import LONG, _Sieve
from tests.upstreams.server import Upstream, opened, reply

PICTURE = os.urandom(LONG * 3 + 1)  # its base64 is padded
TEXT = base64.b64encode(PICTURE).decode()


def of(reply: Reply, text: str) -> bytes:
    return reply.spools[text].read(0, 10 * len(PICTURE))


def sifted(document: bytes, size: int, folder: Path) -> Reply:
    """The same in pieces of ``size`` bytes. No more than a string's beginning and a piece is held."""
    made = _Sieve("Vendor", folder)
    for place in range(0, len(document), size):
        made.feed(document[place : place + size])
        assert len(made.rest) + len(made._waiting) <= LONG + 2 * size + 100
    return Reply("Vendor", 200, {}, bytes(made.rest), made.spools)


@pytest.mark.parametrize("size", [997, 65_536, 10**9])
@pytest.mark.parametrize("plus", ["+", "\\u002b", "\\u002B"])
def test_long_strings_are_on_the_disk(size: int, plus: str, tmp_path: Path) -> None:
    shown = {"created": 1, 'say "x"\\': ["\\", 'é"', ""], "data": [{"b64_json": "%0"}, {"b64_json": "%1"}]}
    document = json.dumps(shown).replace("%0", TEXT.replace("/", "\\/")).replace("%1", TEXT.replace("+", plus))
    reply = sifted(document.encode(), size, tmp_path)
    found = reply.json()
    names = [each.pop("b64_json") for each in found["data"]]
    assert found == {**shown, "data": [{}, {}]}
    assert [of(reply, name) for name in names] == [PICTURE, PICTURE]
    assert list(reply.spools) == names
    assert not list(tmp_path.iterdir())  # they have no names, so nothing is left of them after a crash


@pytest.mark.parametrize("text", ["word " * LONG, TEXT[:-2], f"{TEXT}{TEXT}", f"{TEXT[:-8]}-{TEXT[-7:]}"])
def test_long_strings_that_are_no_base64(text: str, tmp_path: Path) -> None:
    reply = sifted(json.dumps({"a": text, "b": TEXT, "c": 1}).encode(), 8192, tmp_path)
    found = reply.json()
    assert (found["c"], found["a"] in reply.spools, of(reply, found["b"])) == (1, False, PICTURE)


async def test_calls(tmp_path: Path) -> None:
    document, small = {"b64_json": TEXT, "short": "x" * LONG}, {"b64_json": TEXT[: LONG // 2]}
    steps = (
        reply(200, small),
        reply(200, document),
        reply(400, {"error": "no"}),
        reply(200, ["x" * 60_000] * 150),
        reply(200, document),
    )
    async with Upstream(*steps) as upstream, opened(spool=tmp_path / "made") as wire:
        asked = Exchange("Vendor", "POST", upstream.url(), json={}, cap=32 << 20)
        answer = await sieve.call(wire, asked)
        assert (answer.json(), answer.spools, (tmp_path / "made").exists()) == (small, {}, False)
        answer = await sieve.call(wire, asked)
        found = answer.json()
        assert (found["short"], of(answer, found["b64_json"])) == (document["short"], PICTURE)
        answer = await sieve.call(wire, asked)
        assert (answer.status, answer.json()) == (400, {"error": "no"})
        with pytest.raises(errors.BadAnswer, match="beside media"):
            await sieve.call(wire, asked)
        (tmp_path / "made").rmdir()
        (tmp_path / "made").write_text("no folder")
        with pytest.raises(errors.BadAnswer, match="cannot be kept") as caught:
            await sieve.call(wire, asked)
        assert caught.value.sent == "maybe"  # it may be made and charged
