"""LiteLLM's functions with this gateway as the provider ``openai``."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import sys
import time

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no fetching of prices

import litellm
import openai
from trying import BASE, KEY, TEXT, Trying, hear, picture, recording, see, watch

tried = Trying("litellm", "litellm")
HERE = {"api_base": BASE, "api_key": KEY}
FILMS = {**HERE, "custom_llm_provider": "openai"}


def speech() -> None:
    for model, form in (("tts-1", "mp3"), ("tts-1", "opus"), ("tts-1-hd", "wav"), ("gpt-4o-mini-tts", "flac")):
        with tried("speech", f"speech openai/{model} {form}"):
            made = litellm.speech(model=f"openai/{model}", voice="alloy", input=TEXT, response_format=form, **HERE)
            hear(made.content, form)


def transcriptions() -> None:
    for form in ("json", "verbose_json"):
        with tried("transcriptions", f"transcription openai/whisper-1 {form}"):
            file = io.BytesIO(recording())
            file.name = "speech.wav"
            made = litellm.transcription(model="openai/whisper-1", file=file, response_format=form, **HERE)
            assert made.text == "48044 bytes of wav", made


def images() -> None:
    with tried("images", "image_generation openai/gpt-image-1"):
        made = litellm.image_generation(model="openai/gpt-image-1", prompt="A ship", size="1536x1024", **HERE)
        see(base64.b64decode(made.data[0].b64_json), "png", (1536, 1024))
    with tried("images", "image_generation openai/dall-e-3 b64_json"):
        made = litellm.image_generation(
            model="openai/dall-e-3", prompt="A ship", size="1024x1024", response_format="b64_json", **HERE
        )
        see(base64.b64decode(made.data[0].b64_json), "png", (1024, 1024))
    with tried("image edits", "image_edit openai/gpt-image-1"):
        made = litellm.image_edit(
            model="openai/gpt-image-1", image=io.BytesIO(picture()), prompt="At night", size="1024x1024", **HERE
        )
        see(base64.b64decode(made.data[0].b64_json), "png", (1024, 1024))


def finished(video_id: str) -> litellm.types.videos.main.VideoObject:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        film = litellm.video_status(video_id=video_id, **FILMS)
        if film.status in ("completed", "failed"):
            return film
        time.sleep(0.2)
    raise TimeoutError(video_id)


def videos() -> None:
    with tried("videos", "video_generation, video_status"):
        made = litellm.video_generation(model="openai/sora-2", prompt="A ship", seconds="4", size="1280x720", **HERE)
        film = finished(made.id)
        assert (film.status, film.seconds, film.size) == ("completed", "4", "1280x720"), film
    with tried("videos", "video_content"):
        watch(litellm.video_content(video_id=made.id, **FILMS), (1280, 720), 4)
    with tried("videos", "video_remix"):
        again = litellm.video_remix(video_id=made.id, prompt="At night", **FILMS)
        assert finished(again.id).status == "completed"
    with tried("videos", "video_list"):
        assert len(litellm.video_list(**FILMS)) >= 2


def errors() -> None:
    # LiteLLM's errors are OpenAI's, and some of its functions raise OpenAI's own.
    def raised(kind: type[Exception], call) -> Exception:
        try:
            call()
        except kind as error:
            return error
        raise AssertionError("no error")

    with tried("errors", "a wrong key: AuthenticationError"):
        error = raised(
            openai.AuthenticationError,
            lambda: litellm.speech(model="openai/tts-1", voice="alloy", input=TEXT, api_base=BASE, api_key="sk-wrong"),
        )
        assert error.status_code == 401
    with tried("errors", "an unknown model: NotFoundError"):
        error = raised(
            openai.NotFoundError,
            lambda: litellm.image_generation(model="openai/nobody", prompt="A ship", **HERE),
        )
        assert error.status_code == 404
    with tried("errors", "a bad field: BadRequestError"):
        error = raised(
            openai.BadRequestError,
            lambda: litellm.speech(model="openai/tts-1", voice="alloy", input=TEXT, speed=9, **HERE),
        )
        assert "speed" in str(error), error


async def later() -> None:
    with tried("speech", "aspeech openai/tts-1"):
        made = await litellm.aspeech(model="openai/tts-1", voice="alloy", input=TEXT, **HERE)
        hear(made.content, "mp3")
    with tried("images", "aimage_generation openai/gpt-image-1"):
        made = await litellm.aimage_generation(model="openai/gpt-image-1", prompt="A ship", size="1024x1024", **HERE)
        see(base64.b64decode(made.data[0].b64_json), "png", (1024, 1024))
    with tried("videos", "avideo_generation, avideo_status, avideo_content"):
        film = await litellm.avideo_generation(
            model="openai/sora-2", prompt="A ship", seconds="4", size="720x1280", **HERE
        )
        until = time.monotonic() + 60
        while (seen := await litellm.avideo_status(video_id=film.id, **FILMS)).status != "completed":
            assert time.monotonic() < until, seen
            await asyncio.sleep(0.2)
        watch(await litellm.avideo_content(video_id=film.id, **FILMS), (720, 1280), 4)


def main() -> None:
    for part in (speech, transcriptions, images, videos, errors):
        part()
    asyncio.run(later())


if __name__ == "__main__":
    sys.exit(main())
