// The Vercel AI SDK with its OpenAI provider: speech, pictures, edits, transcriptions and errors.

import assert from 'node:assert/strict';

import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, generateImage, generateSpeech, transcribe } from 'ai';

import { assertPicture, FORMATS, pngSize, seconds, square } from './lib/media.mjs';
import { BASE, finished, KEY, serves, TEXT, thrown, trying, versionOf } from './lib/tier.mjs';

const versions = `${versionOf('ai')}, @ai-sdk/openai ${versionOf('@ai-sdk/openai')}`;
const tried = trying('Vercel AI SDK (ai, @ai-sdk/openai)', versions);
const openai = createOpenAI({ baseURL: BASE, apiKey: KEY });
const drawn = { prompt: 'A lighthouse at dusk', size: '512x256', maxRetries: 0 };
const speak = (more) => generateSpeech({ model: openai.speech('tts-1'), text: TEXT, maxRetries: 0, ...more });

async function speech() {
  await tried('speech', 'generateSpeech with nothing but a text', async () => {
    const { audio, warnings } = await speak({});
    assert.equal(audio.mediaType, 'audio/mpeg');
    assert.deepEqual(warnings, []);
    seconds('mp3', audio.uint8Array);
  });
  for (const outputFormat of FORMATS) {
    await tried('speech', `generateSpeech outputFormat ${outputFormat}`, async () => {
      const { audio, warnings } = await speak({ voice: 'nova', outputFormat });
      assert.deepEqual(warnings, []);
      seconds(outputFormat, audio.uint8Array);
    });
  }
  await tried('speech', 'generateSpeech speed and instructions', async () => {
    const { audio } = await speak({
      model: openai.speech('gpt-4o-mini-tts'),
      voice: 'alloy',
      instructions: 'Whisper.',
      speed: 1.5,
      outputFormat: 'wav',
    });
    seconds('wav', audio.uint8Array);
  });
}

async function images() {
  for (const model of ['gpt-image-1', 'dall-e-2', 'dall-e-3']) {
    await tried('images', `generateImage ${model}`, async () => {
      const { image, warnings } = await generateImage({ model: openai.image(model), ...drawn });
      assert.deepEqual(warnings, []);
      assert.equal(image.mediaType, 'image/png');
      assert.equal(pngSize(image.uint8Array), '512x256');
    });
    // Of dall-e-3 the SDK asks for one picture a call, of the others for all in one.
    await tried('images', `generateImage ${model} n=3`, async () => {
      const { images: made } = await generateImage({ model: openai.image(model), ...drawn, n: 3 });
      assert.deepEqual(
        made.map((each) => pngSize(each.uint8Array)),
        ['512x256', '512x256', '512x256'],
      );
    });
  }
  await tried('images', 'generateImage providerOptions', async () => {
    const { image } = await generateImage({
      model: openai.image('gpt-image-1'),
      ...drawn,
      providerOptions: {
        openai: { quality: 'high', outputFormat: 'webp', background: 'opaque', moderation: 'low', user: 'anna' },
      },
    });
    assertPicture('webp', image.uint8Array);
  });
}

async function edits() {
  const edited = { model: openai.image('gpt-image-1'), size: '256x256', maxRetries: 0 };
  const text = 'The same by night';
  await tried('image edits', 'generateImage of a picture', async () => {
    const { image } = await generateImage({ ...edited, prompt: { text, images: [square(256)] } });
    assert.equal(pngSize(image.uint8Array), '256x256');
  });
  await tried('image edits', 'generateImage of two pictures, n=2', async () => {
    const { images: made } = await generateImage({
      ...edited,
      prompt: { text, images: [square(256), square(128)] },
      n: 2,
    });
    assert.deepEqual(
      made.map((each) => pngSize(each.uint8Array)),
      ['256x256', '256x256'],
    );
  });
  await tried('image edits', 'generateImage of a picture with a mask', async () => {
    const { image } = await generateImage({
      ...edited,
      prompt: { text, images: [square(256)], mask: square(256, true) },
    });
    assert.equal(pngSize(image.uint8Array), '256x256');
  });
}

async function transcriptions() {
  if (!(await serves('whisper-1'))) return;
  await tried('transcriptions', 'transcribe', async () => {
    const { audio } = await speak({ outputFormat: 'wav' });
    const made = await transcribe({ model: openai.transcription('whisper-1'), audio: audio.uint8Array, maxRetries: 0 });
    assert.ok(made.text.length > 0, 'no text');
    assert.ok(made.durationInSeconds > 0 && Array.isArray(made.segments));
  });
}

async function errors() {
  const refused = (call, status, code, work) =>
    tried('errors', call, async () => {
      const error = await thrown(work);
      assert.ok(APICallError.isInstance(error), `${error?.name}: ${error?.message}`);
      assert.equal(error.statusCode, status);
      assert.equal(error.isRetryable, false);
      assert.equal(error.data.error.code, code);
      assert.equal(error.message, error.data.error.message);
    });
  const stranger = createOpenAI({ baseURL: BASE, apiKey: 'sk-nobody-knows-this-one' });
  await refused('APICallError 401', 401, 'invalid_api_key', () => speak({ model: stranger.speech('tts-1') }));
  await refused('APICallError 404', 404, 'model_not_found', () =>
    generateImage({ model: openai.image('nobody-has-this'), ...drawn }),
  );
  await refused('APICallError 400', 400, 'invalid_value', () =>
    generateImage({ model: openai.image('gpt-image-1'), ...drawn, size: '1x1' }),
  );
}

await speech();
await images();
await edits();
await transcriptions();
await errors();
finished();
