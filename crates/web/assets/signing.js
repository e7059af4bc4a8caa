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
import { fill, fillList, part, visible } from '/assets/page.js';

const ENROLMENT = 'key-enrolment.v1@lockgate.dev';
const WAIVER = 'waiver.v1@lockgate.dev';
const FREEZE = 'freeze.v1@lockgate.dev';
const BREAK_GLASS = 'break-glass.v1@lockgate.dev';
const REJECTION = 'change-rejection.v1@lockgate.dev';
const DELEGATION = 'delegation.v1@lockgate.dev';
const WITHDRAWAL = 'approval-withdrawal.v1@lockgate.dev';
const CI_TRUST = 'ci-trust.v1@lockgate.dev';
const REVIEW = 'access-review.v1@lockgate.dev';

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

// What somebody asked for in an entry of the ledger.
async function askedFor(request) {
  const fits = (one) => one.request === Number(request);
  return (await row('/v1/waivers', fits, `request for a waiver of entry ${request}`)).asked;
}

const glassDocument = ({ release, manifest, environment, reason, ticket, expires_at }, openedBy) =>
  ({ schema: schema('break-glass'), release, manifest, environment, reason, ticket, expires_at, opened_by: openedBy });

async function openedGlass({ break_glass: entry }) {
  const opened = await row('/v1/break-glass', (one) => one.break_glass === Number(entry), `break-glass of entry ${entry}`);
  return glassDocument(opened, opened.signed_by[0]);
}

function revocation(compromised) {
  return {
    title: compromised ? 'that a key was in someone else\u2019s hands' : 'that a key ends',
    path: '/v1/keys/revocations',
    namespace: ENROLMENT,
    document: ({ person, key, reason, since }) => ({
      schema: schema('revocation'), person, key, reason: given(reason), compromised_since: compromised ? whole(since) : null,
    }),
    body: ({ person, key, reason, compromised_since }, by, signature) =>
      ({ person, key, reason, compromised_since: compromised_since ?? undefined, by, signature }),
  };
}

function standing(suspended) {
  return {
    title: suspended ? 'that somebody is suspended' : 'that somebody is reinstated',
    path: suspended ? '/v1/people/suspensions' : '/v1/people/reinstatements',
    namespace: ENROLMENT,
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

// Every act: what is signed, for which purpose, and what is sent with the signature. The ledger is added to each document.
// Where its fields do not read well as they are, `facts` says how they are shown.
const ACTS = {
  freeze: {
    title: 'a freeze',
    path: '/v1/freezes',
    namespace: FREEZE,
    document: ({ service, environment, reason, lasts, rollbacks }, { by }) => ({
      schema: schema('freeze'), service: given(service), environment: given(environment), reason: given(reason),
      until: ends(lasts), spares_rollbacks: rollbacks === 'yes', nonce: nonce(), by,
    }),
    body: ({ schema: _, ledger, ...said }, by, signature) => ({ ...said, signature }),
  },
  unfreeze: {
    title: 'that a freeze is lifted',
    path: '/v1/freezes/lifts',
    namespace: FREEZE,
    document: ({ freeze, reason }, { by }) =>
      ({ schema: schema('freeze-lift'), freeze: Number(freeze), reason: given(reason), by }),
    body: ({ schema: _, ledger, ...said }, by, signature) => ({ ...said, signature }),
  },
  'waiver-request': {
    title: 'a request for a waiver',
    path: '/v1/waivers/requests',
    namespace: WAIVER,
    document: ({ gate, finding, service, environment, release, reason, ticket, lasts }, { by }) => ({
      schema: schema('waiver'), gate, finding: given(finding), service: given(service), environment, release: given(release),
      reason: given(reason), ticket: given(ticket), expires_at: ends(lasts), asked_by: by,
    }),
    body: ({ schema: _, ledger, ...said }, by, signature) => ({ ...said, signature }),
  },
  'waiver-grant': {
    title: 'a waiver that somebody else asked for',
    path: '/v1/waivers',
    namespace: WAIVER,
    async document({ request }) {
      const { signature, ...said } = await askedFor(request);
      return { schema: schema('waiver'), ...said };
    },
    async body({ schema: _, ledger, ...said }, by, signature, { request }) {
      const asked = await askedFor(request);
      return { ...said, asked_signature: asked.signature, granted_by: by, granted_signature: signature, request: Number(request) };
    },
  },
  'waiver-revoke': {
    title: 'that a waiver ends',
    path: '/v1/waivers/ends',
    namespace: WAIVER,
    document: ({ waiver, reason }) => ({ schema: schema('waiver-end'), waiver: Number(waiver), reason: given(reason) }),
    body: ({ waiver, reason }, by, signature) => ({ waiver, reason, by, signature }),
  },
  'break-glass': {
    title: 'a break-glass, which alarms until somebody else has reviewed it',
    path: '/v1/break-glass',
    namespace: BREAK_GLASS,
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
    title: 'a break-glass that somebody else opened',
    path: '/v1/break-glass/signatures',
    namespace: BREAK_GLASS,
    document: openedGlass,
    body: (document, by, signature, { break_glass: entry }) => ({ break_glass: Number(entry), by, signature }),
  },
  'break-glass-review': {
    title: 'the review of a break-glass',
    path: '/v1/break-glass/reviews',
    namespace: BREAK_GLASS,
    document: ({ break_glass: entry, finding }, { by }) =>
      ({ schema: schema('break-glass-review'), break_glass: Number(entry), finding: given(finding), by }),
    body: ({ schema: _, ledger, ...said }, by, signature) => ({ ...said, signature }),
  },
  delegate: {
    title: 'that somebody may approve in your place',
    path: '/v1/delegations',
    namespace: DELEGATION,
    document: ({ to, groups, environments, services, lasts, reason }, { by }) => ({
      schema: schema('delegation'), from: by, to: given(to), groups: names(groups), environments: names(environments),
      services: names(services), expires_at: ends(lasts), reason: given(reason),
    }),
    body: ({ schema: _, ledger, ...said }, by, signature) => ({ ...said, signature }),
  },
  'delegation-end': {
    title: 'that a delegation ends',
    path: '/v1/delegations/ends',
    namespace: DELEGATION,
    document: ({ delegation, reason }) =>
      ({ schema: schema('delegation-end'), delegation: Number(delegation), reason: given(reason) }),
    body: ({ delegation, reason }, by, signature) => ({ delegation, reason, by, signature }),
  },
  'approval-withdraw': {
    title: 'that you take your approval back',
    path: ({ promotion }) => `/v1/promotions/${encodeURIComponent(promotion)}/approvals/withdrawal`,
    namespace: WITHDRAWAL,
    document: async ({ promotion, release, reason }, { by }) => ({
      schema: schema('approval-withdrawal'), promotion, release, approver: by,
      approvals: await ownApprovals(promotion, release, by), reason: given(reason) ?? '',
    }),
    body: ({ release, approvals, reason }, by, signature) => ({ release, approvals, reason, signature }),
  },
  'ci-trust': {
    title: 'that pipelines may act as a machine',
    path: '/v1/ci/trusts',
    namespace: CI_TRUST,
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
    title: 'that pipelines may act as a machine no more',
    path: '/v1/ci/trusts/removals',
    namespace: CI_TRUST,
    document: ({ trust, reason }, { by }) => ({ schema: schema('ci-trust-end'), trust: Number(trust), reason: given(reason), by }),
    body: ({ trust, reason }, by, signature) => ({ trust, reason, by, signature }),
  },
  'key-retire': revocation(false),
  'key-compromised': revocation(true),
  suspend: standing(true),
  reinstate: standing(false),
  'change-sign': {
    title: 'a change that several people sign',
    path: ({ change }) => `/v1/changes/${encodeURIComponent(change)}/signatures`,
    async document({ change }, { ledger }) {
      const { namespace, document } = await proposed(change, ledger);
      return { namespace, ...document };
    },
    body: (document, by, signature) => ({ signature }),
  },
  'change-reject': {
    title: 'that a change is rejected, which ends it',
    path: ({ change }) => `/v1/changes/${encodeURIComponent(change)}/rejection`,
    namespace: REJECTION,
    async document({ change, reason }, { ledger }) {
      const { digest } = await proposed(change, ledger);
      return { schema: schema('change-rejection'), change, document: digest, reason: given(reason) };
    },
    body: ({ reason }, by, signature) => ({ reason, signature }),
  },
  'access-review': {
    title: 'that you have reviewed who may do what',
    path: '/v1/access-reviews',
    namespace: REVIEW,
    document: reviewed,
    facts: reviewFacts,
    body: (document, by, signature) => ({ document: canonical(document), by, signature }),
  },
};

// Whether a value says something.
const says = (value) => value !== undefined && value !== null && value !== '' && !(Array.isArray(value) && value.length === 0);

// A value of a document as people read it.
function shown(name, value) {
  if (TIMES.includes(name) && typeof value === 'number') {
    return new Date(value).toISOString();
  }
  return typeof value === 'object' ? canonical(value) : value;
}

// The fields of a document as they stand in it, with what it means that it leaves something out.
function plainFacts(document) {
  const kind = document.schema.split('/').at(-2);
  const meant = LEFT_OUT[kind] ?? {};
  const silent = Object.entries(meant).filter(([name]) => !says(document[name]));
  const isSaid = ([name, value]) => name !== 'schema' && value !== undefined && (says(value) || !Object.hasOwn(meant, name));
  const said = Object.entries(document).filter(isSaid);
  return [...said, ...silent].map(([name, value]) => [name.replaceAll('_', ' '), shown(name, value)]);
}

// Shows what would be signed and waits for a yes; the dialog stays open after it, until the passkey has answered.
async function confirmed({ title, facts = plainFacts }, by, document, text) {
  fill('signing-title', `You are about to sign ${title}`);
  fillList('signing-facts', [...facts(document), ['signed by', by]].map((pair) => pair.map(visible)));
  fill('signing-words', await codeWords(text));
  fill('signing-exact', text);
  fill('signing-status', '');
  const dialog = part('signing');
  const button = part('signing-sign');
  button.disabled = false;
  dialog.showModal();
  return new Promise((resolve) => {
    button.onclick = () => resolve(true);
    dialog.onclose = () => resolve(false);
  });
}

// Makes the request of a signed act: its path and its body, or null where somebody looked at it and signed nothing.
export async function signed(name, fields) {
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
  const { namespace = act.namespace, ...said } = await act.document(fields, { by, ledger });
  const document = { ...said, ledger };
  const text = canonical(document);
  if (!(await confirmed(act, by, document, text))) {
    return null;
  }
  const dialog = part('signing');
  part('signing-sign').disabled = true;
  fill('signing-status', 'Your browser asks for your passkey\u2026');
  try {
    const { signature } = await sign(namespace, utf8(text), keys);
    const path = typeof act.path === 'function' ? act.path(fields) : act.path;
    return { path, body: await act.body(document, by, signature, fields) };
  } catch (error) {
    throw error.name === 'NotAllowedError' ?
      new Error('the passkey was not used: it was cancelled, took too long, or none fits; nothing was signed') : error;
  } finally {
    dialog.close();
  }
}
