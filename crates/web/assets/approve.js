// The approval page: shows exactly what is signed, and signs it with a passkey.
//
// Whenever the decision or the reason changes, the document is another one: it is fetched, checked and shown again before
// it can be signed.

import { call, download, session, signInPage } from '/assets/session.js';
import { digestText, sign, utf8 } from '/assets/sshsig.js';
import { keysOf } from '/assets/passkey.js';
import { checkWords } from '/assets/words.js';
import {
  clearProblem, copyButtons, fill, fillLines, fillList, part, passkeysWork, problem, quoted, say, show, step, visible,
  visibleLines,
} from '/assets/page.js';

const NAMESPACE = 'promotion-approval.v1@lockgate.dev';
const PREDICATE_TYPE = 'https://lockgate.dev/approval/v1';

const promotion = decodeURIComponent(location.pathname.split('/').at(-1));
const here = `/v1/promotions/${encodeURIComponent(promotion)}`;
let person = null;
// The document on the screen, or null while there is none that may be signed.
let shown = null;
// Counts what was asked for: an answer to an earlier question is not shown.
let asked = 0;
// When the document was shown first, and which evidence was opened since: it stands in what is signed.
let openedAt = null;
const opened = new Set();
// Who can still approve, in words, as the gates say.
let others = '';
// The evidence that is listed on the screen.
let listed = '';
// What ends the signature that is under way, or null: there is one at a time, over what stood on the screen.
let underWay = null;
// How much of a piece of evidence is shown, in characters.
const SHOWN_MOST = 200_000;

function decision() {
  return {
    verdict: part('reject').checked ? 'reject' : 'approve',
    comment: part('comment').value.trim(),
  };
}

function command({ verdict, comment }) {
  const reason = comment === '' ? [] : ['--comment', comment];
  return ['lockgate', verdict, promotion, ...reason].map(quoted).join(' ');
}

// The document must be about what this page is about, and say what was decided here.
function checkDocument(text, { verdict, comment }) {
  const document = JSON.parse(text);
  const said = document.predicate;
  const same =
    document.predicateType === PREDICATE_TYPE &&
    said.promotion === promotion &&
    said.approver === person &&
    said.verdict === verdict &&
    (said.comment ?? '') === comment &&
    (openedAt === null || said.openedAt === openedAt) &&
    (said.evidenceOpened ?? []).every((digest) => opened.has(digest));
  if (!same) {
    throw new Error('the server sent another document than this page asked for; nothing was signed');
  }
  return said;
}

// Shows one piece of evidence, once its bytes are what the document names.
async function open(digest, button) {
  const bytes = await download(`/v1/blobs/${encodeURIComponent(digest)}`);
  if ((await digestText(bytes)) !== digest) {
    throw new Error('the server sent other bytes than the document names as evidence');
  }
  const text = new TextDecoder().decode(bytes);
  const lines = visibleLines(text.slice(0, SHOWN_MOST));
  fill('evidence-text', text.length > SHOWN_MOST ? `${lines}\n\u2026 and more, which is not shown here` : lines);
  show('evidence-text');
  button.textContent = 'Opened';
  opened.add(digest);
  await display();
}

// Lists the evidence with a button for each, unless it stands there already.
function listEvidence(evidence) {
  const now = JSON.stringify(evidence);
  if (now === listed) {
    return;
  }
  listed = now;
  const items = evidence.map(({ kind, digest, claim }) => {
    const item = document.createElement('li');
    const name = document.createElement('span');
    const button = document.createElement('button');
    name.textContent = visible(`${claim ?? kind} \u00b7 ${digest.slice(7, 19)}\u2026`);
    button.type = 'button';
    button.className = 'plain';
    button.textContent = opened.has(digest) ? 'Opened' : 'Open';
    button.setAttribute('aria-label', visible(`Open ${claim ?? kind} ${digest.slice(7, 19)}`));
    button.addEventListener('click', () => step(button, () => open(digest, button)));
    item.append(name, button);
    return item;
  });
  part('evidence').replaceChildren(...items);
  show('no-evidence', evidence.length === 0);
}

// Says why a signature would be refused, and who may; nothing where nothing stands against it.
function object(objection, verdict) {
  show('refused', objection !== undefined);
  if (objection !== undefined) {
    fill('refused-code', visible(objection.reason));
    fill('refused-why', visible(objection.message));
    fill('refused-who', verdict === 'approve' && others !== '' ? visible(`Who may: ${others}`) : '');
  }
}

// What stands on the screen is not what was decided any more: it is not signed, nor is a signature over it sent.
function forget() {
  asked += 1;
  shown = null;
  part('sign').disabled = true;
  underWay?.abort(new Error('what you would sign has changed meanwhile; nothing was signed'));
}

async function display() {
  forget();
  const question = asked;
  object(undefined);
  clearProblem();
  const decided = decision();
  const query = new URLSearchParams({ verdict: decided.verdict });
  if (decided.comment !== '') {
    query.set('comment', decided.comment);
  }
  if (openedAt !== null) {
    query.set('opened', String(openedAt));
  }
  if (opened.size > 0) {
    query.set('evidence', [...opened].join(','));
  }
  fill('sign', decided.verdict === 'approve' ? 'Sign and approve' : 'Sign and reject');
  fill('command', command(decided));
  try {
    const { document, text, words, namespace, objection } = await call(`${here}/document?${query}`);
    if (question !== asked) {
      return;
    }
    if (namespace !== NAMESPACE) {
      throw new Error('the server asks for a signature for another purpose than approval; nothing was signed');
    }
    const said = checkDocument(document, decided);
    const code = await checkWords(document, words);
    if (question !== asked) {
      return;
    }
    openedAt ??= said.openedAt ?? null;
    listEvidence(said.evidence);
    fillLines('text', text);
    fill('exact', visibleLines(document));
    fill('words', code);
    show('document');
    object(objection, decided.verdict);
    shown = objection === undefined ? { document, decided } : null;
    part('sign').disabled = shown === null || underWay !== null;
  } catch (error) {
    if (question === asked) {
      show('document', false);
      problem(error);
    }
  }
}

async function handIn() {
  if (shown === null) {
    throw new Error('what you would sign is not on the screen yet');
  }
  const { document, decided } = shown;
  const { signal } = underWay;
  say('Your browser asks for your passkey\u2026');
  const { signature } = await sign(NAMESPACE, utf8(document), await keysOf(person), { signal });
  const body = { document, signature };
  const more = { 'Idempotency-Key': crypto.randomUUID() };
  const { result, logged } = await call(`${here}/approvals`, { method: 'POST', body, more });
  say('');
  const verb = decided.verdict === 'approve' ? 'approved' : 'rejected';
  fill('outcome', visible(`You ${verb} ${result.promotion}: it is ${result.status}`));
  const entry = logged === undefined ? [] : [['ledger entry', String(logged.index)]];
  fillList('receipt', [['document', visible(result.document)], ...entry]);
  fill('standing', visible(`It is ${result.status}.`));
  show('decide', false);
  show('done');
  part('done').focus();
}

async function start() {
  const me = await session();
  if (me === null) {
    location.replace(signInPage());
    return;
  }
  person = me.person;
  fill('me', visible(person));
  show('signed-in');
  fill('command', command(decision()));
  show('cli');
  const standing = await call(here);
  fill('title', visible(`${promotion}: ${standing.release} into ${standing.environment}`));
  fill('standing', visible(`It is ${standing.status}. ${standing.requester} asked: ${standing.reason}`));
  if (!['pending', 'denied'].includes(standing.status)) {
    return;
  }
  const open = standing.gates.filter(({ kind, outcome }) => kind === 'approvals' && outcome !== 'pass');
  others = [...new Set(open.map(({ who }) => who).filter((who) => who !== ''))].join('; ');
  show('decide');
  await display();
}

document.title = visible(`${promotion} \u00b7 Lockgate`);
copyButtons();
for (const control of ['approve', 'reject', 'comment']) {
  part(control).addEventListener('change', display);
}
// While the reason is being written, what stands above is not what would be signed.
part('comment').addEventListener('input', forget);
part('refresh').addEventListener('click', display);
part('decide').addEventListener('submit', (event) => {
  event.preventDefault();
  if (underWay !== null) {
    return;
  }
  underWay = new AbortController();
  step(part('sign'), handIn).then(() => {
    underWay = null;
    part('sign').disabled = shown === null;
  });
});
if (passkeysWork()) {
  start().catch(problem);
}
