// The sign-in page: answers the server's challenge with a passkey.

import { begin, call, end, nextPage, session } from '/assets/session.js';
import { sign, utf8 } from '/assets/sshsig.js';
import { keysOf } from '/assets/passkey.js';
import { fill, part, passkeysWork, problem, say, show, step, visible } from '/assets/page.js';

const NAMESPACE = 'sign-in.v1@lockgate.dev';
const SCHEMA = 'https://lockgate.dev/sign-in/v1';

// Canonical JSON (RFC 8785): the names stand in order, and the values are texts, which JSON.stringify writes as it asks.
function challengeDocument(ledger, person, challenge) {
  return JSON.stringify({ challenge, ledger, person, schema: SCHEMA });
}

async function signIn() {
  const person = part('person').value.trim();
  const keys = await keysOf(person);
  const { ledger, challenge } = await call('/v1/challenges', { method: 'POST', body: { person } });
  say('Your browser asks for your passkey\u2026');
  const { signature } = await sign(NAMESPACE, utf8(challengeDocument(ledger, person, challenge)), keys);
  await begin({ person, challenge, signature });
  say('');
  await signedIn();
  if (new URLSearchParams(location.search).has('next')) {
    location.replace(nextPage());
  }
}

async function signedIn() {
  const me = await session();
  show('ask', me === null);
  show('done', me !== null);
  if (me !== null) {
    fill('who', visible(me.person));
    part('onward').href = nextPage();
  }
}

part('person').value = new URLSearchParams(location.search).get('person') ?? '';
part('out').addEventListener('click', () => step(part('out'), async () => {
  await end();
  await signedIn();
}));
if (passkeysWork()) {
  part('ask').addEventListener('submit', (event) => {
    event.preventDefault();
    step(part('sign'), signIn);
  });
} else {
  part('sign').disabled = true;
}
try {
  const { origin } = await call('/v1/server');
  fill('ledger', visible(origin));
  await signedIn();
} catch (error) {
  problem(error);
}
