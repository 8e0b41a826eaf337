"""Test media with no model behind it: a chord, a picture with its prompt written on it, a clip with a moving bar.

The same input gives the same bytes. All of it blocks: run it on a thread.
"""

from __future__ import annotations

import colorsys
import hashlib
import textwrap
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from engines.errors import CodecError
from engines.media import SAMPLE_RATE
from engines.pictures import PictureFormat, encode_picture, encode_video, load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image, ImageDraw
    from PIL.ImageFont import FreeTypeFont

CHARACTERS_PER_SECOND = 15
"""About what a reader of English does."""

FPS = 12
"""Frames a second of a clip."""

_FADE = 0.05
_READABLE = 4000  # no picture has room for more characters, and each is measured
_FONTS = 32  # sizes that a thread keeps at hand: loading one takes longer than drawing with it

_fonts = threading.local()


def tone(seconds: float, rate: int = SAMPLE_RATE, *, text: str = "") -> bytes:
    """A gentle major chord as PCM (signed 16 bit, little-endian, mono), faded in and out; ``text`` picks its pitch."""
    import numpy as np

    count = max(0, round(seconds * rate))
    # Two octaves from 160 Hz. All three notes and the tremolo are whole Hz, so that one second can be repeated.
    root = 160 + 4 * (_digest(text)[0] % 120)
    time = np.arange(rate) / rate
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (root, root * 5 // 4, root * 3 // 2))
    chord *= 0.1 * (1 + 0.3 * np.sin(2 * np.pi * 3 * time))
    samples = np.resize((chord * 32767).astype("<i2"), count) if count else np.empty(0, "<i2")
    fade = min(round(_FADE * rate), count // 2)
    ramp = np.linspace(0, 1, fade)
    samples[:fade] = samples[:fade] * ramp
    samples[count - fade :] = samples[count - fade :] * ramp[::-1]
    return samples.tobytes()


def voice_like(text: str, speed: float = 1.0, *, manner: str = "") -> bytes:
    """``tone`` for as long as it takes to say ``text``, at 24 kHz; ``manner`` (whose voice, how) moves its pitch."""
    return tone(max(0.5, len(text) / CHARACTERS_PER_SECOND) / speed, text=f"{manner}\n{text}")


def labelled_picture(
    text: str,
    width: int,
    height: int,
    format: PictureFormat = "png",  # noqa: A002
    *,
    note: str = "",
    picture: bytes = b"",
) -> bytes:
    """``text`` on a ground whose colour it picks, with the size in a corner and a small ``note`` in the other.

    ``picture`` (a png, jpeg or webp) is shown under the text; the ground shows through where it is transparent.
    """
    return encode_picture(_card(text, width, height, note, picture), format)


def labelled_video(
    text: str, width: int, height: int, seconds: float, *, note: str = "", picture: bytes = b""
) -> bytes:
    """``labelled_picture`` as a silent MP4, with a bar at the foot that has crossed it when the clip ends.

    Raises ``CodecError`` unless width and height are even.
    """
    import numpy as np

    if width % 2 or height % 2:
        raise CodecError(f"a video's width and height are even, got {width}x{height}")
    count = max(1, round(seconds * FPS))
    card = np.array(_card(text, width, height, note, picture))
    return encode_video(_with_bar(card, count), FPS, count)


def _with_bar(card: NDArray[np.uint8], count: int) -> Iterator[NDArray[np.uint8]]:
    """One array, changed between frames: the encoder has taken its copy by then."""
    height, width = card.shape[:2]
    top = height - max(2, height // 24)
    for index in range(count):
        card[top:, : max(1, width * (index + 1) // count)] = 255
        yield card


def _card(text: str, width: int, height: int, note: str, picture: bytes) -> Image.Image:
    from PIL import Image, ImageDraw

    hue, bright = _digest(f"{text}\n{note}")[:2]
    red, green, blue = colorsys.hsv_to_rgb(hue / 256, 0.6, 0.35 + bright / 1024)
    image = Image.new("RGB", (width, height), (round(red * 255), round(green * 255), round(blue * 255)))
    draw = ImageDraw.Draw(image)
    size = max(8, min(width, height) // 18)
    margin = size // 2
    foot = height - margin - max(2, height // 24)  # under it a video's bar
    top = height // 4 if picture else foot - 2 * size
    _write(draw, text, (margin, margin, width - margin, top), size, bottom=False)
    if picture:
        _show(image, picture, (margin, top, width - margin, foot - 2 * size))
    draw.text((width - margin, foot), f"{width}x{height}", font=_font(size), fill="white", anchor="rs")
    _write(draw, note, (margin, foot - 2 * size, width * 6 // 10, foot), max(8, size // 2), bottom=True)
    return image


def _show(image: Image.Image, picture: bytes, box: tuple[int, int, int, int]) -> None:
    """As large as the box lets it be, in its middle."""
    from PIL import ImageOps

    left, top, right, foot = box
    if right > left and foot > top:
        shown = ImageOps.contain(load(picture).convert("RGBA"), (right - left, foot - top))
        image.paste(shown, ((left + right - shown.width) // 2, (top + foot - shown.height) // 2), shown)


def _write(draw: ImageDraw.ImageDraw, text: str, box: tuple[int, int, int, int], size: int, *, bottom: bool) -> None:
    """Word-wrapped from the top of ``box`` or up from its bottom; what does not fit ends in dots."""
    left, top, right, foot = box
    font = _font(size)
    high = size * 5 // 4
    most = max(1, (foot - top) // high)
    across = max(1, int((right - left) / font.getlength("o")))
    # Half a surrogate pair (JSON can say that) is no text to Pillow.
    text = text[:_READABLE].encode("utf-8", "replace").decode()
    dots = "..." if across > 3 else ""
    parts = (textwrap.wrap(part, across, max_lines=most, placeholder=dots) for part in text.splitlines())
    lines = [line for part in parts for line in part][:most]
    start = foot - len(lines) * high if bottom else top
    for index, line in enumerate(lines):
        draw.text((left, start + index * high), line, font=font, fill="white")


def _font(size: int) -> FreeTypeFont:
    """It comes with Pillow, so that every machine draws alike; it has ASCII only, the rest shows as boxes."""
    from PIL import ImageFont

    # One for each thread: FreeType's faces may not be used by two at once.
    fonts = _fonts.__dict__.setdefault("of", {})
    if size not in fonts:
        if len(fonts) >= _FONTS:
            fonts.clear()
        fonts[size] = ImageFont.load_default(size)
    return cast("FreeTypeFont", fonts[size])


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
