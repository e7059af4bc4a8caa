// Signed acts: what a form asks for becomes the document that docs/formats.md describes, is shown, and is signed with a
// passkey.
//
// The documents are built here, from what the form holds and from what the API says of the thing that it is about, and
// never taken from the server as bytes to be signed. What is shown is read from the document and from nothing else.

import { call } from '/assets/session.js';
import { obstacle, keysOf } from '/assets/passkey.js';
import { sign, utf8 } from '/assets/sshsig.js';
import { canonical, changeDemand, digestOf, readJson } from '/assets/verifier.js';
import { codeWords } from '/assets/words.js';
import { fill, fillList, part, visible, visibleLines } from '/assets/page.js';

const ENROLMENT = 'key-enrolment.v1@lockgate.dev';
const WAIVER = 'waiver.v1@lockgate.dev';
const FREEZE = 'freeze.v1@lockgate.dev';
const BREAK_GLASS = 'break-glass.v1@lockgate.dev';
const REJECTION = 'change-rejection.v1@lockgate.dev';
const DELEGATION = 'delegation.v1@lockgate.dev';
const WITHDRAWAL = 'approval-withdrawal.v1@lockgate.dev';
const CI_TRUST = 'ci-trust.v1@lockgate.dev';
const REVIEW = 'access-review.v1@lockgate.dev';
const POLICY = 'policy-approval.v1@lockgate.dev';

// Every kind of document that is signed here, by the name in its schema: what it is in words, the purpose of its signature,
// what whoever signs is about to say, and how its fields are shown where they do not read well as they are. Nothing that a
// server answers chooses any of them.
const KINDS = {
  enrolment: { words: 'enrolment', namespace: ENROLMENT, title: 'that somebody is enrolled with a key and groups' },
  recovery: { words: 'recovery of keys', namespace: ENROLMENT, title: 'that a new key takes the place of somebody\u2019s lost ones' },
  revocation: {
    words: 'revocation of a key',
    namespace: ENROLMENT,
    title: ({ compromised_since: since }) => (says(since) ? 'that a key was in someone else\u2019s hands' : 'that a key ends'),
  },
  standing: {
    words: 'standing of a person',
    namespace: ENROLMENT,
    title: ({ suspended }) => (suspended ? 'that somebody is suspended' : 'that somebody is reinstated'),
  },
  'policy-activation': { words: 'activation of a policy set', namespace: POLICY, title: 'that another policy set takes effect' },
  waiver: {
    words: 'waiver',
    namespace: WAIVER,
    title: ({ asked_by: asker }, by) => (asker === by ? 'a request for a waiver' : 'a waiver that somebody else asked for'),
  },
  'waiver-end': { words: 'end of a waiver', namespace: WAIVER, title: 'that a waiver ends' },
  freeze: { words: 'freeze', namespace: FREEZE, title: 'a freeze' },
  'freeze-lift': { words: 'lift of a freeze', namespace: FREEZE, title: 'that a freeze is lifted' },
  'break-glass': {
    words: 'break-glass',
    namespace: BREAK_GLASS,
    title: ({ opened_by: opener }, by) => (opener === by ?
      'a break-glass, which alarms until somebody else has reviewed it' : 'a break-glass that somebody else opened'),
  },
  'break-glass-review': { words: 'review of a break-glass', namespace: BREAK_GLASS, title: 'the review of a break-glass' },
  delegation: { words: 'delegation', namespace: DELEGATION, title: 'that somebody may approve in your place' },
  'delegation-end': { words: 'end of a delegation', namespace: DELEGATION, title: 'that a delegation ends' },
  'approval-withdrawal': { words: 'withdrawal of an approval', namespace: WITHDRAWAL, title: 'that you take your approval back' },
  'ci-trust': { words: 'trust of CI pipelines', namespace: CI_TRUST, title: 'that pipelines may act as a machine' },
  'ci-trust-end': { words: 'end of a trust of CI pipelines', namespace: CI_TRUST, title: 'that pipelines may act as a machine no more' },
  'access-review': {
    words: 'access review',
    namespace: REVIEW,
    title: 'that you have reviewed who may do what',
    facts: reviewFacts,
  },
  'change-rejection': { words: 'rejection of a change', namespace: REJECTION, title: 'that a change is rejected, which ends it' },
};
// Milliseconds of what a span ends with.
const UNITS = { h: 3_600_000, d: 86_400_000 };
// What it means that a document leaves something out, or has nothing there.
const LEFT_OUT = {
  delegation: { groups: 'all of yours', environments: 'every environment', services: 'every service' },
  'approval-withdrawal': { reason: 'none' },
  'ci-trust': { jwks_url: 'where the discovery document of the issuer says' },
  freeze: { service: 'every service', environment: 'every environment', until: 'it is lifted' },
  waiver: { release: 'every release of the service', artifact: 'every artifact', ticket: 'none' },
};
const TIMES = ['until', 'expires_at'];
// What a job's token can be held to, by the claims that have these names.
const CI_CLAIMS = {
  github: ['repository_owner_id', 'repository_id', 'environment', 'ref', 'workflow_ref'],
  gitlab: ['namespace_id', 'project_id', 'environment', 'ref', 'ref_protected'],
};
// Who issues tokens where nobody says so.
const CI_ISSUERS = { github: 'https://token.actions.githubusercontent.com', gitlab: 'https://gitlab.com' };
// The group of a machine that comes into being without one.
const CI_GROUP = 'ci';

const schema = (kind) => `https://lockgate.dev/${kind}/v1`;
// Whether a value says something.
const says = (value) => value !== undefined && value !== null && value !== '' && !(Array.isArray(value) && value.length === 0);
// A field that was left empty says nothing.
const given = (text) => (text === undefined || text.trim() === '' ? undefined : text.trim());
// Names that stand apart by commas or spaces.
const names = (text) => (text ?? '').split(/[\s,]+/).filter((name) => name !== '');
const whole = (text) => (given(text) === undefined ? undefined : Number(text));
const ends = (span) => (given(span) === undefined ? undefined : Date.now() + Number(span.slice(0, -1)) * UNITS[span.slice(-1)]);
const nonce = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

// One row of a list of the API.
async function row(path, fits, what) {
  const found = (await call(path)).find(fits);
  if (found === undefined) {
    throw new Error(`the server lists no ${what}; nothing was signed`);
  }
  return found;
}

// What somebody asked for in an entry of the ledger: a waiver's fields and their signature, and nothing else that the
// server may have added.
async function askedFor(request) {
  const fits = (one) => one.request === Number(request);
  const { asked } = await row('/v1/waivers', fits, `request for a waiver of entry ${request}`);
  const { gate, finding, service, environment, release, artifact, reason, ticket, expires_at, asked_by, signature } = asked;
  return { said: { gate, finding, service, environment, release, artifact, reason, ticket, expires_at, asked_by }, signature };
}

const glassDocument = ({ release, manifest, environment, reason, ticket, expires_at }, openedBy) =>
  ({ schema: schema('break-glass'), release, manifest, environment, reason, ticket, expires_at, opened_by: openedBy });

async function openedGlass({ break_glass: entry }) {
  const opened = await row('/v1/break-glass', (one) => one.break_glass === Number(entry), `break-glass of entry ${entry}`);
  return glassDocument(opened, opened.signed_by[0]);
}

function revocation(compromised) {
  return {
    signs: ['revocation'],
    path: '/v1/keys/revocations',
    document: ({ person, key, reason, since }) => ({
      schema: schema('revocation'), person, key, reason: given(reason), compromised_since: compromised ? whole(since) : null,
    }),
    body: ({ person, key, reason, compromised_since }, by, signature) =>
      ({ person, key, reason, compromised_since: compromised_since ?? undefined, by, signature }),
  };
}

function standing(suspended) {
  return {
    signs: ['standing'],
    path: suspended ? '/v1/people/suspensions' : '/v1/people/reinstatements',
    async document({ person, reason }) {
      const name = given(person);
      const { standing_at } = await row('/v1/people', (one) => one.person === name, `person \u201c${name}\u201d`);
      return { schema: schema('standing'), person: name, suspended, previous_at: standing_at, reason: given(reason) };
    },
    body: ({ person, previous_at, reason }, by, signature) => ({ person, previous_at, reason, by, signature }),
  };
}

// A person's approvals of a promotion that still count, by the digests of their documents.
async function ownApprovals(promotion, release, person) {
  const found = await call(`/v1/promotions/${encodeURIComponent(promotion)}`);
  if (found.promotion !== promotion || found.release !== release) {
    throw new Error('the server answered with another promotion than this form names; nothing was signed');
  }
  const counts = (one) => one.person === person && one.verdict === 'approve' && !one.withdrawn;
  const own = found.approvals.filter(counts).map(({ document }) => document);
  if (own.length === 0) {
    throw new Error(`${person} has no approval of ${promotion} to take back; nothing was signed`);
  }
  return own;
}

// What claims have to be: the fields that were filled in, or, for other issuers, NAME=VALUE line by line.
function claimsOf({ provider, claims, ...fields }) {
  if (provider !== 'oidc') {
    return Object.fromEntries(CI_CLAIMS[provider].map((name) => [name, given(fields[name])]).filter(([, value]) => value !== undefined));
  }
  const lines = (claims ?? '').split('\n').map((line) => line.trim()).filter((line) => line !== '');
  const pairs = lines.map((line) => [line.split('=', 1)[0], line.slice(line.indexOf('=') + 1)]);
  if (!lines.every((line) => line.indexOf('=') > 0)) {
    throw new Error('a claim is written NAME=VALUE, such as project=web; nothing was signed');
  }
  if (new Set(pairs.map(([name]) => name)).size < pairs.length) {
    throw new Error('a claim is given twice; nothing was signed');
  }
  return Object.fromEntries(pairs);
}

// The groups that were named, else those that the machine has, else the usual one.
async function groupsOf(machine, named) {
  if (named.length > 0) {
    return named;
  }
  return (await call('/v1/people')).find((one) => one.person === machine)?.groups ?? [CI_GROUP];
}

// The draft of a proposed change, whose document everyone signs: built from the draft, and the one that the server names.
async function proposed(id, ledger) {
  const { row: { change }, draft, document } = await call(`/v1/changes/${encodeURIComponent(id)}`);
  const demand = changeDemand(ledger, JSON.parse(draft));
  if (change !== id || demand === null || (await digestOf(demand.message)) !== document) {
    throw new Error('the server names another document than the draft of this change gives; nothing was signed');
  }
  return { ...demand, digest: document };
}

// What a reviewer signs: built from what the server says that there is, which has to be what the page shows.
async function reviewed({ shown }, { ledger }) {
  const { document } = await call('/v1/access-reviews');
  const { schema: said, ledger: about, policy, people, bindings, uses, unused, reviewed_at_index } = readJson(utf8(document));
  if (said !== schema('access-review') || about !== ledger) {
    throw new Error('the server answered with something that is no access review of this ledger; nothing was signed');
  }
  if ((await digestOf(utf8(canonical({ bindings, people, policy })))) !== shown) {
    throw new Error('people, roles or bindings are not what this page shows; load it again and look; nothing was signed');
  }
  return { schema: said, policy, people, bindings, uses, unused, reviewed_at_index };
}

// A review as people read it: who there is, which line of the policy set gives what to whom, and what lies idle.
function reviewFacts({ ledger, policy, people, bindings, uses, unused, reviewed_at_index: entries }) {
  const some = (names, none) => (names === undefined || names.length === 0 ? none : names.join(', '));
  const scope = (patterns, all) => (patterns === undefined ? all : some(patterns, 'none'));
  const time = (millis) => new Date(millis).toISOString();
  const holders = ({ groups, people: named }) => some([...groups.map((group) => `group ${group}`), ...named], 'nobody');
  const used = uses.map((one) => `${one.person} ${one.permission} ${time(one.time)}`);
  return [
    ['ledger', `${ledger} at ${entries} entries`],
    ['policy', policy],
    ...people.map(({ person, subject, groups, suspended }) =>
      [person, `a ${subject} in ${some(groups, 'no group')}${suspended === true ? ', suspended' : ''}`]),
    ...bindings.map((one) => [
      `role ${one.role}`,
      `${some([...one.permissions], 'nothing')} for ${scope(one.services, 'all services')} ` +
        `in ${scope(one.environments, 'all environments')}, held by ${holders(one)} (${one.file}:${one.line})`,
    ]),
    ['last used', some(used, 'nothing')],
    ['idle for 90 days', some(unused.map((one) => `${one.person} ${one.permission}`), 'nothing')],
  ];
}

// Every act: the kinds of documents that it signs and no others, how one is made, and what is sent with the signature. The
// ledger is added to each document.
const ACTS = {
  freeze: {
    signs: ['freeze'],
    path: '/v1/freezes',
    document: ({ service, environment, reason, lasts, rollbacks }, { by }) => ({
      schema: schema('freeze'), service: given(service), environment: given(environment), reason: given(reason),
      until: ends(lasts), spares_rollbacks: rollbacks === 'yes', nonce: nonce(), by,
    }),
    body: ({ schema: _, ledger, ...said }, by, signature) => ({ ...said, signature }),
  },
  unfreeze: {
    signs: ['freeze-lift'],
    path: '/v1/freezes/lifts',
    document: ({ freeze, reason }, { by }) =>
      ({ schema: schema('freeze-lift'), freeze: Number(freeze), reason: given(reason), by }),
    body: ({ schema: _, ledger, ...said }, by, signature) => ({ ...said, signature }),
  },
  'waiver-request': {
    signs: ['waiver'],
    path: '/v1/waivers/requests',
    document: ({ gate, finding, service, environment, release, reason, ticket, lasts }, { by }) => ({
      schema: schema('waiver'), gate, finding: given(finding), service: given(service), environment, release: given(release),
      reason: given(reason), ticket: given(ticket), expires_at: ends(lasts), asked_by: by,
    }),
    body: ({ schema: _, ledger, ...said }, by, signature) => ({ ...said, signature }),
  },
  'waiver-grant': {
    signs: ['waiver'],
    path: '/v1/waivers',
    async document({ request }) {
      const { said } = await askedFor(request);
      return { ...said, schema: schema('waiver') };
    },
    async body({ schema: _, ledger, ...said }, by, signature, { request }) {
      const { signature: asked } = await askedFor(request);
      return { ...said, asked_signature: asked, granted_by: by, granted_signature: signature, request: Number(request) };
    },
  },
  'waiver-revoke': {
    signs: ['waiver-end'],
    path: '/v1/waivers/ends',
    document: ({ waiver, reason }) => ({ schema: schema('waiver-end'), waiver: Number(waiver), reason: given(reason) }),
    body: ({ waiver, reason }, by, signature) => ({ waiver, reason, by, signature }),
  },
  'break-glass': {
    signs: ['break-glass'],
    path: '/v1/break-glass',
    async document({ release, environment, reason, ticket, lasts }, { by }) {
      const named = given(release) ?? '';
      const { release: found, manifest } = await call(`/v1/releases/${encodeURI(named)}`);
      if (found !== named) {
        throw new Error('the server answered with another release than this form names; nothing was signed');
      }
      const said = { release: named, manifest, environment, reason: given(reason), ticket: given(ticket), expires_at: ends(lasts) };
      return glassDocument(said, by);
    },
    body: ({ schema: _, ledger, opened_by, ...said }, by, signature) => ({ ...said, by, signature }),
  },
  'break-glass-sign': {
    signs: ['break-glass'],
    path: '/v1/break-glass/signatures',
    document: openedGlass,
    body: (document, by, signature, { break_glass: entry }) => ({ break_glass: Number(entry), by, signature }),
  },
  'break-glass-review': {
    signs: ['break-glass-review'],
    path: '/v1/break-glass/reviews',
    document: ({ break_glass: entry, finding }, { by }) =>
      ({ schema: schema('break-glass-review'), break_glass: Number(entry), finding: given(finding), by }),
    body: ({ schema: _, ledger, ...said }, by, signature) => ({ ...said, signature }),
  },
  delegate: {
    signs: ['delegation'],
    path: '/v1/delegations',
    document: ({ to, groups, environments, services, lasts, reason }, { by }) => ({
      schema: schema('delegation'), from: by, to: given(to), groups: names(groups), environments: names(environments),
      services: names(services), expires_at: ends(lasts), reason: given(reason),
    }),
    body: ({ schema: _, ledger, ...said }, by, signature) => ({ ...said, signature }),
  },
  'delegation-end': {
    signs: ['delegation-end'],
    path: '/v1/delegations/ends',
    document: ({ delegation, reason }) =>
      ({ schema: schema('delegation-end'), delegation: Number(delegation), reason: given(reason) }),
    body: ({ delegation, reason }, by, signature) => ({ delegation, reason, by, signature }),
  },
  'approval-withdraw': {
    signs: ['approval-withdrawal'],
    path: ({ promotion }) => `/v1/promotions/${encodeURIComponent(promotion)}/approvals/withdrawal`,
    document: async ({ promotion, release, reason }, { by }) => ({
      schema: schema('approval-withdrawal'), promotion, release, approver: by,
      approvals: await ownApprovals(promotion, release, by), reason: given(reason) ?? '',
    }),
    body: ({ release, approvals, reason }, by, signature) => ({ release, approvals, reason, signature }),
  },
  'ci-trust': {
    signs: ['ci-trust'],
    path: '/v1/ci/trusts',
    async document(fields, { by, ledger }) {
      const { provider, issuer, audience, jwks_url, services } = fields;
      const machine = given(fields.machine);
      return {
        schema: schema('ci-trust'), provider, machine, groups: await groupsOf(machine, names(fields.groups)),
        issuer: given(issuer) ?? CI_ISSUERS[provider], audience: given(audience) ?? ledger, claims: claimsOf(fields),
        services: [...new Set(names(services))].sort(), jwks_url: given(jwks_url) ?? null, nonce: nonce(), by,
      };
    },
    body: ({ schema: _, ledger, jwks_url, ...said }, by, signature) => ({ ...said, jwks_url: jwks_url ?? undefined, signature }),
  },
  'ci-untrust': {
    signs: ['ci-trust-end'],
    path: '/v1/ci/trusts/removals',
    document: ({ trust, reason }, { by }) => ({ schema: schema('ci-trust-end'), trust: Number(trust), reason: given(reason), by }),
    body: ({ trust, reason }, by, signature) => ({ trust, reason, by, signature }),
  },
  'key-retire': revocation(false),
  'key-compromised': revocation(true),
  suspend: standing(true),
  reinstate: standing(false),
  'change-sign': {
    signs: ['enrolment', 'recovery', 'revocation', 'standing', 'policy-activation', 'ci-trust'],
    path: ({ change }) => `/v1/changes/${encodeURIComponent(change)}/signatures`,
    document: async ({ change }, { ledger }) => (await proposed(change, ledger)).document,
    body: (document, by, signature) => ({ signature }),
  },
  'change-reject': {
    signs: ['change-rejection'],
    path: ({ change }) => `/v1/changes/${encodeURIComponent(change)}/rejection`,
    async document({ change, reason }, { ledger }) {
      const { digest } = await proposed(change, ledger);
      return { schema: schema('change-rejection'), change, document: digest, reason: given(reason) };
    },
    body: ({ reason }, by, signature) => ({ reason, signature }),
  },
  'access-review': {
    path: '/v1/access-reviews',
    signs: ['access-review'],
    document: reviewed,
    body: (document, by, signature) => ({ document: canonical(document), by, signature }),
  },
};

// A value of a document as people read it.
function shown(name, value) {
  if (TIMES.includes(name) && typeof value === 'number') {
    return new Date(value).toISOString();
  }
  return typeof value === 'object' ? canonical(value) : value;
}

// What a document is, by the schema that it names itself, for whoever signs it. What its act does not sign is refused.
export function kindOf(act, document, by) {
  const name = ACTS[act].signs.find((one) => schema(one) === document.schema);
  if (name === undefined) {
    throw new Error(`this form signs no document of the kind \u201c${visible(document.schema)}\u201d; nothing was signed`);
  }
  const { title, ...kind } = KINDS[name];
  return { ...kind, name, title: typeof title === 'function' ? title(document, by) : title };
}

// The fields of a document as they stand in it, with what it means that it leaves something out.
function plainFacts(document, name) {
  const meant = LEFT_OUT[name] ?? {};
  const silent = Object.entries(meant).filter(([field]) => !says(document[field]));
  const isSaid = ([field, value]) => field !== 'schema' && value !== undefined && (says(value) || !Object.hasOwn(meant, field));
  const said = Object.entries(document).filter(isSaid);
  return [...said, ...silent].map(([field, value]) => [field.replaceAll('_', ' '), shown(field, value)]);
}

// Shows what would be signed and waits for a yes; the dialog stays open after it, until the passkey has answered. Whenever
// it is closed, `left` is aborted.
async function confirmed(kind, by, document, text, left) {
  fill('signing-title', `You are about to sign ${kind.title}`);
  const facts = kind.facts ?? plainFacts;
  const all = [['kind', kind.words], ['purpose', kind.namespace], ...facts(document, kind.name), ['signed by', by]];
  fillList('signing-facts', all.map((pair) => pair.map(visible)));
  fill('signing-words', await codeWords(text));
  fill('signing-exact', visibleLines(text));
  fill('signing-status', '');
  const dialog = part('signing');
  const button = part('signing-sign');
  button.disabled = false;
  dialog.showModal();
  return new Promise((resolve) => {
    button.onclick = () => resolve(true);
    dialog.onclose = () => {
      left.abort();
      resolve(false);
    };
  });
}

// The page has one dialog, which belongs to one act at a time.
let underWay = false;

// Makes the request of a signed act: its path and its body, or null where somebody looked at it and signed nothing.
export async function signed(name, fields) {
  if (underWay) {
    throw new Error('another act is under way on this page: sign it or leave it first; nothing was signed');
  }
  underWay = true;
  try {
    return await prepared(name, fields);
  } finally {
    underWay = false;
  }
}

async function prepared(name, fields) {
  const act = ACTS[name];
  const found = obstacle();
  if (found !== null) {
    throw new Error(found.text);
  }
  const [{ person: by }, { origin: ledger }] = await Promise.all([call('/v1/whoami'), call('/v1/server')]);
  const keys = (await keysOf(by)).filter((key) => key.rpId === location.hostname);
  if (keys.length === 0) {
    throw new Error(`${by} has no passkey for ${location.hostname}: make one on the page /enrol, or run the command that stands here`);
  }
  const document = { ...(await act.document(fields, { by, ledger })), ledger };
  const kind = kindOf(name, document, by);
  const text = canonical(document);
  const left = new AbortController();
  if (!(await confirmed(kind, by, document, text, left))) {
    return null;
  }
  const dialog = part('signing');
  part('signing-sign').disabled = true;
  fill('signing-status', 'Your browser asks for your passkey\u2026');
  try {
    const { signature } = await sign(kind.namespace, utf8(text), keys, { signal: left.signal });
    const path = typeof act.path === 'function' ? act.path(fields) : act.path;
    const body = await act.body(document, by, signature, fields);
    // A dialog that was closed is so before it says so.
    return dialog.open ? { path, body } : null;
  } catch (error) {
    if (!dialog.open) {
      return null;
    }
    throw error.name === 'NotAllowedError' ?
      new Error('the passkey was not used: it was cancelled, took too long, or none fits; nothing was signed') : error;
  } finally {
    dialog.close();
  }
}
