// The Vercel AI SDK's provider for servers that speak OpenAI's API. It knows pictures alone of what is made here.

import assert from 'node:assert/strict';

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateImage } from 'ai';

import { pngSize, square } from './lib/media.mjs';
import { BASE, finished, KEY, thrown, trying, versionOf } from './lib/tier.mjs';

const tried = trying('@ai-sdk/openai-compatible', versionOf('@ai-sdk/openai-compatible'));
const gateway = createOpenAICompatible({ name: 'gateway', baseURL: BASE, apiKey: KEY });
const drawn = { prompt: 'A lighthouse at dusk', size: '512x256', maxRetries: 0 };

// It asks for no response_format: dall-e-3 is answered with an address, which it fetches, gpt-image-1 with the picture.
for (const model of ['dall-e-3', 'gpt-image-1']) {
  await tried('images', `generateImage ${model}`, async () => {
    const { image } = await generateImage({ model: gateway.imageModel(model), ...drawn });
    assert.equal(pngSize(image.uint8Array), '512x256');
  });
  await tried('images', `generateImage ${model} n=3`, async () => {
    const { images } = await generateImage({ model: gateway.imageModel(model), ...drawn, n: 3 });
    assert.deepEqual(
      images.map((each) => pngSize(each.uint8Array)),
      ['512x256', '512x256', '512x256'],
    );
  });
}
await tried('images', 'generateImage providerOptions', async () => {
  const providerOptions = { gateway: { response_format: 'b64_json', quality: 'hd', user: 'anna' } };
  const { image } = await generateImage({ model: gateway.imageModel('dall-e-3'), ...drawn, providerOptions });
  assert.equal(pngSize(image.uint8Array), '512x256');
});
for (const [what, more] of [
  ['a picture', {}],
  ['a picture with a mask', { mask: square(256, true) }],
]) {
  await tried('image edits', `generateImage of ${what}`, async () => {
    const prompt = { text: 'The same by night', images: [square(256)], ...more };
    const { image } = await generateImage({
      model: gateway.imageModel('dall-e-2'),
      prompt,
      size: '256x256',
      maxRetries: 0,
    });
    assert.equal(pngSize(image.uint8Array), '256x256');
  });
}
await tried('errors', 'APICallError 404', async () => {
  const error = await thrown(() => generateImage({ model: gateway.imageModel('nobody-has-this'), ...drawn }));
  assert.ok(APICallError.isInstance(error), `${error?.name}: ${error?.message}`);
  assert.equal(error.statusCode, 404);
  assert.equal(error.data.error.code, 'model_not_found');
});
finished();
