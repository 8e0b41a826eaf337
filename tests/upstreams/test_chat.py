"""The simulated chat model, driven by OpenAI's own client."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.upstreams.chat import Chat

ASKED: dict[str, Any] = {
    "model": "gpt-audio",
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "pcm16"},
    "messages": [{"role": "user", "content": "The quick brown fox jumped over the lazy dog."}],
}


@pytest.fixture
def chat() -> Iterator[Chat]:
    with Chat() as server:
        yield server


@pytest.fixture
def client(chat: Chat) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=chat.key, base_url=f"{chat.base}/v1", max_retries=0) as made:
        yield made


def test_whole(chat: Chat, client: openai.OpenAI) -> None:
    made = client.chat.completions.create(**ASKED)
    assert base64.b64decode(made.choices[0].message.audio.data)[:4] == b"RIFF"
    assert made.usage.completion_tokens == chat.ledger[0]["usage"]["completion_tokens"]


def test_in_pieces(chat: Chat, client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))
    audio = [each.choices[0].delta.audio for each in chunks if each.choices and each.choices[0].delta.audio]
    assert sum(len(base64.b64decode(each.data)) for each in audio if each.data) > 48_000
    assert chunks[-1].usage.prompt_tokens == 40
    assert chunks[-2].choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"audio": {"voice": "nobody", "format": "pcm16"}}, openai.BadRequestError),
        ({"audio": {"voice": "alloy", "format": "mp3"}, "stream": True}, openai.BadRequestError),
        ({"modalities": ["text"]}, openai.BadRequestError),
        ({"extra_body": {"pitch": 3}}, openai.BadRequestError),
        ({"extra_headers": {"Authorization": "Bearer sk-other"}}, openai.AuthenticationError),
    ],
)
def test_what_is_not_let_in(
    chat: Chat, client: openai.OpenAI, changed: dict[str, Any], error: type[openai.APIError]
) -> None:
    with pytest.raises(error):
        client.chat.completions.create(**{**ASKED, **changed})
    assert not chat.ledger
