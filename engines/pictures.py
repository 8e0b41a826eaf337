"""The only place for pictures and video frames: what one is, png to jpeg to webp, frames into an MP4 and out.

Pictures go through Pillow, video through PyAV; both are imported at first use. All of it blocks: run it on a thread.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from engines.errors import CodecError

if TYPE_CHECKING:
    import av
    import numpy as np
    from av.video.stream import VideoStream
    from numpy.typing import NDArray
    from PIL import Image

PictureFormat = Literal["png", "jpeg", "webp"]

PIXEL_LIMIT = 50_000_000
"""No picture with more pixels is decoded: 50 MP are 200 MB of memory, and a file of a few kB may claim any number."""

VIDEO_CODECS = ("libx264", "libopenh264", "mpeg4")
"""Best first. Which of them are there depends on how FFmpeg was built."""

_READS = ("PNG", "JPEG", "WEBP")
# libwebp's method 2 takes a third of the time of the usual 4, for files a few per cent larger.
_SAVING: dict[str, dict[str, Any]] = {"png": {"compress_level": 4}, "jpeg": {}, "webp": {"method": 2}}
_OPTIONS = {"libx264": {"preset": "ultrafast", "tune": "stillimage", "crf": "23"}}
_ORIENTATION = 0x0112
# Files of the same family as MP4 that hold a picture, sound only or Apple's variant.
_NOT_MP4 = {b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"M4A ", b"M4B ", b"M4P ", b"qt  "}


def sniff_picture(head: bytes) -> str | None:
    """The mime type of a png, jpeg, webp or gif by its first bytes (12 are enough), else ``None``."""
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if head[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    return None


def sniff_media(head: bytes) -> str | None:
    """``sniff_picture``, and ``video/mp4``."""
    if head[4:8] == b"ftyp" and len(head) >= 12 and head[8:12] not in _NOT_MP4:
        return "video/mp4"
    return sniff_picture(head)


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height as shown, from the head of a png, jpeg or webp. Raises ``CodecError``."""
    with _opened(data) as image:
        width, height = image.size
        turned = _orientation(image) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def convert(data: bytes, format: PictureFormat, quality: int = 90) -> bytes:  # noqa: A002
    """A png, jpeg or webp as ``format``: at the size it is shown at, untouched where it is that format already.

    ``quality`` is 0 to 100 and moves jpeg and webp. Transparency becomes white in a jpeg; of an animation the first
    picture is kept. Raises ``CodecError`` for what is no picture, broken off, or larger than ``PIXEL_LIMIT``.
    """
    with _opened(data) as image:
        image.load()
        return data if image.format == format.upper() else encode_picture(_upright(image), format, quality)


def encode_picture(image: Image.Image, format: PictureFormat, quality: int = 90) -> bytes:  # noqa: A002
    """A picture in memory as the bytes of a file. Raises ``CodecError`` for a size that the format cannot hold."""
    if format not in _SAVING:
        raise CodecError(f"pictures are png, jpeg or webp, not {format!r}")
    profile = image.info.get("icc_profile") if image.mode != "CMYK" else None
    out = io.BytesIO()
    options = {**_SAVING[format], "quality": quality, "icc_profile": profile}
    try:
        _fit(image, format).save(out, format.upper(), **options)
    except (OSError, ValueError) as error:
        raise CodecError(f"the picture cannot be written as {format}: {error}") from error
    return out.getvalue()


def shrink(data: bytes, longest: int, mask: bytes | None = None) -> bytes:
    """A png, jpeg or webp as a webp whose longer side has at most ``longest`` pixels, transparent where ``mask`` is.

    Raises ``CodecError`` as ``convert`` does, for either of them.
    """
    small = load(data)
    small.thumbnail((longest, longest))
    if mask is not None:
        small = small.convert("RGBA")
        small.putalpha(load(mask).convert("RGBA").getchannel("A").resize(small.size))
    return encode_picture(small, "webp", 75)


def load(data: bytes) -> Image.Image:
    """A png, jpeg or webp in memory, as it is shown, in RGB or RGBA. Raises ``CodecError`` as ``convert`` does."""
    with _opened(data) as image:
        image.load()
        return _fit(_upright(image), "webp")


def encode_video(
    frames: Iterable[NDArray[np.uint8]], fps: int, count: int, *, codecs: Sequence[str] = VIDEO_CODECS
) -> bytes:
    """``count`` frames (height x width x 3, RGB, one size, even) as an MP4 whose index stands first.

    Raises ``CodecError`` where no codec is there or the frames do not fit. Takes one core.
    """
    import av

    codec = next((each for each in codecs if _can_encode(each)), None)
    if codec is None:
        raise CodecError(f"this FFmpeg has none of {', '.join(codecs)}")
    out = io.BytesIO()
    # `faststart` would move the index by opening the file a second time, which memory has no name for: so room for it
    # is kept in front. A frame needs less than 32 bytes of it.
    options = {"moov_size": str(4096 + 32 * count)}
    try:
        with av.open(out, "w", format="mp4", options=options) as container:
            stream: VideoStream | None = None
            for array in frames:
                frame = av.VideoFrame.from_ndarray(array, format="rgb24")
                if stream is None:
                    stream = cast("VideoStream", container.add_stream(codec, rate=fps))
                    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
                    stream.codec_context.thread_count = 1
                    stream.options = dict(_OPTIONS.get(codec, {}))
                container.mux(stream.encode(frame))
            if stream is None:
                raise CodecError("a video needs a frame")
            container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError) as error:
        raise CodecError(f"the video cannot be encoded: {error}") from error
    return out.getvalue()


def thumbnail(film: BinaryIO) -> bytes:
    """A webp of the frame in the middle of a film, its longer side 1280 pixels at most. Raises ``CodecError``."""
    return encode_picture(_stills(film, 1, 1280)[0], "webp", 80)


def spritesheet(film: BinaryIO) -> bytes:
    """A jpeg of up to 16 frames spread evenly over a film, four a row. Raises ``CodecError``."""
    from PIL import Image

    tiles = _stills(film, 16, 320)
    width, height = tiles[0].size
    sheet = Image.new("RGB", (min(4, len(tiles)) * width, -(-len(tiles) // 4) * height))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % 4 * width, place // 4 * height))
    return encode_picture(sheet, "jpeg", 85)


def _stills(film: BinaryIO, count: int, longest: int) -> list[Image.Image]:
    """Up to ``count`` frames spread evenly, at most ``longest`` pixels long: one pass, up to the last of them."""
    import av

    found: list[Image.Image] = []
    last: av.VideoFrame | None = None
    try:
        with av.open(film, "r") as container:
            if not container.streams.video:
                raise CodecError("the film has no pictures")
            stream = container.streams.video[0]
            if stream.width * stream.height > PIXEL_LIMIT:
                raise CodecError(f"a film of {stream.width}x{stream.height} is over {PIXEL_LIMIT} pixels")
            length = (container.duration or 0) / av.time_base
            shown = 1 / float(stream.average_rate or 25)  # for how many seconds a frame is
            for last in container.decode(stream):
                if (last.time or 0.0) + shown > (len(found) + 0.5) * length / count:
                    found.append(_small(last, longest))
                    if len(found) == count:
                        break
            if last is None:
                raise CodecError("the film has no pictures")
            return found or [_small(last, longest)]
    except (av.FFmpegError, ValueError) as error:
        raise CodecError(f"the film cannot be decoded: {error}") from error


def _small(frame: av.VideoFrame, longest: int) -> Image.Image:
    from PIL import Image

    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    image.thumbnail((longest, longest))
    return image


def _can_encode(codec: str) -> bool:
    import av.codec.codec

    try:
        return av.codec.Codec(codec, "w").is_encoder
    except av.codec.codec.UnknownCodecError:
        return False


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The picture in ``data``, of which only the head has been read; Pillow's many errors become ours."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_READS) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise CodecError(f"a picture of {image.width}x{image.height} is over {PIXEL_LIMIT} pixels")
            yield image
    # SyntaxError is what Pillow's png reader raises for broken chunks; the bomb errors start above our own limit.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise CodecError(f"the picture cannot be decoded: {error}") from error


def _orientation(image: Image.Image) -> int:
    """How a camera held it (EXIF: 1 to 8). A damaged note is as good as none."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (OSError, SyntaxError, TypeError, ValueError, struct.error):
        return 1


def _upright(image: Image.Image) -> Image.Image:
    """As it is shown: what we write has no such note."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _fit(image: Image.Image, format: PictureFormat) -> Image.Image:  # noqa: A002
    """In a mode that the format can hold."""
    from PIL import Image

    if format == "png" and image.mode != "CMYK":
        return image
    if image.mode in ("I", "I;16"):  # 16 bit grey, which Pillow would cut off at 255
        import numpy as np

        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    if format != "jpeg":
        return image
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground
