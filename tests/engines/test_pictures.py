"""Pictures and videos, looked at again by other eyes: FFmpeg for what Pillow wrote."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from engines.errors import CodecError
from engines.pictures import (
    convert,
    encode_picture,
    encode_video,
    shrink,
    size_of,
    sniff_media,
    sniff_picture,
    spritesheet,
    thumbnail,
)


def file_of(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def seen(data: bytes) -> np.ndarray:
    """A picture file as FFmpeg sees it: height x width x RGB."""
    with av.open(io.BytesIO(data)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)


@pytest.fixture
def picture() -> Image.Image:
    """Red above, a ramp below; 60 wide, 40 high."""
    ramp = np.zeros((40, 60, 3), np.uint8)
    ramp[:20, :, 0] = 255
    ramp[20:] = np.linspace(0, 255, 60, dtype=np.uint8)[None, :, None]
    return Image.fromarray(ramp)


@pytest.mark.parametrize("target", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("source", ["png", "jpeg", "webp"])
def test_each_becomes_each(picture: Image.Image, source: str, target: str) -> None:
    data = file_of(picture, source, quality=95)
    out = convert(data, target)
    assert sniff_picture(out) == f"image/{target}"
    assert size_of(out) == (60, 40)
    assert (out == data) == (source == target), "what is right already is not touched"
    pixels = seen(out)
    assert pixels.shape == (40, 60, 3)
    assert np.abs(pixels - np.asarray(picture)).mean() < 12


def test_quality_moves_the_size(picture: Image.Image) -> None:
    data = file_of(picture.resize((600, 400)), "png")
    for target in ("jpeg", "webp"):
        assert len(convert(data, target, 10)) < len(convert(data, target, 95))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
@pytest.mark.parametrize("target", ["jpeg", "webp"])
def test_every_kind_of_png(picture: Image.Image, mode: str, target: str) -> None:
    if mode == "I;16":
        plain = picture.convert("L")
        odd = Image.fromarray(np.asarray(plain).astype(np.uint16) * 257)
    else:
        plain = odd = picture.convert(mode)
    pixels = seen(convert(file_of(odd, "png"), target))
    assert np.abs(pixels - np.asarray(plain.convert("RGB"))).mean() < 12


def test_transparency_is_white_in_a_jpeg_and_stays_elsewhere() -> None:
    data = file_of(Image.new("RGBA", (32, 32), (0, 0, 0, 0)), "png")
    assert seen(convert(data, "jpeg")).min() > 250
    assert Image.open(io.BytesIO(convert(data, "webp"))).mode == "RGBA"


def test_cmyk_becomes_a_png(picture: Image.Image) -> None:
    pixels = seen(convert(file_of(picture.convert("CMYK"), "jpeg", quality=95), "png"))
    assert np.abs(pixels - np.asarray(picture)).mean() < 12


def test_colour_profiles_are_kept(picture: Image.Image) -> None:
    data = file_of(picture, "png", icc_profile=b"a profile")
    assert Image.open(io.BytesIO(convert(data, "webp"))).info["icc_profile"] == b"a profile"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_s_turn_is_carried_out(picture: Image.Image, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file_of(picture, "jpeg", exif=exif, quality=95)
    out = convert(data, "png")
    assert size_of(data) == size_of(out) == ((40, 60) if orientation > 4 else (60, 40))
    red = {1: (5, 30), 2: (5, 30), 3: (35, 30), 4: (35, 30), 5: (30, 5), 6: (30, 35), 7: (30, 35), 8: (30, 5)}
    assert tuple(seen(out)[red[orientation]] > 128) == (True, False, False)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_note_of_the_turn_is_none(picture: Image.Image) -> None:
    broken = b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"
    assert size_of(file_of(picture, "jpeg", exif=broken)) == (60, 40)
    # An orientation that is text and no number.
    entry = struct.pack(">HHI4s", 0x0112, 2, 2, b"x\0\0\0")
    worded = b"Exif\x00\x00MM\x00*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    assert size_of(file_of(picture, "jpeg", exif=worded)) == (60, 40)


def claiming(width: int, height: int) -> bytes:
    """A tiny png that says it is large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(10_000, 5001), (10_000, 10_000), (60_000, 60_000)])
def test_bombs_are_refused_before_they_are_decoded(width: int, height: int) -> None:
    for work in (size_of, lambda data: convert(data, "jpeg")):
        with pytest.raises(CodecError):
            work(claiming(width, height))


def test_what_is_no_picture_is_refused(picture: Image.Image) -> None:
    png = file_of(picture, "png")
    gif = file_of(picture, "gif")
    for data in (b"", b"<html>", gif, png[: len(png) // 2], png[:30], png[:40] + bytes(20) + png[60:]):
        with pytest.raises(CodecError):
            convert(data, "jpeg")
    with pytest.raises(CodecError):
        convert(png, "gif")  # type: ignore[arg-type]
    with pytest.raises(CodecError, match="written as webp"):
        encode_picture(Image.new("RGB", (17_000, 1)), "webp")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"GIF89a......", "image/gif"),
        (b"\x00\x00\x00\x20ftypisom", "video/mp4"),
        (b"\x00\x00\x00\x20ftypmp42", "video/mp4"),
        (b"\x00\x00\x00\x20ftypavif", None),
        (b"\x00\x00\x00\x20ftypM4A ", None),
        (b"\x00\x00\x00\x20ftyp", None),
        (b"RIFF....WAVE", None),
        (b"RIFF....WEBP", "image/webp"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"", None),
    ],
)
def test_first_bytes(head: bytes, kind: str | None) -> None:
    assert sniff_media(head) == kind
    assert sniff_picture(head) == (None if kind == "video/mp4" else kind)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_video_of_frames(codec: str) -> None:
    frames = [np.full((48, 64, 3), shade, np.uint8) for shade in (0, 100, 200)]
    data = encode_video(frames, 10, 3, codecs=("no-such-codec", codec))
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.pix_fmt) == (64, 48, "yuv420p")
        shades = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
    assert shades == pytest.approx([0, 100, 200], abs=12)


def test_videos_that_cannot_be() -> None:
    with pytest.raises(CodecError, match="a frame"):
        encode_video([], 10, 0)
    with pytest.raises(CodecError, match="none of no-such"):
        encode_video([], 10, 0, codecs=("no-such", "h264_nothing"))
    with pytest.raises(CodecError, match="cannot be encoded"):
        encode_video([np.zeros((5, 7, 3), np.uint8)], 10, 1)


def test_a_film_of_one_frame_has_a_picture() -> None:
    film = encode_video([np.full((32, 64, 3), 200, np.uint8)], 12, 1)
    with Image.open(io.BytesIO(thumbnail(io.BytesIO(film)))) as image:
        assert image.size == (64, 32)
    with Image.open(io.BytesIO(spritesheet(io.BytesIO(film)))) as image:
        assert image.size == (64, 32)


@pytest.mark.parametrize("cut", [0, 100, 700])
def test_what_is_no_film_has_none(cut: int) -> None:
    film = encode_video([np.full((32, 64, 3), 200, np.uint8)] * 12, 12, 12)
    with pytest.raises(CodecError):
        thumbnail(io.BytesIO(film[:cut]))


def test_a_small_picture_keeps_what_is_transparent() -> None:
    out, masking = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (400, 100), "red").save(out, "png")
    mask = Image.new("RGBA", (400, 100), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 200, 100))
    mask.save(masking, "png")
    with Image.open(io.BytesIO(shrink(out.getvalue(), 100, masking.getvalue()))) as image:
        assert (image.format, image.size, image.mode) == ("WEBP", (100, 25), "RGBA")
        assert image.getpixel((10, 12))[3] == 0
        assert image.getpixel((90, 12))[3] == 255
    with pytest.raises(CodecError):
        shrink(out.getvalue()[:60], 100)
