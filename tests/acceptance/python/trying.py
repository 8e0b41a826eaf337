"""What the programs share: one JSON line for each thing tried, and a look at what came back with other decoders."""

from __future__ import annotations

import io
import json
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import av
import numpy as np
import soundfile
from PIL import Image

URL = os.environ["GATEWAY_URL"]
KEY = os.environ["GATEWAY_KEY"]
BASE = f"{URL}/v1"
TEXT = "The lighthouse was dark, and the sea was calm."


class Trying:
    """``with tried("speech", "audio.speech.create mp3"): …``: what it raises is told, and the next thing is tried."""

    def __init__(self, client: str, package: str | None = None, told: str = "") -> None:
        self.client = client
        self.version = version(package) if package else told

    @contextmanager
    def __call__(self, endpoint: str, call: str) -> Iterator[None]:
        detail = ""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            detail = f"{type(error).__name__}: {error}"[:500]
        line = {"client": self.client, "version": self.version, "endpoint": endpoint, "call": call}
        print(json.dumps({**line, "ok": not detail, "detail": detail}), flush=True)


def hear(data: bytes, form: str, rate: int = 24_000) -> float:
    """Seconds of sound. Raises where it is not ``form``, shorter than half a second, or silent."""
    if form == "pcm":
        assert len(data) % 2 == 0, f"{len(data)} bytes are no whole samples"
        samples = np.frombuffer(data, "<i2") / 32768
    elif form in ("aac", "flac"):  # libsndfile knows no aac, and no flac whose length was unknown when it began
        with av.open(io.BytesIO(data)) as container:
            assert container.format.name == form, container.format.name
            frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
            rate = container.streams.audio[0].rate
        samples = np.concatenate(frames, axis=1)[0].astype("f8")
        samples /= max(1.0, abs(samples).max())
    else:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            kind = {"mp3": ("MP3",), "opus": ("OGG",), "wav": ("WAV", "WAVEX")}[form]
            assert file.format in kind, f"{file.format} is not {form}"
            samples, rate = file.read(), file.samplerate
    seconds = len(samples) / rate
    assert seconds > 0.5, f"only {seconds} s of sound"
    assert abs(samples).max() > 0.01, "silence"
    return seconds


def see(data: bytes, form: str, size: tuple[int, int]) -> None:
    """Raise where the picture is not ``form`` (by its own bytes) or not of ``size``."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert (picture.format, picture.size) == (form.upper(), size), f"{picture.format} {picture.size}"


def watch(data: bytes, size: tuple[int, int], seconds: float) -> None:
    """Raise where the film is not MP4, not of ``size`` or not so long."""
    assert data[4:8] == b"ftyp", data[:12]
    with av.open(io.BytesIO(data)) as container:
        frames = [(frame.width, frame.height) for frame in container.decode(video=0)]
        assert container.duration is not None
        long = container.duration / av.time_base
    assert set(frames) == {size}, set(frames)
    assert abs(long - seconds) < 0.6, f"{long} s"


def picture(size: tuple[int, int] = (256, 256), form: str = "PNG") -> bytes:
    """A picture to be edited."""
    out = io.BytesIO()
    Image.new("RGB", size, (30, 90, 160)).save(out, form)
    return out.getvalue()


def recording() -> bytes:
    """A WAV file to be written down."""
    out = io.BytesIO()
    tone = np.sin(np.arange(24_000) * 2 * np.pi * 440 / 24_000)
    soundfile.write(out, (tone * 12_000).astype("<i2"), 24_000, format="WAV")
    return out.getvalue()
