"""OpenAI's Python package: both clients, everything of media it has."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import urllib.request
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import openai
from trying import BASE, KEY, TEXT, Trying, hear, picture, recording, see, watch

warnings.simplefilter("ignore", DeprecationWarning)
tried = Trying("openai (Python)", "openai")
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


def models(client: openai.OpenAI) -> None:
    with tried("models", "models.list"):
        names = [model.id for model in client.models.list()]
        assert {"tts-1", "whisper-1", "gpt-image-1", "sora-2"} <= set(names), names
    with tried("models", "models.retrieve"):
        assert client.models.retrieve("tts-1").object == "model"


def speech(client: openai.OpenAI) -> None:
    for model in ("tts-1", "tts-1-hd", "gpt-4o-mini-tts"):
        for form in FORMATS:
            with tried("speech", f"audio.speech.create {model} {form}"):
                hear(
                    client.audio.speech.create(model=model, voice="nova", input=TEXT, response_format=form).read(), form
                )
    with tried("speech", "audio.speech.create speed, instructions"):
        said = {"model": "gpt-4o-mini-tts", "voice": "coral", "input": TEXT, "response_format": "wav"}
        slow, fast = (
            hear(client.audio.speech.create(**said, instructions="Calmly.", speed=speed).content, "wav")
            for speed in (1.0, 2.0)
        )
        assert fast < slow * 0.75, (slow, fast)
    with tried("speech stream", "audio.speech.with_streaming_response iter_bytes"):
        with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=TEXT * 4, response_format="pcm"
        ) as answer:
            pieces = list(answer.iter_bytes(4096))
        assert len(pieces) > 3
        hear(b"".join(pieces), "pcm")
    with tried("speech stream", "audio.speech.with_streaming_response stream_to_file"), TemporaryDirectory() as folder:
        path = Path(folder) / "speech.mp3"
        with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input=TEXT) as answer:
            answer.stream_to_file(path)
        hear(path.read_bytes(), "mp3")
    for model in ("tts-1", "gpt-4o-mini-tts"):
        with tried("speech stream", f"audio.speech.with_streaming_response stream_format=sse {model}"):
            with client.audio.speech.with_streaming_response.create(
                model=model, voice="alloy", input=TEXT, stream_format="sse"
            ) as answer:
                lines = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: {")]
            told(lines, counted=model == "tts-1")


def told(events: list[dict], *, counted: bool) -> None:
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"
    # Of a sound that is passed on as it came the gateway does not know how long it is.
    assert not counted or set(events[-1]["usage"]) >= {"input_tokens", "output_tokens", "total_tokens"}
    hear(b"".join(base64.b64decode(event["audio"]) for event in events[:-1]), "mp3")


def transcriptions(client: openai.OpenAI) -> None:
    file = ("speech.wav", recording())
    with tried("transcriptions", "audio.transcriptions.create json"):
        text = client.audio.transcriptions.create(model="whisper-1", file=file).text
        assert text == f"{len(file[1])} bytes of wav", text
    with tried("transcriptions", "audio.transcriptions.create verbose_json, granularities"):
        answer = client.audio.transcriptions.create(
            model="whisper-1", file=file, response_format="verbose_json", timestamp_granularities=["segment"]
        )
        assert answer.language == "english"
    for form, start in (("text", "48"), ("srt", "1\n00:00"), ("vtt", "WEBVTT")):
        with tried("transcriptions", f"audio.transcriptions.create {form}"):
            answer = client.audio.transcriptions.create(model="whisper-1", file=file, response_format=form)
            assert str(answer).startswith(start), answer
    with tried("transcriptions", "audio.transcriptions.create stream"):
        events = list(client.audio.transcriptions.create(model="gpt-4o-mini-transcribe", file=file, stream=True))
        assert [event.type for event in events[-2:]] == ["transcript.text.delta", "transcript.text.done"]
    with tried("transcriptions", "audio.translations.create"):
        assert client.audio.translations.create(model="whisper-1", file=file).text.endswith("in English")


def images(client: openai.OpenAI) -> None:
    with tried("images", "images.generate gpt-image-1"):
        made = client.images.generate(model="gpt-image-1", prompt="A lighthouse", size="1536x1024")
        see(base64.b64decode(made.data[0].b64_json), "png", (1536, 1024))
    with tried("images", "images.generate b64_json, n=2"):
        made = client.images.generate(
            model="dall-e-3", prompt="A lighthouse", size="1024x1024", response_format="b64_json", n=2
        )
        assert len(made.data) == 2
        for each in made.data:
            see(base64.b64decode(each.b64_json), "png", (1024, 1024))
    with tried("images", "images.generate url"):
        made = client.images.generate(model="dall-e-3", prompt="A lighthouse", size="1024x1024", response_format="url")
        with urllib.request.urlopen(made.data[0].url, timeout=30) as answer:
            see(answer.read(), "png", (1024, 1024))
    for form in ("jpeg", "webp"):
        with tried("images", f"images.generate output_format={form}"):
            made = client.images.generate(
                model="gpt-image-1", prompt="A lighthouse", size="1024x1024", output_format=form, quality="high"
            )
            see(base64.b64decode(made.data[0].b64_json), form, (1024, 1024))
    with tried("images", "images.generate stream"):
        events = list(
            client.images.generate(
                model="gpt-image-1", prompt="A lighthouse", size="1024x1024", stream=True, partial_images=0
            )
        )
        assert [event.type for event in events] == ["image_generation.completed"], events
        see(base64.b64decode(events[0].b64_json), "png", (1024, 1024))
    with tried("image edits", "images.edit one picture"):
        made = client.images.edit(model="gpt-image-1", image=("in.png", picture()), prompt="At night", size="1024x1024")
        see(base64.b64decode(made.data[0].b64_json), "png", (1024, 1024))
    with tried("image edits", "images.edit two pictures"):
        both = [("a.png", picture()), ("b.jpg", picture(form="JPEG"))]
        made = client.images.edit(model="gpt-image-1", image=both, prompt="Both", size="1024x1024")
        see(base64.b64decode(made.data[0].b64_json), "png", (1024, 1024))


def videos(client: openai.OpenAI) -> None:
    with tried("videos", "videos.create_and_poll"):
        film = client.videos.create_and_poll(model="sora-2", prompt="A lighthouse", seconds="4", size="1280x720")
        assert (film.status, film.progress, film.seconds, film.size) == ("completed", 100, "4", "1280x720"), film
    with tried("videos", "videos.create input_reference"):
        sent = ("in.png", picture((720, 1280)), "image/png")
        other = client.videos.create(model="sora-2", prompt="A ship", input_reference=sent)
        assert other.status in ("queued", "in_progress"), other
        assert client.videos.poll(other.id).status == "completed"
    with tried("videos", "videos.retrieve"):
        assert client.videos.retrieve(film.id).prompt in ("A lighthouse", None)
    with tried("videos", "videos.list"):
        assert {film.id, other.id} <= {each.id for each in client.videos.list(limit=1)}
    with tried("videos", "videos.download_content"):
        watch(client.videos.download_content(film.id).read(), (1280, 720), 4)
    with tried("videos", "videos.download_content variant=thumbnail"):
        assert client.videos.download_content(film.id, variant="thumbnail").read()[:4] == b"RIFF"
    with tried("videos", "videos.remix"):
        again = client.videos.remix(film.id, prompt="At night")
        assert again.remixed_from_video_id == film.id
        assert client.videos.poll(again.id).status == "completed"
    with tried("videos", "videos.delete"):
        assert client.videos.delete(film.id).deleted is True
        try:
            client.videos.retrieve(film.id)
        except openai.NotFoundError:
            return
        raise AssertionError("it is still there")


def errors(client: openai.OpenAI) -> None:
    def raised(kind: type[openai.APIStatusError], call) -> openai.APIStatusError:
        try:
            call()
        except kind as error:
            assert error.request_id, "no x-request-id"
            return error
        raise AssertionError("no error")

    with tried("errors", "a wrong key: AuthenticationError"):
        error = raised(openai.AuthenticationError, lambda: list(client.with_options(api_key="sk-wrong").models.list()))
        assert (error.status_code, error.code) == (401, "invalid_api_key"), error
    with tried("errors", "an unknown model: NotFoundError"):
        error = raised(
            openai.NotFoundError, lambda: client.audio.speech.create(model="nobody", voice="alloy", input=TEXT)
        )
        assert (error.status_code, error.code, error.param) == (404, "model_not_found", "model"), error
    with tried("errors", "a bad field: BadRequestError"):
        error = raised(
            openai.BadRequestError,
            lambda: client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, speed=9),
        )
        assert (error.status_code, error.type, error.param) == (400, "invalid_request_error", "speed"), error
    with tried("errors", "a text that is too long: BadRequestError"):
        error = raised(
            openai.BadRequestError, lambda: client.audio.speech.create(model="tts-1", voice="alloy", input="a" * 4097)
        )
        assert (error.param, error.code) == ("input", "string_above_max_length"), error
    with tried("errors", "a bad size of a picture: BadRequestError"):
        error = raised(
            openai.BadRequestError, lambda: client.images.generate(model="gpt-image-1", prompt="A", size="7x7x7")
        )
        assert error.param == "size", error


async def everything_async(client: openai.AsyncOpenAI) -> None:
    with tried("models", "async models.list"):
        assert "tts-1" in [model.id async for model in client.models.list()]
    with tried("speech", "async audio.speech.create"):
        made = await client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="opus")
        hear(made.content, "opus")
    with tried("speech stream", "async audio.speech.with_streaming_response"):
        async with client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", voice="alloy", input=TEXT, response_format="pcm"
        ) as answer:
            hear(b"".join([piece async for piece in answer.iter_bytes(4800)]), "pcm")
    with tried("transcriptions", "async audio.transcriptions.create"):
        file = ("speech.wav", recording())
        assert (await client.audio.transcriptions.create(model="whisper-1", file=file)).text
    with tried("images", "async images.generate, three at once"):
        made = await asyncio.gather(
            *(client.images.generate(model="gpt-image-1", prompt=f"Ship {n}", size="1024x1024") for n in range(3))
        )
        for each in made:
            see(base64.b64decode(each.data[0].b64_json), "png", (1024, 1024))
    with tried("image edits", "async images.edit"):
        made = await client.images.edit(model="gpt-image-1", image=picture(), prompt="At night", size="1024x1024")
        see(base64.b64decode(made.data[0].b64_json), "png", (1024, 1024))
    if hasattr(client, "videos"):
        with tried("videos", "async videos.create_and_poll, download_content"):
            film = await client.videos.create_and_poll(model="sora-2", prompt="A ship", seconds="4", size="720x1280")
            watch((await client.videos.download_content(film.id)).read(), (720, 1280), 4)
    with tried("errors", "async, an unknown model: NotFoundError"):
        try:
            await client.images.generate(model="nobody", prompt="A ship")
        except openai.NotFoundError as error:
            assert error.code == "model_not_found", error
        else:
            raise AssertionError("no error")


async def in_a_loop() -> None:
    async with openai.AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0) as client:
        await everything_async(client)


def main() -> None:
    with openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0) as client:
        for part in (models, speech, transcriptions, images, errors):
            part(client)
        if hasattr(client, "videos"):
            videos(client)
    asyncio.run(in_a_loop())


if __name__ == "__main__":
    sys.exit(main())
