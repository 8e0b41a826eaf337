// Whether bytes are the media they are said to be: sounds are walked frame by frame, pictures and films looked into.

import assert from 'node:assert/strict';
import { crc32, deflateSync } from 'node:zlib';

const MEDIA_TYPES = {
  mp3: 'audio/mpeg',
  opus: 'audio/ogg',
  aac: 'audio/aac',
  flac: 'audio/flac',
  wav: 'audio/wav',
  pcm: 'audio/pcm',
  png: 'image/png',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  mp4: 'video/mp4',
};

export const FORMATS = ['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'];

/** The Content-Type, its parameters aside, must be the one of the format. */
export function assertType(header, format) {
  assert.equal(String(header).split(';')[0].trim(), MEDIA_TYPES[format], 'Content-Type');
}

const ascii = (bytes, start, end) => Buffer.from(bytes.subarray(start, end)).toString('latin1');
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The seconds of a sound, which must be whole as far as its format tells, and not silent where that shows. */
export function seconds(format, bytes) {
  const length = READERS[format](bytes);
  assert.ok(length > 1 && length < 30, `${length} seconds of ${format}`);
  return length;
}

const READERS = { pcm, wav, mp3, aac, opus, flac };

function pcm(bytes) {
  assert.equal(bytes.length % 2, 0, 'half a sample at the end');
  const data = view(bytes);
  let loudest = 0;
  for (let at = 0; at < bytes.length; at += 2) loudest = Math.max(loudest, Math.abs(data.getInt16(at, true)));
  assert.ok(loudest > 1000, `the loudest sample is ${loudest}`);
  return bytes.length / 2 / 24_000;
}

function wav(bytes) {
  assert.equal(ascii(bytes, 0, 4) + ascii(bytes, 8, 16), 'RIFFWAVEfmt ');
  const data = view(bytes);
  assert.deepEqual([data.getUint16(20, true), data.getUint16(22, true), data.getUint32(24, true)], [1, 1, 24_000]);
  const start = Buffer.from(bytes).indexOf('data') + 8;
  const announced = data.getUint32(start - 4, true);
  // A wav that streams cannot know its length when it begins.
  if (announced < 0x7fff_0000) assert.equal(announced, bytes.length - start, 'length of the data chunk');
  return pcm(bytes.subarray(start));
}

const MP3_RATES = [44_100, 48_000, 32_000];
const MP3_KBITS = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]; // MPEG 1, layer III
const MP3_KBITS_2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]; // MPEG 2 and 2.5

function mp3(bytes) {
  let at = 0;
  let length = 0;
  if (ascii(bytes, 0, 3) === 'ID3') at = 10 + bytes.subarray(6, 10).reduce((size, each) => size * 128 + each, 0);
  while (at < bytes.length) {
    assert.ok(bytes[at] === 0xff && (bytes[at + 1] & 0xe6) === 0xe2, `no mp3 frame at byte ${at} of ${bytes.length}`);
    const version = (bytes[at + 1] >> 3) & 3; // 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    const rate = MP3_RATES[(bytes[at + 2] >> 2) & 3] / { 3: 1, 2: 2, 0: 4 }[version];
    const kbits = (version === 3 ? MP3_KBITS : MP3_KBITS_2)[bytes[at + 2] >> 4];
    const samples = version === 3 ? 1152 : 576;
    at += Math.floor(((samples / 8) * kbits * 1000) / rate) + ((bytes[at + 2] >> 1) & 1);
    length += samples / rate;
  }
  assert.equal(at, bytes.length, 'the last mp3 frame is cut off');
  return length;
}

const AAC_RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000];

function aac(bytes) {
  let at = 0;
  let length = 0;
  while (at < bytes.length) {
    assert.ok(bytes[at] === 0xff && (bytes[at + 1] & 0xf6) === 0xf0, `no ADTS frame at byte ${at} of ${bytes.length}`);
    length += 1024 / AAC_RATES[(bytes[at + 2] >> 2) & 15];
    at += ((bytes[at + 3] & 3) << 11) | (bytes[at + 4] << 3) | (bytes[at + 5] >> 5);
  }
  assert.equal(at, bytes.length, 'the last ADTS frame is cut off');
  return length;
}

function opus(bytes) {
  let at = 0;
  let granule = 0n;
  let last = 0;
  assert.equal(ascii(bytes, 28, 36), 'OpusHead');
  while (at < bytes.length) {
    assert.equal(ascii(bytes, at, at + 4), 'OggS', `no Ogg page at byte ${at} of ${bytes.length}`);
    granule = view(bytes).getBigInt64(at + 6, true);
    last = bytes[at + 5] & 4;
    const segments = bytes.subarray(at + 27, at + 27 + bytes[at + 26]);
    at += 27 + segments.length + segments.reduce((sum, each) => sum + each, 0);
  }
  assert.equal(at, bytes.length, 'the last Ogg page is cut off');
  assert.ok(last, 'the last Ogg page is not marked as the last');
  return Number(granule) / 48_000;
}

function flac(bytes) {
  assert.equal(ascii(bytes, 0, 4), 'fLaC');
  const data = view(bytes);
  const rate = data.getUint32(18) >>> 12;
  const block = data.getUint16(10);
  const announced = (data.getUint8(21) & 15) * 2 ** 32 + data.getUint32(22); // 0 where it was streamed
  let at = 4;
  for (let more = true; more; at += 4 + (data.getUint32(at) & 0xff_ffff)) more = bytes[at] < 0x80;
  let frames = 0;
  for (; at < bytes.length; at += 1) if (flacFrame(bytes, at, frames)) frames += 1;
  const samples = announced || frames * block;
  assert.equal(frames, Math.ceil(samples / block), 'flac frames');
  return samples / rate;
}

/** Whether the header of the frame with this number, below 2048, begins at a byte: the format has no length there. */
function flacFrame(bytes, start, number) {
  if (bytes[start] !== 0xff || bytes[start + 1] !== 0xf8) return false;
  const block = bytes[start + 2] >> 4;
  const rate = bytes[start + 2] & 15;
  const coded = number < 128 ? [number] : [0xc0 | (number >> 6), 0x80 | (number & 63)];
  if (coded.some((each, index) => bytes[start + 4 + index] !== each)) return false;
  const end =
    start + 4 + coded.length + (block === 6 ? 1 : block === 7 ? 2 : 0) + (rate === 12 ? 1 : rate > 12 ? 2 : 0);
  let crc = 0;
  for (const byte of bytes.subarray(start, end)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x80 ? ((crc << 1) ^ 7) & 0xff : crc << 1;
  }
  return crc === bytes[end];
}

/** Width and height of a png that is whole. */
export function pngSize(bytes) {
  assert.equal(ascii(bytes, 0, 8), '\x89PNG\r\n\x1a\n');
  assert.equal(ascii(bytes, 12, 16), 'IHDR');
  assert.equal(ascii(bytes, bytes.length - 8, bytes.length - 4), 'IEND');
  const data = view(bytes);
  return `${data.getUint32(16)}x${data.getUint32(20)}`;
}

/** A picture of the format, by its first bytes. */
export function assertPicture(format, bytes) {
  if (format === 'png') return pngSize(bytes);
  if (format === 'jpeg')
    return assert.equal(ascii(bytes, 0, 3) + ascii(bytes, bytes.length - 2), '\xff\xd8\xff\xff\xd9');
  assert.equal(ascii(bytes, 0, 4) + ascii(bytes, 8, 12), 'RIFFWEBP');
  return assert.equal(view(bytes).getUint32(4, true), bytes.length - 8, 'length of the webp');
}

/** Base64 in its strict form, decoded. */
export function decoded(text) {
  const bytes = Buffer.from(text, 'base64');
  assert.equal(bytes.toString('base64'), text, 'base64');
  return bytes;
}

/** An mp4 with its boxes whole, among them the index and the film itself. */
export function assertFilm(bytes) {
  const boxes = [];
  const data = view(bytes);
  let at = 0;
  for (; at + 8 <= bytes.length; at += data.getUint32(at) || bytes.length) boxes.push(ascii(bytes, at + 4, at + 8));
  assert.equal(at, bytes.length, `the last box of the mp4 is cut off: ${boxes}`);
  assert.equal(boxes[0], 'ftyp');
  assert.ok(boxes.includes('moov') && boxes.includes('mdat'), `boxes: ${boxes}`);
}

/** A png of one colour, to be edited; with `hole` its middle is transparent, which makes a mask. */
export function square(side, hole = false) {
  const middle = (at) => hole && at > side / 4 && at < (3 * side) / 4;
  const rows = Buffer.alloc(side * (1 + 4 * side)); // before each row stands its filter, 0
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1)
      rows.set([40, 120, 200, middle(x) && middle(y) ? 0 : 255], y * (1 + 4 * side) + 1 + 4 * x);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 6], 8); // 8 bits; red, green, blue, alpha
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(kind, content) {
  const body = Buffer.concat([Buffer.from(kind), content]);
  const made = Buffer.alloc(body.length + 8);
  made.writeUInt32BE(content.length, 0);
  made.set(body, 4);
  made.writeUInt32BE(crc32(body), body.length + 4);
  return made;
}
