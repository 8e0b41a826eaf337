"""The voice pipeline of OpenAI's Agents SDK. Its workflow answers without a model: what was heard is said again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import numpy as np
import openai
from agents import set_tracing_disabled
from agents.voice import (
    AudioInput,
    OpenAISTTModel,
    OpenAITTSModel,
    STTModelSettings,
    TTSModelSettings,
    VoicePipeline,
    VoiceWorkflowBase,
)
from trying import BASE, KEY, TEXT, Trying, hear

set_tracing_disabled(True)
tried = Trying("openai-agents voice", "openai-agents")
HEARD = AudioInput(buffer=(np.sin(np.arange(24_000) * 0.1) * 12_000).astype(np.int16))


class SayAgain(VoiceWorkflowBase):
    def __init__(self) -> None:
        self.heard = ""

    async def run(self, transcription: str) -> AsyncIterator[str]:
        self.heard = transcription
        yield f"I have heard {transcription}. "
        yield "That is all that there is to say."


async def main() -> None:
    async with openai.AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0) as client:
        for model in ("gpt-4o-mini-tts", "tts-1"):
            with tried("speech stream", f"OpenAITTSModel {model} pcm"):
                settings = TTSModelSettings(voice="nova", speed=1.1)
                chunks = [chunk async for chunk in OpenAITTSModel(model, client).run(TEXT, settings)]
                assert len(chunks) > 3
                hear(b"".join(chunks), "pcm")
        with tried("transcriptions", "OpenAISTTModel gpt-4o-transcribe"):
            text = await OpenAISTTModel("gpt-4o-transcribe", client).transcribe(HEARD, STTModelSettings(), False, False)
            assert text == "48044 bytes of wav", text
        with tried("transcriptions", "VoicePipeline: heard"):
            workflow = SayAgain()
            speaking, hearing = OpenAITTSModel("gpt-4o-mini-tts", client), OpenAISTTModel("gpt-4o-transcribe", client)
            pipeline = VoicePipeline(workflow=workflow, stt_model=hearing, tts_model=speaking)
            events = [event async for event in (await pipeline.run(HEARD)).stream()]
            assert workflow.heard == "48044 bytes of wav", workflow.heard
        with tried("speech stream", "VoicePipeline: said"):
            sound = [
                event.data for event in events if event.type == "voice_stream_event_audio" and event.data is not None
            ]
            hear(np.concatenate(sound).astype("<i2").tobytes(), "pcm")
        with tried("errors", "an unknown model: NotFoundError"):
            try:
                _ = [chunk async for chunk in OpenAITTSModel("nobody", client).run(TEXT, TTSModelSettings())]
            except openai.NotFoundError as error:
                assert (error.status_code, error.code) == (404, "model_not_found"), error
            else:
                raise AssertionError("no error")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
