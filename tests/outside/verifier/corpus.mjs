#!/usr/bin/env node
// Holds the browser's verifier against the attack corpus, in Node: what has to be refused is refused, every control is
// accepted.
//
//     corpus.mjs crates/web/assets/verifier.js tests/attacks
//
// Runs the cases that are JSON, a trust file, a checkpoint, two checkpoints with a proof, or a bundle. The codes are those that
// `corpus.py` beside it expects. Exit 0: every answer is the expected one.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const [script, folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: corpus.mjs verifier.js tests/attacks');
  process.exit(2);
}
// A module whatever the file's name ends with and wherever it lies.
const verifier = await import(`data:text/javascript;base64,${readFileSync(script).toString('base64')}`);
const { canonical, fromBase64, openCheckpoint, readJson, readTrust, verifyBundle, verifyConsistency } = verifier;
const base = JSON.parse(readFileSync(join(folder, 'base/trust.json'), 'utf8'));
const utf8 = (text) => new TextEncoder().encode(text);

const bytesOf = (value) => {
  if (typeof value === 'string') {
    return utf8(value);
  }
  const text = () => value.parts.map((part) => part.text.repeat(part.times)).join('');
  return value.base64 === undefined ? utf8(text()) : new Uint8Array(Buffer.from(value.base64, 'base64'));
};

class Wrong extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

// A JSON merge patch (RFC 7396) of one level, which is all that trust files have.
const merged = (patch) =>
  Object.fromEntries(Object.entries({ ...base, ...patch }).filter(([, value]) => value !== null));

const open = async (vkey, note) => {
  const { policy } = await readTrust(merged({ tlog_policy: `log ${vkey}\nquorum none\n` }));
  // As a bundle carries it: a text. What is no UTF-8 never is one.
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytesOf(note));
  return openCheckpoint(text, policy);
};

const TARGETS = {
  json: (value) => readJson(bytesOf(value)),
  canonical: (value) => {
    const bytes = bytesOf(value);
    if (!Buffer.from(canonical(readJson(bytes))).equals(Buffer.from(bytes))) {
      throw new Wrong('NOT_CANONICAL');
    }
  },
  trust: (value) => readTrust(value.text === undefined ? merged(value.merge) : bytesOf(value.text)),
  checkpoint: ({ vkey, note }) => open(vkey, note),
  consistency: async ({ vkey, old, new: newer, path }) => {
    const [one, two] = [await open(vkey, old), await open(vkey, newer)];
    const hashes = path.map(fromBase64);
    if (!(await verifyConsistency(one.size, two.size, hashes, one.root, two.root))) {
      throw new Wrong('CONSISTENCY_PROOF');
    }
  },
  bundle: async (value) => {
    const query = { service: 'shop/web', environment: 'production', now: 0 };
    const { code } = await verifyBundle(bytesOf(value), base, query);
    // The control reads, and is refused for its checkpoint, which is empty.
    if (code !== 'LOG_KEY_UNKNOWN') {
      throw new Wrong(code);
    }
  },
};
const CHECKPOINT = ['CHECKPOINT_INVALID', 'LOG_KEY_UNKNOWN'];
const CODES = {
  // A number beyond every other one, which the library's reader cannot hold.
  JSON_INVALID: ['JSON_INVALID', 'JSON_NUMBER'],
  NOTE_BAD_VERIFIER_KEY: ['TRUST_INVALID'],
  CHECKPOINT_NOT_LOG_KEY: ['TRUST_INVALID'],
  CHECKPOINT_OTHER_LOG: ['LOG_KEY_UNKNOWN'],
};
const wanted = ({ target, expect }) => {
  const usual = { checkpoint: CHECKPOINT, consistency: ['CONSISTENCY_PROOF'] };
  return CODES[expect.code] ?? usual[target] ?? [expect.code];
};

const answer = async (target, value) => {
  try {
    await TARGETS[target](value);
    return 'ACCEPTED';
  } catch (error) {
    // A text that is none ends before the verifier sees it.
    return error instanceof TypeError && error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'NO_TEXT' : error.code ?? `${error}`;
  }
};

let [inputs, elsewhere] = [0, 0];
const wrong = [];
for (const name of readdirSync(folder).filter((file) => file.endsWith('.json')).sort()) {
  const one = JSON.parse(readFileSync(join(folder, name), 'utf8'));
  if (!Object.hasOwn(TARGETS, one.target)) {
    elsewhere += 1;
    continue;
  }
  for (const [number, value] of one.inputs.entries()) {
    const found = await answer(one.target, value);
    inputs += 1;
    if (found !== 'NO_TEXT' && !wanted(one).includes(found)) {
      wrong.push(`${name}, input ${number}: wanted ${wanted(one).join(' or ')}, found ${found}`);
    }
  }
  const control = one.control === undefined ? 'ACCEPTED' : await answer(one.target, one.control);
  if (control !== 'ACCEPTED') {
    wrong.push(`${name}, control: ${control}`);
  }
}
wrong.forEach((line) => console.log(`WRONG: ${line}`));
console.log(`${inputs} inputs, ${elsewhere} cases not for this verifier, ${wrong.length} wrong`);
process.exitCode = inputs > 0 && wrong.length === 0 ? 0 : 1;
