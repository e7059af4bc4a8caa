// The sign-in page: answers the server's challenge with a passkey, or takes over a session of the command line.

import { begin, call, end, nextPage, session, sessionChanged } from '/assets/session.js';
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

// The code of a session that is handed over, if the address brought one. It stands behind the `#`, which no browser
// sends anywhere, and leaves the address at once.
function broughtCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (code !== null) {
    history.replaceState(null, '', location.pathname + location.search);
  }
  return code;
}

// Shows whose session it is, and asks: whoever followed somebody else's link must not become them unawares.
async function offer(code) {
  const { person } = await call('/v1/handovers/claims', { method: 'POST', body: { code } });
  const me = await session();
  fill('handover-who', visible(person));
  fill('take', `Go on as ${visible(person)}`);
  show('handover-now', me !== null && me.person !== person);
  fill('handover-me', me === null ? '' : visible(me.person));
  show('ask', false);
  show('done', false);
  show('handover');
  part('take').addEventListener('click', () => step(part('take'), async () => {
    await call('/v1/handovers/claims', { method: 'POST', body: { code, person } });
    sessionChanged();
    location.replace(nextPage());
  }));
  part('leave').addEventListener('click', () => step(part('leave'), async () => {
    show('handover', false);
    await signedIn();
    ready();
  }));
  part('take').focus();
}

// Makes the passkey button work, or says why it does not.
function ready() {
  part('sign').disabled = !passkeysWork();
}

part('person').value = new URLSearchParams(location.search).get('person') ?? '';
part('out').addEventListener('click', () => step(part('out'), async () => {
  await end();
  await signedIn();
}));
part('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  step(part('sign'), signIn);
});
// Another link that is opened in this very tab changes nothing but what stands behind the `#`.
addEventListener('hashchange', () => location.reload());
const code = broughtCode();
if (code === null) {
  ready();
}
try {
  const { origin } = await call('/v1/server');
  fill('ledger', visible(origin));
  if (code === null) {
    await signedIn();
  } else {
    await offer(code);
  }
} catch (error) {
  problem(error);
}
