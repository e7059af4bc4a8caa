// The log page: compares the ledger with what this browser saw of it before, and verifies files here.
//
// Files never leave the browser. Only where somebody drops an artifact without its bundle, and says for what and where,
// its digest is sent to the server to ask for the bundle.

import {
  digestOf, fromBase64, openCheckpoint, readJson, readTrust, verifyBundle, verifyConsistency,
} from '/assets/verifier.js';
import { call, download } from '/assets/session.js';
import { fill, part, show, visible } from '/assets/page.js';
import { now } from '/assets/times.js';

const FILE_BYTES_MAX = 1024 * 1024 * 1024;
const TRUST_BYTES_MAX = 1024 * 1024;
const TRUST = 'lockgate.trust';
const SEEN = 'lockgate.seen.';

// Somebody's own trust file, as text; null where they gave none.
let own = null;
let held = { bundle: null, artifact: null };

// A browser may refuse to remember anything.
function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function remember(key, text) {
  try {
    if (text === null) {
      localStorage.removeItem(key);
    } else {
      localStorage.setItem(key, text);
    }
  } catch {
    // Then it is asked for again.
  }
}

async function trust() {
  return own === null ? call('/v1/trust') : new TextEncoder().encode(own);
}

// --- what this browser saw

function seen(text, bad = false) {
  fill('seen', text);
  part('seen').classList.toggle('lost', bad);
}

// The same of what was proven just now, with how long ago that is; it is not read out again each time that it changes.
function proven(text) {
  const when = document.createElement('time');
  when.dateTime = new Date(now()).toISOString();
  when.dataset.ago = String(now());
  when.setAttribute('aria-live', 'off');
  when.textContent = 'just now';
  part('seen').replaceChildren('\u2713 Proven ', when, `: ${text}`);
  part('seen').classList.remove('lost');
}

async function compare() {
  const { policy } = await readTrust(await trust());
  const newest = await (await fetch('/checkpoint', { cache: 'no-store', redirect: 'error' })).text();
  const origin = newest.split('\n')[0];
  const key = SEEN + origin;
  const before = remembered(key);
  if (before === null) {
    const head = await openCheckpoint(newest, policy);
    remember(key, newest);
    seen(`This browser saw no checkpoint of this ledger before. It keeps this one, of ${head.size} entries.`);
    return;
  }
  const old = await openCheckpoint(before, policy);
  const { proof, checkpoint } = await call(`/v1/consistency?from=${old.size}`);
  const head = await openCheckpoint(checkpoint, policy);
  const path = proof.map((hash) => fromBase64(hash) ?? new Uint8Array());
  if (!(await verifyConsistency(old.size, head.size, path, old.root, head.root))) {
    throw new Error(`the ledger of ${old.size} entries that this browser saw is not the beginning of the one that is shown now`);
  }
  remember(key, checkpoint);
  const grown = head.size - old.size;
  proven(`the ${old.size} entries that this browser saw before are the first of ${head.size}; ${grown} were added since.`);
}

function look() {
  compare().catch((error) =>
    seen(`\u2717 ALARM or not checked: ${visible(error.message)}. Keep what you see, and ask whoever runs this server.`, true));
}

// --- trust

function sayTrust(problem = null) {
  show('forget', remembered(TRUST) !== null);
  if (problem !== null) {
    fill('trust-state', `\u2717 ${problem}`);
  } else if (own === null) {
    fill(
      'trust-state',
      '! No trust file was chosen: what this server states is used. That only shows that the file fits what this very ' +
        'server says; choose the trust.json that you pinned before to know more.',
    );
  } else {
    fill('trust-state', '\u2713 Your own trust file is used.');
  }
}

async function take(text) {
  await readTrust(new TextEncoder().encode(text));
  own = text;
  if (part('remember').checked) {
    remember(TRUST, text);
  }
  sayTrust();
  look();
}

async function chooseTrust(file) {
  try {
    if (file.size > TRUST_BYTES_MAX) {
      throw new Error('it is too long');
    }
    await take(await file.text());
  } catch (error) {
    sayTrust(`That is no trust file: ${visible(error.message)}`);
  }
}

// --- files

// What a file is: a bundle or a trust file by what it says of itself, else an artifact.
function kindOf(bytes) {
  if (bytes[0] !== 0x7b) {
    return 'artifact';
  }
  try {
    const { schema } = readJson(bytes);
    const kinds = { 'https://lockgate.dev/bundle/v1': 'bundle', 'https://lockgate.dev/trust/v1': 'trust' };
    return kinds[schema] ?? 'artifact';
  } catch {
    return 'artifact';
  }
}

function verdict(ok, heading, text, checks = []) {
  const result = part('result');
  result.className = `verdict ${ok === null ? '' : ok ? 'good' : 'bad'}`;
  fill('verdict', heading);
  fill('verdict-text', text);
  const icons = new Map([[true, '\u2713'], [false, '\u2717'], [null, '\u00b7']]);
  part('checks').replaceChildren(...checks.map((check) => {
    const item = document.createElement('li');
    const [name, found] = [document.createElement('strong'), document.createElement('span')];
    name.textContent = `${icons.get(check.ok)} ${check.name} `;
    found.textContent = visible(check.text);
    item.dataset.ok = String(check.ok);
    item.append(name, found);
    return item;
  }));
  show('result');
  result.focus();
}

async function add(files) {
  fill('verdict', '');
  for (const file of files) {
    if (file.size > FILE_BYTES_MAX) {
      verdict(false, 'Not looked at', `${visible(file.name)} is over 1 GiB: verify it with lockgate verify`);
      return;
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    const kind = file.name.endsWith('.lockgate') ? 'bundle' : kindOf(bytes);
    if (kind === 'trust') {
      await chooseTrust(file);
    } else if (kind === 'bundle') {
      held.bundle = bytes;
    } else {
      held.artifact = { name: file.name, digest: await digestOf(bytes) };
    }
  }
  await verify();
}

// The bundle of an artifact, from this server: it is told the digest alone.
async function ask({ digest }) {
  const query = new URLSearchParams({ artifact: digest, service: part('service').value, environment: part('environment').value });
  const { promotion } = await call(`/v1/grants?${query}`);
  return download(`/v1/promotions/${encodeURIComponent(promotion)}/bundle`);
}

async function verify() {
  const { artifact } = held;
  const wanted = { service: part('service').value.trim(), environment: part('environment').value.trim() };
  if (held.bundle === null && artifact === null) {
    return;
  }
  if (held.bundle === null) {
    if (wanted.service === '' || wanted.environment === '') {
      verdict(false, 'Not verified yet', `${visible(artifact.name)} is ${artifact.digest}. Add its bundle, or say what it is supposed to be and where it is supposed to run.`);
      return;
    }
    held.bundle = await ask(artifact);
  }
  const source = await trust();
  // What the bundle is about is read first; it counts only where the whole of it verifies.
  const outer = await verifyBundle(held.bundle, source);
  const { facts } = outer;
  const service = wanted.service || String(facts.release ?? '').split('@')[0];
  const environment = wanted.environment || facts.environment;
  const query = artifact === null ? {} : { artifactDigest: artifact.digest, service, environment, now: Date.now() };
  const result = artifact === null || !outer.ok ? outer : await verifyBundle(held.bundle, source, query);
  if (!result.ok) {
    verdict(false, 'NOT VERIFIED', `${result.code}: lockgate explain ${result.code} says more.`, result.checks);
    return;
  }
  const whose = own === null ? ' As far as this server says itself: no trust file of yours was used.' : '';
  const about = `${facts.promotion}, ${facts.release} into ${facts.environment}: ${facts.outcome}.`;
  const heading = artifact === null ? 'The bundle is genuine' : 'VERIFIED';
  const more = artifact === null ? ' Add the artifact to see whether it is the one.' : ` ${visible(artifact.name)} may run there.`;
  verdict(own === null ? null : true, heading, about + more + whose, result.checks);
}

function run(work) {
  document.body.setAttribute('aria-busy', 'true');
  work()
    .catch((error) => verdict(false, 'NOT VERIFIED', visible(error.message)))
    .finally(() => document.body.removeAttribute('aria-busy'));
}

// --- the page

const drop = part('drop');
part('files').addEventListener('change', (event) => {
  held = { bundle: null, artifact: null };
  run(() => add([...event.target.files]));
});
for (const kind of ['dragover', 'dragleave', 'drop']) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle('over', kind === 'dragover');
    if (kind === 'drop') {
      run(() => add([...event.dataTransfer.files]));
    }
  });
}
for (const id of ['service', 'environment']) {
  part(id).addEventListener('change', () => run(verify));
}
part('trust-file').addEventListener('change', (event) => {
  const [file] = event.target.files;
  if (file !== undefined) {
    run(async () => {
      await chooseTrust(file);
      await verify();
    });
  }
});
part('remember').addEventListener('change', (event) => {
  if (own !== null) {
    remember(TRUST, event.target.checked ? own : null);
    sayTrust();
  }
});
part('forget').addEventListener('click', () => {
  remember(TRUST, null);
  own = null;
  part('remember').checked = false;
  sayTrust();
  look();
});

own = remembered(TRUST);
part('remember').checked = own !== null;
sayTrust();
look();
