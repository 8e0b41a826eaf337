"""The one encoder: six formats out as a stream, any of them in, decoded again by another decoder."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest

from engines.codec import Codec, Encoder, decode, wav_header
from engines.errors import CodecError
from engines.media import MIME, AudioFormat, AudioSpec, content_type, sniff
from tests.sound import hear, tone

PCM = AudioSpec(AudioFormat.PCM)
# What each codec may add at the ends: an mp3 or aac frame or three.
SLACK = 0.08


def encode(target: AudioFormat, pcm: bytes, source: AudioSpec = PCM, step: int = 960, **options: float) -> list[bytes]:
    encoder = Encoder(target, source, **options)
    parts = [encoder.feed(pcm[start : start + step]) for start in range(0, len(pcm), step)]
    return [*parts, encoder.finish()]


@pytest.mark.parametrize("target", AudioFormat)
@pytest.mark.parametrize("source", [PCM, AudioSpec(AudioFormat.PCM, 22_050), AudioSpec(AudioFormat.PCM, 44_100, 2)])
def test_every_format_from_every_source(target: AudioFormat, source: AudioSpec) -> None:
    pcm = tone(2, rate=source.rate, channels=source.channels)
    heard = hear(b"".join(encode(target, pcm, source)), target)
    assert heard.rate == (48_000 if target is AudioFormat.OPUS else 24_000)
    assert heard.seconds == pytest.approx(2, abs=SLACK)
    assert heard.loudness == pytest.approx(0.216, abs=0.02)
    assert heard.pitch == pytest.approx(440, abs=2)


@pytest.mark.parametrize("target", AudioFormat)
def test_first_bytes_leave_after_at_most_100_ms_of_sound(target: AudioFormat) -> None:
    parts = encode(target, tone(1), step=960)  # 20 ms a step
    first = next(place for place, part in enumerate(parts) if part)
    assert (first + 1) * 20 <= 100


@pytest.mark.parametrize("target", AudioFormat)
def test_what_has_left_so_far_plays(target: AudioFormat) -> None:
    parts = encode(target, tone(2))
    heard = hear(b"".join(parts[: len(parts) // 2]), target)
    assert heard.seconds == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("tempo", [0.3, 0.5, 1.7, 4.0])
@pytest.mark.parametrize("target", [AudioFormat.PCM, AudioFormat.MP3])
def test_tempo_changes_length_but_not_pitch(target: AudioFormat, tempo: float) -> None:
    heard = hear(b"".join(encode(target, tone(3), tempo=tempo)), target)
    assert heard.seconds == pytest.approx(3 / tempo, rel=0.05, abs=SLACK)
    assert heard.pitch == pytest.approx(440, rel=0.02)


@pytest.mark.parametrize("step", [1, 7, 4801])
def test_chunks_may_end_inside_a_sample(step: int) -> None:
    pcm = tone(0.2)
    assert b"".join(encode(AudioFormat.PCM, pcm, step=step)) == pcm
    assert b"".join(encode(AudioFormat.WAV, pcm, step=step)) == wav_header() + pcm


def test_mp3_bitrate_is_what_was_asked() -> None:
    sizes = [len(b"".join(encode(AudioFormat.MP3, tone(4), bitrate=rate))) for rate in (48_000, 96_000)]
    assert sizes == [pytest.approx(4 * 48_000 / 8, rel=0.05), pytest.approx(4 * 96_000 / 8, rel=0.05)]


def test_encoded_audio_must_be_decoded_first() -> None:
    with pytest.raises(CodecError):
        Encoder(AudioFormat.WAV, AudioSpec(AudioFormat.MP3))


def reader(data: bytes, step: int = 500) -> object:
    parts = itertools.chain((data[start : start + step] for start in range(0, len(data), step)), itertools.repeat(b""))
    return lambda _size: next(parts)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("source", [each for each in AudioFormat if each is not AudioFormat.PCM])
def test_decodes_what_it_encodes(source: AudioFormat, named: bool) -> None:
    data = b"".join(encode(source, tone(1.5)))
    heard = hear(b"".join(decode(reader(data), source if named else None)), "pcm")
    assert heard.seconds == pytest.approx(1.5, abs=SLACK)
    assert heard.pitch == pytest.approx(440, abs=2)


@pytest.mark.parametrize("source", [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC, AudioFormat.WAV])
def test_decoding_begins_before_the_end_has_come(source: AudioFormat) -> None:
    data = b"".join(encode(source, tone(20)))
    taken = 0

    def read(size: int) -> bytes:
        nonlocal taken
        part = data[taken : taken + 2000]
        taken += len(part)
        return part

    next(decode(read, source))
    assert taken < len(data) / 4


@pytest.mark.parametrize(
    "junk", [b"", b"{}", b"<html>", bytes(3000), b"RIFF\xff\xff\xff\xffWAVEfmt ", b"ID3" + b"x" * 500]
)
@pytest.mark.parametrize("named", [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.FLAC, AudioFormat.WAV, None])
def test_what_is_no_audio_is_an_error(junk: bytes, named: AudioFormat | None) -> None:
    with pytest.raises(CodecError):
        list(decode(reader(junk), named))


def test_sniffing_and_content_types() -> None:
    for target in AudioFormat:
        data = b"".join(encode(target, tone(0.5)))
        assert sniff(data[:12]) is (None if target is AudioFormat.PCM else target)
        assert content_type(AudioSpec(target)).startswith(MIME[target])
    assert sniff(b"ID3\x04\x00") is AudioFormat.MP3
    assert sniff(b"") is None
    assert sniff(b"\xff\xe9") is None
    assert content_type(AudioSpec(AudioFormat.PCM, 22_050)) == "audio/pcm; rate=22050; channels=1"


class Feed:
    """A byte stream that notes how far it was read, and whether it was closed."""

    def __init__(self, parts: list[bytes], error: Exception | None = None, hang: bool = False) -> None:
        self.parts, self.error, self.hang = list(parts), error, hang
        self.closed = False
        self.reached_end = asyncio.Event()

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> bytes:
        if self.parts:
            return self.parts.pop(0)
        self.reached_end.set()
        if self.hang:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def codec():
    made = Codec()
    yield made
    made.close()


async def test_what_is_right_already_passes_untouched(codec: Codec) -> None:
    feed = Feed([b"x"])
    assert codec.convert(feed, AudioSpec(AudioFormat.MP3), AudioFormat.MP3) is feed
    assert codec.convert(feed, PCM, AudioFormat.PCM) is feed
    assert codec.convert(feed, AudioSpec(AudioFormat.PCM, 22_050), AudioFormat.PCM) is not feed


async def test_any_format_becomes_any_other(codec: Codec) -> None:
    for source, target in itertools.permutations(AudioFormat, 2):
        feed = Feed([part for part in encode(source, tone(1)) if part])
        heard = hear(b"".join([part async for part in codec.convert(feed, AudioSpec(source), target)]), target)
        assert heard.seconds == pytest.approx(1, abs=2 * SLACK), (source, target)
        assert heard.pitch == pytest.approx(440, abs=3), (source, target)


async def test_work_happens_off_the_event_loop(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()
    feed_of = Encoder.feed
    monkeypatch.setattr(
        Encoder, "feed", lambda self, pcm: (threads.add(threading.current_thread()), feed_of(self, pcm))[1]
    )
    async for _ in codec.convert(Feed([tone(1)]), PCM, AudioFormat.MP3):
        pass
    assert threads
    assert threading.main_thread() not in threads


async def test_closing_before_reading_closes_the_source(codec: Codec) -> None:
    feed = Feed([tone(1)])
    await codec.convert(feed, PCM, AudioFormat.MP3).aclose()
    assert feed.closed


async def test_an_error_of_the_source_comes_through(codec: Codec) -> None:
    mp3 = [part for part in encode(AudioFormat.MP3, tone(1)) if part]
    for source, parts in ((AudioFormat.PCM, [tone(1)]), (AudioFormat.MP3, mp3)):
        stream = codec.convert(Feed(parts, error=OSError("gone")), AudioSpec(source), AudioFormat.WAV)
        with pytest.raises(OSError, match="gone"):
            [part async for part in stream]
        await stream.aclose()


async def test_leaving_while_the_decoder_waits_for_more(codec: Codec) -> None:
    feed = Feed([part for part in encode(AudioFormat.MP3, tone(1)) if part], hang=True)
    stream = codec.convert(feed, AudioSpec(AudioFormat.MP3), AudioFormat.WAV)

    async def read() -> None:
        async for _ in stream:
            pass

    task = asyncio.create_task(read())
    await feed.reached_end.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stream.aclose()
    assert feed.closed
    # The decoder's thread is free again: as many conversions as there are threads go through.
    again = codec.convert(Feed(encode(AudioFormat.MP3, tone(0.5))), AudioSpec(AudioFormat.MP3), AudioFormat.PCM)
    assert b"".join([part async for part in again])
