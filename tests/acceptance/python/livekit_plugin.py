"""LiveKit's plugin for OpenAI's speech: mp3 in events, decoded by LiveKit itself."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
from livekit import rtc
from livekit.agents import APIStatusError
from livekit.agents.types import APIConnectOptions
from livekit.plugins import openai
from trying import BASE, KEY, TEXT, Trying, hear, recording

tried = Trying("LiveKit's OpenAI plugin", "livekit-plugins-openai")
ONCE = APIConnectOptions(max_retry=0, timeout=30)


async def said(model: str, **more: str) -> bytes:
    speaker = openai.TTS(model=model, voice="ash", base_url=BASE, api_key=KEY, **more)
    try:
        async with speaker.synthesize(TEXT, conn_options=ONCE) as stream:
            return b"".join([bytes(event.frame.data) async for event in stream])
    finally:
        await speaker.aclose()


async def main() -> None:
    for model in ("gpt-4o-mini-tts", "espeak", "tts-1"):
        for form in ("mp3", "wav", "opus", "pcm"):
            events = "stream_format=audio" if model == "tts-1" else "stream_format=sse"
            with tried("speech stream", f"TTS {model} {form} {events}"):
                hear(await said(model, response_format=form), "pcm")
    for model in ("whisper-1", "gpt-4o-mini-transcribe"):
        with tried("transcriptions", f"STT.recognize {model}"):
            async with aiohttp.ClientSession():
                listener = openai.STT(model=model, base_url=BASE, api_key=KEY, use_realtime=False)
                frame = rtc.AudioFrame(recording()[44:], 24_000, 1, 24_000)
                heard = await listener.recognize(frame, conn_options=ONCE)
                assert heard.alternatives[0].text.endswith("bytes of wav"), heard
                await listener.aclose()
    with tried("errors", "an unknown model: APIStatusError"):
        try:
            await said("nobody")
        except APIStatusError as error:
            assert error.status_code == 404, error
        else:
            raise AssertionError("no error")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
