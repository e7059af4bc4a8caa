// The enrolment page: makes a passkey, signs with it, and leaves the request with the server until somebody vouches for it.

import { call } from '/assets/session.js';
import { fingerprint, sign, utf8 } from '/assets/sshsig.js';
import { create } from '/assets/passkey.js';
import { checkWords } from '/assets/words.js';
import {
  copyButtons, fill, fillList, part, passkeysWork, quoted, say, show, step, visible, visibleLines,
} from '/assets/page.js';

const NAMESPACE = 'key-enrolment.v1@lockgate.dev';
const SCHEMA = 'https://lockgate.dev/enrolment/v1';

// What waits between the two steps: the passkey that was made and the document that it is to sign.
let made = null;

function asked() {
  const groups = part('groups').value.split(',').map((group) => group.trim()).filter((group) => group !== '');
  return { person: part('person').value.trim(), groups };
}

// The document must be what this page asked for, field by field, and nothing else.
function checkDocument(text, { person, groups }, key, ledger) {
  const document = JSON.parse(text);
  const known = ['groups', 'key', 'ledger', 'person', 'schema', 'subject'];
  const same =
    JSON.stringify(Object.keys(document).sort()) === JSON.stringify(known) &&
    document.schema === SCHEMA &&
    document.ledger === ledger &&
    document.person === person &&
    document.subject === 'person' &&
    document.key === key.line &&
    (groups.length === 0 || JSON.stringify(document.groups) === JSON.stringify(groups));
  if (!same) {
    throw new Error('the server sent another document than this page asked for; nothing was signed');
  }
  return document;
}

async function make() {
  const request = asked();
  say('Your browser asks for a new passkey\u2026');
  const { origin } = await call('/v1/server');
  const { key, id } = await create(request.person, origin);
  const offer = { ...request, key: key.line };
  const { document: text, words, namespace } = await call('/v1/passkeys/document', { method: 'POST', body: offer });
  if (namespace !== NAMESPACE) {
    throw new Error('the server asks for a signature for another purpose than enrolment; nothing was signed');
  }
  const document = checkDocument(text, request, key, origin);
  const code = await checkWords(text, words);
  made = { offer, key, id, text };
  fillList('fields', [
    ['name', visible(document.person)],
    ['groups', visible(document.groups.join(', '))],
    ['key', await fingerprint(key)],
    ['passkey of', visible(key.rpId)],
    ['ledger', visible(document.ledger)],
  ]);
  fill('exact', visibleLines(text));
  fill('words', code);
  show('ask', false);
  show('document');
  say('The passkey is made. It signs this next, to prove that you hold it.');
  part('sign').focus();
}

async function handIn() {
  const { offer, key, id, text } = made;
  say('Your browser asks for the new passkey\u2026');
  const { signature } = await sign(NAMESPACE, utf8(text), [key], { id });
  const body = { ...offer, proof: signature };
  const { code, expires_at: until } = await call('/v1/passkeys', { method: 'POST', body });
  const groups = offer.groups.flatMap((group) => ['--group', group]);
  const further = offer.groups.length === 0;
  const verb = further ? ['key', 'add'] : ['key', 'enrol'];
  const command = ['lockgate', ...verb, offer.person, ...groups, '--passkey', code];
  fill('who', further ? 'You do, with your earlier key:' : 'Someone who may manage keys does, after comparing the code with you:');
  fill('command', command.map(quoted).join(' '));
  const end = new Date(until);
  part('until').dateTime = end.toISOString();
  fill('until', end.toLocaleTimeString());
  show('sign', false);
  show('waiting');
  say('');
}

const query = new URLSearchParams(location.search);
part('person').value = query.get('person') ?? '';
part('groups').value = query.get('groups') ?? '';
copyButtons();
if (passkeysWork()) {
  part('ask').addEventListener('submit', (event) => {
    event.preventDefault();
    step(part('make'), make);
  });
  part('sign').addEventListener('click', () => step(part('sign'), handIn));
} else {
  part('make').disabled = true;
}
