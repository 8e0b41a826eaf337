"""The only encoder and decoder in the house: any audio in, any of the six formats out, as a stream.

All of it is FFmpeg through PyAV, in this process. ``Encoder`` and ``Decoder`` are plain synchronous objects; ``Codec``
runs them on threads of its own, so that nothing here ever holds up the event loop.
"""

from __future__ import annotations

import asyncio
import io
import os
import struct
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast

from engines.errors import CodecError as CodecError
from engines.media import SAMPLE_RATE, AudioFormat, AudioSpec, ByteStream, sniff

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream

MP3_BITRATE = 96_000
"""Bits a second of our mp3 (mono)."""

# Container, codec, rate, bits a second, container options, codec options. The options make each container leave its
# bytes at once and write nothing that would need a seek back: any prefix of each stream can be played.
_ENCODERS: dict[AudioFormat, tuple[str, str, int, int | None, dict[str, str], dict[str, str]]] = {
    AudioFormat.MP3: ("mp3", "libmp3lame", SAMPLE_RATE, MP3_BITRATE, {"write_xing": "0", "id3v2_version": "0"}, {}),
    AudioFormat.OPUS: ("ogg", "libopus", 48_000, 32_000, {"page_duration": "20000"}, {"frame_duration": "20"}),
    AudioFormat.AAC: ("adts", "aac", SAMPLE_RATE, 64_000, {}, {}),
    AudioFormat.FLAC: ("flac", "flac", SAMPLE_RATE, None, {}, {"compression_level": "5"}),
}
_DEMUXERS = {
    AudioFormat.MP3: "mp3",
    AudioFormat.OPUS: "ogg",
    AudioFormat.AAC: "aac",
    AudioFormat.FLAC: "flac",
    AudioFormat.WAV: "wav",
}


def wav_header(rate: int = SAMPLE_RATE, channels: int = 1, size: int | None = None) -> bytes:
    """The 44 bytes before 16 bit PCM. ``size`` is the length of the samples in bytes; ``None`` writes the largest one,
    which players take as "until the stream ends"."""
    data = 0xFFFFFFFF if size is None else size
    riff = 0xFFFFFFFF if size is None else size + 36
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    return struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + form + struct.pack("<4sI", b"data", data)


class _Sink(io.RawIOBase):
    """A file that can only be written to: what the muxer writes is taken out after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.bytes += data
        return len(data)

    def take(self) -> bytes:
        out = bytes(self.bytes)
        self.bytes.clear()
        return out


class _Reshape:
    """Raw 16 bit samples of one rate, channel count and pace into mono ones of another."""

    def __init__(self, source: AudioSpec, rate: int, tempo: float) -> None:
        import av

        self._source = source
        self._layout = "mono" if source.channels == 1 else "stereo"
        # Always 16 bit: mixed down in floating point, two channels would come out 3 dB too loud.
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        self._stretch = _tempo_graph(source.rate, self._layout, tempo) if tempo != 1.0 else None
        self._samples = 0

    def feed(self, pcm: bytes) -> Iterator[av.AudioFrame]:
        """Frames for whole samples of ``pcm``."""
        import av

        count = len(pcm) // (2 * self._source.channels)
        if not count:
            return
        frame = av.AudioFrame(format="s16", layout=self._layout, samples=count)
        frame.planes[0].update(pcm)
        frame.sample_rate = self._source.rate
        frame.time_base = Fraction(1, self._source.rate)
        frame.pts = self._samples
        self._samples += count
        for stretched in self._stretched(frame):
            yield from self._resampler.resample(stretched)

    def finish(self) -> Iterator[av.AudioFrame]:
        """What the filters still hold."""
        for stretched in self._stretched(None):
            yield from self._resampler.resample(stretched)
        with suppress(EOFError):
            yield from self._resampler.resample(None)

    def _stretched(self, frame: av.AudioFrame | None) -> Iterator[av.AudioFrame]:
        import av

        if self._stretch is None:
            yield from () if frame is None else (frame,)
            return
        self._stretch.push(frame)
        while True:
            try:
                out = cast("av.AudioFrame", self._stretch.pull())
            except (av.BlockingIOError, av.EOFError):
                return
            out.pts = None
            yield out


def _tempo_graph(rate: int, layout: str, tempo: float) -> av.filter.Graph:
    """FFmpeg's ``atempo``, which keeps the pitch. One step of it goes down to 0.5."""
    import av.filter

    graph = av.filter.Graph()
    nodes = [graph.add_abuffer(format="s16", sample_rate=rate, layout=layout, time_base=Fraction(1, rate))]
    while tempo < 0.5:
        nodes.append(graph.add("atempo", "0.5"))
        tempo /= 0.5
    nodes += [graph.add("atempo", f"{tempo:.6f}"), graph.add("abuffersink")]
    graph.link_nodes(*nodes).configure()
    return graph


class Encoder:
    """Raw PCM in, bytes of one format out, as early as the format allows (20 to 100 ms of sound).

    ``source`` is raw ``pcm``; the result is mono at 24 kHz (opus: 48 kHz, its own clock). ``tempo`` 2.0 makes it twice
    as fast at the same pitch. ``feed`` and ``finish`` block for about 1 to 6 ms a second of sound.
    """

    def __init__(
        self, target: AudioFormat, source: AudioSpec, *, tempo: float = 1.0, bitrate: int | None = None
    ) -> None:
        if source.format is not AudioFormat.PCM:
            raise CodecError("only raw samples can be encoded: decode first")
        self._odd = b""  # the part of a sample that a chunk ended in
        self._width = 2 * source.channels
        self._head = wav_header() if target is AudioFormat.WAV else b""
        self._plain = target in (AudioFormat.PCM, AudioFormat.WAV)
        self._through = self._plain and source == AudioSpec(AudioFormat.PCM) and tempo == 1.0
        self._sink = _Sink()
        if self._plain:
            self._reshape = None if self._through else _Reshape(source, SAMPLE_RATE, tempo)
        else:
            self._open(target, source, tempo, bitrate)

    def _open(self, target: AudioFormat, source: AudioSpec, tempo: float, bitrate: int | None) -> None:
        import av

        container, codec, rate, usual, options, codec_options = _ENCODERS[target]
        self._container = av.open(self._sink, "w", format=container, options={**options, "flush_packets": "1"})
        stream = cast("AudioStream", self._container.add_stream(codec, rate=rate, layout="mono"))
        if usual is not None:
            stream.bit_rate = bitrate or usual
        stream.options = {**codec_options}
        self._stream = stream
        self._reshape = _Reshape(source, rate, tempo)

    def feed(self, pcm: bytes) -> bytes:
        """Encode some samples; returns what can leave now, often nothing."""
        pcm = self._odd + pcm if self._odd else pcm
        whole = len(pcm) - len(pcm) % self._width
        pcm, self._odd = pcm[:whole], pcm[whole:]
        head, self._head = self._head, b""
        if self._through or self._reshape is None:
            return head + pcm
        return head + self._write(self._reshape.feed(pcm))

    def finish(self) -> bytes:
        """End the stream; returns its last bytes. Call it once."""
        head, self._head = self._head, b""
        if self._through or self._reshape is None:
            return head
        last = self._write(self._reshape.finish())
        if not self._plain:
            for packet in self._stream.encode(None):
                self._container.mux(packet)
            self._container.close()
            last += self._sink.take()
        return head + last

    def _write(self, frames: Iterator[av.AudioFrame]) -> bytes:
        if self._plain:
            return b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)
        for frame in frames:
            frame.pts = None  # the encoder counts samples itself
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        return self._sink.take()


def decode(read: Callable[[int], bytes], format: AudioFormat | None) -> Generator[bytes]:  # noqa: A002
    """Raw PCM (24 kHz mono) from an encoded stream, as it comes. Blocks in ``read``, which returns b"" at the end.

    Raises ``CodecError`` where the bytes are not audio, or break off inside.
    """
    import av

    source = _Source(read)
    options = {"probesize": "1024", "analyzeduration": "0"}  # else it collects 5 s of sound before the first frame
    made = False
    try:
        name = _DEMUXERS.get(format or sniff(source.peek(12)) or AudioFormat.PCM)
        with av.open(source, "r", format=name, options=options) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            for frame in container.decode(audio=0):
                for out in resampler.resample(frame):
                    made = True
                    yield bytes(out.planes[0])[: out.samples * 2]
            if made:
                for out in resampler.resample(None):
                    yield bytes(out.planes[0])[: out.samples * 2]
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise CodecError(f"the audio cannot be decoded: {error}") from error
    if not made:
        raise CodecError("the audio holds no sound")


class _Source(io.RawIOBase):
    """``read`` as a file that FFmpeg can pull from; it cannot seek."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        super().__init__()
        self._read = read
        self._held = b""

    def readable(self) -> bool:
        return True

    def peek(self, count: int) -> bytes:
        while len(self._held) < count and (more := self._read(count)):
            self._held += more
        return self._held[:count]

    def read(self, size: int = -1) -> bytes:
        data = self._held or self._read(size)
        if 0 <= size < len(data):
            data, self._held = data[:size], data[size:]
        else:
            self._held = b""
        return data


_STEP = 48_000  # bytes of PCM encoded in one go: a second, so that the first bytes of a long chunk leave early


class _Converted:
    """A ``ByteStream`` over a generator; closing it closes what it reads from, also when nothing was read yet."""

    def __init__(self, source: ByteStream, steps: Any) -> None:
        self._source = source
        self._steps = steps

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return cast("bytes", await anext(self._steps))

    async def aclose(self) -> None:
        await self._steps.aclose()
        await self._source.aclose()


class Codec:
    """Runs encoders and decoders off the event loop.

    Encoding takes short turns on a few threads. A decoder waits for its source, so each has a thread of its own while
    it lasts; there are at most ``decoders`` at once and further ones wait.
    """

    def __init__(self, *, mp3_bitrate: int = MP3_BITRATE, decoders: int = 64) -> None:
        self._bitrates = {AudioFormat.MP3: mp3_bitrate}
        self._encoding = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="encode")
        self._decoding = ThreadPoolExecutor(decoders, thread_name_prefix="decode")

    def convert(self, chunks: ByteStream, source: AudioSpec, target: AudioFormat, *, tempo: float = 1.0) -> ByteStream:
        """``chunks`` (which are ``source``) as ``target``: passed on untouched where they are that already."""
        if source.format is target and tempo == 1.0 and (target is not AudioFormat.PCM or source == AudioSpec(target)):
            return chunks
        pcm, spec = chunks, source
        if source.format is not AudioFormat.PCM:
            pcm, spec = _Converted(chunks, self._decoded(chunks, source.format)), AudioSpec(AudioFormat.PCM)
        return _Converted(pcm, self._encoded(pcm, spec, target, tempo))

    def close(self) -> None:
        """Let the threads go."""
        self._encoding.shutdown(wait=False, cancel_futures=True)
        self._decoding.shutdown(wait=False, cancel_futures=True)

    async def _encoded(self, pcm: ByteStream, source: AudioSpec, target: AudioFormat, tempo: float) -> Any:
        loop = asyncio.get_running_loop()

        def run(work: Callable[..., bytes], *args: bytes) -> asyncio.Future[bytes]:
            return loop.run_in_executor(self._encoding, work, *args)

        make = partial(Encoder, target, source, tempo=tempo, bitrate=self._bitrates.get(target))
        encoder = await loop.run_in_executor(self._encoding, make)
        async for chunk in pcm:
            for start in range(0, len(chunk), _STEP):
                if out := await run(encoder.feed, chunk[start : start + _STEP]):
                    yield out
        if out := await run(encoder.finish):
            yield out

    async def _decoded(self, chunks: ByteStream, format: AudioFormat) -> Any:  # noqa: A002
        loop = asyncio.get_running_loop()
        reading: list[Future[bytes]] = []

        async def chunk() -> bytes:
            return await anext(chunks, b"")

        def read(_size: int) -> bytes:
            """On the decoder's thread: wait for the next chunk, which the event loop fetches."""
            reading[:] = [asyncio.run_coroutine_threadsafe(chunk(), loop)]
            return reading[0].result()

        steps = decode(read, format)
        work: asyncio.Future[bytes | None] | None = None
        try:
            while (out := await (work := loop.run_in_executor(self._decoding, next, steps, None))) is not None:
                yield out
        finally:
            for future in reading:
                future.cancel()  # wakes a decoder that waits for more
            if work is not None:
                await asyncio.wait([work])
            self._decoding.submit(steps.close)
