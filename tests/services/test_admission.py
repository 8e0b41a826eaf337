"""Who is admitted, and what a call that ends in each way has cost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from engines.media import AudioFormat
from gateway.config.model import LitellmSettings
from gateway.database import StoreError
from gateway.errors import Forbidden, InvalidRequest, Overloaded, OverQuota, Timeout, Unauthorized, UnknownModel
from gateway.jobs.errors import SubmissionUnknown
from gateway.keys.limits import Limits
from gateway.keys.memory import MemoryKeyStore
from gateway.keys.ring import Keyring
from gateway.record import Who
from gateway.services.admission import Admission
from providers.base.contract import ImageRequest, SpeechRequest
from providers.base.errors import Refused, UpstreamDown
from tests.contracts.keys import make

PICTURE = ImageRequest("x")
SPEECH = SpeechRequest("x" * 20, "v", AudioFormat.MP3, 2.0)
KEY = make(models=("m",), max_budget=1.0)
WHO = Who(KEY.token, admin=False)


def group(name: str) -> str:
    if name not in ("m", "other", "alias"):
        raise UnknownModel(name)
    return "m" if name == "alias" else name


async def opened(store: MemoryKeyStore, price: float | None = 0.25, **settings: Any) -> Admission:
    async def there() -> bool:
        return True

    async def open_store() -> MemoryKeyStore:
        return store

    ring = Keyring(there, open_store)
    if await store.get(KEY.token) is None:
        await store.put(KEY)
    await ring.refresh()
    return Admission(ring, Limits(ring.store), LitellmSettings(**settings), group, lambda _model, _requests: price)


async def test_money_for_four_of_two_hundred() -> None:
    store = MemoryKeyStore()
    admission = await opened(store)

    async def call() -> bool:
        try:
            async with await admission.admit(WHO, "m", [PICTURE]):
                await asyncio.sleep(0)
        except OverQuota:
            return False
        return True

    assert sum(await asyncio.gather(*(call() for _ in range(200)))) == 4
    spent = await store.spent(KEY.token, 0)
    assert (spent.usd, spent.images, spent.unpriced) == (1.0, 4, 0)


@pytest.mark.parametrize(
    ("error", "paid"),
    [
        (None, True),
        (asyncio.CancelledError(), True),
        (Timeout("x"), True),
        (SubmissionUnknown("x"), True),
        (UpstreamDown("x", sent="maybe"), True),
        (UpstreamDown("x"), False),
        (Refused("x", sent="yes"), False),
        (InvalidRequest("x"), False),
        (RuntimeError("x"), False),
    ],
)
async def test_what_may_have_been_paid_counts(error: BaseException | None, paid: bool) -> None:
    store = MemoryKeyStore()
    admission = await opened(store)
    raised = None
    try:
        async with await admission.admit(WHO, "m", [PICTURE]):
            if error is not None:
                raise error
    except BaseException as caught:  # noqa: BLE001 - which one is looked at below
        raised = caught
    assert raised is error
    assert (await store.spent(KEY.token, 0)).usd == (0.25 if paid else 0.0)
    assert (await admission.admit(WHO, "m", [PICTURE] * 1)).counts


async def test_every_budget_is_asked() -> None:
    store = MemoryKeyStore()
    admission = await opened(store, max_budget=0.6, max_end_user_budget=0.3)
    ann = replace(WHO, end_user="ann")
    async with await admission.admit(ann, "m", [PICTURE]):
        pass
    with pytest.raises(OverQuota, match="'ann'"):
        await admission.admit(ann, "m", [PICTURE])
    async with await admission.admit(Who(), "other", [PICTURE]):  # the master key too
        pass
    with pytest.raises(OverQuota, match="as a whole"):
        await admission.admit(Who(), "other", [PICTURE])
    assert (await store.spent("all", 0)).usd == 0.5
    assert (await store.spent("user:ann", 0)).usd == 0.25


async def test_speech_is_reserved_at_ten_characters_a_second() -> None:
    store = MemoryKeyStore()
    admission = await opened(store)
    async with await admission.admit(WHO, "m", [SPEECH]):
        pass
    spent = await store.spent(KEY.token, 0)
    assert (spent.characters, spent.audio_seconds, spent.images) == (20, 1.0, 0)


async def test_models() -> None:
    store = MemoryKeyStore()
    admission = await opened(store)
    assert [admission.may_use(WHO, name) for name in ("m", "alias", "other", "nothing")] == [True, True, False, False]
    with pytest.raises(Forbidden):
        await admission.admit(WHO, "other", [PICTURE])
    with pytest.raises(Unauthorized):
        await admission.admit(replace(WHO, key="0" * 64), "m", [PICTURE])
    assert not (await admission.admit(Who(), "m", [PICTURE])).counts


async def test_a_price_nobody_knows() -> None:
    with pytest.raises(InvalidRequest, match="model_info"):
        await (await opened(MemoryKeyStore(), price=None)).admit(WHO, "m", [PICTURE])


async def test_a_store_that_fails() -> None:
    class Broken(MemoryKeyStore):
        async def spent(self, who: str, since: float) -> Any:
            raise StoreError("disk full")

    with pytest.raises(Overloaded):
        await (await opened(Broken())).admit(WHO, "m", [PICTURE])

    class Full(MemoryKeyStore):
        def add(self, *given: Any) -> asyncio.Future[None]:
            failed = asyncio.get_running_loop().create_future()
            failed.set_exception(StoreError("disk full"))
            return failed

    admission = await opened(Full())
    for _ in range(4):  # the media are there: their caller is not told; the budget binds all the same
        async with await admission.admit(WHO, "m", [PICTURE]):
            pass
    with pytest.raises(OverQuota):
        await admission.admit(WHO, "m", [PICTURE])
