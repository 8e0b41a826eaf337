// OpenAI's SDK for Node: speech, pictures, edits, films, models, and how its errors arrive.

import assert from 'node:assert/strict';

import OpenAI, { toFile } from 'openai';

import { assertFilm, assertPicture, assertType, decoded, FORMATS, pngSize, seconds, square } from './lib/media.mjs';
import { BASE, finished, KEY, serves, sleep, TEXT, thrown, trying, versionOf } from './lib/tier.mjs';

const client = new OpenAI({ baseURL: BASE, apiKey: KEY, maxRetries: 0 });
const tried = trying('openai (Node)', versionOf('openai'));
const spoken = { model: 'tts-1', voice: 'alloy', input: TEXT };

async function bytesOf(answer) {
  return new Uint8Array(await answer.arrayBuffer());
}

async function models() {
  await tried('models', 'models.list', async () => {
    const names = [];
    for await (const model of client.models.list()) {
      assert.equal(model.object, 'model');
      assert.ok(Number.isInteger(model.created) && typeof model.owned_by === 'string');
      names.push(model.id);
    }
    for (const name of ['tts-1', 'gpt-image-1', 'sora-2'])
      assert.ok(names.includes(name), `${name} is not in ${names}`);
  });
  await tried('models', 'models.retrieve', async () => {
    assert.equal((await client.models.retrieve('gpt-image-1')).id, 'gpt-image-1');
  });
}

async function speech() {
  const lengths = {};
  for (const format of FORMATS) {
    await tried('speech', `audio.speech.create ${format}`, async () => {
      const answer = await client.audio.speech.create({ ...spoken, response_format: format });
      assertType(answer.headers.get('content-type'), format);
      lengths[format] = seconds(format, await bytesOf(answer));
    });
  }
  await tried('speech', 'audio.speech.create the same length in every format', async () => {
    assert.deepEqual(Object.keys(lengths), FORMATS);
    for (const format of FORMATS) {
      assert.ok(Math.abs(lengths[format] - lengths.pcm) < 0.3, `seconds: ${JSON.stringify(lengths)}`);
    }
  });
  await tried('speech', 'audio.speech.create without response_format', async () => {
    const answer = await client.audio.speech.create({ ...spoken, model: 'tts-1-hd', voice: 'nova' });
    assertType(answer.headers.get('content-type'), 'mp3');
    seconds('mp3', await bytesOf(answer));
  });
  await tried('speech', 'audio.speech.create speed', async () => {
    const fast = await client.audio.speech.create({ ...spoken, response_format: 'pcm', speed: 2 });
    const ratio = lengths.pcm / seconds('pcm', await bytesOf(fast));
    assert.ok(Math.abs(ratio - 2) < 0.2, `${ratio} times as short at speed 2`);
  });
}

async function streamedSpeech() {
  for (const format of ['pcm', 'mp3']) {
    await tried('speech stream', `audio.speech.create ${format}, its body read in chunks`, async () => {
      const answer = await client.audio.speech.create({ ...spoken, response_format: format });
      const chunks = [];
      for await (const chunk of answer.body) chunks.push(chunk);
      assert.ok(chunks.length > 1, `${chunks.length} chunk`);
      seconds(format, Buffer.concat(chunks));
    });
  }
  await tried('speech stream', 'audio.speech.create stream_format sse', async () => {
    const answer = await client.audio.speech.create({
      ...spoken,
      model: 'gpt-4o-mini-tts',
      instructions: 'Whisper.',
      response_format: 'mp3',
      stream_format: 'sse',
    });
    assert.match(answer.headers.get('content-type'), /^text\/event-stream/);
    const events = (await answer.text())
      .split('\n\n')
      .filter((each) => each)
      .map((each) => {
        const data = each.split('\n').find((line) => line.startsWith('data: '));
        return JSON.parse(data.slice('data: '.length));
      });
    const last = events.pop();
    assert.equal(last.type, 'speech.audio.done');
    // Where nobody counts, there is no usage.
    for (const count of Object.values(last.usage ?? {})) assert.ok(Number.isInteger(count), JSON.stringify(last));
    assert.ok(events.every((event) => event.type === 'speech.audio.delta'));
    seconds('mp3', Buffer.concat(events.map((event) => decoded(event.audio))));
  });
}

async function transcriptions() {
  if (!(await serves('whisper-1'))) return;
  const upload = async () =>
    toFile(await client.audio.speech.create({ ...spoken, response_format: 'wav' }), 'speech.wav', {
      type: 'audio/wav',
    });
  await tried('transcriptions', 'audio.transcriptions.create', async () => {
    const made = await client.audio.transcriptions.create({ model: 'whisper-1', file: await upload() });
    assert.ok(made.text.length > 0);
  });
  await tried('transcriptions', 'audio.transcriptions.create verbose_json', async () => {
    const made = await client.audio.transcriptions.create({
      model: 'whisper-1',
      file: await upload(),
      response_format: 'verbose_json',
      timestamp_granularities: ['word', 'segment'],
    });
    assert.ok(made.text.length > 0 && made.duration > 0 && Array.isArray(made.segments), JSON.stringify(made));
  });
  await tried('transcriptions', 'audio.transcriptions.create srt', async () => {
    const made = await client.audio.transcriptions.create({
      model: 'whisper-1',
      file: await upload(),
      response_format: 'srt',
    });
    assert.match(made, /^1\r?\n00:00:0/);
  });
}

async function images() {
  const drawn = { prompt: 'A lighthouse at dusk', size: '512x256' };
  for (const format of ['png', 'jpeg', 'webp']) {
    await tried('images', `images.generate gpt-image-1 ${format}`, async () => {
      const made = await client.images.generate({
        ...drawn,
        model: 'gpt-image-1',
        output_format: format,
        quality: 'low',
      });
      assert.equal(made.data.length, 1);
      assertPicture(format, decoded(made.data[0].b64_json));
      assert.equal(made.output_format, format);
    });
  }
  await tried('images', 'images.generate dall-e-2 b64_json, n=3', async () => {
    const made = await client.images.generate({ ...drawn, model: 'dall-e-2', response_format: 'b64_json', n: 3 });
    assert.deepEqual(
      made.data.map((each) => pngSize(decoded(each.b64_json))),
      ['512x256', '512x256', '512x256'],
    );
  });
  await tried('images', 'images.generate dall-e-3 url', async () => {
    const made = await client.images.generate({
      ...drawn,
      model: 'dall-e-3',
      response_format: 'url',
      style: 'natural',
      quality: 'hd',
    });
    const answer = await fetch(made.data[0].url); // without the key, as a browser asks
    assert.equal(answer.status, 200);
    assertType(answer.headers.get('content-type'), 'png');
    assert.equal(pngSize(await bytesOf(answer)), '512x256');
  });
  await tried('images', 'images.generate dall-e-3 without response_format', async () => {
    const made = await client.images.generate({ ...drawn, model: 'dall-e-3' });
    assert.equal(pngSize(await bytesOf(await fetch(made.data[0].url))), '512x256');
  });
  await tried('images', 'images.generate stream', async () => {
    const events = [];
    for await (const event of await client.images.generate({ ...drawn, model: 'gpt-image-1', stream: true }))
      events.push(event);
    assert.deepEqual(
      events.map((event) => event.type),
      ['image_generation.completed'],
    );
    assert.equal(pngSize(decoded(events[0].b64_json)), '512x256');
  });
}

async function edits() {
  const picture = (name) => toFile(square(256), name, { type: 'image/png' });
  const edited = { model: 'gpt-image-1', prompt: 'The same by night', size: '256x256' };
  await tried('image edits', 'images.edit one picture', async () => {
    const made = await client.images.edit({ ...edited, image: await picture('a.png') });
    assert.equal(pngSize(decoded(made.data[0].b64_json)), '256x256');
  });
  await tried('image edits', 'images.edit two pictures, n=2', async () => {
    const made = await client.images.edit({ ...edited, image: [await picture('a.png'), await picture('b.png')], n: 2 });
    assert.deepEqual(
      made.data.map((each) => pngSize(decoded(each.b64_json))),
      ['256x256', '256x256'],
    );
  });
  await tried('image edits', 'images.edit dall-e-2 url', async () => {
    const made = await client.images.edit({
      ...edited,
      model: 'dall-e-2',
      image: await picture('a.png'),
      response_format: 'url',
    });
    assert.equal(pngSize(await bytesOf(await fetch(made.data[0].url))), '256x256');
  });
  await tried('image edits', 'images.edit stream', async () => {
    const events = [];
    const stream = await client.images.edit({ ...edited, image: await picture('a.png'), stream: true });
    for await (const event of stream) events.push(event);
    assert.deepEqual(
      events.map((event) => event.type),
      ['image_edit.completed'],
    );
    assert.equal(pngSize(decoded(events[0].b64_json)), '256x256');
  });
}

/** The SDK for Node has no poll helper for videos: this is the loop that its users write. */
async function ended(id) {
  for (;;) {
    const { data: video, response } = await client.videos.retrieve(id).withResponse();
    assert.ok(
      Number.isInteger(video.progress) && video.progress >= 0 && video.progress <= 100,
      `progress ${video.progress}`,
    );
    if (video.status === 'completed' || video.status === 'failed') return video;
    assert.ok(['queued', 'in_progress'].includes(video.status), `status ${video.status}`);
    await sleep(Number(response.headers.get('openai-poll-after-ms') ?? 500));
  }
}

async function films() {
  const filmed = { model: 'sora-2', prompt: 'A lighthouse at dusk', seconds: '4', size: '1280x720' };
  const made = await tried('videos', 'videos.create', async () => {
    const video = await client.videos.create(filmed);
    assert.equal(video.object, 'video');
    assert.deepEqual([video.model, video.seconds, video.size], ['sora-2', '4', '1280x720']);
    return video;
  });
  const film = await tried('videos', 'videos.retrieve until it is completed', async () => {
    const video = await ended(made.id);
    assert.deepEqual([video.status, video.progress, video.error], ['completed', 100, null]);
    return video;
  });
  await contents(film);
  for (const [how, input_reference] of [
    ['a file', await toFile(square(256), 'first.png', { type: 'image/png' })],
    ['an image_url', { image_url: `data:image/png;base64,${square(256).toString('base64')}` }],
  ]) {
    await tried('videos', `videos.create with ${how} as input_reference`, async () => {
      const video = await client.videos.create({ ...filmed, input_reference });
      assert.equal((await ended(video.id)).status, 'completed');
    });
  }
  await tried('videos', 'videos.remix', async () => {
    const video = await client.videos.remix(film.id, { prompt: 'The same in winter' });
    assert.equal(video.remixed_from_video_id, film.id);
    assert.equal((await ended(video.id)).status, 'completed');
  });
  await listed(film);
  await tried('errors', 'BadRequestError of videos.extend, which no model here does', async () => {
    const error = await thrown(() => client.videos.extend({ prompt: 'And on', seconds: '4', video: { id: film.id } }));
    assert.ok(error instanceof OpenAI.BadRequestError, `${error?.name}: ${error?.message}`);
    assert.equal(error.code, 'unsupported_operation');
  });
  await tried('videos', 'videos.delete', async () => {
    assert.deepEqual(await client.videos.delete(film.id), { id: film.id, object: 'video.deleted', deleted: true });
    assert.ok((await thrown(() => client.videos.retrieve(film.id))) instanceof OpenAI.NotFoundError);
  });
}

async function contents(film) {
  for (const [variant, format] of [
    ['video', 'mp4'],
    ['thumbnail', 'webp'],
    ['spritesheet', 'jpeg'],
  ]) {
    await tried('videos', `videos.downloadContent ${variant}`, async () => {
      const answer = await client.videos.downloadContent(film.id, { variant });
      assertType(answer.headers.get('content-type'), format);
      const bytes = await bytesOf(answer);
      assert.equal(Number(answer.headers.get('content-length')), bytes.length);
      if (format === 'mp4') assertFilm(bytes);
      else assertPicture(format, bytes);
    });
  }
}

async function listed(film) {
  await tried('videos', 'videos.list', async () => {
    const page = await client.videos.list({ limit: 2, order: 'asc' });
    assert.equal(page.data.length, 2);
    assert.equal(page.last_id, page.data[1].id);
  });
  await tried('videos', 'videos.list page after page', async () => {
    const ids = [];
    for await (const video of client.videos.list({ limit: 2 })) ids.push(video.id);
    assert.ok(ids.length >= 4 && ids.includes(film.id), `${ids.length} videos`);
    assert.equal(new Set(ids).size, ids.length, 'a video comes twice');
  });
}

async function errors() {
  const refused = (call, kind, expected, work) =>
    tried('errors', call, async () => {
      const error = await thrown(work);
      assert.ok(error instanceof kind, `${error?.name}: ${error?.message}`);
      const { status, code, param } = error;
      assert.deepEqual({ status, code, param }, expected);
      assert.ok(error.type && error.message && error.requestID, 'type, message and requestID');
    });
  const stranger = new OpenAI({ baseURL: BASE, apiKey: 'sk-nobody-knows-this-one', maxRetries: 0 });
  await refused(
    'AuthenticationError of speech',
    OpenAI.AuthenticationError,
    { status: 401, code: 'invalid_api_key', param: null },
    () => stranger.audio.speech.create(spoken),
  );
  await refused(
    'AuthenticationError of models',
    OpenAI.AuthenticationError,
    { status: 401, code: 'invalid_api_key', param: null },
    () => stranger.models.list(),
  );
  await refused(
    'NotFoundError of a model',
    OpenAI.NotFoundError,
    { status: 404, code: 'model_not_found', param: 'model' },
    () => client.images.generate({ model: 'nobody-has-this', prompt: 'A lighthouse' }),
  );
  await refused(
    'NotFoundError of a video',
    OpenAI.NotFoundError,
    { status: 404, code: 'video_not_found', param: 'video_id' },
    () => client.videos.retrieve('video_nobody_made'),
  );
  await refused(
    'BadRequestError of response_format',
    OpenAI.BadRequestError,
    { status: 400, code: 'invalid_value', param: 'response_format' },
    () => client.audio.speech.create({ ...spoken, response_format: 'midi' }),
  );
  await refused(
    'BadRequestError of input that is missing',
    OpenAI.BadRequestError,
    { status: 400, code: 'missing_required_parameter', param: 'input' },
    () => client.audio.speech.create({ model: 'tts-1', voice: 'alloy' }),
  );
  await refused(
    'BadRequestError of an image that is none',
    OpenAI.BadRequestError,
    { status: 400, code: 'invalid_value', param: 'image' },
    async () =>
      client.images.edit({
        model: 'gpt-image-1',
        prompt: 'x',
        image: await toFile(Buffer.from('no picture'), 'a.png'),
      }),
  );
  await refused(
    'BadRequestError of an option that the model lacks',
    OpenAI.BadRequestError,
    { status: 400, code: 'unsupported_parameter', param: 'complexity' },
    () => client.images.generate({ model: 'gpt-image-1', prompt: 'A lighthouse', complexity: 'high' }),
  );
}

await models();
await speech();
await streamedSpeech();
await transcriptions();
await images();
await edits();
await films();
await errors();
finished();
