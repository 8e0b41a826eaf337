"""Retries that come to two processes at once."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

from gateway.build import open_services
from gateway.services.caller import Caller
from gateway.services.handing import Handing
from gateway.workers.crew import Crew, Place
from providers.base.contract import ImageRequest, SpeechRequest
from tests.serving import config_of

RETRY = Caller(content=b"{}", key="k", retry=True)
OTHER = """
import asyncio, sys
from pathlib import Path
from tests.services.test_handing import RETRY, crew_of
from gateway.services.handing import Handing

async def main():
    crew = crew_of(Path(sys.argv[1]))
    async with Handing(crew).alone(RETRY):
        print(crew.name, flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


def crew_of(folder: Path) -> Crew:
    control, parents = socket.socketpair()
    parents.close()
    return Crew(Place(0, 2, control.detach(), (), str(folder)), folder / "workers")


async def test_one_process_waits_for_the_other_which_may_die(tmp_path: Path) -> None:
    crew = crew_of(tmp_path)
    handing, call = Handing(crew), RETRY.fingerprint
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OTHER, str(tmp_path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert other.stdout is not None
    name = (await other.stdout.readline()).decode().strip()
    assert crew.alive(name)
    assert handing.busy(call)
    crew.share(call, "a first try")  # it is not to be had now, and that is harmless
    crew.drop(call, "a first try")

    async def ours() -> None:
        async with handing.alone(RETRY):
            assert not handing.busy(call)

    task = asyncio.create_task(ours())
    done, _ = await asyncio.wait([task], timeout=0.2)
    assert not done
    other.kill()
    await asyncio.wait_for(task, 20)
    await other.wait()
    assert not crew.alive(name)
    assert crew.alive(crew.name)
    crew.control.close()


class Slow:
    """A crew in which somebody else is always just before us."""

    def __init__(self, folder: Path) -> None:
        self.place, self.leads, self.name = Place(0, 2, 0, (), str(folder)), True, "0" * 12
        self.asked = 0
        self.held: set[object] = set()

    def alive(self, name: str) -> bool:
        return name == self.name

    def elsewhere(self, call: str) -> bool:
        return False

    def share(self, call: str, holder: object) -> None:
        assert self.held, "claimed before it is handed over"

    def claim(self, call: str, holder: object) -> bool:
        self.asked += 1
        if self.asked % 2 == 0:
            self.held.add(holder)
        return self.asked % 2 == 0

    def drop(self, call: str, holder: object) -> None:
        self.held.discard(holder)


async def test_whatever_makes_tasks_claims_its_call(tmp_path: Path) -> None:
    config = config_of("""
model_list:
  - {model_name: picture, params: {model: sandbox/image, seconds: 0.02, poll_interval: 0.01}}
  - {model_name: voice, params: {model: sandbox/speech, seconds: 0.02, poll_interval: 0.01}}
""")
    crew: Any = Slow(tmp_path)
    async with open_services(config, tmp_path, crew=crew) as services:
        await services.images.submit("picture", ImageRequest("x", "64x64"), 1, Caller(key="a", retry=True))
        assert crew.asked == 2
        speech = await services.speech.speak("voice", SpeechRequest("Hi.", "alloy"), Caller(key="b", retry=True))
        await speech.chunks.aclose()
        assert crew.asked == 4
        assert not crew.held
