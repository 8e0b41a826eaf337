// LangChain.js draws with DallEAPIWrapper, a tool that agents are given.

import assert from 'node:assert/strict';

import { DallEAPIWrapper } from '@langchain/openai';

import { decoded, pngSize } from './lib/media.mjs';
import { BASE, finished, KEY, thrown, trying, versionOf } from './lib/tier.mjs';

const tried = trying('LangChain.js (DallEAPIWrapper)', versionOf('@langchain/openai'));
const tool = (more) => new DallEAPIWrapper({ baseUrl: BASE, apiKey: KEY, ...more });

async function fetched(url) {
  const answer = await fetch(url);
  assert.equal(answer.status, 200);
  return pngSize(new Uint8Array(await answer.arrayBuffer()));
}

await tried('images', 'invoke, as it comes (dall-e-3, an address)', async () => {
  assert.equal(await fetched(await tool({}).invoke('A lighthouse at dusk')), '1024x1024');
});
await tried('images', 'invoke b64_json, style, quality and size', async () => {
  const drawing = tool({
    dallEResponseFormat: 'b64_json',
    style: 'natural',
    quality: 'hd',
    size: '1792x1024',
    user: 'anna',
  });
  assert.equal(pngSize(decoded(await drawing.invoke('A lighthouse at dusk'))), '1792x1024');
});
await tried('images', 'invoke n=3 of dall-e-2', async () => {
  const made = await tool({ model: 'dall-e-2', n: 3, size: '256x256' }).invoke('A lighthouse at dusk');
  assert.deepEqual(await Promise.all(made.map((each) => fetched(each.image_url))), ['256x256', '256x256', '256x256']);
});
await tried('errors', 'NotFoundError', async () => {
  const error = await thrown(() => tool({ model: 'nobody-has-this' }).invoke('A lighthouse at dusk'));
  assert.deepEqual([error.status, error.code], [404, 'model_not_found']);
});
finished();
