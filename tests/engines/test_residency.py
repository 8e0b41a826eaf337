"""One engine, one thread: order, bounds, cancelling, failing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engines.errors import EngineBusy, EngineFailed, EngineRefused, EngineUnavailable
from engines.residency import Resident
from engines.speech import Utterance
from tests.engines.fakes import PartsEngine, StepEngine


@asynccontextmanager
async def resident(engine: StepEngine, **options: int) -> AsyncIterator[Resident]:
    made = Resident(engine, "fake", **options)
    try:
        yield made
    finally:
        engine.may_load.set()
        for _ in range(100):
            engine.gate.release()
        await made.close()


def text(name: str) -> Utterance:
    return Utterance(name, "v")


async def settled(made: Resident) -> None:
    while made.state in ("idle", "loading"):
        await asyncio.sleep(0)


async def test_nothing_is_loaded_before_it_is_needed() -> None:
    engine = StepEngine()
    async with resident(engine) as made:
        assert made.state == "idle"
        assert not engine.loading.is_set()
        made.warm()
        await settled(made)
        assert (made.state, made.detail) == ("ready", "a note")
        made.warm()
    assert engine.engine_closed


async def test_a_request_loads_the_engine_and_waits_for_it() -> None:
    engine = StepEngine()
    engine.may_load.clear()
    async with resident(engine) as made:
        sound = made.speak(text("a:1"))
        await asyncio.to_thread(engine.loading.wait)
        assert made.state == "loading"
        engine.may_load.set()
        engine.gate.release()
        assert [chunk async for chunk in sound] == [bytes(2000)]


async def test_what_is_missing_is_known_at_once() -> None:
    engine = StepEngine(missing=True)
    async with resident(engine) as made:
        assert (made.state, made.detail) == ("unavailable", "weights are missing. pull them")
        made.warm()
        with pytest.raises(EngineUnavailable) as caught:
            made.speak(text("a:1"))
        assert str(caught.value) == "weights are missing."  # what to do is not for callers
        assert not engine.loading.is_set()


@pytest.mark.parametrize("error", [EngineUnavailable("no weights.", "get some"), ValueError("damaged")])
async def test_a_failed_load_ends_those_who_wait(error: Exception) -> None:
    engine = StepEngine(load_error=error)
    engine.may_load.clear()
    async with resident(engine) as made:
        waiting = made.speak(text("a:1"))
        engine.may_load.set()
        with pytest.raises(EngineUnavailable):
            await anext(waiting)
        assert made.state == "unavailable"
        assert str(error).split()[0] in made.detail
        with pytest.raises(EngineUnavailable):
            made.speak(text("b:1"))


async def test_a_new_short_text_goes_before_one_that_is_ahead_of_its_playback() -> None:
    engine = StepEngine()
    async with resident(engine) as made:
        long = made.speak(text("long:5"))
        engine.gate.release()
        await anext(long)  # a second of sound is there: the long one can wait
        engine.gate.release()  # the step that the worker may have begun already
        await anext(long)
        short = made.speak(text("short:2"))
        for _ in range(5):
            engine.gate.release()
        await asyncio.gather(drain(long), drain(short))
    after = engine.steps[2:]
    # At most the one step under way when it came is made before the short one has all it needs.
    assert after.index("short") <= 1
    assert engine.steps.count("long") == 5
    assert after.count("short") == 2


async def drain(sound: AsyncIterator[bytes]) -> int:
    return sum([len(chunk) async for chunk in sound])


async def test_a_full_queue_is_busy_and_says_for_how_long() -> None:
    engine = StepEngine()
    async with resident(engine, queue_size=2) as made:
        held = [made.speak(text("a:1")), made.speak(text("b:1"))]
        with pytest.raises(EngineBusy) as caught:
            made.speak(text("c:1"))
        assert caught.value.retry_after >= 1
        engine.gate.release(2)
        for sound in held:
            await drain(sound)
        engine.gate.release()
        assert await drain(made.speak(text("c:1"))) == 2000


async def test_a_refused_utterance_takes_no_place() -> None:
    async with resident(StepEngine(), queue_size=1) as made:
        with pytest.raises(EngineRefused):
            made.speak(Utterance("a:1", "unknown"))
        assert made.state == "idle"


async def test_leaving_stops_the_work_within_one_step() -> None:
    engine = StepEngine()
    async with resident(engine) as made:
        sound = made.speak(text("left:50"))
        engine.gate.release()
        await anext(sound)
        await sound.aclose()
        for _ in range(20):
            engine.gate.release()
        assert await drain(made.speak(text("other:1"))) == 2000
        assert engine.steps.count("left") <= 2
        assert "left" in engine.closed
        assert [chunk async for chunk in sound] == []


async def test_leaving_before_reading_frees_the_place() -> None:
    engine = StepEngine()
    async with resident(engine, queue_size=1) as made:
        sound = made.speak(text("left:5"))
        await sound.aclose()
        for _ in range(3):
            engine.gate.release()
        while True:
            try:
                other = made.speak(text("other:1"))
                break
            except EngineBusy:
                await asyncio.sleep(0)
        assert await drain(other) == 2000


async def test_a_reader_who_takes_nothing_holds_up_only_himself() -> None:
    engine = StepEngine()
    async with resident(engine, ahead=3000) as made:
        slow = made.speak(text("slow:9"))
        for _ in range(20):
            engine.gate.release()
        assert await drain(made.speak(text("quick:6"))) == 12_000
        assert engine.steps.count("slow") <= 2  # 2,000 bytes a step against 3,000 that may wait
        assert await drain(slow) == 18_000


async def test_a_broken_request_does_not_break_the_engine() -> None:
    engine = StepEngine()
    async with resident(engine) as made:
        with pytest.raises(EngineFailed, match="RuntimeError"):
            await drain(made.speak(text("a:boom")))
        engine.gate.release()
        assert await drain(made.speak(text("b:1"))) == 2000


async def test_closing_ends_what_is_under_way() -> None:
    engine = StepEngine()
    made = Resident(engine, "fake")
    sound = made.speak(text("a:50"))
    engine.gate.release()
    await anext(sound)
    closing = asyncio.create_task(made.close())
    await asyncio.sleep(0)  # it has begun, and waits for the step under way
    engine.gate.release()
    with pytest.raises(EngineFailed, match="shut down"):
        await drain(sound)
    await closing
    with pytest.raises(EngineFailed):
        made.speak(text("b:1"))
    assert engine.engine_closed


def test_a_loop_that_was_closed_counts_as_gone() -> None:
    engine = StepEngine()
    made = Resident(engine, "fake")

    async def begin() -> None:
        made.speak(text("a:50"))

    asyncio.run(begin())
    engine.gate.release()
    engine.gate.release()

    async def another() -> int:
        for _ in range(60):
            engine.gate.release()
        return await drain(made.speak(text("b:1")))

    assert asyncio.run(another()) == 2000
    asyncio.run(made.close())


@pytest.fixture
async def parted() -> AsyncIterator[tuple[PartsEngine, Resident]]:
    engine = PartsEngine()
    made = Resident(engine, "fake")
    yield engine, made
    for part in [f"{name} {number}" for name in ("long", "short", "other") for number in range(9)]:
        engine.gates[part].release(9)
    await made.close()
    assert engine.engine_closed


async def begun(engine: PartsEngine, *parts: str) -> None:
    while not set(parts) <= set(engine.begun):
        await asyncio.sleep(0)


async def test_one_text_s_parts_are_made_side_by_side_and_heard_in_order(parted: tuple[PartsEngine, Resident]) -> None:
    engine, made = parted
    sound = made.speak(text("long:4"))
    await begun(engine, "long 0")
    engine.gates["long 0"].release()
    await begun(engine, "long 1", "long 2")  # both before either is made
    engine.gates["long 2"].release()
    await begun(engine, "long 3")
    engine.gates["long 3"].release()
    engine.gates["long 1"].release()
    assert [chunk.split()[1] async for chunk in sound] == [b"0", b"1", b"2", b"3"]
    assert engine.alone == ["long 0"]  # nothing else was to be made
    assert engine.leads[0] <= 1
    assert 0 < engine.leads[1] <= 1
    assert 1 < engine.leads[2] <= 2  # what is under way counts


async def test_a_second_part_waits_until_there_is_sound(parted: tuple[PartsEngine, Resident]) -> None:
    engine, made = parted
    long, other = made.speak(text("long:3")), made.speak(text("other:1"))
    await begun(engine, "long 0", "other 0")
    engine.gates["other 0"].release()
    assert await drain(other) == 2000
    assert "long 1" not in engine.begun
    await long.aclose()


async def test_of_those_without_sound_the_shorter_text_goes_first(parted: tuple[PartsEngine, Resident]) -> None:
    engine, made = parted
    held = [made.speak(text(f"long:2:{'x' * 300}")) for _ in range(2)]
    await begun(engine, "long 0")
    while engine.begun.count("long 0") < 2:
        await asyncio.sleep(0)
    held.append(made.speak(text(f"other:1:{'x' * 300}")))
    held.append(made.speak(text("short:1")))
    engine.gates["long 0"].release()
    await begun(engine, "short 0")
    assert "other 0" not in engine.begun
    for sound in held:
        await sound.aclose()


async def test_a_broken_part_ends_its_text_after_the_sound_before_it(parted: tuple[PartsEngine, Resident]) -> None:
    engine, made = parted
    engine.broken = "long 2"
    sound = made.speak(text("long:9"))
    engine.gates["long 0"].release()
    await begun(engine, "long 1", "long 2")
    engine.gates["long 2"].release()
    engine.gates["long 1"].release()
    for number in range(3, 9):
        engine.gates[f"long {number}"].release()
    assert [(await anext(sound)).split()[1] for _ in range(2)] == [b"0", b"1"]
    with pytest.raises(EngineFailed, match="RuntimeError"):
        await anext(sound)
    engine.gates["other 0"].release()
    assert await drain(made.speak(text("other:1"))) == 2000
