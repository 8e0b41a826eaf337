// Plain fetch, as a browser or a script without an SDK calls: speech read while it is made, errors as JSON.

import assert from 'node:assert/strict';

import { assertType, seconds } from './lib/media.mjs';
import { BASE, finished, KEY, TEXT, trying } from './lib/tier.mjs';

const tried = trying('fetch (Node)', process.versions.node);

function post(path, body, key = KEY) {
  return fetch(`${BASE}${path}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
}

const spoken = { model: 'tts-1', voice: 'af_heart', input: TEXT };

for (const format of ['pcm', 'wav', 'mp3']) {
  await tried('speech stream', `POST /v1/audio/speech ${format}, res.body.getReader()`, async () => {
    const answer = await post('/audio/speech', { ...spoken, response_format: format });
    assert.equal(answer.status, 200);
    assertType(answer.headers.get('content-type'), format);
    if (format === 'pcm') assert.equal(answer.headers.get('x-sample-rate'), '24000');
    const reader = answer.body.getReader();
    const chunks = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
    }
    assert.ok(chunks.length > 1, `${chunks.length} chunk`);
    seconds(format, Buffer.concat(chunks));
  });
}

await tried('speech stream', 'POST /v1/audio/speech given up after the first chunk', async () => {
  const leaving = new AbortController();
  const answer = await fetch(`${BASE}/audio/speech`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...spoken, response_format: 'pcm' }),
    signal: leaving.signal,
  });
  assert.ok((await answer.body.getReader().read()).value.length > 0);
  leaving.abort();
  assert.equal((await post('/audio/speech', spoken)).status, 200); // and the next caller is served
});

for (const [call, path, body, key, expected] of [
  ['401', '/audio/speech', spoken, 'sk-nobody-knows-this-one', [401, 'invalid_api_key', null]],
  ['404', '/audio/speech', { ...spoken, model: 'nobody-has-this' }, KEY, [404, 'model_not_found', 'model']],
  ['400', '/audio/speech', { ...spoken, speed: 9 }, KEY, [400, 'decimal_above_max_value', 'speed']],
]) {
  await tried('errors', `POST ${path} ${call}`, async () => {
    const answer = await post(path, body, key);
    const { error } = await answer.json();
    assert.deepEqual([answer.status, error.code, error.param], expected);
    assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
  });
}
finished();
