"""Any chat model with audio output as speech, against a server that OpenAI's own client has checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engines.media import AudioFormat
from engines.synthetic import voice_like
from providers.base import errors
from providers.base.contract import SpeechProvider, SpeechRequest
from providers.base.dialects.chat_audio import VOICES, chat_body
from providers.base.vendor import Resources
from providers.openai_chat import VENDOR, ChatSettings
from tests.contracts.speech import TEXT, SpeechContract
from tests.upstreams.chat import Chat, Fault, error

ASKED = SpeechRequest(TEXT, "alloy")


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[SpeechProvider]:
    resources = Resources()
    try:
        made = await VENDOR.open("gpt-audio", ChatSettings(**settings), resources)
        assert isinstance(made, SpeechProvider)
        yield made
    finally:
        await resources.close()


@pytest.fixture
def chat() -> Iterator[Chat]:
    with Chat() as server:
        yield server


@pytest.fixture
async def model(chat: Chat) -> AsyncIterator[SpeechProvider]:
    async with opened(api_key=chat.key, api_base=f"{chat.base}/v1/") as made:
        yield made


class TestContract(SpeechContract):
    @pytest.fixture
    async def provider(self, chat: Chat) -> AsyncIterator[SpeechProvider]:
        async with opened(api_key=chat.key, api_base=f"{chat.base}/v1", voices=VOICES) as made:
            yield made

    @pytest.fixture
    def voice(self) -> str:
        return "marin"


def test_what_is_sent() -> None:
    body = chat_body("gpt-audio", SpeechRequest("Hello?", "voice_1", instructions="softly", extra={"seed": 3}))
    system, user = body.pop("messages")
    assert user == {"role": "user", "content": "Hello?"}
    assert system["role"] == "system"
    assert "word for word" in system["content"]
    assert system["content"].endswith("softly")
    assert body == {
        "model": "gpt-audio",
        "modalities": ["text", "audio"],
        "audio": {"voice": {"id": "voice_1"}, "format": "pcm16"},
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": 3,
    }


@pytest.mark.parametrize(("option", "value"), [("seed", True), ("temperature", "hot"), ("user", 3)])
def test_options_of_a_wrong_kind(option: str, value: object) -> None:
    with pytest.raises(errors.Refused) as caught:
        chat_body("gpt-audio", SpeechRequest("x", "alloy", extra={option: value}))
    assert caught.value.param == option


async def test_the_sound_and_what_it_used(chat: Chat, model: SpeechProvider) -> None:
    audio = await model.speech(ASKED)
    sound = b"".join([chunk async for chunk in audio.chunks])
    assert sound == voice_like(TEXT, manner="alloy")
    used = chat.ledger[0]["usage"]
    assert (audio.usage.input_tokens, audio.usage.output_tokens) == (40, used["completion_tokens"])


@pytest.mark.parametrize("fault", [Fault(wav=True), Fault(whole=True)])
async def test_files_and_servers_that_do_not_stream(chat: Chat, model: SpeechProvider, fault: Fault) -> None:
    chat.next(fault)
    audio = await model.speech(ASKED)
    assert audio.spec.format is AudioFormat.WAV
    assert b"".join([chunk async for chunk in audio.chunks])[44:] == voice_like(TEXT, manner="alloy")


async def test_early_sound_and_leaving() -> None:
    with Chat(hold=True) as chat:
        async with opened(api_key=chat.key, api_base=f"{chat.base}/v1") as model:
            audio = await model.speech(ASKED)
            assert len(await anext(audio.chunks)) == 9600
            await audio.chunks.aclose()
            assert await asyncio.to_thread(chat.hung_up.wait, 10)


@pytest.mark.parametrize(
    ("fault", "kind", "param"),
    [
        (Fault(401, error("No.", "invalid_api_key")), errors.UpstreamAuth, None),
        (Fault(429, error("Pay.", "insufficient_quota")), errors.OutOfCredits, None),
        (Fault(429, error("Slow.", "rate_limit_exceeded"), (("Retry-After", "7"),)), errors.RateLimited, None),
        (Fault(500, error("Oh.")), errors.UpstreamDown, None),
        (Fault(400, error("Bad.", "invalid_value", "audio.voice")), errors.Refused, "voice"),
        (Fault(400, error("Bad.", "invalid_value", "messages[1].content")), errors.Refused, "input"),
        (Fault(400, error("No.", "content_policy_violation")), errors.PolicyViolation, "input"),
        (Fault(400, {"detail": "Bad."}), errors.Refused, None),
        (Fault(text=True), errors.BadAnswer, None),
    ],
)
async def test_how_a_call_fails(
    chat: Chat, model: SpeechProvider, fault: Fault, kind: type[errors.ProviderError], param: str | None
) -> None:
    chat.next(fault)
    with pytest.raises(kind) as caught:
        await model.speech(ASKED)
    assert type(caught.value) is kind
    assert (caught.value.param, caught.value.sent) == (param, "yes")
    assert caught.value.retry_after == (7 if fault.headers else None)
    assert len(chat.requests) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(ends=None, done=False), errors.BadAnswer),
        (Fault(ends="length"), errors.Broken),
        (Fault(ends="content_filter"), errors.PolicyViolation),
        (Fault(mid=True), errors.UpstreamDown),
    ],
)
async def test_half_a_speech_is_none(
    chat: Chat, model: SpeechProvider, fault: Fault, kind: type[errors.ProviderError]
) -> None:
    chat.next(fault)
    audio = await model.speech(ASKED)
    with pytest.raises(kind):
        [chunk async for chunk in audio.chunks]


async def test_whose_key_goes_where(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", chat.key)
    async with opened(api_base=f"{chat.base}/v1") as made:
        with pytest.raises(errors.UpstreamAuth):
            await made.speech(ASKED)
    assert "authorization" not in chat.requests[0].headers
    monkeypatch.setenv("OPENAI_BASE_URL", f"{chat.base}/v1")
    async with opened() as made:
        await (await made.speech(ASKED)).chunks.aclose()
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    async with opened() as made:
        assert made.readiness().state == "unavailable"
        with pytest.raises(errors.Unavailable):
            await made.speech(ASKED)
        with pytest.raises(errors.Refused):
            await made.speech(SpeechRequest("x", "nobody"))
