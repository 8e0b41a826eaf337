// What the clients of this tier share: the address and key of the gateway, and one JSON line for each thing tried.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PATIENCE = 60_000; // milliseconds until a try counts as hung

export const GATEWAY = needed('GATEWAY_URL').replace(/\/+$/, '');
export const KEY = needed('GATEWAY_KEY');
export const BASE = `${GATEWAY}/v1`;
export const TEXT = 'The quick brown fox jumps over the lazy dog, and then it does so again.';

function needed(name) {
  if (!process.env[name]) throw new Error(`set ${name}`);
  return process.env[name];
}

/** The version of an installed package, from its own package.json. */
export function versionOf(name) {
  let folder = new URL('.', import.meta.resolve(name));
  for (; folder.pathname !== '/'; folder = new URL('..', folder)) {
    try {
      const about = JSON.parse(readFileSync(fileURLToPath(new URL('package.json', folder)), 'utf8'));
      if (about.name === name) return about.version;
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
  }
  throw new Error(`${name} has no package.json above its module`);
}

/**
 * A function `tried(endpoint, call, work)`: runs `work`, prints how it went, and returns what `work` returned, or
 * undefined where it failed.
 */
export function trying(client, version) {
  return async (endpoint, call, work) => {
    const line = { client, version, endpoint, call, ok: true, detail: '' };
    let made;
    try {
      made = await patiently(work);
    } catch (error) {
      line.ok = false;
      line.detail = told(error);
    }
    console.log(JSON.stringify(line));
    return made;
  };
}

async function patiently(work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${PATIENCE / 1000} s`)), PATIENCE);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}

function told(error) {
  const name = error?.name ?? 'Error';
  const cause = error?.cause?.message ? ` (${error.cause.message})` : '';
  const text = `${name}: ${error?.message ?? error}${cause}`;
  return text.replaceAll(KEY, '…').replace(/\s+/g, ' ').slice(0, 500);
}

/** Runs `work`, which must throw; returns what it threw. */
export async function thrown(work) {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('the call went through; it should have been refused');
}

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Whether the gateway serves a model of this name; a model that it lacks is not tried. */
export async function serves(model) {
  const answer = await fetch(`${BASE}/models/${model}`, { headers: { Authorization: `Bearer ${KEY}` } });
  await answer.arrayBuffer();
  if (!answer.ok) console.error(`${model}: answered ${answer.status}, so what needs it is left out`);
  return answer.ok;
}

/** Ends the program, and with it whatever a hung try has left open. */
export function finished() {
  process.stdout.write('', () => process.exit(0));
}
