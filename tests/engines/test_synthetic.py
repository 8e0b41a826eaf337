"""Test media, decoded again by something else than what made it."""

from __future__ import annotations

import io
from collections.abc import Callable

import av
import numpy as np
import pytest
import soundfile

from engines.codec import wav_header
from engines.errors import CodecError
from engines.synthetic import labelled_picture, labelled_video, tone, voice_like


def frames(data: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def ground(picture: np.ndarray) -> tuple[int, ...]:
    """The commonest colour."""
    colours, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    return tuple(colours[counts.argmax()])


@pytest.mark.parametrize("rate", [8000, 24_000])
@pytest.mark.parametrize("seconds", [0.01, 0.5, 3.25])
def test_a_tone_is_as_long_as_asked(seconds: float, rate: int) -> None:
    pcm = tone(seconds, rate)
    samples, heard_rate = soundfile.read(io.BytesIO(wav_header(rate, size=len(pcm)) + pcm))
    assert heard_rate == rate
    assert len(samples) == round(seconds * rate)
    assert 0.001 < np.abs(samples).max() < 0.5
    assert samples[0] == samples[-1] == 0, "it fades in and out, without a click"


def test_no_time_is_no_sound() -> None:
    assert tone(0) == tone(-1) == b""


def test_each_text_has_its_pitch() -> None:
    assert tone(1, text="a") == tone(1, text="a")
    assert len({tone(1, text=text) for text in "abcdefgh"}) > 4


def test_speech_is_as_long_as_its_text() -> None:
    assert len(voice_like("x" * 150)) == 10 * 48_000
    assert len(voice_like("x" * 150, 2.0)) == 5 * 48_000
    assert len(voice_like("x")) == 24_000
    assert len({voice_like("hello", manner=voice) for voice in ("alloy", "echo", "nova", "onyx")}) > 1


@pytest.mark.parametrize(("width", "height"), [(16, 16), (64, 2000), (2000, 16), (1024, 768)])
@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_a_picture_has_the_size_and_a_label(width: int, height: int, format: str) -> None:
    (pixels,) = frames(labelled_picture("A cat\non a mat " * 20, width, height, format, note="seed 1, quality high"))
    assert pixels.shape == (height, width, 3)
    assert pixels.std() > 1
    assert pixels.max() > 200, "white letters"


def test_the_text_picks_the_colour_and_is_written() -> None:
    plain, cat, dog = (frames(labelled_picture(text, 320, 240))[0] for text in ("", "a cat", "a dog"))
    assert len({ground(plain), ground(cat), ground(dog)}) == 3
    assert (cat[:60] != ground(cat)).any()
    assert (plain[:60] == ground(plain)).all()
    assert labelled_picture("a cat", 320, 240) == labelled_picture("a cat", 320, 240)


def test_long_text_leaves_the_foot_free_and_a_note_is_written_there() -> None:
    wordy, noted = (frames(labelled_picture("long " * 6000, 400, 400, note=note))[0] for note in ("", "seed 5"))
    left = slice(330, 390), slice(0, 200)
    assert (wordy[left] == ground(wordy)).all()
    assert (noted[left] != ground(noted)).any()


@pytest.mark.parametrize("text", ["\ud800 half a pair", "猫 \x00 ö", "\n\n", "x" * 50_000])
def test_any_text_can_be_drawn(text: str) -> None:
    assert frames(labelled_picture(text, 64, 64))
    assert tone(0.1, text=text)


def test_a_video_plays_with_its_bar_moving() -> None:
    data = labelled_video("a cat on a mat", 320, 180, 1, note="seed 5")
    assert data.index(b"moov") < data.index(b"mdat"), "players can begin before they have it all"
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames, stream.average_rate) == (320, 180, 12, 12)
        assert stream.codec_context.name == "h264"
        assert float(stream.duration * stream.time_base) == pytest.approx(1)
    shown = frames(data)
    assert len(shown) == 12
    assert all(frame.std() > 1 for frame in shown)
    bars = [int((frame[-3] > 200).all(axis=1).sum()) for frame in shown]
    assert bars == sorted(set(bars))
    assert bars[-1] > 310
    assert labelled_video("a cat on a mat", 320, 180, 1, note="seed 5") == data


def test_the_smallest_and_longest_videos() -> None:
    assert len(frames(labelled_video("x", 16, 16, 20))) == 240
    assert len(frames(labelled_video("x", 64, 32, 0))) == 1


@pytest.mark.parametrize("make", [lambda: labelled_video("x", 17, 16, 1), lambda: labelled_video("x", 16, 17, 1)])
def test_odd_sides_are_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(CodecError, match="even"):
        make()
