// The verifier: checks a bundle against a trust file, in the browser, with WebCrypto and nothing else.
//
// Written from docs/formats.md, and not from the code of the server: two readers that agree are worth more than one.
// Nothing here asks the network, the page or the clock. What it does not do is to read evidence and feeds and to run the
// gates of the policy set again; that is said in the result, and `lockgate verify` does it. Everything else is checked
// here: spelling, proofs, checkpoint and witnesses, every signature since the ledger's first entry and whether its key
// counted, who had the right and how many had to sign, what each approval binds, the grant, and whether it is frozen.

const LIMITS = {
  bundleBytes: 512 * 1024 * 1024, entryBytes: 16 * 1024, jsonDepth: 64, jsonKeys: 10_000, jsonItems: 1_000_000,
  noteBytes: 256 * 1024, noteSignatures: 32, textBytes: 4096, artifacts: 64, evidence: 1000, approvals: 64,
  countersignatures: 16, armoredBytes: 16 * 1024, feedBytes: 64 * 1024 * 1024, backtestBytes: 3 * 1024 * 1024, ticketBytes: 256,
  nonceBytes: 64, waiverDays: 90, breakGlassPeople: 2,
};
const MINUTES_5 = 300_000;
const DAY = 86_400_000;

// Why a bundle proves nothing: a stable reason code, and a sentence.
export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

function refuse(code, message) {
  throw new Refused(code, message);
}

// ---------------------------------------------------------------------------------------------------------- bytes

const encoder = new TextEncoder();
const utf8 = (text) => encoder.encode(text);
const bytesOf = (text) => utf8(text).length;

function decodeUtf8(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function concat(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Int8Array(128).fill(-1);
for (let at = 0; at < 64; at += 1) {
  VALUES[ALPHABET.charCodeAt(at)] = at;
}

export function toBase64(bytes) {
  let out = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const [a, b, c] = [bytes[at], bytes[at + 1] ?? 0, bytes[at + 2] ?? 0];
    const left = bytes.length - at;
    out += ALPHABET[a >> 2] + ALPHABET[((a & 3) << 4) | (b >> 4)];
    out += left > 1 ? ALPHABET[((b & 15) << 2) | (c >> 6)] : '=';
    out += left > 2 ? ALPHABET[c & 63] : '=';
  }
  return out;
}

// The standard alphabet with padding, in its one spelling; null for anything else.
export function fromBase64(text) {
  if (text.length % 4 !== 0) {
    return null;
  }
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = text.length - padding;
  const out = new Uint8Array((text.length / 4) * 3 - padding);
  let [held, bits, at] = [0, 0, 0];
  for (let place = 0; place < digits; place += 1) {
    const code = text.charCodeAt(place);
    const value = code < 128 ? VALUES[code] : -1;
    if (value < 0) {
      return null;
    }
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at] = (held >> bits) & 0xff;
      at += 1;
    }
  }
  return (held & ((1 << bits) - 1)) === 0 ? out : null;
}

const unpadded = (bytes) => toBase64(bytes).replace(/=+$/, '');
const urlSafe = (bytes) => unpadded(bytes).replaceAll('+', '-').replaceAll('/', '_');

async function hash(algorithm, bytes) {
  return new Uint8Array(await crypto.subtle.digest(algorithm, bytes));
}
const sha256 = (bytes) => hash('SHA-256', bytes);

// The digest of bytes as documents write it.
export const digestOf = async (bytes) => `sha256:${hex(await sha256(bytes))}`;

// ----------------------------------------------------------------------------------------------------------- JSON

// Strict JSON: UTF-8, no key twice, limited depth, and no numbers but integers within 2^53 - 1.
export function readJson(bytes) {
  const text = decodeUtf8(bytes);
  if (text === null) {
    refuse('JSON_INVALID', 'not UTF-8');
  }
  let at = 0;
  const bad = (why) => refuse('JSON_INVALID', `${why} at character ${at}`);
  const skip = () => {
    while (text[at] === ' ' || text[at] === '\n' || text[at] === '\t' || text[at] === '\r') {
      at += 1;
    }
  };
  const string = () => {
    at += 1;
    let out = '';
    for (;;) {
      const start = at;
      while (at < text.length && text[at] !== '"' && text[at] !== '\\' && text.charCodeAt(at) >= 0x20) {
        at += 1;
      }
      out += text.slice(start, at);
      if (text[at] === '"') {
        at += 1;
        return out;
      }
      if (text[at] !== '\\') {
        bad('a string does not end');
      }
      const plain = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }[text[at + 1]];
      if (plain !== undefined) {
        out += plain;
        at += 2;
        continue;
      }
      const unit = (place) => {
        const found = /^\\u([0-9a-fA-F]{4})/.exec(text.slice(place, place + 6));
        return found === null ? bad('an escape is wrong') : parseInt(found[1], 16);
      };
      const first = unit(at);
      at += 6;
      if (first >= 0xdc00 && first <= 0xdfff) {
        bad('half a character');
      }
      if (first >= 0xd800 && first <= 0xdbff) {
        const second = unit(at);
        if (second < 0xdc00 || second > 0xdfff) {
          bad('half a character');
        }
        at += 6;
        out += String.fromCharCode(first, second);
      } else {
        out += String.fromCharCode(first);
      }
    }
  };
  const number = () => {
    const pattern = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
    pattern.lastIndex = at;
    const found = pattern.exec(text) ?? bad('no value');
    at += found[0].length;
    const value = Number(found[0]);
    const whole = found[1] === undefined && found[2] === undefined && Number.isSafeInteger(value) && found[0] !== '-0';
    if (!whole) {
      refuse('JSON_NUMBER', `${found[0]} is not an integer within 2^53 - 1`);
    }
    return value;
  };
  const value = (depth) => {
    skip();
    const first = text[at];
    if (first === '{' || first === '[') {
      if (depth >= LIMITS.jsonDepth) {
        refuse('JSON_TOO_DEEP', `nested deeper than ${LIMITS.jsonDepth}`);
      }
      return first === '{' ? object(depth + 1) : array(depth + 1);
    }
    if (first === '"') {
      return string();
    }
    for (const [word, meaning] of [['true', true], ['false', false], ['null', null]]) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return meaning;
      }
    }
    return number();
  };
  const array = (depth) => {
    const items = [];
    at += 1;
    skip();
    if (text[at] === ']') {
      at += 1;
      return items;
    }
    for (;;) {
      items.push(value(depth));
      if (items.length > LIMITS.jsonItems) {
        refuse('JSON_TOO_MANY', `over ${LIMITS.jsonItems} items`);
      }
      skip();
      at += 1;
      if (text[at - 1] === ']') {
        return items;
      }
      if (text[at - 1] !== ',') {
        bad('no comma');
      }
    }
  };
  const object = (depth) => {
    const map = Object.create(null);
    let keys = 0;
    at += 1;
    skip();
    if (text[at] === '}') {
      at += 1;
      return map;
    }
    for (;;) {
      skip();
      if (text[at] !== '"') {
        bad('no key');
      }
      const key = string();
      if (key in map) {
        refuse('DUPLICATE_KEY', `the key \u201c${key}\u201d stands twice in one object`);
      }
      keys += 1;
      if (keys > LIMITS.jsonKeys) {
        refuse('JSON_TOO_MANY', `over ${LIMITS.jsonKeys} keys`);
      }
      skip();
      if (text[at] !== ':') {
        bad('no colon');
      }
      at += 1;
      map[key] = value(depth);
      skip();
      at += 1;
      if (text[at - 1] === '}') {
        return map;
      }
      if (text[at - 1] !== ',') {
        bad('no comma');
      }
    }
  };
  const document = value(0);
  skip();
  return at === text.length ? document : bad('something follows the document');
}

const SHORT = { '"': '\\"', '\\': '\\\\', '\b': '\\b', '\t': '\\t', '\n': '\\n', '\f': '\\f', '\r': '\\r' };
const escaped = (text) =>
  text.replace(/["\\\u0000-\u001f]/g, (c) => SHORT[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

// RFC 8785 for documents without fractions: keys in the order of their UTF-16 code units, minimal escapes.
export function canonical(value) {
  if (Array.isArray(value)) {
    return `[${value.map(canonical).join(',')}]`;
  }
  if (value !== null && typeof value === 'object') {
    const keys = Object.keys(value).filter((key) => value[key] !== undefined).sort();
    return `{${keys.map((key) => `"${escaped(key)}":${canonical(value[key])}`).join(',')}}`;
  }
  return typeof value === 'string' ? `"${escaped(value)}"` : String(value);
}

// Reads bytes that have to be the canonical spelling of a document of this shape.
function readCanonical(bytes, shape, code, what) {
  let value;
  try {
    value = readJson(bytes);
  } catch (error) {
    refuse(code, `${what}: ${error.message}`);
  }
  if (!same(utf8(canonical(value)), bytes)) {
    refuse(code, `${what}: not canonical JSON`);
  }
  if (!shape(value)) {
    refuse(code, `${what}: it has other fields than this verifier knows`);
  }
  return value;
}

// --------------------------------------------------------------------------------------------------------- shapes

const U64 = 18446744073709551615n;
const fits64 = (digits) => BigInt(digits) <= U64;
const text = (value) => typeof value === 'string';
const flag = (value) => typeof value === 'boolean';
const integer = (value) => Number.isSafeInteger(value) && value >= 0;
const one = (...words) => (value) => words.includes(value);
const list = (of) => (value) => Array.isArray(value) && value.every((item) => of(item));
const or = (...shapes) => (value) => shapes.some((shape) => shape(value));
const nullable = (of) => (value) => value === null || of(value);
// An entry leaves out what it does not say: a null in it is a second spelling.
const holdsNull = (value) =>
  value === null || (typeof value === 'object' && Object.values(value).some(holdsNull));
const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
const mapOf = (of, key = text) => (value) =>
  isObject(value) && Object.entries(value).every(([name, item]) => key(name) && of(item));
const object = (needed, optional = {}) => (value) =>
  isObject(value) &&
  Object.keys(needed).every((key) => key in value && needed[key](value[key])) &&
  Object.keys(value).every((key) => Object.hasOwn(needed, key) || (Object.hasOwn(optional, key) && optional[key](value[key])));

const isSegment = (value) => /^[a-z0-9][a-z0-9._-]*$/.test(value) && !value.endsWith('.') && !value.includes('..');
const isName = (value, parts = 1) =>
  text(value) && value.length <= 128 && value.split('/').length <= parts && value.split('/').every(isSegment);
const name = (value) => isName(value);
const service = (value) => isName(value, 4);
const digest = (value) => text(value) && /^sha256:[0-9a-f]{64}$/.test(value);
const numbered = (letter) => (value) =>
  text(value) && new RegExp(`^${letter}-[1-9][0-9]{0,19}$`).test(value) && fits64(value.slice(2));
const promotionId = numbered('P');
const changeId = numbered('C');
const IDENTIFIER = '(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)';
const VERSION = new RegExp(`^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)(?:-${IDENTIFIER}(?:\\.${IDENTIFIER})*)?$`);

function version(value) {
  const found = value.length <= 64 ? VERSION.exec(value) : null;
  return found !== null && found.slice(1, 4).every(fits64);
}

function release(value) {
  const at = text(value) ? value.indexOf('@') : -1;
  return at >= 0 && service(value.slice(0, at)) && version(value.slice(at + 1));
}
const serviceOf = (value) => value.slice(0, value.indexOf('@'));

function stream(value) {
  if (!text(value)) {
    return false;
  }
  const at = value.indexOf(':');
  const rest = value.slice(at + 1);
  const slash = rest.indexOf('/');
  switch (at < 0 ? value : value.slice(0, at)) {
    case 'governance': case 'promotions': return at < 0;
    case 'release': return at > 0 && release(rest);
    case 'promotion': return at > 0 && promotionId(rest);
    case 'artifact': return at > 0 && digest(rest);
    case 'service': return at > 0 && service(rest);
    case 'environment': case 'person': return at > 0 && name(rest);
    case 'running': return at > 0 && slash > 0 && name(rest.slice(0, slash)) && service(rest.slice(slash + 1));
    default: return false;
  }
}

const key = (value) => text(value) && readKeyLine(value) !== null;
const countersigned = list(object({ by: name, signature: text }));
const limited = { expires_at: nullable(integer), environments: list(name) };
const link = object({ stream, seq: integer }, { prev: nullable(integer) });
const position = object({ stream, seq: integer, index: integer });
const waiver = { gate: name, finding: text, service, environment: name, reason: text, expires_at: integer, asked_by: name };
const waived = { release: nullable(release), artifact: nullable(digest), ticket: nullable(text) };
const feed = one('kev', 'epss');
const outcome = one('pass', 'fail', 'pending', 'waived', 'warn', 'overridden');
const standing = object({ person: name, previous_at: integer, reason: text, by: name, signature: text }, { countersigned });

// The body of each event, by its type. A verifier does not guess what an event means that it does not know.
const EVENTS = {
  'ledger.created': object({ origin: text, log_key: text, attestation_key: text, policy: digest, setup_code: digest, software: text }),
  'person.enrolled': object(
    {
      person: name, subject: one('person', 'machine'), groups: list(name), key, proof: text,
      sponsor: or(
        object({ kind: one('setup-code'), code: text }),
        object({ kind: one('countersigned'), by: name, signature: text }),
      ),
    },
    { countersigned, ...limited },
  ),
  'key.added': object({ person: name, key, proof: text, by: name, signature: text }, limited),
  'key.revoked': object(
    { person: name, key: text, reason: text, by: name, signature: text },
    { compromised_since: nullable(integer), countersigned },
  ),
  'key.rotated': object({ person: name, key, proof: text, replaces: text, signature: text }, limited),
  'key.recovered': object(
    { person: name, key, proof: text, reason: text, by: name, signature: text },
    { countersigned, ...limited },
  ),
  'person.suspended': standing,
  'person.reinstated': standing,
  'identity.bound': object({ person: name, issuer: text, subject: text, signature: text }, { after: nullable(integer) }),
  'identity.unbound': object({ person: name, issuer: text, subject: text, reason: text, by: name, signature: text }),
  'change.proposed': object({ change: changeId, draft: digest, document: digest, by: name, signature: text, expires_at: integer }),
  'change.signed': object({ change: changeId, by: name, signature: text }),
  'change.rejected': object({ change: changeId, reason: text, by: name, signature: text }),
  'policy.activated': object(
    { policy: digest, previous: digest, previous_at: integer, reason: text, by: name, signature: text },
    { countersigned, backtest: nullable(digest) },
  ),
  'waiver.requested': object({ ...waiver, signature: text }, waived),
  'waiver.granted': object(
    { ...waiver, asked_signature: text, granted_by: name, granted_signature: text },
    { ...waived, request: nullable(integer) },
  ),
  'waiver.revoked': object({ waiver: integer, reason: text, by: name, signature: text }),
  'feed.recorded': object({ feed, digest, size_bytes: integer, date: integer, rows: integer }),
  'freeze.ordered': object(
    { reason: text, nonce: text, by: name, signature: text },
    { service: nullable(service), environment: nullable(name), until: nullable(integer), spares_rollbacks: flag },
  ),
  'freeze.lifted': object({ freeze: integer, reason: text, by: name, signature: text }),
  'break-glass.opened': object({
    release, manifest: digest, environment: name, reason: text, ticket: text, expires_at: integer, by: name, signature: text,
  }),
  'break-glass.signed': object({ break_glass: integer, by: name, signature: text }),
  'break-glass.reviewed': object({ break_glass: integer, finding: text, by: name, signature: text }),
  'ci.trusted': object(
    {
      provider: one('github', 'gitlab', 'oidc'), machine: name, groups: list(name), issuer: text, audience: text,
      claims: mapOf(text), services: list(service), nonce: text, by: name, signature: text,
    },
    { jwks_url: nullable(text), countersigned },
  ),
  'ci.untrusted': object({ trust: integer, reason: text, by: name, signature: text }),
  'access.reviewed': object({ review: digest, by: name, signature: text }),
  'drill.recorded': object({
    report: digest, tried: integer, caught: integer, skipped: integer, entries: integer, ran_at: integer, tool: text,
  }),
  'delegation.granted': object(
    { from: name, to: name, expires_at: integer, reason: text, signature: text },
    { groups: list(name), environments: list(name), services: list(service) },
  ),
  'delegation.ended': object({ delegation: integer, reason: text, by: name, signature: text }),
  'release.published': object({ release, manifest: digest }),
  'evidence.recorded': object({
    release, evidence: digest, size_bytes: integer, media_type: text,
    form: or(
      object({ kind: one('envelope', 'sigstore', 'minisign', 'image-signature') }),
      object({ kind: one('report'), format: text, artifacts: list(digest), statement: digest }),
    ),
  }),
  'promotion.requested': object({
    promotion: promotionId, release, manifest: digest, environment: name, kind: one('promotion', 'rollback'),
    reason: text, expires_at: integer,
  }),
  'approval.recorded': object({
    promotion: promotionId, release, verdict: one('approve', 'reject'), approver: name, key: text, document: digest,
    signature: text,
  }),
  'approval.withdrawn': object(
    { promotion: promotionId, release, approver: name, approvals: list(digest), signature: text },
    { reason: text },
  ),
  'promotion.closed': object({
    promotion: promotionId, release, cause: one('rejected', 'withdrawn', 'expired', 'superseded'), reason: text,
  }),
  'decision.recorded': object(
    {
      promotion: promotionId, release, environment: name, outcome: one('allow', 'deny', 'pending'), decision: digest,
      facts: digest, policy: digest, engine: text, gates: list(object({ gate: name, outcome })), relied_on: list(position),
    },
    { break_glass: nullable(integer), feeds: list(object({ feed, digest, index: integer, date: integer })) },
  ),
  'attestations.issued': object({
    promotion: promotionId, release, decision: integer,
    issued: list(object({ predicate_type: text, envelope: digest, leaf: integer })),
  }),
  'grant.issued': object({
    promotion: promotionId, release, manifest: digest, environment: name, decision: integer, not_after: integer,
  }),
};

const event = (value) =>
  object({ type: text, body: isObject })(value) && Object.hasOwn(EVENTS, value.type) && EVENTS[value.type](value.body);
const ENTRY = object(
  {
    schema: text, time: integer,
    actor: or(object({ kind: one('subject'), id: name }), object({ kind: one('system') })),
    streams: list(link), event,
  },
  { governance: nullable(object({ seq: integer, index: integer })) },
);
const HASHED_REKORD = object({
  apiVersion: text, kind: text,
  spec: object({
    hashedRekordV002: object({
      data: object({ algorithm: text, digest: text }),
      signature: object({ content: text, verifier: object({ keyDetails: text, publicKey: object({ rawBytes: text }) }) }),
    }),
  }),
});
const BUNDLE = object({
  schema: text, promotion: promotionId, checkpoint: text,
  entries: list(object({ index: integer, leaf: text, proof: list(text) })),
  anchors: list(object({ size: integer, proof: list(text) })),
  bodies: mapOf(text, digest),
});
const TRUST = object({ schema: text, tlog_policy: text, genesis: digest, root_keys: list(key), attestation_key: text });
const MANIFEST = object(
  { schema: text, release, artifacts: list(object({ digest, name: text, size_bytes: integer })) },
  { source: nullable(object({ repository: text, commit: text })), notes: nullable(digest) },
);
const some = (of) => (value) => list(of)(value) && value.length > 0;
const pair = object({ before: integer, after: integer });
const testCounts = object({ passed: integer, failed: integer, skipped: integer });
const gateGroup = object({ count: integer, names: list(name) });
const severity = one('negligible', 'low', 'medium', 'unknown', 'high', 'critical');
const CHANGES = object(
  { against: digest, artifacts: object({ added: integer, removed: integer }), sizeBytes: pair, configurations: integer },
  {
    commits: object({}, { before: text, after: text }),
    dependencies: object({ added: integer, removed: integer, changed: integer, relicensed: integer }),
    findings: object({ added: integer, fixed: integer }, { worst: severity }),
    testsBefore: testCounts, testsAfter: testCounts, coverage: object({}, { before: integer, after: integer }),
    gates: object({ engine: text }, {
      fail: gateGroup, pending: gateGroup, warn: gateGroup, waived: gateGroup, overridden: gateGroup, pass: gateGroup,
      removed: gateGroup,
    }),
  },
);
const APPROVAL = object({
  _type: text, predicateType: text, subject: list(object({ name: text, digest: object({ sha256: text }) })),
  predicate: object(
    {
      ledger: text, promotion: promotionId, kind: one('promotion', 'rollback'), release, manifest: digest,
      environment: name, policy: digest,
      evidence: list(object({ kind: text, digest }, { claim: text, signers: some(name), by: name })),
      requester: name, reason: text, approver: name, verdict: one('approve', 'reject'), expiresAt: integer,
      anchor: object({ size: integer, root: digest }),
    },
    {
      replaces: object({ release, manifest: digest }), comment: text, openedAt: integer, evidenceOpened: some(digest),
      waivers: some(object({ gate: name, grantedBy: name, expiresAt: integer }, { finding: text })), changes: CHANGES,
    },
  ),
});
const REVIEW = object({
  schema: text, ledger: text, policy: digest,
  people: list(object({ person: name, subject: one('person', 'machine'), groups: list(name) }, { suspended: flag })),
  bindings: list(isObject), uses: list(isObject), unused: list(isObject), reviewed_at_index: integer,
});

const judgement = one('allow', 'deny', 'pending');
const judged = { entry: integer, promotion: promotionId, release, environment: name, before: judgement };
const flipped = object(
  { gate: name },
  {
    before: nullable(outcome), after: nullable(outcome), reason: nullable(text),
    rule: nullable(object({ file: text, line: integer })),
  },
);
const BACKTEST = object(
  {
    schema: text, ledger: text, base: digest, proposed: digest, engine: text, first_entry: integer, tree_size: integer,
    root: digest, decisions: integer, unchanged: integer, totals: mapOf(integer),
    flips: list(object({ ...judged, time: integer, after: judgement, gates: list(flipped) })),
    errors: list(object({ ...judged, code: text, message: text })),
  },
  { would_block: list(object({ gate: name, decisions: integer }, { enforced_from: integer })) },
);

// -------------------------------------------------------------------------------------------- keys and signatures

// Reads SSH's binary encoding (RFC 4251, section 5); null where the bytes end too early.
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  take(count) {
    if (this.at + count > this.bytes.length) {
      return null;
    }
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
  byte() {
    return this.take(1)?.[0] ?? null;
  }
  uint32() {
    const four = this.take(4);
    return four === null ? null : new DataView(four.buffer, four.byteOffset, 4).getUint32(0);
  }
  string() {
    const length = this.uint32();
    return length === null ? null : this.take(length);
  }
  text() {
    const bytes = this.string();
    return bytes === null ? null : decodeUtf8(bytes);
  }
  // A positive number in its shortest form, without the leading zero.
  mpint() {
    const bytes = this.string();
    if (bytes === null || bytes.length === 0 || bytes[0] >= 0x80) {
      return null;
    }
    if (bytes[0] !== 0) {
      return bytes;
    }
    return bytes.length > 1 && bytes[1] >= 0x80 ? bytes.subarray(1) : null;
  }
  get end() {
    return this.at === this.bytes.length;
  }
}

function putString(bytes) {
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, bytes.length);
  return concat(head, bytes);
}

const CURVES = {
  nistp256: {
    bytes: 32, hash: 'SHA-256', web: 'P-256',
    p: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
  },
  nistp384: {
    bytes: 48, hash: 'SHA-384', web: 'P-384',
    p: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffffn,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
  },
};

function onCurve(curve, point) {
  const { bytes, p, b } = CURVES[curve];
  if (point.length !== 2 * bytes + 1 || point[0] !== 4) {
    return false;
  }
  const [x, y] = [point.subarray(1, bytes + 1), point.subarray(bytes + 1)].map((part) => BigInt(`0x${hex(part)}`));
  return x < p && y < p && (y * y - (x * x * x - 3n * x + b)) % p === 0n;
}

// The y coordinates of the points of edwards25519 whose order divides eight, in every spelling that decoders accept.
const SMALL_ORDER = new Set([
  '00'.repeat(32), `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  ...['ec', 'ed', 'ee'].map((lowest) => `${lowest}${'ff'.repeat(30)}7f`),
]);

function isSmallOrder(bytes) {
  const y = Uint8Array.from(bytes);
  y[31] &= 0x7f;
  return SMALL_ORDER.has(hex(y));
}

// Reads an SSH public key in its wire format; null for kinds, points and lengths that do not count.
function readKey(wire) {
  const reader = new Reader(wire);
  const kind = reader.text();
  const found = { kind, wire };
  if (kind === 'ssh-ed25519' || kind === 'sk-ssh-ed25519@openssh.com') {
    const raw = reader.string();
    if (raw === null || raw.length !== 32 || isSmallOrder(raw)) {
      return null;
    }
    Object.assign(found, { curve: 'ed25519', raw, material: `ed25519 ${hex(raw)}` });
  } else if (/^(ecdsa-sha2-nistp(256|384)|sk-ecdsa-sha2-nistp256@openssh\.com)$/.test(kind ?? '')) {
    const [curve, raw] = [reader.text(), reader.string()];
    if (!kind.includes(curve ?? ' ') || raw === null || !onCurve(curve, raw)) {
      return null;
    }
    Object.assign(found, { curve, raw, material: `${curve} ${hex(raw)}` });
  } else if (kind === 'ssh-rsa') {
    const [exponent, modulus] = [reader.mpint(), reader.mpint()];
    const bits = modulus === null ? 0 : BigInt(`0x${hex(modulus)}`).toString(2).length;
    const odd = (number) => number !== null && number[number.length - 1] % 2 === 1;
    const usable = odd(exponent) && odd(modulus) && exponent.length <= 4 && !(exponent.length === 1 && exponent[0] === 1);
    if (!usable || bits < 3072 || bits > 8192) {
      return null;
    }
    Object.assign(found, { curve: 'rsa', exponent, modulus, material: `rsa ${hex(wire)}` });
  } else {
    return null;
  }
  if (kind.startsWith('sk-')) {
    const application = reader.text();
    if (application === null) {
      return null;
    }
    found.application = application;
    found.isPasskey = kind.startsWith('sk-ecdsa') && !application.startsWith('ssh:');
  }
  return reader.end ? found : null;
}

// Reads `type base64 [comment]`; null for what is not one key.
function readKeyLine(line) {
  const trimmed = line.replace(/^[ \t\n\f\r]+|[ \t\n\f\r]+$/g, '');
  if (bytesOf(trimmed) > 16 * 1024 || /[\n\r\0]/.test(trimmed)) {
    return null;
  }
  const [kind, body] = trimmed.split(/[ \t]/);
  const wire = body === undefined ? null : fromBase64(body);
  const found = wire === null ? null : readKey(wire);
  return found !== null && found.kind === kind ? found : null;
}

const lineOf = (found) => `${found.kind} ${toBase64(found.wire)}`;
const fingerprintOf = async (found) => `SHA256:${unpadded(await sha256(found.wire))}`;

// Whether a key of a curve made this signature; ECDSA signatures are `r || s`.
export async function verifyRaw(found, message, signature) {
  const use = async (format, material, algorithm, parameters) => {
    const imported = await crypto.subtle.importKey(format, material, algorithm, false, ['verify']);
    return crypto.subtle.verify(parameters ?? algorithm, imported, signature, message);
  };
  try {
    if (found.curve === 'ed25519') {
      return signature.length === 64 && !isSmallOrder(found.raw) && (await use('raw', found.raw, { name: 'Ed25519' }));
    }
    if (found.curve === 'rsa') {
      const jwk = { kty: 'RSA', n: urlSafe(found.modulus), e: urlSafe(found.exponent) };
      return await use('jwk', jwk, { name: 'RSASSA-PKCS1-v1_5', hash: found.hash });
    }
    const curve = CURVES[found.curve];
    const algorithm = { name: 'ECDSA', namedCurve: curve.web };
    return await use('raw', found.raw, algorithm, { name: 'ECDSA', hash: curve.hash });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NotSupportedError') {
      refuse('BROWSER_UNSUPPORTED', `this browser cannot check ${found.curve} signatures; use a newer one, or lockgate verify`);
    }
    return false;
  }
}

const invalid = () => refuse('SIGNATURE_INVALID', 'a signature does not verify');

// `mpint r, mpint s` as `r || s` of fixed width.
function fixedWidth(blob, curve) {
  const reader = new Reader(blob);
  const width = CURVES[curve].bytes;
  const numbers = [reader.mpint(), reader.mpint()];
  if (numbers.includes(null) || !reader.end || numbers.some((number) => number.length > width)) {
    return invalid();
  }
  return concat(...numbers.map((number) => concat(new Uint8Array(width - number.length), number)));
}

async function verifyBare(found, message, signature) {
  const raw = found.curve in CURVES ? fixedWidth(signature, found.curve) : signature;
  if (!(await verifyRaw(found, message, raw))) {
    invalid();
  }
}

const ARMOR = ['-----BEGIN SSH SIGNATURE-----', '-----END SSH SIGNATURE-----'];
const WEBAUTHN = 'webauthn-sk-ecdsa-sha2-nistp256@openssh.com';

// Reads an armored SSHSIG (OpenSSH PROTOCOL.sshsig).
function readSignature(armored) {
  const malformed = () => refuse('SIGNATURE_MALFORMED', 'a signature cannot be read');
  const lines = armored.replace(/^[ \t\n\f\r]+|[ \t\n\f\r]+$/g, '').split('\n').map((line) => line.replace(/\r$/, ''));
  const body = lines.slice(1, -1);
  const framed = lines.length > 2 && lines[0] === ARMOR[0] && lines[lines.length - 1] === ARMOR[1];
  if (bytesOf(armored) > LIMITS.armoredBytes || !framed || body.includes('') || body.includes(ARMOR[1])) {
    malformed();
  }
  const reader = new Reader(fromBase64(body.join('')) ?? malformed());
  const magic = reader.take(6);
  const version = reader.uint32();
  const [wire, namespace, reserved, hashName, blob] =
    [reader.string(), reader.text(), reader.string(), reader.text(), reader.string()];
  const whole = magic !== null && same(magic, utf8('SSHSIG')) && version === 1 && blob !== null && reader.end;
  if (!whole || wire === null || namespace === null || reserved === null || reserved.length > 0 ||
      (hashName !== 'sha256' && hashName !== 'sha512')) {
    malformed();
  }
  const found = readKey(wire) ?? malformed();
  return { key: found, namespace, hashName, blob };
}

function readAssertion(reader) {
  const assertion = {
    flags: reader.byte(), counter: reader.take(4), origin: reader.text(), clientData: reader.string(), extensions: reader.string(),
  };
  return Object.values(assertion).includes(null) || !reader.end ? null : assertion;
}

// An https origin with any port, or that of this very machine: its host, or null.
function originHost(origin) {
  const found = /^(https?):\/\/([^:/?#@]*)(?::([0-9]+))?$/.exec(origin);
  if (found === null) {
    return null;
  }
  const [, scheme, host, port] = found;
  const own = scheme === 'https' ? '443' : '80';
  const plain = port === undefined || (/^[1-9][0-9]{0,4}$/.test(port) && Number(port) <= 65535 && port !== own);
  const labels = host.split('.');
  const named = host.length <= 253 && /^[a-z]/.test(labels[labels.length - 1]) &&
    labels.every((label) => label.length <= 63 && /^[a-z0-9-]+$/.test(label) && !/^-|-$/.test(label));
  return plain && named && (scheme === 'https' || host === 'localhost') ? host : null;
}

const presenceOf = (flags, origin) => ({ verified: (flags & 4) !== 0, backedUp: (flags & 16) !== 0, origin });

// What a device says beside a signature, unverified; null where there is no device.
function claimedPresence(signature) {
  const reader = new Reader(signature.blob);
  const [type, bare] = [reader.text(), reader.string()];
  if (type === null || bare === null || !signature.key.kind.startsWith('sk-')) {
    return null;
  }
  if (type === WEBAUTHN && signature.key.kind.startsWith('sk-ecdsa')) {
    const assertion = readAssertion(reader);
    return assertion && presenceOf(assertion.flags, originHost(assertion.origin) === null ? null : assertion.origin);
  }
  const [flags, counter] = [reader.byte(), reader.take(4)];
  return type === signature.key.kind && flags !== null && counter !== null && reader.end ? presenceOf(flags, null) : null;
}

// Rebuilds what a passkey signs; the steps are those of docs/formats.md, "Passkeys".
async function webauthnMessage(assertion, application, signed) {
  const { flags, counter, origin, clientData, extensions } = assertion;
  const is = (bit) => (flags & bit) !== 0;
  if (!is(1) || is(0x40) || is(0x80) === (extensions.length === 0) || (is(0x10) && !is(8))) {
    refuse('WEBAUTHN_FLAGS', 'a passkey\u2019s flags are wrong');
  }
  if (originHost(origin) !== application) {
    refuse('WEBAUTHN_ORIGIN', 'a passkey was used at another origin than its own');
  }
  let said;
  try {
    said = readJson(clientData);
  } catch (error) {
    refuse('WEBAUTHN_CLIENT_DATA', `a passkey\u2019s client data cannot be read: ${error.message}`);
  }
  if (!isObject(said)) {
    refuse('WEBAUTHN_CLIENT_DATA', 'a passkey\u2019s client data are no object');
  }
  const challenge = urlSafe(signed);
  if (said.type !== 'webauthn.get') {
    refuse('WEBAUTHN_TYPE', 'a passkey\u2019s answer is no signature');
  }
  if (said.challenge !== challenge) {
    refuse('WEBAUTHN_CHALLENGE', 'a passkey signed something else');
  }
  if ((text(said.origin) ? said.origin : '') !== origin) {
    refuse('WEBAUTHN_ORIGIN', 'a passkey was used at another origin than it says');
  }
  if ((said.crossOrigin !== undefined && said.crossOrigin !== false) || 'topOrigin' in said) {
    refuse('WEBAUTHN_CROSS_ORIGIN', 'a passkey was used inside another site\u2019s page');
  }
  const beginning = utf8(`{"type":"webauthn.get","challenge":"${challenge}","origin":"${origin}"`);
  if (!same(clientData.subarray(0, beginning.length), beginning)) {
    refuse('WEBAUTHN_CLIENT_DATA', 'a passkey\u2019s client data have another spelling');
  }
  return concat(await sha256(utf8(application)), [flags], counter, extensions, await sha256(clientData));
}

// Verifies that `expected` signed `message` for `namespace`; gives what the device says, if there was one.
async function verifySignature(signature, expected, namespace, message) {
  if (!same(signature.key.wire, expected.wire) || signature.namespace !== namespace) {
    invalid();
  }
  const digested = await hash(signature.hashName === 'sha256' ? 'SHA-256' : 'SHA-512', message);
  const parts = [utf8(namespace), new Uint8Array(), utf8(signature.hashName), digested];
  const signed = concat(utf8('SSHSIG'), ...parts.map(putString));
  const reader = new Reader(signature.blob);
  const [type, bare] = [reader.text(), reader.string()];
  if (type === null || bare === null) {
    invalid();
  }
  if (expected.curve === 'rsa') {
    const hashes = { 'rsa-sha2-256': 'SHA-256', 'rsa-sha2-512': 'SHA-512' };
    if (!reader.end || !Object.hasOwn(hashes, type)) {
      invalid();
    }
    await verifyBare({ ...expected, hash: hashes[type] }, signed, bare);
    return null;
  }
  if (type === WEBAUTHN && expected.kind.startsWith('sk-ecdsa')) {
    const assertion = readAssertion(reader) ?? invalid();
    const asserted = await webauthnMessage(assertion, expected.application, signed);
    await verifyBare(expected, asserted, bare);
    return presenceOf(assertion.flags, assertion.origin);
  }
  if (expected.isPasskey) {
    refuse('WEBAUTHN_TYPE', 'the key is a passkey and makes no other signatures');
  }
  if (type !== expected.kind) {
    invalid();
  }
  if (expected.application === undefined) {
    if (!reader.end) {
      invalid();
    }
    await verifyBare(expected, signed, bare);
    return null;
  }
  const [flags, counter] = [reader.byte(), reader.take(4)];
  if (flags === null || counter === null || !reader.end || (flags & 1) === 0) {
    invalid();
  }
  const asserted = concat(await sha256(utf8(expected.application)), [flags], counter, await sha256(signed));
  await verifyBare(expected, asserted, bare);
  return presenceOf(flags, null);
}

// Verifies an armored signature of a text by the key of a line, for one purpose.
export async function checkSignature(armored, line, namespace, message) {
  const signature = readSignature(armored);
  return verifySignature(signature, readKeyLine(line) ?? refuse('KEY_UNKNOWN', 'not one key'), namespace, utf8(message));
}

// --------------------------------------------------------------------------------------------------- notes and log

const isKeyName = (value) => value !== '' && !/[+\p{White_Space}\p{Cc}]/u.test(value);

async function keyIdOf(found) {
  return (await sha256(concat(utf8(`${found.name}\n`), [found.type], found.raw))).subarray(0, 4);
}

// `name+<8 hex>+<base64>`; null for what is no verifier key.
async function readVerifierKey(line) {
  const [named, id, ...rest] = line.split('+');
  const bytes = rest.length === 0 ? null : fromBase64(rest.join('+'));
  if (bytes === null || bytes.length !== 33 || (bytes[0] !== 1 && bytes[0] !== 4) || !isKeyName(named)) {
    return null;
  }
  const found = { name: named, type: bytes[0], raw: bytes.subarray(1), curve: 'ed25519' };
  found.id = await keyIdOf(found);
  found.line = `${named}+${hex(found.id)}+${toBase64(bytes)}`;
  return hex(found.id) === id && !isSmallOrder(found.raw) ? found : null;
}

// A signed note (C2SP signed-note): text, an empty line, signature lines.
function readNote(note) {
  const bad = (why) => refuse('CHECKPOINT_INVALID', `not a signed note: ${why}`);
  if (bytesOf(note) > LIMITS.noteBytes || /[\u0000-\u0009\u000b-\u001f]/.test(note)) {
    bad('it is too long or holds control characters');
  }
  const split = note.lastIndexOf('\n\n');
  if (split < 0 || !note.endsWith('\n') || note.length < split + 3) {
    bad('no signatures');
  }
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > LIMITS.noteSignatures) {
    bad('too many signatures');
  }
  const signatures = lines.map((line) => {
    const found = /^\u2014 ([^ ]*) (.*)$/su.exec(line) ?? bad('a line is no signature');
    const bytes = fromBase64(found[2]);
    if (bytes === null || bytes.length < 5 || !isKeyName(found[1])) {
      bad('a line is no signature');
    }
    return { name: found[1], id: bytes.subarray(0, 4), signature: bytes.subarray(4) };
  });
  return { text: note.slice(0, split + 1), signatures };
}

const decimal = (word) => (/^(0|[1-9][0-9]{0,19})$/.test(word) && fits64(word) ? BigInt(word) : null);

function readCheckpoint(body) {
  const bad = (why) => refuse('CHECKPOINT_INVALID', `not a checkpoint: ${why}`);
  const lines = body.split('\n');
  if (lines.length !== 4 || lines[3] !== '' || lines[0] === '' || /\p{Cc}/u.test(lines[0])) {
    bad('it has not three lines');
  }
  const size = decimal(lines[1]) ?? bad('the size is no number');
  const root = fromBase64(lines[2]);
  if (root === null || root.length !== 32) {
    bad('the root is no hash');
  }
  return { origin: lines[0], size, root };
}

const linesOf = (note, found) => note.signatures.filter((line) => line.name === found.name && same(line.id, found.id));

// A tlog-policy text (C2SP tlog-policy): logs, witnesses, groups and a quorum.
async function readPolicy(policy) {
  const bad = (why) => refuse('TRUST_INVALID', `the log policy does not parse: ${why}`);
  const found = { logs: [], witnesses: [], groups: [], quorum: null };
  if (bytesOf(policy) > 256 * 1024 || !policy.endsWith('\n')) {
    bad('it is too long, or its last line is cut off');
  }
  const defined = (word) => [...found.witnesses, ...found.groups].some((other) => other.named === word);
  const define = (word) => {
    if (word === 'none' || defined(word) || /[\u0000-\u0020\u007f]/.test(word)) {
      bad('a name is taken');
    }
  };
  const add = async (kind, type, line, more) => {
    const vkey = await readVerifierKey(line);
    const twice = vkey !== null && found[kind].some((other) => same(other.vkey.raw, vkey.raw));
    if (vkey === null || vkey.type !== type || twice || found[kind].length >= 128) {
      bad(`the key ${line.slice(0, 80)} is wrong`);
    }
    found[kind].push({ vkey, ...more });
  };
  for (const line of policy.slice(0, -1).split('\n')) {
    if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(line)) {
      bad('it holds control characters');
    }
    const words = line.split(/[ \t]/).filter((word) => word !== '');
    if (words.length === 0 || words[0].startsWith('#')) {
      continue;
    }
    if (words[0] === 'log' && (words.length === 2 || words.length === 3)) {
      await add('logs', 1, words[1], {});
    } else if (words[0] === 'witness' && (words.length === 3 || words.length === 4)) {
      define(words[1]);
      await add('witnesses', 4, words[2], { named: words[1] });
    } else if (words[0] === 'group' && words.length >= 3) {
      const members = words.slice(3);
      define(words[1]);
      const number = decimal(words[2]);
      const needed = words[2] === 'all' ? members.length : words[2] === 'any' ? 1 : number === null ? 0 : Number(number);
      const taken = new Set(found.groups.flatMap((group) => group.members));
      if (needed === 0 || needed > members.length || found.groups.length >= 128) {
        bad('a threshold is wrong');
      }
      for (const member of members) {
        if (!defined(member) || taken.has(member)) {
          bad('a member is unknown, or stands twice');
        }
        taken.add(member);
      }
      found.groups.push({ named: words[1], needed, members });
    } else if (words[0] === 'quorum' && words.length === 2 && found.quorum === null) {
      if (words[1] !== 'none' && !defined(words[1])) {
        bad('the quorum is not defined');
      }
      found.quorum = words[1];
    } else {
      bad('a line is not understood');
    }
  }
  return found.quorum === null ? bad('it has no quorum') : found;
}

async function checkWitnesses(policy, note) {
  const seen = new Set();
  for (const { vkey, named } of policy.witnesses) {
    for (const line of linesOf(note, vkey)) {
      const time = line.signature.length === 72 ? new DataView(line.signature.slice(0, 8).buffer).getBigUint64(0) : U64;
      const message = utf8(`cosignature/v1\ntime ${time}\n${note.text}`);
      if (time > U64 >> 1n || !(await verifyRaw(vkey, message, line.signature.subarray(8)))) {
        refuse('WITNESS_QUORUM', `the cosignature of ${named} does not verify`);
      }
      seen.add(named);
    }
  }
  const count = seen.size;
  for (const group of policy.groups) {
    if (group.members.filter((member) => seen.has(member)).length >= group.needed) {
      seen.add(group.named);
    }
  }
  if (policy.quorum !== 'none' && !seen.has(policy.quorum)) {
    refuse('WITNESS_QUORUM', `the quorum ${policy.quorum} is not met, ${count} witnesses have cosigned`);
  }
  return count;
}

// Opens a signed checkpoint: a pinned log key signed it, and the witnesses that the policy asks for.
export async function openCheckpoint(note, policy) {
  const origin = note.split('\n')[0].replace(/\r$/, '');
  let last = new Refused('LOG_KEY_UNKNOWN', 'no pinned log key has the name that the checkpoint gives');
  for (const { vkey } of policy.logs.filter((log) => log.vkey.name === origin)) {
    const opened = await openWith(note, vkey).catch((error) => {
      last = error.code === 'CHECKPOINT_INVALID' ? error : refuse(error.code ?? 'VERIFIER_BUG', error.message);
      return null;
    });
    if (opened !== null) {
      return { ...opened.checkpoint, logKey: vkey.line, witnesses: await checkWitnesses(policy, opened.note) };
    }
  }
  throw last;
}

async function openWith(signed, vkey) {
  const note = readNote(signed);
  const checkpoint = readCheckpoint(note.text);
  if (checkpoint.size === 0n && !same(checkpoint.root, await sha256(new Uint8Array()))) {
    refuse('CHECKPOINT_INVALID', 'an empty ledger with another root');
  }
  const lines = linesOf(note, vkey);
  if (checkpoint.origin !== vkey.name || lines.length === 0) {
    refuse('CHECKPOINT_INVALID', 'the pinned log key has not signed this checkpoint');
  }
  for (const line of lines) {
    if (!(await verifyRaw(vkey, utf8(note.text), line.signature))) {
      refuse('CHECKPOINT_INVALID', 'the log\u2019s signature on the checkpoint does not verify');
    }
  }
  return { note, checkpoint };
}

const leafHash = (bytes) => sha256(concat([0], bytes));
const nodeHash = (left, right) => sha256(concat([1], left, right));

// RFC 9162, section 2.1.3.2; `index` and `size` are BigInts. Whether the path leads from the leaf to the root.
export async function verifyInclusion(index, size, leaf, path, root) {
  if (index >= size || leaf.length !== 32) {
    return false;
  }
  let [first, last, found] = [index, size - 1n, leaf];
  for (const sibling of path) {
    if (last === 0n || sibling.length !== 32) {
      return false;
    }
    if ((first & 1n) === 1n || first === last) {
      found = await nodeHash(sibling, found);
      while ((first & 1n) === 0n && first !== 0n) {
        first >>= 1n;
        last >>= 1n;
      }
    } else {
      found = await nodeHash(found, sibling);
    }
    first >>= 1n;
    last >>= 1n;
  }
  return last === 0n && same(found, root);
}

// RFC 9162, section 2.1.4.2: whether the older tree is the beginning of the newer one. An older size of 0 proves nothing.
export async function verifyConsistency(old, size, path, oldRoot, root) {
  if (old === 0n || old > size || path.some((sibling) => sibling.length !== 32)) {
    return false;
  }
  if (old === size) {
    return path.length === 0 && same(oldRoot, root);
  }
  if (path.length === 0) {
    return false;
  }
  const perfect = (old & (old - 1n)) === 0n;
  const seed = perfect ? oldRoot : path[0];
  let [first, last] = [old - 1n, size - 1n];
  while ((first & 1n) === 1n) {
    first >>= 1n;
    last >>= 1n;
  }
  let [older, newer] = [seed, seed];
  for (const sibling of perfect ? path : path.slice(1)) {
    if (last === 0n) {
      return false;
    }
    if ((first & 1n) === 1n || first === last) {
      [older, newer] = [await nodeHash(sibling, older), await nodeHash(sibling, newer)];
      while ((first & 1n) === 0n && first !== 0n) {
        first >>= 1n;
        last >>= 1n;
      }
    } else {
      newer = await nodeHash(newer, sibling);
    }
    first >>= 1n;
    last >>= 1n;
  }
  return last === 0n && same(older, oldRoot) && same(newer, root);
}

// --------------------------------------------------------------------------------------------------- policy sets

// Reads TOML as policy sets are written, as versions 1.0 and 1.1 read it alike: enough for who may do what. Dates are kept
// as texts.
export function readToml(source) {
  const bad = (why) => refuse('POLICY_INVALID', `a policy file does not read: ${why}`);
  const root = Object.create(null);
  let [at, here] = [0, root];
  const skip = (pattern) => {
    pattern.lastIndex = at;
    at += pattern.exec(source)[0].length;
  };
  const blank = () => skip(/[ \t]*/y);
  const space = () => skip(/(?:[ \t\r\n]|#[^\n]*)*/y);
  const ESCAPES = { b: '\b', t: '\t', n: '\n', f: '\f', r: '\r', '"': '"', '\\': '\\' };
  const basic = (end, lines) => {
    let out = '';
    while (!source.startsWith(end, at)) {
      const c = source[at];
      if (c === undefined || (c === '\n' && !lines)) {
        bad('a string does not end');
      }
      const folded = lines ? /\\[ \t]*\r?\n[ \t\r\n]*/y : /(?!)/y;
      folded.lastIndex = at;
      const fold = folded.exec(source);
      if (fold !== null) {
        at += fold[0].length;
      } else if (c === '\\') {
        const code = /^(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/.exec(source.slice(at + 1, at + 10));
        out += code === null ? ESCAPES[source[at + 1]] ?? bad('an escape') :
          String.fromCodePoint(parseInt(code[1] ?? code[2], 16));
        at += code === null ? 2 : 1 + code[0].length;
      } else {
        out += c;
        at += 1;
      }
    }
    at += end.length;
    while (lines && source[at] === '"') {
      out += '"';
      at += 1;
    }
    return out;
  };
  const literal = (end, lines) => {
    let to = source.indexOf(end, at);
    while (lines && to >= 0 && source[to + 3] === "'") {
      to += 1;
    }
    const out = to < 0 ? bad('a string does not end') : source.slice(at, to);
    at = to + end.length;
    return !lines && out.includes('\n') ? bad('a string does not end') : out;
  };
  const string = () => {
    const [from, quote] = [at, source[at]];
    const lines = source.startsWith(quote.repeat(3), at);
    at += lines ? 3 : 1;
    if (lines) {
      skip(/\n?/y);
    }
    const text = (quote === '"' ? basic : literal)(quote.repeat(lines ? 3 : 1), lines);
    return lines && source.slice(from, at).includes('\r') ? bad('a carriage return in a text of several lines') : text;
  };
  const keys = () => {
    const path = [];
    do {
      at += path.length === 0 ? 0 : 1;
      blank();
      const bare = /[A-Za-z0-9_-]+/y;
      bare.lastIndex = at;
      const found = bare.exec(source);
      if (found === null && source[at] !== '"' && source[at] !== "'") {
        bad('no key');
      }
      path.push(found === null ? string() : found[0]);
      at += found === null ? 0 : found[0].length;
      blank();
    } while (source[at] === '.');
    return path;
  };
  const step = (table, name) => {
    const next = (table[name] ??= Object.create(null));
    const last = Array.isArray(next) ? next[next.length - 1] : next;
    return isObject(last) ? last : bad('a key stands twice');
  };
  const pair = (table) => {
    const path = keys();
    const name = path.pop();
    const inner = path.reduce(step, table);
    if (source[at] !== '=' || name in inner) {
      bad('a key stands twice, or has no value');
    }
    at += 1;
    blank();
    inner[name] = value();
  };
  const value = () => {
    const first = source[at];
    if (first === '"' || first === "'") {
      return string();
    }
    if (first === '[') {
      const items = [];
      at += 1;
      for (space(); source[at] !== ']'; space()) {
        items.push(value());
        space();
        if (source[at] === ',') {
          at += 1;
        } else if (source[at] !== ']') {
          bad('a list');
        }
      }
      at += 1;
      return items;
    }
    if (first === '{') {
      const table = Object.create(null);
      at += 1;
      blank();
      for (let more = source[at] !== '}'; more; ) {
        pair(table);
        blank();
        more = source[at] === ',';
        at += more ? 1 : 0;
      }
      at += source[at] === '}' ? 1 : bad('a table');
      return table;
    }
    const bare = /[0-9A-Za-z+_.:-]+(?: [0-9][0-9:.Z+-]+)?/y;
    bare.lastIndex = at;
    const word = bare.exec(source)?.[0] ?? bad('no value');
    at += word.length;
    if (word === 'true' || word === 'false') {
      return word === 'true';
    }
    const digits = word.replace(/(?<=[0-9a-fA-F])_(?=[0-9a-fA-F])/g, '');
    return /^[+-]?[0-9]+$|^0[xob][0-9a-fA-F]+$/.test(digits) ? Number(digits) : word;
  };
  for (space(); at < source.length; space()) {
    if (source[at] === '[') {
      const many = source[at + 1] === '[';
      at += many ? 2 : 1;
      const path = keys();
      const name = path.pop();
      const parent = path.reduce(step, root);
      if (many) {
        parent[name] ??= [];
        here = Object.create(null);
        (Array.isArray(parent[name]) ? parent[name] : bad('a key stands twice')).push(here);
      } else {
        here = step(parent, name);
      }
      at += source.startsWith(many ? ']]' : ']', at) ? (many ? 2 : 1) : bad('a header');
    } else {
      pair(here);
    }
    blank();
    if (at < source.length && !/^(?:\r?\n|#)/.test(source.slice(at, at + 2))) {
      bad('two things on one line');
    }
  }
  return root;
}

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: DAY };
const span = (value) => (/^[0-9]{1,9}[smhd]$/.test(value) ? Number(value.slice(0, -1)) * UNITS[value.slice(-1)] : null);

const isEverything = (pattern) => pattern === '*' || pattern === '**';

// Whether a pattern of the policy set covers a name: `*` within one part, `**` for all that is left.
export function matches(pattern, subject) {
  const plain = (part) => part !== '' && part !== '.' && part !== '..';
  if (subject.length > 256 || !subject.split('/').every(plain)) {
    return false;
  }
  if (isEverything(pattern)) {
    return true;
  }
  const [wanted, given] = [pattern.split('/'), subject.split('/')];
  for (let place = 0; ; place += 1) {
    if (place >= wanted.length || place >= given.length) {
      return wanted.length === given.length;
    }
    if (wanted[place] === '**') {
      return true;
    }
    const quoted = wanted[place].split('*').map((piece) => piece.replace(/[.+\\-]/g, '\\$&')).join('.*');
    if (!new RegExp(`^${quoted}$`).test(given[place])) {
      return false;
    }
  }
}

// Permissions that are about the whole ledger, and never about one place; and those that are about a service alone.
const LEDGER_WIDE = ['feeds', 'audit', 'keys', 'policy'];
const SERVICE_WIDE = ['read', 'push', 'attest'];
// The kinds of gates that single things can be waived of.
const WAIVABLE = ['vulnerabilities', 'analysis', 'licences', 'configuration', 'reproducible'];

// The kinds of gates that compare with what runs, where they say so.
function compares(gate) {
  switch (gate.kind) {
    case 'analysis': return gate.new_only === true;
    case 'coverage': return gate.max_drop !== undefined;
    case 'performance': return Object.values(gate.budget ?? {}).some((budget) => budget.max_worse !== undefined);
    case 'configuration': return gate.unchanged === true;
    case 'rego': return gate.with_running_evidence === true;
    default: return false;
  }
}

// The feeds that a gate may ask, in their order.
function feedsOf(gate, endOnKev) {
  if (gate.kind !== 'vulnerabilities') {
    return [];
  }
  const kev = gate.kev === true || gate.waivers_end_with_kev === true || endOnKev;
  return [...(kev ? ['kev'] : []), ...(gate.epss === undefined ? [] : ['epss'])];
}

// How far back a gate looks at what other services were let in, as a span; null where it does not look.
function looksBack(gate) {
  if (gate.kind === 'capacity' && gate.all_services === true) {
    return gate.settle;
  }
  return gate.kind === 'rego' ? gate.with_neighbours ?? null : null;
}

// What a policy set says about people, keys and grants, and of gates whom they are for and what they look at. What a
// gate demands is not read.
function readRules(bytes) {
  const document = readCanonical(bytes, object({ schema: text, files: mapOf(text) }), 'POLICY_INVALID', 'the policy set');
  const file = (name, needed) => {
    const found = document.files[name];
    return found === undefined && needed ? refuse('POLICY_INVALID', `the policy set has no ${name}`) : readToml(found ?? '');
  };
  if (document.schema !== 'https://lockgate.dev/policy-set/v1') {
    refuse('POLICY_INVALID', 'the policy set is of another version');
  }
  const settings = file('policy.toml', true);
  const people = file('people.toml', true);
  const environments = file('environments.toml', true).environment ?? {};
  const roles = people.role ?? {};
  const groups = people.group ?? {};
  const bindings = [
    ...Object.keys(groups).flatMap((group) => (groups[group].roles ?? []).map((role) => ({ role, groups: [group] }))),
    ...(people.bindings ?? []),
  ].map((binding) => ({ people: [], groups: [], ...binding, permissions: roles[binding.role]?.permissions ?? [] }));
  const aliases = new Map((file('aliases.toml').aliases ?? []).flatMap((entry) => entry.names.map((alias) => [alias, entry.person])));
  const quorum = settings.governance?.quorum ?? 1;
  const ttls = new Map(Object.keys(environments).map((environment) => [environment, span(environments[environment].grant_ttl)]));
  const breakGlassMax = span(settings['break-glass']?.max ?? '4h');
  const within = (value, most) => integer(value) && value >= 1 && value <= most;
  const waivers = settings.waivers === undefined ? null :
    { max_days: LIMITS.waiverDays, two_people: true, service_wide: false, ticket: false, end_on_kev: false, ...settings.waivers };
  if (!within(quorum, 16) || [...ttls.values()].includes(null) || !within(breakGlassMax, DAY) ||
      (waivers !== null && !within(waivers.max_days, LIMITS.waiverDays))) {
    refuse('POLICY_INVALID', 'the policy set says something that this verifier does not understand');
  }
  const fits = (patterns, subject) => patterns === undefined || patterns.some((pattern) => matches(pattern, subject));
  let gates = null;
  const allGates = () => {
    gates ??= Object.keys(document.files).filter((path) => path.startsWith('gates/')).sort()
      .flatMap((path) => readToml(document.files[path]).gate ?? []);
    return gates;
  };
  const applies = (gate, { service: to, environment }) => (gate.environments ?? []).includes(environment) && fits(gate.services, to);
  const gatesFor = (target) => allGates().filter((gate) => applies(gate, target));
  return {
    quorum, groups, ttls, waivers, breakGlassMax, backtest: settings.governance?.backtest === true, applies,
    gate: (named) => allGates().find((gate) => gate.name === named),
    compares: (target) => gatesFor(target).some(compares),
    feeds: (target) => [...new Set(gatesFor(target).flatMap((gate) => feedsOf(gate, waivers?.end_on_kev === true)))].sort((a, b) => (a < b ? 1 : -1)),
    looksBack: (target) => {
      const spans = gatesFor(target).map(looksBack).filter((far) => far !== null).map((far) => span(far));
      return spans.length === 0 ? null : Math.max(...spans);
    },
    passkeys: { user_verification: true, synced: true, ...settings.passkeys },
    person: (account) => aliases.get(account) ?? account,
    // Without a target the permission is about the whole ledger; a target without an environment is everywhere, and one
    // without a service is every service there.
    // Of somebody who lends some groups, only these count, and nothing that is held by name.
    allows: (account, memberships, permission, target, lent = []) => bindings.some((binding) => {
      const scoped = binding.services !== undefined || binding.environments !== undefined;
      const anywhere = SERVICE_WIDE.includes(permission) || binding.environments === undefined;
      const served = (to) => (to === null ? binding.services?.some(isEverything) ?? true : fits(binding.services, to));
      const place = LEDGER_WIDE.includes(permission) || target === undefined ? !scoped : served(target.service) &&
        (anywhere || ((target.environment ?? null) !== null && fits(binding.environments, target.environment)));
      const held = binding.groups.some((group) => memberships.includes(group) && (lent.length === 0 || lent.includes(group))) ||
        (lent.length === 0 && binding.people.some((pattern) => matches(pattern, account)));
      return place && held && binding.permissions.includes(permission);
    }),
  };
}

// ----------------------------------------------------------------------------------------------------- governance

const ENROLMENT = 'key-enrolment.v1@lockgate.dev';
const NAMESPACES = {
  policy: 'policy-approval.v1@lockgate.dev', waiver: 'waiver.v1@lockgate.dev', rejection: 'change-rejection.v1@lockgate.dev',
  review: 'access-review.v1@lockgate.dev', withdrawal: 'approval-withdrawal.v1@lockgate.dev',
  delegation: 'delegation.v1@lockgate.dev', ci: 'ci-trust.v1@lockgate.dev', identity: 'identity-binding.v1@lockgate.dev',
  approval: 'promotion-approval.v1@lockgate.dev', freeze: 'freeze.v1@lockgate.dev', breakGlass: 'break-glass.v1@lockgate.dev',
};
const schema = (kind) => `https://lockgate.dev/${kind}/v1`;
const listed = (items) => (items === undefined || items.length === 0 ? undefined : items);
const limits = (body) => ({ expires_at: body.expires_at ?? undefined, environments: listed(body.environments) });
const pick = (from, ...names) => Object.fromEntries(names.map((name) => [name, from[name]]));
const keyText = (line) => lineOf(readKeyLine(line));

// How many people signed: a person with many keys counts once, and so does a key under many names.
function countSigners(signed) {
  const [people, keys] = [new Set(), new Set()];
  let count = 0;
  for (const { person, key: used } of signed) {
    count += people.has(person) || keys.has(used) ? 0 : 1;
    people.add(person);
    keys.add(used);
  }
  return count;
}

// People, keys, rights and the policy set, folded from the stream `governance`; see docs/formats.md, "Governance".
class Governance {
  constructor(body, rules) {
    Object.assign(this, {
      identity: body, origin: body.origin, rules, policy: body.policy, policyAt: 0, time: 0, people: new Map(), vouchings: [],
      changes: [], waivers: [], delegations: [], delegationDocuments: new Set(), accounts: new Map(), ci: new Map(),
      ciDocuments: new Set(), feeds: [], reviewedAt: -1, freezes: [], freezeDocuments: new Set(), breakGlasses: [],
      breakGlassDocuments: new Set(),
    });
  }

  // -- who and which key

  person(account) {
    return this.people.get(account) ?? refuse('PERSON_UNKNOWN', `${account} is not enrolled`);
  }
  isSuspended(account) {
    const last = this.people.get(account)?.suspensions.at(-1);
    return last !== undefined && last.until === null;
  }
  keyOf(account, fingerprint) {
    return this.people.get(account)?.keys.find((known) => known.fingerprint === fingerprint) ?? null;
  }
  knownKey(account, fingerprint) {
    return this.keyOf(account, fingerprint) ?? refuse('KEY_UNKNOWN', `${account} has no key ${fingerprint}`);
  }
  isValidAt(known, index) {
    return known.enrolledAt < index && known.suspect === null && (known.invalidFrom === null || index < known.invalidFrom);
  }
  countedAt(signed, index) {
    const known = this.keyOf(signed.person, signed.key);
    return known !== null && this.isValidAt(known, index);
  }
  isMachine(account) {
    return this.people.get(account)?.kind === 'machine';
  }
  refuseMachine(account) {
    if (this.isMachine(account)) {
      refuse('SOD_ROBOT', `${account} is a machine; people sign this`);
    }
  }

  checkCounts(account, fingerprint, index, time) {
    const record = this.person(account);
    const known = this.knownKey(account, fingerprint);
    if (record.suspensions.some(({ from, until }) => from < index && (until === null || index <= until))) {
      refuse('PERSON_SUSPENDED', `${account} was suspended`);
    }
    if (!this.isValidAt(known, index)) {
      refuse('KEY_REVOKED', `the key ${fingerprint} of ${account} does not count`);
    }
    if (known.expiresAt !== null && known.expiresAt <= time) {
      refuse('KEY_EXPIRED', `the key ${fingerprint} of ${account} had ended`);
    }
  }
  checkScope(account, fingerprint, environment) {
    const { environments } = this.knownKey(account, fingerprint);
    if (environments.length > 0 && !environments.includes(environment)) {
      refuse('KEY_SCOPE', `the key ${fingerprint} of ${account} signs for ${environments.join(', ')} and nothing else`);
    }
  }
  // A key that vouches for another cannot give it more than it has itself.
  checkWithin(account, fingerprint, environments) {
    const own = this.knownKey(account, fingerprint).environments;
    const narrower = environments.length > 0 && environments.every((environment) => own.includes(environment));
    if (own.length > 0 && !narrower) {
      this.checkScope(account, fingerprint, null);
    }
  }
  counts(account, fingerprint, index, time, environment) {
    try {
      this.checkCounts(account, fingerprint, index, time);
      this.checkScope(account, fingerprint, environment);
      return !this.isSuspended(account);
    } catch {
      return false;
    }
  }

  // Whether the policy set counts the passkey that signed.
  checkDevice(presence) {
    if (presence === null || presence.origin === null) {
      return;
    }
    const { origins, synced, user_verification: verification } = this.rules.passkeys;
    if (origins !== undefined && !origins.includes(presence.origin)) {
      refuse('WEBAUTHN_ORIGIN', `a passkey was used at ${presence.origin}`);
    }
    if (presence.backedUp && !synced) {
      refuse('WEBAUTHN_SYNCED', 'a synced passkey was used');
    }
    if (!presence.verified && (verification || presence.backedUp)) {
      refuse('WEBAUTHN_UV', 'a passkey was used without PIN or biometrics');
    }
  }

  // Verifies that an enrolled key of somebody made a signature, whether or not the key counts.
  async made(account, armored, namespace, message) {
    const signature = readSignature(armored);
    const known = this.person(account).keys.find((other) => same(other.public.wire, signature.key.wire)) ??
      refuse('KEY_UNKNOWN', `a key that is not enrolled for ${account} signed in their name`);
    const presence = await verifySignature(signature, known.public, namespace, message);
    return { known, presence };
  }
  async signed(account, armored, namespace, message, index) {
    const { known, presence } = await this.made(account, armored, namespace, message);
    this.checkDevice(presence);
    this.checkCounts(account, known.fingerprint, index, this.time);
    return known.fingerprint;
  }
  async provePossession(line, proof, message) {
    const signature = readSignature(proof);
    this.checkDevice(await verifySignature(signature, readKeyLine(line), ENROLMENT, message));
  }
  refuseBoundKey(line) {
    const { material } = readKeyLine(line);
    for (const [owner, record] of this.people) {
      if (record.keys.some((known) => known.public.material === material)) {
        refuse('KEY_ALREADY_BOUND', `a key belongs to ${owner} already`);
      }
    }
  }
  async newKey(line, index, { expires_at: expiresAt = null, environments = [] }) {
    const found = readKeyLine(line);
    return {
      public: found, fingerprint: await fingerprintOf(found), enrolledAt: index, invalidFrom: null, ended: null, voids: [],
      suspect: null, expiresAt, environments,
    };
  }

  // -- rights and quorum

  may(account, permission, target) {
    const record = this.people.get(account);
    return record !== undefined && !this.isSuspended(account) && this.rules.allows(account, record.groups, permission, target);
  }
  require(account, permission, target) {
    if (!this.may(account, permission, target)) {
      refuse('NOT_PERMITTED', `${account} has no role with the permission ${permission}`);
    }
  }
  isSubject(account, subject) {
    return subject !== null && this.rules.person(account) === this.rules.person(subject);
  }
  effectiveQuorum({ permission, subject }) {
    const able = [...this.people].filter(([account, record]) =>
      record.kind === 'person' && !this.isSubject(account, subject) && this.may(account, permission));
    const people = new Set(able.map(([account]) => this.rules.person(account)));
    return Math.max(1, Math.min(this.rules.quorum, people.size));
  }
  countPeople(signed) {
    return countSigners(signed.map((signer) => ({ ...signer, person: this.rules.person(signer.person) })));
  }
  checkSigner(by, { permission, subject }) {
    if (this.isSuspended(by)) {
      refuse('PERSON_SUSPENDED', `${by} is suspended`);
    }
    this.require(by, permission);
    this.refuseMachine(by);
    if (this.isSubject(by, subject)) {
      refuse('SOD_SELF', `the change is about ${by}; others have to sign it`);
    }
  }

  // Whose signatures an event needs over what; null where nobody else has to sign.
  demandOf({ type, body }) {
    const ledger = this.origin;
    const demand = (permission, subject, namespace, document, by = body.by, signature = body.signature) => {
      const message = utf8(canonical(document));
      return { permission, subject, namespace, message, by, signature, more: body.countersigned ?? [], said: document };
    };
    switch (type) {
      case 'person.enrolled':
        return body.sponsor.kind === 'setup-code' ? null :
          demand('keys', null, ENROLMENT, this.enrolment(body, body), body.sponsor.by, body.sponsor.signature);
      case 'key.revoked':
        return body.by === body.person ? null : demand('keys', body.person, ENROLMENT, this.revocation(body));
      case 'key.recovered':
        return demand('keys', body.person, ENROLMENT, {
          schema: schema('recovery'), ledger, person: body.person, key: keyText(body.key), reason: body.reason, ...limits(body),
        });
      case 'person.suspended': case 'person.reinstated':
        return demand('keys', body.person, ENROLMENT, {
          schema: schema('standing'), ledger, suspended: type === 'person.suspended', ...pick(body, 'person', 'previous_at', 'reason'),
        });
      case 'policy.activated':
        return demand('policy', null, NAMESPACES.policy, {
          schema: schema('policy-activation'), ledger, backtest: body.backtest ?? undefined,
          ...pick(body, 'policy', 'previous', 'previous_at', 'reason'),
        });
      case 'ci.trusted':
        return demand('keys', null, NAMESPACES.ci, {
          schema: schema('ci-trust'), ledger, jwks_url: body.jwks_url ?? null,
          ...pick(body, 'provider', 'machine', 'groups', 'issuer', 'audience', 'claims', 'services', 'nonce', 'by'),
        });
      default:
        return null;
    }
  }
  enrolment(body, { subject, groups }) {
    return { schema: schema('enrolment'), ledger: this.origin, person: body.person, subject, groups, key: keyText(body.key), ...limits(body) };
  }
  revocation(body) {
    return {
      schema: schema('revocation'), ledger: this.origin, compromised_since: body.compromised_since ?? null,
      ...pick(body, 'person', 'key', 'reason'),
    };
  }

  async verifySigners(demand, index) {
    if (demand.more.length > LIMITS.countersignatures) {
      refuse('TOO_MANY_SIGNATURES', 'a change carries too many signatures');
    }
    const signed = [];
    for (const { by, signature } of [demand, ...demand.more]) {
      this.checkSigner(by, demand);
      const used = await this.signed(by, signature, demand.namespace, demand.message, index);
      this.checkScope(by, used, null);
      signed.push({ person: by, key: used });
    }
    demand.document = await digestOf(demand.message);
    return signed;
  }
  checkQuorum(demand, signed) {
    this.checkProposal(demand, signed);
    const needed = this.effectiveQuorum(demand);
    if (this.countPeople(signed) < needed) {
      refuse('QUORUM_GOVERNANCE', `this takes the signatures of ${needed} different people`);
    }
    return needed;
  }
  async checkDemand(demand, index) {
    const signed = await this.verifySigners(demand, index);
    return { quorum: this.checkQuorum(demand, signed), signed };
  }
  vouch(event, index, what, quorum, signed) {
    this.vouchings.push({ event, index, what, quorum, signed });
  }
  stands({ signed, index, quorum }) {
    return countSigners(signed.filter((signer) => this.countedAt(signer, index))) >= quorum;
  }

  // -- proposed changes

  status(change, time = this.time) {
    return change.status === 'open' && change.expiresAt <= time ? 'expired' : change.status;
  }
  change(id) {
    return this.changes.find((change) => change.id === id) ?? refuse('CHANGE_UNKNOWN', `${id} is not a change of this ledger`);
  }
  checkOpen(change) {
    const found = this.status(change);
    if (found !== 'open') {
      refuse(found === 'expired' ? 'CHANGE_EXPIRED' : 'CHANGE_CLOSED', `${change.id} is ${found}`);
    }
  }
  // What was signed under a proposal that was rejected is spent.
  checkUnspent(document, signed) {
    const spent = this.changes.some((change) => change.document === document && change.status === 'rejected' &&
      change.signatures.some((old) => signed.some((signer) => old.person === signer.person && old.key === signer.key)));
    if (spent) {
      refuse('CHANGE_CLOSED', 'a signature was spent under a change that was rejected');
    }
  }
  checkProposal(demand, signed) {
    this.checkUnspent(demand.document, signed);
    const newest = this.changes.findLast((change) => change.document === demand.document);
    if (newest === undefined || demand.more.length === 0) {
      return;
    }
    this.checkOpen(newest);
    const gathered = (signer) => newest.signatures.some((known) => known.person === signer.person && known.key === signer.key);
    if (!signed.every(gathered)) {
      refuse('CHANGE_UNSIGNED', `somebody has not signed ${newest.id}, which proposes this`);
    }
  }
  settle(demand) {
    for (const change of this.changes) {
      if (demand !== null && change.document === demand.document && this.status(change) === 'open') {
        change.status = 'applied';
      }
    }
  }

  // -- what keys rest on

  // A key ends after the entry that tells so, or from where it was in somebody else's hands.
  end(known, at, since) {
    const compromised = since !== null;
    const from = compromised ? Math.min(since, at) : at + 1;
    known.invalidFrom = known.invalidFrom === null ? from : Math.min(known.invalidFrom, from);
    if (compromised) {
      known.voids.push({ from, toldAt: at });
    }
    if (known.ended === null || (!known.ended.compromised && compromised)) {
      known.ended = { at, compromised };
    }
  }
  // The entry that made a signature void that was recorded at an index; null where nothing did.
  voidedBy(known, index) {
    const told = known.voids.filter((report) => report.from <= index && index < report.toldAt).map((report) => report.toldAt);
    if (known.suspect !== null && index < known.suspect) {
      told.push(known.suspect);
    }
    return told.length === 0 || known.enrolledAt >= index ? null : Math.min(...told);
  }
  vouchingsOf(account, fingerprint) {
    return this.vouchings.filter(({ what }) => what.kind === 'key' && what.person === account && what.key === fingerprint);
  }
  // Each vouching is looked at once, and once more for each of its signers that falls.
  cascade(by) {
    const vouched = new Map();
    const restsOn = new Map();
    const add = (map, at, item) => (map.get(at) ?? map.set(at, []).get(at)).push(item);
    const nameOf = (account, fingerprint) => JSON.stringify([account, fingerprint]);
    for (const vouching of this.vouchings.filter(({ what }) => what.kind === 'key')) {
      const name = nameOf(vouching.what.person, vouching.what.key);
      vouching.signed.forEach((signer) => add(restsOn, nameOf(signer.person, signer.key), name));
      add(vouched, name, vouching);
    }
    const keys = new Map([...this.people].flatMap(([account, record]) =>
      record.keys.map((known) => [nameOf(account, known.fingerprint), known])));
    const left = [...vouched.keys()];
    while (left.length > 0) {
      const name = left.pop();
      const known = keys.get(name);
      if (known && known.suspect === null && !vouched.get(name).some((vouching) => this.stands(vouching))) {
        known.suspect = by;
        left.push(...(restsOn.get(name) ?? []));
      }
    }
  }
  othersInCharge(account) {
    const usable = (known) => known.invalidFrom === null && known.suspect === null && known.environments.length === 0 &&
      (known.expiresAt === null || known.expiresAt > this.time);
    const able = [...this.people].filter(([other, record]) =>
      !this.isSubject(other, account) && record.kind === 'person' && this.may(other, 'keys') && record.keys.some(usable));
    return new Set(able.map(([other]) => this.rules.person(other))).size;
  }

  // -- events

  async apply(entry, index, context) {
    const { event: { type, body }, time } = entry;
    const ledger = this.origin;
    const sign = (by, namespace, document, signature = body.signature) =>
      this.signed(by, signature, namespace, utf8(canonical(document)), index);
    switch (type) {
      case 'person.enrolled': return this.enrol(body, index);
      case 'key.added': return this.addKey(body, index);
      case 'key.revoked': return this.revoke(body, index);
      case 'key.rotated': return this.rotate(body, index);
      case 'key.recovered': return this.recover(body, index);
      case 'person.suspended': case 'person.reinstated': return this.changeStanding(type, body, index);
      case 'change.proposed': return this.propose(body, index, context);
      case 'change.signed': return this.signChange(body, index);
      case 'change.rejected': {
        const change = this.change(body.change);
        this.checkOpen(change);
        this.checkSigner(body.by, change);
        const document = { schema: schema('change-rejection'), ledger, change: body.change, document: change.document, reason: body.reason };
        this.checkScope(body.by, await sign(body.by, NAMESPACES.rejection, document), null);
        change.status = 'rejected';
        return undefined;
      }
      case 'policy.activated': return this.activate(body, index, context);
      case 'waiver.requested': return this.requestWaiver(body, index, time);
      case 'waiver.granted': return this.waive(body, index, time);
      case 'waiver.revoked': return this.revokeWaiver(body, index);
      case 'feed.recorded': return this.recordFeed(body, index, time, context.actor(entry));
      case 'freeze.ordered': return this.freeze(body, index, time);
      case 'freeze.lifted': return this.liftFreeze(body, index);
      case 'break-glass.opened': return this.openBreakGlass(body, index, time);
      case 'break-glass.signed': return this.signBreakGlass(body, index, time);
      case 'break-glass.reviewed': return this.reviewBreakGlass(body, index);
      case 'access.reviewed': return this.review(body, index, context);
      case 'ci.trusted': return this.trustCi(body, index);
      case 'ci.untrusted': {
        this.checkSigner(body.by, { permission: 'keys', subject: null });
        const document = { schema: schema('ci-trust-end'), ledger, ...pick(body, 'trust', 'reason', 'by') };
        this.checkScope(body.by, await sign(body.by, NAMESPACES.ci, document), null);
        return this.ci.delete(body.trust) || refuse('CI_TRUST_UNKNOWN', `no trust of entry ${body.trust} counts`);
      }
      case 'delegation.granted': return this.delegate(body, index, time);
      case 'delegation.ended': {
        const known = this.delegations.find((other) => other.index === body.delegation) ??
          refuse('DELEGATION_UNKNOWN', `entry ${body.delegation} grants no delegation`);
        if (known.ended !== null) {
          refuse('DELEGATION_OVER', 'a delegation was ended twice');
        }
        if (body.by !== known.body.from && body.by !== known.body.to) {
          this.require(body.by, 'keys');
        }
        checkReason(body.reason);
        await sign(body.by, NAMESPACES.delegation, { schema: schema('delegation-end'), ledger, ...pick(body, 'delegation', 'reason') });
        known.ended = index;
        return undefined;
      }
      case 'identity.bound': return this.bindIdentity(body, index);
      case 'identity.unbound': {
        const account = this.accounts.get(canonical([body.issuer, body.subject]));
        if (account === undefined || account.person !== body.person || account.unboundAt !== null) {
          refuse('IDENTITY_UNKNOWN', `${body.person} has no such account bound`);
        }
        if (body.by !== body.person) {
          this.require(body.by, 'keys');
        }
        await sign(body.by, NAMESPACES.identity, {
          schema: schema('identity-unbinding'), ledger, bound_at: account.boundAt, ...pick(body, 'person', 'issuer', 'subject', 'reason'),
        });
        account.unboundAt = index;
        return undefined;
      }
      default: return refuse('ENTRY_INVALID', `${type} is no event of governance`);
    }
  }

  async enrol(body, index) {
    if (this.people.has(body.person)) {
      refuse('PERSON_EXISTS', `${body.person} is enrolled already`);
    }
    this.refuseBoundKey(body.key);
    this.checkGroups(body.groups);
    await this.provePossession(body.key, body.proof, utf8(canonical(this.enrolment(body, body))));
    const demand = this.demandOf({ type: 'person.enrolled', body });
    let vouched = null;
    if (demand === null) {
      if (this.people.size > 0) {
        refuse('SETUP_DONE', 'the one-time code enrols the first owner only');
      }
      if ((await digestOf(utf8(body.sponsor.code))) !== this.identity.setup_code) {
        refuse('SETUP_CODE_WRONG', 'this is not the one-time code of this ledger');
      }
      if ((body.countersigned ?? []).length > 0) {
        refuse('SPONSOR_INVALID', 'nobody countersigns the first owner\u2019s enrolment');
      }
    } else {
      vouched = await this.checkDemand(demand, index);
    }
    this.settle(demand);
    const known = await this.newKey(body.key, index, limits(body));
    if (vouched !== null) {
      this.vouchKey('person.enrolled', index, body.person, known, vouched);
    }
    this.people.set(body.person, { kind: body.subject, groups: body.groups, keys: [known], suspensions: [], standingAt: index });
  }
  vouchKey(event, index, person, known, { quorum, signed }) {
    this.vouch(event, index, { kind: 'key', person, key: known.fingerprint }, quorum, signed);
  }
  checkGroups(groups) {
    const unknown = groups.find((group) => !(group in this.rules.groups));
    if (unknown !== undefined) {
      refuse('GROUP_UNKNOWN', `the policy set has no group ${unknown}`);
    }
  }

  async addKey(body, index) {
    this.refuseBoundKey(body.key);
    const record = this.person(body.person);
    const message = utf8(canonical(this.enrolment(body, { subject: record.kind, groups: record.groups })));
    await this.provePossession(body.key, body.proof, message);
    if (body.by !== body.person) {
      refuse('NOT_PERMITTED', 'a further key is vouched for by the same person\u2019s earlier key');
    }
    const by = await this.signed(body.by, body.signature, ENROLMENT, message, index);
    this.checkWithin(body.by, by, body.environments ?? []);
    const known = await this.newKey(body.key, index, limits(body));
    this.vouchKey('key.added', index, body.person, known, { quorum: 1, signed: [{ person: body.by, key: by }] });
    record.keys.push(known);
  }

  async revoke(body, index) {
    const demand = this.demandOf({ type: 'key.revoked', body });
    let [signed, quorum] = [null, 1];
    if (demand === null) {
      if ((body.countersigned ?? []).length > 0) {
        refuse('SPONSOR_INVALID', 'nobody countersigns the end of somebody\u2019s own key');
      }
      const by = await this.signed(body.by, body.signature, ENROLMENT, utf8(canonical(this.revocation(body))), index);
      this.checkWithin(body.by, by, this.knownKey(body.person, body.key).environments);
      signed = [{ person: body.by, key: by }];
    } else {
      signed = await this.verifySigners(demand, index);
      this.knownKey(body.person, body.key);
      quorum = this.checkQuorum(demand, signed);
    }
    const since = body.compromised_since ?? null;
    const needed = Math.min(this.othersInCharge(body.person), this.rules.quorum);
    this.end(this.knownKey(body.person, body.key), index, since);
    if (since !== null) {
      this.cascade(index);
      const undercut = signed.some((signer) => signer.key !== body.key && (this.keyOf(signer.person, signer.key)?.suspect ?? null) !== null);
      if (undercut || this.othersInCharge(body.person) < needed) {
        refuse('REVOCATION_UNDERCUT', 'a revocation takes the weight from the keys that sign it, or from too many others');
      }
    }
    this.settle(demand);
    this.vouch('key.revoked', index, { kind: 'end', person: body.person, key: body.key }, quorum, signed);
  }

  async rotate(body, index) {
    this.refuseBoundKey(body.key);
    const message = utf8(canonical({
      schema: schema('rotation'), ledger: this.origin, person: body.person, key: keyText(body.key), replaces: body.replaces, ...limits(body),
    }));
    await this.provePossession(body.key, body.proof, message);
    const by = await this.signed(body.person, body.signature, ENROLMENT, message, index);
    if (by !== body.replaces) {
      refuse('KEY_MISMATCH', 'a rotation is signed by the key that it replaces, and by no other');
    }
    this.checkWithin(body.person, by, body.environments ?? []);
    const known = await this.newKey(body.key, index, limits(body));
    this.vouchKey('key.rotated', index, body.person, known, { quorum: 1, signed: [{ person: body.person, key: by }] });
    this.end(this.knownKey(body.person, body.replaces), index, null);
    this.people.get(body.person).keys.push(known);
  }

  async recover(body, index) {
    const record = this.person(body.person);
    this.refuseBoundKey(body.key);
    const demand = this.demandOf({ type: 'key.recovered', body });
    await this.provePossession(body.key, body.proof, demand.message);
    const vouched = await this.checkDemand(demand, index);
    this.settle(demand);
    const known = await this.newKey(body.key, index, limits(body));
    this.vouchKey('key.recovered', index, body.person, known, vouched);
    record.keys.forEach((earlier) => this.end(earlier, index, null));
    record.keys.push(known);
  }

  async changeStanding(type, body, index) {
    const record = this.person(body.person);
    const suspend = type === 'person.suspended';
    if (body.previous_at !== record.standingAt) {
      refuse('STANDING_STALE', `the standing of ${body.person} has changed since this was signed`);
    }
    const suspended = this.isSuspended(body.person);
    if (suspend ? suspended : !suspended && !record.keys.some((known) => known.suspect !== null)) {
      refuse('STANDING_SAME', `nothing changes for ${body.person}`);
    }
    const demand = this.demandOf({ type, body });
    const { quorum, signed } = await this.checkDemand(demand, index);
    this.settle(demand);
    record.standingAt = index;
    if (suspend) {
      record.suspensions.push({ from: index, until: null });
    } else {
      if (suspended) {
        record.suspensions.at(-1).until = index;
      }
      this.clearSuspects(body.person, record, index, { quorum, signed });
    }
    this.vouch(type, index, { kind: 'standing', person: body.person }, quorum, signed);
  }
  clearSuspects(account, record, index, vouched) {
    const letIn = this.vouchings.findLast(({ event, what }) =>
      what.kind === 'key' && what.person === account && (event === 'person.enrolled' || event === 'key.recovered'));
    const newest = letIn === undefined ? null : this.keyOf(account, letIn.what.key);
    if (newest !== null && newest.suspect !== null) {
      this.vouchKey('person.reinstated', index, account, newest, vouched);
      newest.suspect = null;
    }
    for (;;) {
      const again = record.keys.filter((known) => known.suspect !== null &&
        this.vouchingsOf(account, known.fingerprint).some((vouching) => this.stands(vouching)));
      if (again.length === 0) {
        return;
      }
      again.forEach((known) => { known.suspect = null; });
    }
  }

  async propose(body, index, { bodies }) {
    if (body.change !== `C-${this.changes.length + 1}`) {
      refuse('CHANGE_NUMBER', `${body.change} is not the next number`);
    }
    if (body.expires_at !== this.time + 3 * DAY) {
      refuse('CHANGE_INVALID', 'a proposal gathers signatures for exactly 72 hours');
    }
    const draft = readCanonical(required(bodies, body.draft), event, 'CHANGE_INVALID', 'the draft of a change');
    if (Object.entries(draft.body).some(([field, value]) => isOptional(field) && (value === null || value.length === 0))) {
      refuse('CHANGE_INVALID', 'the draft of a change says more than an event does');
    }
    const demand = this.demandOf(draft) ?? refuse('CHANGE_INVALID', 'the draft needs nobody else\u2019s signature');
    const fits = demand.by === body.by && demand.signature === body.signature && demand.more.length === 0;
    if (!fits || (await digestOf(demand.message)) !== body.document) {
      refuse('CHANGE_INVALID', 'the draft is not what the proposal says');
    }
    const signatures = await this.verifySigners(demand, index);
    this.checkUnspent(body.document, signatures);
    if (this.changes.some((change) => change.document === body.document && this.status(change) === 'open')) {
      refuse('CHANGE_OPEN', 'the same is proposed already');
    }
    this.changes.push({ ...demand, id: body.change, expiresAt: body.expires_at, status: 'open', signatures });
  }
  async signChange(body, index) {
    const change = this.change(body.change);
    this.checkOpen(change);
    if (change.signatures.some((signer) => signer.person === body.by)) {
      refuse('CHANGE_SIGNED', `${body.by} has signed ${body.change} already`);
    }
    if (change.signatures.length > LIMITS.countersignatures) {
      refuse('TOO_MANY_SIGNATURES', 'a change carries too many signatures');
    }
    this.checkSigner(body.by, change);
    const used = await this.signed(body.by, body.signature, change.namespace, change.message, index);
    this.checkScope(body.by, used, null);
    this.checkUnspent(change.document, [{ person: body.by, key: used }]);
    change.signatures.push({ person: body.by, key: used });
  }

  async activate(body, index, { bodies }) {
    if (body.previous !== this.policy || body.previous_at !== this.policyAt) {
      refuse('POLICY_STALE', 'another policy set has become active since this was signed');
    }
    const demand = this.demandOf({ type: 'policy.activated', body });
    const signed = await this.verifySigners(demand, index);
    const rules = readRules(required(bodies, body.policy));
    this.checkBacktest(body, index, bodies);
    const quorum = this.checkQuorum(demand, signed);
    this.settle(demand);
    this.vouch('policy.activated', index, { kind: 'policy' }, quorum, signed);
    Object.assign(this, { rules, policy: body.policy, policyAt: index });
  }

  // A change of policy has the backtest that the active set asks for, and one that is there is about this change.
  checkBacktest({ backtest = null, policy, previous }, index, bodies) {
    if (backtest === null) {
      return this.rules.backtest ? refuse('BACKTEST_MISSING', 'the active policy set demands a backtest of the next one') : undefined;
    }
    const bytes = required(bodies, backtest);
    if (bytes.length > LIMITS.backtestBytes) {
      refuse('BACKTEST_TOO_LARGE', 'a backtest is too long');
    }
    const report = readCanonical(bytes, BACKTEST, 'BACKTEST_INVALID', 'the backtest');
    if (report.schema !== schema('backtest') || report.flips.length + report.errors.length + report.unchanged !== report.decisions) {
      refuse('BACKTEST_INVALID', 'the backtest is of another version, or does not account for every decision');
    }
    const totals = new Map();
    for (const { before, after } of report.flips) {
      totals.set(`${before} to ${after}`, (totals.get(`${before} to ${after}`) ?? 0) + 1);
    }
    const told = Object.entries(report.totals);
    if (report.flips.some(({ before, after }) => before === after) ||
        told.length !== totals.size || told.some(([kind, count]) => totals.get(kind) !== count)) {
      refuse('BACKTEST_INVALID', 'the totals of the backtest are not those of its flips');
    }
    const warned = report.would_block ?? [];
    if (warned.some(({ gate, decisions }, at) =>
      decisions < 1 || decisions > report.decisions || (at > 0 && warned[at - 1].gate >= gate))) {
      refuse('BACKTEST_INVALID', 'the backtest does not count each gate that only warns once, in order of name');
    }
    if (report.ledger !== this.origin || report.proposed !== policy || report.base !== previous || report.tree_size > index) {
      refuse('BACKTEST_STALE', 'the backtest is not of this change');
    }
    if (this.rules.backtest && report.first_entry !== 0) {
      refuse('BACKTEST_MISSING', 'the active policy set demands a backtest of the whole history');
    }
    return undefined;
  }

  // -- waivers

  requireFor(account, permission, target) {
    this.require(account, permission, pick(target, 'service', 'environment'));
  }
  waiverDocument(asked) {
    const { signature, ...said } = asked;
    return utf8(canonical({ schema: schema('waiver'), ledger: this.origin, ...said }));
  }
  // What a waiver may be for, under the policy set that is active now.
  checkTerms(asked) {
    const gate = this.rules.gate(asked.gate) ?? refuse('GATE_UNKNOWN', `the policy set has no gate ${asked.gate}`);
    if (!WAIVABLE.includes(gate.kind)) {
      refuse('WAIVER_GATE', `nothing of gate ${asked.gate} can be waived`);
    }
    const { waivers } = this.rules;
    const wide = asked.release === undefined && asked.artifact === undefined;
    if (!this.rules.applies(gate, asked) || isBlank(asked.finding) || bytesOf(asked.finding) > LIMITS.textBytes ||
        (asked.release !== undefined && serviceOf(asked.release) !== asked.service) ||
        (wide && waivers !== null && !waivers.service_wide)) {
      refuse('WAIVER_SCOPE', 'a waiver is for one finding of a gate that asks for it, and for what the policy set lets it be for');
    }
    const { ticket } = asked;
    if (ticket === undefined ? waivers !== null && waivers.ticket : isBlank(ticket) || bytesOf(ticket) > LIMITS.ticketBytes) {
      refuse('WAIVER_TICKET', 'a waiver names a ticket, and a short one');
    }
    checkReason(asked.reason);
  }
  checkLength(expiresAt, time) {
    const length = expiresAt - time;
    if (length <= 0 || length > LIMITS.waiverDays * DAY) {
      refuse('WAIVER_EXPIRY', 'a waiver ends within 90 days, and not in the past');
    }
    if (this.rules.waivers !== null && length > this.rules.waivers.max_days * DAY) {
      refuse('WAIVER_TOO_LONG', 'a waiver lasts longer than the policy set lets it');
    }
  }

  async requestWaiver(body, index, time) {
    const asked = askedOf(body, body.signature);
    this.checkTerms(asked);
    this.checkLength(body.expires_at, time);
    this.refuseMachine(body.asked_by);
    this.requireFor(body.asked_by, 'read', body);
    if (this.waivers.some((known) => isSameRequest(known.asked, asked))) {
      refuse('WAIVER_REPLAYED', 'this very waiver was asked for before');
    }
    const used = await this.signed(body.asked_by, body.signature, NAMESPACES.waiver, this.waiverDocument(asked), index);
    this.checkScope(body.asked_by, used, body.environment);
    this.waivers.push({ asked, request: index, granted: null, ended: null });
  }

  async waive(body, index, time) {
    if (this.isSubject(body.asked_by, body.granted_by)) {
      refuse('SOD_SELF', 'a waiver is asked for by one person and granted by another');
    }
    this.checkLength(body.expires_at, time);
    if (body.finding === '' || isBlank(body.reason)) {
      refuse('WAIVER_SCOPE', 'a waiver names one finding and a reason');
    }
    const asked = askedOf(body, body.asked_signature);
    this.requireFor(body.granted_by, 'waive', body);
    const request = this.requestOf(body.request ?? null, asked, time);
    [body.asked_by, body.granted_by].forEach((account) => this.refuseMachine(account));
    const message = this.waiverDocument(asked);
    const signed = [];
    for (const [person, signature] of [[body.asked_by, body.asked_signature], [body.granted_by, body.granted_signature]]) {
      const used = await this.signed(person, signature, NAMESPACES.waiver, message, index);
      this.checkScope(person, used, body.environment);
      signed.push({ person, key: used });
    }
    this.vouch('waiver.granted', index, { kind: 'waiver', ...pick(body, 'gate', 'service', 'environment') }, 2, signed);
    const granted = { index, time, by: body.granted_by, signed };
    if (request === null) {
      this.waivers.push({ asked, request: null, granted, ended: null });
    } else {
      request.granted = granted;
    }
  }
  // The request that a grant names; null where it needs none, and names none.
  requestOf(request, asked, time) {
    if (request === null) {
      if (this.rules.waivers !== null && this.rules.waivers.two_people) {
        refuse('WAIVER_REQUEST', 'the policy set wants waivers to be asked for in the ledger');
      }
      // A set that has rules about waivers has them for all of them.
      if (this.rules.waivers !== null) {
        this.checkTerms(asked);
      }
      this.checkUnused(asked);
      return null;
    }
    const known = this.waivers.find((other) => other.request === request) ??
      refuse('WAIVER_UNKNOWN', `entry ${request} asks for no waiver`);
    if (known.granted !== null || known.ended !== null || known.asked.expires_at <= time) {
      refuse('WAIVER_OVER', `the request of entry ${request} is not open any more`);
    }
    if (canonical(known.asked) !== canonical(asked)) {
      refuse('WAIVER_MISMATCH', `this is not what entry ${request} asked for`);
    }
    // The same signatures may have made a waiver without this request.
    this.checkUnused(asked);
    // The policy set may be another one than when it was asked for.
    this.checkTerms(asked);
    return known;
  }
  // A waiver does not come twice by its signatures, nor back once it was revoked.
  checkUnused(asked) {
    if (this.waivers.some((known) => (known.granted !== null || known.ended !== null) && isSameRequest(known.asked, asked))) {
      refuse('WAIVER_REPLAYED', 'this very waiver was granted or revoked before');
    }
  }

  async revokeWaiver(body, index) {
    const goesBy = (known) => known.request === body.waiver || known.granted?.index === body.waiver;
    const known = this.waivers.find(goesBy) ?? refuse('WAIVER_UNKNOWN', `entry ${body.waiver} neither grants a waiver nor asks for one`);
    if (known.ended !== null) {
      refuse('WAIVER_OVER', 'a waiver was ended twice');
    }
    if (body.by !== known.asked.asked_by && body.by !== known.granted?.by && !this.may(body.by, 'keys')) {
      this.requireFor(body.by, 'waive', known.asked);
    }
    checkReason(body.reason);
    const document = { schema: schema('waiver-end'), ledger: this.origin, ...pick(body, 'waiver', 'reason') };
    await this.signed(body.by, body.signature, NAMESPACES.waiver, utf8(canonical(document)), index);
    this.waivers.filter(goesBy).forEach((one) => { one.ended = index; });
  }
  // The waivers that were granted for a release in an environment, as facts have them.
  waiversFor(of, environment) {
    const covers = ({ asked }) => asked.service === serviceOf(of.name) && asked.environment === environment &&
      (asked.release === undefined || asked.release === of.name) &&
      (asked.artifact === undefined || of.manifest.artifacts.some((artifact) => artifact.digest === asked.artifact));
    const good = ({ granted, ended }) => granted !== null && ended === null && !this.isSuspended(granted.by) &&
      granted.signed.every((signer) => this.countedAt(signer, granted.index));
    return this.waivers.filter((known) => good(known) && covers(known)).map(({ asked, granted }) => ({
      ...pick(asked, 'gate', 'finding', 'asked_by', 'expires_at', 'release', 'artifact'), granted_by: granted.by, index: granted.index,
      granted_at: this.rules.waivers === null ? undefined : granted.time,
    })).sort((a, b) => a.index - b.index);
  }

  // -- feeds

  feed(kind) {
    return this.feeds.findLast((known) => known.body.feed === kind) ?? null;
  }
  recordFeed(body, index, time, by) {
    this.require(by, 'feeds');
    if (body.rows === 0 || body.size_bytes === 0) {
      refuse('FEED_MALFORMED', 'a snapshot tells of something');
    }
    if (body.size_bytes > LIMITS.feedBytes) {
      refuse('FEED_TOO_LARGE', 'a snapshot is too long');
    }
    if (body.date > time + DAY) {
      refuse('FEED_FUTURE', 'a snapshot is of the future');
    }
    const newest = this.feed(body.feed);
    if (newest !== null && newest.body.digest === body.digest) {
      refuse('FEED_KNOWN', 'this very snapshot is the newest one already');
    }
    if (newest !== null && body.date < newest.body.date) {
      refuse('FEED_OLDER', 'a snapshot is older than the newest one');
    }
    this.feeds.push({ index, body });
  }

  // -- drills

  checkDrill(body, by) {
    this.require(by, 'audit');
    if (body.tried === 0 || body.caught > body.tried) {
      refuse('DRILL_INVALID', 'the numbers of a drill do not fit each other');
    }
    if (body.tool === '' || bytesOf(body.tool) > 128 || /\p{Cc}/u.test(body.tool)) {
      refuse('DRILL_INVALID', 'the program that ran a drill has no usable name');
    }
  }

  // -- freezes

  // Whoever stops more than one service in one environment needs the permission for all of it.
  checkMayFreeze(by, { service: to = null, environment = null }) {
    this.require(by, 'freeze', to === null && environment === null ? undefined : { service: to, environment });
  }
  // The lift that ended a freeze: one that a key signed which turned out to be in someone else's hands does not count.
  liftOf(frozen) {
    return frozen.lifts.find((lift) => this.countedAt({ person: lift.by, key: lift.key }, lift.index)) ?? null;
  }

  async freeze(body, index, time) {
    const { service: to = null, environment = null, until = null, spares_rollbacks: spares = false } = body;
    this.checkMayFreeze(body.by, body);
    if (environment !== null && !this.rules.ttls.has(environment)) {
      refuse('FREEZE_SCOPE', `the policy set has no environment ${environment}`);
    }
    if (until !== null && until <= time) {
      refuse('FREEZE_EXPIRY', 'a freeze does not end in the past');
    }
    checkReason(body.reason);
    if (body.nonce === '' || bytesOf(body.nonce) > LIMITS.nonceBytes) {
      refuse('FREEZE_REPLAYED', 'a freeze has a nonce, and a short one');
    }
    const message = utf8(canonical({
      schema: schema('freeze'), ledger: this.origin, service: to ?? undefined, environment: environment ?? undefined,
      until: until ?? undefined, spares_rollbacks: spares, ...pick(body, 'reason', 'nonce', 'by'),
    }));
    const used = await this.signed(body.by, body.signature, NAMESPACES.freeze, message, index);
    this.checkScope(body.by, used, environment);
    this.useOnce(this.freezeDocuments, await digestOf(message), 'FREEZE_REPLAYED', 'this very freeze was ordered before');
    this.freezes.push({ index, time, body, service: to, environment, until, spares, lifts: [] });
  }
  useOnce(documents, document, code, why) {
    if (documents.has(document)) {
      refuse(code, why);
    }
    documents.add(document);
  }

  async liftFreeze(body, index) {
    const known = this.freezes.find((other) => other.index === body.freeze) ??
      refuse('FREEZE_UNKNOWN', `entry ${body.freeze} orders no freeze`);
    if (this.liftOf(known) !== null) {
      refuse('FREEZE_OVER', 'a freeze was lifted twice');
    }
    this.checkMayFreeze(body.by, known.body);
    this.refuseMachine(body.by);
    checkReason(body.reason);
    const document = { schema: schema('freeze-lift'), ledger: this.origin, ...pick(body, 'freeze', 'reason', 'by') };
    const used = await this.signed(body.by, body.signature, NAMESPACES.freeze, utf8(canonical(document)), index);
    this.checkScope(body.by, used, known.environment);
    known.lifts.push({ index, by: body.by, key: used });
  }
  // The freezes of a service in an environment that have not been lifted.
  freezesFor(target) {
    return this.freezes.filter((frozen) => (frozen.service === null || frozen.service === target.service) &&
      (frozen.environment === null || frozen.environment === target.environment) && this.liftOf(frozen) === null);
  }
  freezeFact({ index, time, body, service: to, environment, until, spares }) {
    return {
      index, service: to ?? undefined, environment: environment ?? undefined, by: body.by, reason: body.reason, since: time,
      until: until ?? undefined, spares_rollbacks: spares ? true : undefined,
    };
  }
  // Refuses a grant that is in use while its target is frozen; `now` says only whether a freeze is over.
  checkNotFrozen(target, asked, now) {
    const last = asked.decisions.at(-1);
    const past = last !== undefined && (last.body.break_glass ?? null) !== null ? last.index : -1;
    const stops = (frozen) => !(frozen.spares && asked.request.kind === 'rollback') && frozen.index >= past &&
      (frozen.until === null || Math.max(now, frozen.time) < frozen.until);
    const found = this.freezesFor(target).find(stops);
    if (found !== undefined) {
      refuse('FROZEN', `it is frozen by ${found.body.by} since ${shownTime(found.time)} (entry ${found.index}): ${found.body.reason}`);
    }
  }

  // -- break-glass

  breakGlass(index) {
    return this.breakGlasses.find((known) => known.index === index) ?? refuse('BREAK_GLASS_UNKNOWN', `entry ${index} opens no break-glass`);
  }
  breakGlassTarget({ body }) {
    return { service: serviceOf(body.release), environment: body.environment };
  }
  reviewOf(opened) {
    return opened.reviews.find((review) => this.countedAt({ person: review.by, key: review.key }, review.index)) ?? null;
  }
  // The people whose signatures were good when they were recorded, as the keys are known now.
  goodSigners(opened) {
    const good = opened.signatures.filter((signature) => this.countedAt({ person: signature.by, key: signature.key }, signature.index));
    return this.countPeople(good.map((signature) => ({ person: signature.by, key: signature.key })));
  }
  hasSigned(opened, by) {
    return opened.signatures.some((signature) => this.isSubject(signature.by, by));
  }
  // Whoever is suspended belongs nowhere, and whoever has no key that counts can be asked for nothing.
  peopleFacts(time) {
    return Object.fromEntries([...this.people].map(([account, record]) => {
      const suspended = this.isSuspended(account);
      const keyless = record.kind === 'person' && (suspended || !this.canAct(record, time));
      return [account, { kind: record.kind, groups: suspended ? [] : record.groups, keyless: keyless ? true : undefined }];
    }));
  }
  canAct(record, time) {
    return record.keys.some((known) => known.invalidFrom === null && known.suspect === null &&
      (known.expiresAt === null || known.expiresAt > time));
  }
  // Two people, where two could, and at least one.
  breakGlassQuorum(target, time) {
    const able = [...this.people].filter(([account, record]) =>
      record.kind === 'person' && this.may(account, 'break-glass', target) && this.canAct(record, time));
    const people = new Set(able.map(([account]) => this.rules.person(account)));
    return Math.min(Math.max(people.size, 1), LIMITS.breakGlassPeople);
  }
  breakGlassDocument(body) {
    return utf8(canonical({
      schema: schema('break-glass'), ledger: this.origin, opened_by: body.by,
      ...pick(body, 'release', 'manifest', 'environment', 'reason', 'ticket', 'expires_at'),
    }));
  }
  checkReviewed() {
    if (this.breakGlasses.some((opened) => opened.effective !== null && this.reviewOf(opened) === null)) {
      refuse('BREAK_GLASS_UNREVIEWED', 'an earlier break-glass is not reviewed yet; there is no next one before');
    }
  }

  async openBreakGlass(body, index, time) {
    const target = this.breakGlassTarget({ body });
    this.require(body.by, 'break-glass', target);
    this.refuseMachine(body.by);
    if (!this.rules.ttls.has(body.environment)) {
      refuse('BREAK_GLASS_SCOPE', `the policy set has no environment ${body.environment}`);
    }
    checkReason(body.reason);
    if (isBlank(body.ticket) || bytesOf(body.ticket) > LIMITS.textBytes) {
      refuse('BREAK_GLASS_TICKET', 'a break-glass names a ticket or incident');
    }
    if (body.expires_at <= time || body.expires_at > time + this.rules.breakGlassMax + MINUTES_5) {
      refuse('BREAK_GLASS_EXPIRY', 'a break-glass ends within what the policy set says, and not in the past');
    }
    this.checkReviewed();
    const message = this.breakGlassDocument(body);
    const used = await this.signed(body.by, body.signature, NAMESPACES.breakGlass, message, index);
    this.checkScope(body.by, used, body.environment);
    this.useOnce(this.breakGlassDocuments, await digestOf(message), 'BREAK_GLASS_REPLAYED', 'this very break-glass was opened before');
    const needed = this.breakGlassQuorum(target, time);
    this.breakGlasses.push({ index, time, body, needed, signatures: [], effective: null, reviews: [] });
    this.addBreakGlassSignature(this.breakGlasses.at(-1), { by: body.by, key: used, index }, time);
  }
  async signBreakGlass(body, index, time) {
    const opened = this.breakGlass(body.break_glass);
    if (opened.effective !== null || opened.body.expires_at <= time) {
      refuse('BREAK_GLASS_OVER', 'a break-glass is signed by enough people, or over');
    }
    this.require(body.by, 'break-glass', this.breakGlassTarget(opened));
    this.refuseMachine(body.by);
    if (this.hasSigned(opened, body.by)) {
      refuse('SOD_SELF', `${body.by} signed it already; another person has to`);
    }
    this.checkReviewed();
    const used = await this.signed(body.by, body.signature, NAMESPACES.breakGlass, this.breakGlassDocument(opened.body), index);
    this.checkScope(body.by, used, opened.body.environment);
    this.addBreakGlassSignature(opened, { by: body.by, key: used, index }, time);
  }
  // With the last signature that it takes, a break-glass takes effect.
  addBreakGlassSignature(opened, signature, time) {
    opened.signatures.push(signature);
    if (this.goodSigners(opened) < opened.needed) {
      return;
    }
    const signed = opened.signatures.map(({ by, key: used }) => ({ person: by, key: used }));
    this.vouch('break-glass.opened', signature.index, { kind: 'break-glass', opened: opened.index }, opened.needed, signed);
    opened.effective = time;
  }
  async reviewBreakGlass(body, index) {
    const opened = this.breakGlass(body.break_glass);
    if (opened.effective === null) {
      refuse('BREAK_GLASS_UNSIGNED', 'too few people signed the break-glass; it took no effect');
    }
    if (this.reviewOf(opened) !== null) {
      refuse('BREAK_GLASS_REVIEWED', 'a break-glass was reviewed twice');
    }
    if (!this.may(body.by, 'audit')) {
      this.require(body.by, 'break-glass', this.breakGlassTarget(opened));
    }
    this.refuseMachine(body.by);
    if (this.hasSigned(opened, body.by)) {
      refuse('SOD_SELF', `${body.by} signed the break-glass; somebody else reviews it`);
    }
    checkReason(body.finding);
    const document = { schema: schema('break-glass-review'), ledger: this.origin, ...pick(body, 'break_glass', 'finding', 'by') };
    const used = await this.signed(body.by, body.signature, NAMESPACES.breakGlass, utf8(canonical(document)), index);
    this.checkScope(body.by, used, opened.body.environment);
    opened.reviews.push({ index, by: body.by, key: used });
  }
  // The break-glass that counts for a release into an environment, as a fact; undefined where none does.
  breakGlassFor(of, environment, time) {
    const counts = ({ body, effective }) => effective !== null && body.release === of.name && body.manifest === of.manifestDigest &&
      body.environment === environment && time < body.expires_at;
    const opened = this.breakGlasses.find((known) => counts(known) && this.reviewOf(known) === null &&
      this.goodSigners(known) >= known.needed && !isUsed(of, known.index));
    return opened === undefined ? undefined : {
      index: opened.index, signed_by: opened.signatures.map(({ by }) => by), since: opened.effective,
      ...pick(opened.body, 'manifest', 'environment', 'reason', 'ticket', 'expires_at'),
    };
  }

  async review(body, index, { bodies }) {
    if (!this.may(body.by, 'audit') && !this.may(body.by, 'keys')) {
      refuse('NOT_PERMITTED', `${body.by} may not review`);
    }
    this.refuseMachine(body.by);
    const bytes = required(bodies, body.review);
    const review = readCanonical(bytes, REVIEW, 'DOCUMENT_INVALID', 'an access review');
    if (review.schema !== schema('access-review')) {
      refuse('DOCUMENT_INVALID', 'not an access review');
    }
    if (review.ledger !== this.origin || review.reviewed_at_index > index) {
      refuse('REVIEW_TARGET', 'the review is of another ledger, or of one that is longer');
    }
    const people = [...this.people].sort(([a], [b]) => (a < b ? -1 : 1)).map(([person, record]) =>
      ({ person, subject: record.kind, groups: record.groups, suspended: this.isSuspended(person) }));
    const shown = review.people.map((row) => ({ ...row, suspended: row.suspended ?? false }));
    // The bindings that it shows belong to the policy set that it names.
    if (review.policy !== this.policy || canonical(people) !== canonical(shown)) {
      refuse('REVIEW_STALE', 'people are not what the review shows');
    }
    if (review.reviewed_at_index <= this.reviewedAt) {
      refuse('REVIEW_REPLAYED', 'a review of the same ledger, or of a longer one, is recorded already');
    }
    await this.signed(body.by, body.signature, NAMESPACES.review, bytes, index);
    this.reviewedAt = review.reviewed_at_index;
  }

  async trustCi(body, index) {
    checkCiTrust(body);
    const demand = this.demandOf({ type: 'ci.trusted', body });
    const signed = await this.verifySigners(demand, index);
    if (this.ciDocuments.has(demand.document)) {
      refuse('CI_TRUST_REPLAYED', 'this signature was used for an earlier entry');
    }
    const others = [...this.ci.values()];
    if (others.length >= 1000) {
      refuse('CI_TRUST_LIMIT', 'there are too many trusts');
    }
    const pipelines = (trust) => canonical(pick(trust, 'issuer', 'audience', 'claims'));
    if (others.some((other) => pipelines(other) === pipelines(body))) {
      refuse('CI_TRUST_EXISTS', 'these pipelines count already');
    }
    if (others.some((other) => other.issuer === body.issuer && (other.jwks_url ?? null) !== (body.jwks_url ?? null))) {
      refuse('CI_TRUST_KEYS', 'an issuer has one source of keys');
    }
    const known = this.people.get(body.machine);
    if (known !== undefined && (known.kind !== 'machine' || canonical(known.groups) !== canonical(body.groups))) {
      refuse('CI_MACHINE_INVALID', `${body.machine} is known already, and otherwise`);
    }
    if (known === undefined) {
      this.checkGroups(body.groups);
    }
    const quorum = this.checkQuorum(demand, signed);
    this.settle(demand);
    if (known === undefined) {
      this.people.set(body.machine, { kind: 'machine', groups: body.groups, keys: [], suspensions: [], standingAt: index });
    }
    this.vouch('ci.trusted', index, { kind: 'ci' }, quorum, signed);
    this.ciDocuments.add(demand.document);
    this.ci.set(index, body);
  }

  async delegate(body, index, time) {
    if (this.isSubject(body.from, body.to)) {
      refuse('DELEGATION_SELF', 'nobody lends a right to themselves');
    }
    for (const account of [body.from, body.to]) {
      this.refuseMachine(account);
      this.person(account);
    }
    const { groups = [], environments = [], services = [] } = body;
    const own = this.person(body.from).groups;
    if (!groups.every((group) => own.includes(group)) || !environments.every((environment) => this.rules.ttls.has(environment))) {
      refuse('DELEGATION_SCOPE', `${body.from} lends a group that they are not in, or an environment that does not exist`);
    }
    if (body.expires_at <= time || body.expires_at > time + 30 * DAY) {
      refuse('DELEGATION_EXPIRY', 'a delegation ends within 30 days, and not in the past');
    }
    checkReason(body.reason);
    const message = utf8(canonical({
      schema: schema('delegation'), ledger: this.origin, groups, environments, services,
      ...pick(body, 'from', 'to', 'expires_at', 'reason'),
    }));
    const used = await this.signed(body.from, body.signature, NAMESPACES.delegation, message, index);
    (environments.length === 0 ? [null] : environments).forEach((environment) => this.checkScope(body.from, used, environment));
    const document = await digestOf(message);
    if (this.delegationDocuments.has(document)) {
      refuse('DELEGATION_REPLAYED', 'this very delegation was granted before');
    }
    this.delegationDocuments.add(document);
    this.vouch('delegation.granted', index, { kind: 'delegation' }, 1, [{ person: body.from, key: used }]);
    this.delegations.push({ body, groups, environments, services, index, key: used, ended: null });
  }
  covers(lent, target) {
    return (lent.services.length === 0 || lent.services.includes(target.service)) &&
      (lent.environments.length === 0 || lent.environments.includes(target.environment));
  }
  // Whether a delegation counts: in force, and lent by somebody who is not suspended, with a key that is good.
  isLent(lent, target, time) {
    return lent.ended === null && time < lent.body.expires_at && this.covers(lent, target) &&
      !this.isSuspended(lent.body.from) && this.countedAt({ person: lent.body.from, key: lent.key }, lent.index);
  }
  delegationsFor(target, time) {
    return this.delegations.filter((lent) => this.isLent(lent, target, time)).map((lent) =>
      ({ ...pick(lent.body, 'from', 'to', 'expires_at'), groups: listed(lent.groups), index: lent.index }));
  }
  // Whether somebody has been lent the right to approve.
  lendsApproval(to, target, time) {
    const record = this.people.get(to);
    return record !== undefined && record.kind === 'person' && !this.isSuspended(to) && this.delegations.some((lent) => {
      const { groups } = this.person(lent.body.from);
      return this.isLent(lent, target, time) && this.isSubject(lent.body.to, to) &&
        this.rules.allows(lent.body.from, groups, 'approve', target, lent.groups);
    });
  }

  async bindIdentity(body, index) {
    const printable = (value, most) => value.length >= 1 && value.length <= most && /^[\x20-\x7e]*$/.test(value);
    if (!/^https?:\/\//.test(body.issuer) || !printable(body.issuer, 512) || !printable(body.subject, 255)) {
      refuse('IDENTITY_INVALID', 'an account is the URL of its issuer and a subject');
    }
    const account = canonical([body.issuer, body.subject]);
    const known = this.accounts.get(account);
    if (known !== undefined && (known.unboundAt === null || known.person !== body.person)) {
      refuse('KEY_ALREADY_BOUND', `this account belongs to ${known.person}`);
    }
    this.refuseMachine(body.person);
    if ([...this.accounts.values()].filter((other) => other.person === body.person).length >= 16) {
      refuse('IDENTITY_INVALID', `${body.person} has too many accounts`);
    }
    const ended = known?.unboundAt ?? null;
    if ((body.after ?? null) !== ended) {
      refuse('IDENTITY_STALE', 'the binding names another end than that of the last binding of this account');
    }
    const document = {
      schema: schema('identity-binding'), ledger: this.origin, ...pick(body, 'person', 'issuer', 'subject'),
      after: body.after ?? undefined,
    };
    await this.signed(body.person, body.signature, NAMESPACES.identity, utf8(canonical(document)), index);
    this.accounts.set(account, { person: body.person, boundAt: index, unboundAt: null });
  }
}

// What everyone signs who agrees to a proposed change of a ledger, by its draft; null where nobody else has to.
export function changeDemand(ledger, draft) {
  if (!event(draft)) {
    refuse('CHANGE_INVALID', 'the draft of the change has other fields than this verifier knows');
  }
  const demand = Object.assign(Object.create(Governance.prototype), { origin: ledger }).demandOf(draft);
  return demand === null ? null : { namespace: demand.namespace, message: demand.message, document: demand.said };
}

const isOptional = (field) =>
  ['compromised_since', 'countersigned', 'expires_at', 'environments', 'jwks_url', 'backtest'].includes(field);

// What somebody asked for, with their signature: the same from a request and from a grant.
const askedOf = (body, signature) => ({
  ...pick(body, 'gate', 'finding', 'service', 'environment', 'reason', 'expires_at', 'asked_by'), signature,
  release: body.release ?? undefined, artifact: body.artifact ?? undefined, ticket: body.ticket ?? undefined,
});
// Signatures of one key may differ.
const isSameRequest = (one, other) => canonical({ ...one, signature: '' }) === canonical({ ...other, signature: '' });

// Whether a release was granted under a break-glass already.
const isUsed = (of, opened) => [...of.promotions.values()].some((asked) =>
  asked.grant !== null && asked.decisions.at(-1)?.body.break_glass === opened);
const isBlank = (value) => /^\p{White_Space}*$/u.test(value);

function checkReason(reason) {
  if (isBlank(reason) || bytesOf(reason) > LIMITS.textBytes) {
    refuse('REASON_MISSING', 'a reason is needed, and a short one');
  }
}

// Where an address leads: another machine over https, this machine, or nowhere that is ever asked.
function reach(url) {
  const found = /^(https?):\/\/(?:\[([^\]]*)\]|([^/?:[]*))(?::([0-9]+))?(?:[/?].*)?$/.exec(url);
  if (bytesOf(url) > 512 || !/^[\x21-\x7e]*$/.test(url) || /[#\\"<>]/.test(url) || found === null) {
    return null;
  }
  const host = (found[2] ?? found[3]).toLowerCase();
  const port = found[4] ?? '443';
  if (!/^[a-z0-9.:-]+$/.test(host) || Number(port) === 0 || Number(port) > 65535) {
    return null;
  }
  const loopback = ['127.0.0.1', 'localhost', '::1'].includes(host);
  return loopback ? 'loopback' : found[1] === 'https' ? 'remote' : null;
}

function checkCiTrust(body) {
  const bad = (why) => refuse('CI_TRUST_INVALID', `a trust of CI pipelines: ${why}`);
  const plain = (value) => value !== '' && bytesOf(value) <= 512 && !/\p{Cc}/u.test(value) && !/^\p{White_Space}|\p{White_Space}$/u.test(value);
  const issuer = body.issuer.includes('?') ? null : reach(body.issuer);
  const url = body.jwks_url ?? null;
  const keys = url === null ? issuer : reach(url);
  if (issuer === null || keys === null || (issuer === 'remote' && keys !== 'remote')) {
    bad('its issuer or its keys are at no address that counts');
  }
  const ascending = body.services.every((other, at) => at === 0 || body.services[at - 1] < other);
  if (!plain(body.audience) || !/^[0-9a-f]{16,64}$/.test(body.nonce) || !ascending || body.services.length < 1 || body.services.length > 64) {
    bad('audience, nonce or services');
  }
  const claims = Object.entries(body.claims);
  const registered = ['iss', 'aud', 'exp', 'nbf', 'iat', 'jti'];
  const claimable = ([claim, value]) => plain(claim) && plain(value) && bytesOf(claim) <= 64 && !registered.includes(claim);
  if (claims.length < 1 || claims.length > 16 || !claims.every(claimable)) {
    bad('a claim cannot be demanded');
  }
  const own = { 'https://token.actions.githubusercontent.com': 'github', 'https://gitlab.com': 'gitlab' }[body.issuer];
  const ids = { github: ['repository_owner_id', 'repository_id'], gitlab: ['namespace_id', 'project_id'], oidc: [] }[body.provider];
  const numeric = ids.every((id) => /^[0-9]{0,20}$/.test(body.claims[id] ?? 'x'));
  if ((own !== undefined && own !== body.provider) || !numeric || (ids.length > 0 && 'sub' in body.claims)) {
    refuse('CI_TRUST_IDS', 'a trust names the numeric ids of owner and repository');
  }
}

// ------------------------------------------------------------------------------------------------- ledger and release

const required = (bodies, named) => bodies.get(named) ?? refuse('BODY_MISSING', `the body ${named} is missing`);
const GOVERNANCE_EVENTS = new Set([
  'ledger.created', 'person.enrolled', 'key.added', 'key.revoked', 'key.rotated', 'key.recovered', 'person.suspended',
  'person.reinstated', 'identity.bound', 'identity.unbound', 'change.proposed', 'change.signed', 'change.rejected',
  'policy.activated', 'waiver.requested', 'waiver.granted', 'waiver.revoked', 'feed.recorded', 'access.reviewed', 'ci.trusted',
  'ci.untrusted', 'delegation.granted', 'delegation.ended', 'freeze.ordered', 'freeze.lifted', 'break-glass.opened',
  'break-glass.signed', 'break-glass.reviewed',
]);

// Neither governance nor about a release: such an entry stands in its author's stream alone.
const APART_EVENTS = new Set(['drill.recorded']);

// The streams that an entry has to stand in.
function streamsOf({ event: { type, body }, actor }) {
  const of = GOVERNANCE_EVENTS.has(type) ? ['governance'] : APART_EVENTS.has(type) ? [] : [`release:${body.release}`];
  if (['promotion.requested', 'approval.recorded', 'approval.withdrawn', 'promotion.closed', 'decision.recorded', 'grant.issued'].includes(type)) {
    of.push(`promotion:${body.promotion}`);
  }
  if (type === 'release.published') {
    of.push(`service:${serviceOf(body.release)}`);
  } else if (type === 'promotion.requested') {
    of.push('promotions');
  } else if (type === 'decision.recorded') {
    of.push(`environment:${body.environment}`);
  } else if (type === 'grant.issued') {
    of.push(`environment:${body.environment}`, `running:${body.environment}/${serviceOf(body.release)}`);
  }
  return actor.kind === 'subject' ? [...of, `person:${actor.id}`] : of;
}

// A grant that rests on a break-glass certifies nothing.
const isPastGates = (of, grant) => {
  const decision = of.promotions.get(grant.body.promotion)?.decisions.find(({ index }) => index === grant.body.decision);
  return (decision?.body.break_glass ?? null) !== null;
};
const linkIn = (entry, of) => entry.streams.find((other) => other.stream === of);
const evidenceKind = ({ form }) => (form.kind === 'report' ? form.format : form.kind);
const subjectsOf = (manifest) =>
  manifest.artifacts.map((artifact) => ({ name: artifact.name, digest: { sha256: artifact.digest.slice('sha256:'.length) } }));

// The fold over the entries of a bundle: links, governance, one release, and what runs where.
class Ledger {
  constructor(bodies) {
    Object.assign(this, { bodies, governance: null, releases: new Map(), running: new Map(), heads: new Map(), whole: new Set(), time: null });
  }

  next(of) {
    const head = this.heads.get(of);
    return head === undefined ? { seq: 0, prev: null } : { seq: head.seq + 1, prev: head.index };
  }

  checkGovernanceHead(index, entry) {
    const head = this.heads.get('governance');
    const named = entry.governance ?? null;
    if (head !== undefined && (named === null || named.seq !== head.seq || named.index !== head.index)) {
      refuse('GOVERNANCE_GAP', `entry ${index} names another newest governance entry than the chain has`);
    }
  }

  checkTime(index, entry) {
    if (this.time !== null && entry.time < this.time) {
      refuse('TIME_BACKWARDS', `entry ${index} is earlier than the one before it`);
    }
  }

  checkFrame(index, entry) {
    if (entry.schema !== schema('entry')) {
      refuse('ENTRY_SCHEMA', `entry ${index} is of another version`);
    }
    this.checkTime(index, entry);
    this.checkGovernanceHead(index, entry);
    const seen = new Set();
    for (const { stream: of, seq, prev = null } of entry.streams) {
      const [head, expected] = [this.heads.get(of), this.next(of)];
      const gap = head === undefined ? seq > 0 : seq > head.seq + 1 && prev !== null && prev > head.index;
      if ((!gap && (seq !== expected.seq || prev !== expected.prev)) || seen.has(of) || (prev !== null && prev >= index)) {
        refuse('STREAM_BROKEN', `entry ${index} is not the next one of ${of}`);
      }
      seen.add(of);
    }
    if (!streamsOf(entry).every((of) => seen.has(of))) {
      refuse('STREAM_MISSING', `entry ${index} does not stand in every stream that it belongs to`);
    }
  }

  advance(entry) {
    if (this.governance !== null && linkIn(entry, 'governance') !== undefined) {
      this.governance.time = Math.max(this.governance.time, entry.time);
    }
  }

  async apply(index, entry) {
    this.checkFrame(index, entry);
    this.advance(entry);
    await this.applyEvent(index, entry);
    for (const { stream: of, seq, prev = null } of entry.streams) {
      const expected = this.next(of);
      if (seq === 0) {
        this.whole.add(of);
      } else if (seq !== expected.seq || prev !== expected.prev) {
        this.whole.delete(of);
      }
      this.heads.set(of, { seq, index });
    }
    this.time = entry.time;
  }

  async applyEvent(index, entry) {
    const { type, body } = entry.event;
    if (type === 'ledger.created') {
      if (this.governance !== null || index !== 0) {
        refuse('LEDGER_EXISTS', `entry ${index} creates a ledger inside a ledger`);
      }
      this.governance = new Governance(body, readRules(required(this.bodies, body.policy)));
      return;
    }
    if (this.governance === null && type !== 'release.published') {
      refuse('LEDGER_EMPTY', 'the ledger has no first entry');
    }
    if (GOVERNANCE_EVENTS.has(type)) {
      await this.governance.apply(entry, index, this);
    } else if (type === 'drill.recorded') {
      this.governance.checkDrill(body, this.actor(entry));
    } else if (type === 'release.published') {
      this.publish(index, entry, body);
    } else {
      await this.applyToRelease(index, entry, type, body);
    }
  }

  actor(entry) {
    return entry.actor.kind === 'subject' ? entry.actor.id : refuse('ACTOR_MISSING', `${entry.event.type} needs a person or machine`);
  }

  publish(index, entry, body) {
    if (this.releases.has(body.release)) {
      refuse('RELEASE_EXISTS', `${body.release} is published already`);
    }
    const manifest = readCanonical(required(this.bodies, body.manifest), MANIFEST, 'MANIFEST_INVALID', 'the manifest');
    const digests = manifest.artifacts.map((artifact) => artifact.digest);
    if (manifest.schema !== schema('manifest') || digests.length === 0 || digests.length > LIMITS.artifacts || new Set(digests).size < digests.length) {
      refuse('MANIFEST_INVALID', 'the manifest lists no artifacts, too many, or one twice');
    }
    if (manifest.release !== body.release) {
      refuse('MANIFEST_MISMATCH', `the manifest names ${manifest.release}`);
    }
    if (!digests.every((artifact) => linkIn(entry, `artifact:${artifact}`) !== undefined)) {
      refuse('STREAM_MISSING', `entry ${index} does not stand in the stream of each artifact`);
    }
    this.releases.set(body.release, {
      name: body.release, manifest, manifestDigest: body.manifest, publishedBy: this.actor(entry), publishedAt: entry.time,
      evidence: [], promotions: new Map(), grants: [],
    });
  }

  release(named) {
    return this.releases.get(named) ?? refuse('RELEASE_UNKNOWN', `no release ${named} is published`);
  }
  promotion(of, id) {
    return of.promotions.get(id) ?? refuse('PROMOTION_UNKNOWN', `${id} is not a promotion of ${of.name}`);
  }
  openPromotion(of, id) {
    const found = this.promotion(of, id);
    return found.grant === null && found.closed === null ? found : refuse('PROMOTION_CLOSED', `${id} is over already`);
  }

  async applyToRelease(index, entry, type, body) {
    const { time } = entry;
    switch (type) {
      case 'evidence.recorded': this.recordEvidence(index, entry, body); return;
      case 'promotion.requested': {
        const by = this.actor(entry);
        if (body.promotion !== `P-${linkIn(entry, 'promotions').seq + 1}`) {
          refuse('PROMOTION_NUMBER', `${body.promotion} is not the next number`);
        }
        this.request(this.release(body.release), index, time, by, body);
        return;
      }
      case 'approval.recorded': await this.approve(index, time, body); return;
      case 'approval.withdrawn': await this.withdraw(index, body); return;
      case 'promotion.closed': this.openPromotion(this.release(body.release), body.promotion).closed = body; return;
      case 'decision.recorded': {
        const found = this.openPromotion(this.release(body.release), body.promotion);
        if (body.environment !== found.request.environment) {
          refuse('DECISION_TARGET', `the decision on ${body.promotion} names another environment`);
        }
        found.decisions.push({ index, time, body });
        return;
      }
      case 'attestations.issued': {
        const found = this.release(body.release);
        if (!found.promotions.has(body.promotion)) {
          refuse('PROMOTION_UNKNOWN', `${body.promotion} is unknown`);
        }
        return;
      }
      case 'grant.issued': this.grant(index, entry, body); return;
      default: refuse('ENTRY_INVALID', `${type} is not known`);
    }
  }

  recordEvidence(index, entry, body) {
    const by = this.actor(entry);
    const { evidence } = this.release(body.release);
    if (evidence.length >= LIMITS.evidence) {
      refuse('TOO_MANY_ATTESTATIONS', `${body.release} has too much evidence`);
    }
    evidence.push({ index, time: entry.time, by, body });
  }

  request(of, index, time, requester, body) {
    if (body.manifest !== of.manifestDigest) {
      refuse('MANIFEST_MISMATCH', `${body.promotion} asks for another manifest than the release has`);
    }
    if (body.kind === 'rollback' && !of.grants.some((grant) => grant.body.environment === body.environment)) {
      refuse('ROLLBACK_NEVER_RAN', `${of.name} has never been granted into ${body.environment}`);
    }
    const open = [...of.promotions.values()].some((other) =>
      other.request.environment === body.environment && other.grant === null && other.closed === null);
    if (open) {
      refuse('PROMOTION_OPEN', 'another promotion asks for the same and is open');
    }
    if (of.promotions.has(body.promotion)) {
      refuse('PROMOTION_EXISTS', `${body.promotion} exists already`);
    }
    of.promotions.set(body.promotion, { request: body, requester, index, time, approvals: [], decisions: [], closed: null, grant: null });
  }

  // An approval: whose it is, what it binds, and whether they might give it.
  async approve(index, time, body) {
    const bytes = required(this.bodies, body.document);
    const document = readCanonical(bytes, APPROVAL, 'DOCUMENT_INVALID', 'the approval document');
    const { subject, predicate } = document;
    if (document._type !== 'https://in-toto.io/Statement/v1' || document.predicateType !== schema('approval')) {
      refuse('DOCUMENT_INVALID', 'not an approval');
    }
    const repeated = ['promotion', 'release', 'verdict', 'approver'].every((field) => predicate[field] === body[field]);
    if (!repeated || predicate.ledger !== this.governance.origin) {
      refuse('APPROVAL_TARGET', 'the signed document is for another promotion, person or ledger');
    }
    this.governance.refuseMachine(body.approver);
    this.governance.person(body.approver);
    const { known, presence } = await this.governance.made(body.approver, body.signature, NAMESPACES.approval, bytes);
    if (known.enrolledAt >= index) {
      refuse('KEY_UNKNOWN', 'the key was enrolled later');
    }
    if (known.fingerprint !== body.key) {
      refuse('KEY_MISMATCH', 'the entry names another key than the signature');
    }
    const of = this.release(body.release);
    const asked = this.promotion(of, body.promotion);
    this.checkBinding(of, asked, subject, predicate);
    this.checkReview(asked, predicate, time);
    if (this.heads.has('governance')) {
      const target = { service: serviceOf(body.release), environment: predicate.environment };
      if (body.verdict === 'reject' || !this.governance.lendsApproval(body.approver, target, time)) {
        this.governance.require(body.approver, body.verdict, target);
      }
      this.governance.checkDevice(presence);
    }
    const { approvals } = this.openPromotion(of, body.promotion);
    if (body.verdict === 'approve' && approvals.length >= LIMITS.approvals) {
      refuse('TOO_MANY_APPROVALS', `${body.promotion} has too many approvals`);
    }
    if (approvals.some((other) => other.body.document === body.document && other.body.key === body.key)) {
      refuse('APPROVAL_REPLAYED', 'this very approval is recorded already');
    }
    approvals.push({ index, time, body, predicate, presence, withdrawn: null });
  }

  checkBinding(of, asked, subject, predicate) {
    const { request } = asked;
    const fields = ['promotion', 'environment', 'kind', 'reason'];
    if (!fields.every((field) => predicate[field] === request[field]) || predicate.requester !== asked.requester) {
      refuse('APPROVAL_TARGET', 'the signed document is for another target or request');
    }
    const { size } = predicate.anchor;
    if (size <= asked.index) {
      refuse('APPROVAL_TARGET', 'the approver\u2019s ledger did not hold this request when the document was signed');
    }
    const about = (line, record) => line.digest === record.body.evidence && line.kind === evidenceKind(record.body);
    const shown = of.evidence.every((record) => record.index >= size || predicate.evidence.some((line) => about(line, record)));
    const known = predicate.evidence.every((line) => of.evidence.some((record) => about(line, record)));
    const bytes = predicate.manifest === request.manifest && canonical(subject) === canonical(subjectsOf(of.manifest));
    if (!bytes || !shown || !known) {
      refuse('APPROVAL_DIGEST', 'the signed document is for other bytes or evidence');
    }
    // What is compared is this release, with the one that the document says it replaces.
    const { changes, replaces } = predicate;
    const sizeBytes = of.manifest.artifacts.reduce((sum, artifact) => sum + BigInt(artifact.size_bytes), 0n);
    if (changes !== undefined && (replaces?.manifest !== changes.against || BigInt(changes.sizeBytes.after) !== sizeBytes)) {
      refuse('APPROVAL_DIGEST', 'the signed document compares other releases than those that it is about');
    }
    if (predicate.verdict === 'reject' && changes?.gates !== undefined) {
      refuse('APPROVAL_DIGEST', 'the signed document rejects, and names gates, which nobody checks of a rejection');
    }
  }

  checkReview(asked, { openedAt, evidenceOpened = [], evidence }, time) {
    if (openedAt !== undefined && (openedAt < asked.time || openedAt > time + MINUTES_5)) {
      refuse('REVIEW_TIME', 'the document was opened before the request, or after it was handed in');
    }
    const seen = new Set(evidenceOpened);
    if (seen.size < evidenceOpened.length || !evidenceOpened.every((opened) => evidence.some((line) => line.digest === opened))) {
      refuse('APPROVAL_DIGEST', 'something was opened that is not listed once in the document');
    }
  }

  async withdraw(index, body) {
    const { reason = '' } = body;
    if (bytesOf(reason) > LIMITS.textBytes) {
      refuse('TEXT_TOO_LONG', 'a reason is too long');
    }
    this.governance.refuseMachine(body.approver);
    const message = utf8(canonical({
      schema: schema('approval-withdrawal'), ledger: this.governance.origin, reason,
      ...pick(body, 'promotion', 'release', 'approver', 'approvals'),
    }));
    const { known, presence } = await this.governance.made(body.approver, body.signature, NAMESPACES.withdrawal, message);
    if (known.enrolledAt >= index) {
      refuse('KEY_UNKNOWN', 'the key was enrolled later');
    }
    if (this.heads.has('governance')) {
      this.governance.checkDevice(presence);
    }
    const { approvals } = this.openPromotion(this.release(body.release), body.promotion);
    const theirs = approvals.filter(({ body: other, withdrawn }) =>
      other.approver === body.approver && other.verdict === 'approve' && withdrawn === null);
    const named = new Set(body.approvals);
    if (named.size === 0 || named.size < body.approvals.length || !body.approvals.every((one) => theirs.some((record) => record.body.document === one))) {
      refuse('APPROVAL_UNKNOWN', `${body.approver} takes back what does not count`);
    }
    theirs.filter((record) => named.has(record.body.document)).forEach((record) => { record.withdrawn = index; });
  }

  grant(index, entry, body) {
    const { time } = entry;
    const unfounded = (why) => refuse('GRANT_UNFOUNDED', `the grant of ${body.promotion}: ${why}`);
    const head = this.heads.get('governance');
    const ttl = this.governance.rules.ttls.get(body.environment);
    if (head !== undefined && (ttl === undefined || body.not_after > time + ttl)) {
      unfounded('it lasts longer than the policy set allows');
    }
    if (head !== undefined && head.index >= body.decision) {
      unfounded('governance has changed since the decision');
    }
    const ran = linkIn(entry, `running:${body.environment}/${serviceOf(body.release)}`)?.prev ?? null;
    if (ran !== null && ran >= body.decision) {
      unfounded('something else was granted since the decision');
    }
    const of = this.release(body.release);
    this.checkBreakGlass(of, body, unfounded);
    const found = this.openPromotion(of, body.promotion);
    const before = (at) => at < body.decision;
    const known = of.evidence.every((record) => before(record.index)) &&
      found.approvals.every((record) => before(record.index) && (record.withdrawn === null || before(record.withdrawn)));
    const last = found.decisions.at(-1);
    const allowed = last !== undefined && last.body.outcome === 'allow' && last.index === body.decision && last.time === time;
    if (!allowed || !known || time >= found.request.expires_at || body.manifest !== of.manifestDigest ||
        body.environment !== found.request.environment) {
      unfounded('no decision allows it');
    }
    found.grant = { index, time, body };
    of.grants.push(found.grant);
    this.running.set(`${body.environment}/${serviceOf(body.release)}`, {
      release: body.release, manifest: body.manifest, since: time, promotion: body.promotion,
    });
  }

  // A grant under a break-glass is for what was signed, once, and does not outlast it.
  checkBreakGlass(of, body, unfounded) {
    const decision = this.promotion(of, body.promotion).decisions.at(-1);
    const index = decision?.body.break_glass ?? null;
    if (index === null) {
      return;
    }
    if (isUsed(of, index)) {
      unfounded('its break-glass was used before');
    }
    const opened = this.governance.breakGlass(index);
    const same = ['release', 'manifest', 'environment'].every((field) => opened.body[field] === body[field]);
    if (opened.effective === null || !same || decision.body.environment !== body.environment || body.not_after > opened.body.expires_at) {
      unfounded('it is not what its break-glass lets past');
    }
  }

  // Follows the chain of a release that a decision only compares with: what it is and its evidence are taken in. Says
  // whether the entry belongs to a chain that is followed from its beginning.
  follow(index, entry) {
    const { type, body } = entry.event;
    const of = `release:${body.release}`;
    const found = linkIn(entry, of);
    if (found === undefined || entry.schema !== schema('entry') || (!this.whole.has(of) && found.seq > 0)) {
      return false;
    }
    const expected = this.next(of);
    if (found.seq !== expected.seq || (found.prev ?? null) !== expected.prev) {
      refuse('STREAM_BROKEN', `entry ${index} is not the next one of ${of}`);
    }
    this.checkTime(index, entry);
    this.checkGovernanceHead(index, entry);
    if (type === 'release.published' || type === 'evidence.recorded') {
      this.advance(entry);
      if (type === 'release.published') {
        this.publish(index, entry, body);
      } else {
        this.recordEvidence(index, entry, body);
      }
    }
    this.whole.add(of);
    this.heads.set(of, { seq: found.seq, index });
    this.time = entry.time;
    return true;
  }

  // What another release was granted: it says what would be replaced, or what else was let in.
  adoptOther(index, entry) {
    const { body } = entry.event;
    const at = `${body.environment}/${serviceOf(body.release)}`;
    const found = linkIn(entry, `running:${at}`);
    const foreign = () => refuse('BUNDLE_INVALID', `entry ${index} does not belong to this bundle`);
    if (found === undefined || entry.schema !== schema('entry')) {
      foreign();
    }
    this.checkGovernanceHead(index, entry);
    const head = this.heads.get(`running:${at}`);
    if (head !== undefined && found.seq <= head.seq) {
      foreign();
    }
    this.heads.set(`running:${at}`, { seq: found.seq, index });
    this.running.set(at, { release: body.release, manifest: body.manifest, since: entry.time, promotion: body.promotion });
  }

  // Compares a recorded decision with the ledger as far as that goes without reading evidence and running gates.
  checkDecision(index, time, body) {
    const differs = (code, why) => refuse(code, `decision ${index} on ${body.promotion}: ${why}`);
    for (const { stream: of, seq, index: at } of body.relied_on) {
      const head = this.heads.get(of);
      if (head === undefined || head.seq !== seq || head.index !== at) {
        differs('REPLAY_HEADS', `it names another head of ${of} than the ledger has`);
      }
    }
    if (this.governance === null) {
      refuse('LEDGER_EMPTY', 'the ledger has no first entry');
    }
    const compared = this.compared({ service: serviceOf(body.release), environment: body.environment });
    if (compared !== null && !body.relied_on.some((head) => head.stream === `release:${compared}`)) {
      differs('REPLAY_HEADS', `it does not name ${compared}, which it compares with`);
    }
    if (body.policy !== this.governance.policy) {
      differs('REPLAY_POLICY', 'another policy set was active');
    }
    const of = this.release(body.release);
    const asked = this.promotion(of, body.promotion);
    of.evidence.forEach((record) => required(this.bodies, record.body.evidence));
    const expectedFacts = this.factsOf(of, asked, time);
    const facts = readCanonical(required(this.bodies, body.facts), isObject, 'REPLAY_FACTS', 'the facts');
    const decision = readCanonical(required(this.bodies, body.decision), isObject, 'REPLAY_DECISION', 'the decision');
    for (const [part, expected] of Object.entries(expectedFacts)) {
      if (canonical(narrow(facts[part], expected)) !== canonical(expected ?? null)) {
        differs('REPLAY_FACTS', `the ledger says otherwise about: ${part}`);
      }
    }
    if (canonical(facts.people ?? null) !== canonical(this.governance.peopleFacts(time))) {
      differs('REPLAY_FACTS', 'the ledger says otherwise about: people');
    }
    const gates = Array.isArray(decision.gates) ? decision.gates.map((gate) => pick(gate, 'gate', 'outcome')) : [];
    const repeated = ['policy', 'promotion', 'release', 'outcome'].every((field) => decision[field] === body[field]);
    if (!repeated || decision.environment !== asked.request.environment || canonical(gates) !== canonical(body.gates)) {
      differs('REPLAY_DECISION', 'the stored decision is another one');
    }
    const under = expectedFacts.break_glass?.index ?? null;
    if ((body.break_glass ?? null) !== under || (decision.break_glass ?? null) !== under ||
        (under === null && body.gates.some((line) => line.outcome === 'overridden'))) {
      differs('REPLAY_DECISION', 'it names another break-glass than the one that counts');
    }
    if (canonical(body.feeds ?? []) !== canonical(expectedFacts.feeds ?? [])) {
      differs('REPLAY_DECISION', 'it names other snapshots of feeds');
    }
    return { facts, decision };
  }

  // The release that runs in a target, where gates of the active policy set compare with it.
  compared(target) {
    const running = this.running.get(`${target.environment}/${target.service}`);
    return running !== undefined && this.governance.rules.compares(target) ? running.release : null;
  }
  // What other services than this one were let into an environment not too long ago; undefined where no gate asks.
  neighbours({ service: own, environment }, time) {
    const back = this.governance.rules.looksBack({ service: own, environment });
    const beside = ([place, running]) =>
      place.startsWith(`${environment}/`) && serviceOf(running.release) !== own && running.since >= Math.max(0, time - back);
    return back === null ? undefined : [...this.running].filter(beside).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, running]) => running);
  }
  feedsFor(target) {
    const newest = this.governance.rules.feeds(target).map((kind) => this.governance.feed(kind)).filter((known) => known !== null);
    newest.forEach((known) => required(this.bodies, known.body.digest));
    return newest.map(({ index, body }) => ({ ...pick(body, 'feed', 'digest', 'date'), index }));
  }

  factsOf(of, asked, time) {
    const { request } = asked;
    const approvals = asked.approvals.map(({ index, time: recorded, body, predicate, withdrawn }) => ({
      person: body.approver, key: body.key, verdict: body.verdict, index, recorded_at: recorded, expires_at: predicate.expiresAt,
      binds: { ...pick(predicate, 'promotion', 'manifest', 'environment', 'policy'), replaces: predicate.replaces?.manifest },
      key_valid: this.governance.counts(body.approver, body.key, index, recorded, predicate.environment),
      review_seconds: predicate.openedAt === undefined ? undefined : Math.floor(Math.max(0, recorded - predicate.openedAt) / 1000),
      withdrawn: withdrawn === null ? undefined : true,
    }));
    const target = { service: serviceOf(of.name), environment: request.environment };
    const compared = this.compared(target);
    const about = ({ index, time: recorded, body }) => ({ evidence: body.evidence, index, recorded_at: recorded });
    const other = compared === null ? [] : this.release(compared).evidence;
    const beside = compared === null ? [] : this.release(compared).manifest.artifacts;
    other.forEach((record) => required(this.bodies, record.body.evidence));
    return {
      time, approvals, running_evidence: listed(other.map(about)), neighbours: this.neighbours(target, time),
      running_artifacts: beside.length > 1 ? beside : undefined,
      waivers: this.governance.waiversFor(of, request.environment), feeds: listed(this.feedsFor(target)),
      freezes: listed(this.governance.freezesFor(target).map((frozen) => this.governance.freezeFact(frozen))),
      break_glass: this.governance.breakGlassFor(of, request.environment, time),
      delegations: listed(this.governance.delegationsFor(target, time)),
      promotion: { id: request.promotion, ...pick(request, 'environment', 'kind', 'reason'), requester: asked.requester, requested_at: asked.time },
      release: {
        name: of.name, manifest: of.manifestDigest, artifacts: of.manifest.artifacts, published_by: of.publishedBy, published_at: of.publishedAt,
      },
      evidence: of.evidence.map(about),
      running: this.running.get(`${request.environment}/${serviceOf(of.name)}`),
      certified: of.grants.filter((grant) => !isPastGates(of, grant)).map((grant) => ({ ...pick(grant.body, 'environment', 'promotion'), since: grant.time })),
    };
  }
}

// The part of a stored value that there is an expectation of: the same fields, in every item.
function narrow(value, expected) {
  if (Array.isArray(value) && Array.isArray(expected) && value.length === expected.length) {
    return value.map((item, at) => narrow(item, expected[at]));
  }
  return isObject(value) && isObject(expected) ? pick(value, ...Object.keys(expected)) : value ?? null;
}

// ------------------------------------------------------------------------------------------------------- suspects

// What rested on a key that was found in someone else's hands later: entry, reason, and the entry that told it.
function suspectsIn(governance, of) {
  const suspectOf = (index, person, used) => {
    const known = governance.keyOf(person, used);
    const since = known === null ? null : governance.voidedBy(known, index);
    return since === null ? null : { index, since, why: `${person} signed it with ${used}, whose signature is void` };
  };
  const vouchings = governance.vouchings.map((vouching) => ({
    vouching,
    suspect: governance.stands(vouching) ? null : vouching.signed
      .map((signer) => suspectOf(vouching.index, signer.person, signer.key))
      .reduce((last, next) => (next !== null && (last === null || next.since >= last.since) ? next : last), null),
  }));
  const promotions = [...of.promotions.values()];
  const found = [];
  const granted = [];
  const approvalsOf = (asked) =>
    asked.approvals.map((record) => suspectOf(record.index, record.body.approver, record.body.key)).filter((one) => one !== null);
  promotions.forEach((asked) => found.push(...approvalsOf(asked)));
  const decisions = promotions.flatMap((asked) => asked.decisions.map((decision) => ({ asked, decision })));
  decisions.sort((a, b) => a.decision.index - b.decision.index);
  for (const { asked, decision } of decisions.filter((one) => one.decision.body.outcome === 'allow')) {
    const target = { service: serviceOf(of.name), environment: asked.request.environment };
    const policy = vouchings.filter(({ vouching }) => vouching.what.kind === 'policy' && vouching.index < decision.index).at(-1);
    const lent = governance.delegations.filter((one) => governance.covers(one, target) && asked.approvals.some((record) =>
      record.body.verdict === 'approve' && record.withdrawn === null && governance.isSubject(record.body.approver, one.body.to) &&
      one.index < record.index && record.time < one.body.expires_at && (one.ended === null || record.index < one.ended)));
    const isUsedBy = ({ vouching: { what, index } }) =>
      lent.some((one) => one.index === index) ||
      (what.kind === 'waiver' && what.service === target.service && what.environment === target.environment &&
        decision.body.gates.some((line) => line.gate === what.gate && line.outcome === 'waived'));
    const under = decision.body.break_glass ?? null;
    const used = (known) => isUsedBy(known) || (under !== null && known.vouching.what.kind === 'break-glass' && known.vouching.what.opened === under);
    const causes = [
      ...approvalsOf(asked), policy?.suspect ?? null, ...vouchings.filter(used).map((one) => one.suspect),
      ...granted.filter((one) => one.environment !== target.environment).map((one) => one.suspect),
    ].filter((cause) => cause !== null && cause.index < decision.index && decision.index < cause.since);
    if (causes.length === 0) {
      continue;
    }
    const cause = causes.reduce((first, next) => (next.since < first.since ? next : first));
    const suspect = (index) => ({ index, since: cause.since, why: `it rested on entry ${cause.index}: ${cause.why}` });
    found.push(suspect(decision.index));
    if (asked.grant !== null && asked.grant.body.decision === decision.index) {
      found.push(suspect(asked.grant.index));
      granted.push({ environment: asked.grant.body.environment, suspect: suspect(asked.grant.index) });
    }
  }
  return found.sort((a, b) => a.index - b.index);
}

// --------------------------------------------------------------------------------------------------------- bundles

// Reads a trust file: bytes, or what they say as an object.
export async function readTrust(source) {
  const bytes = source instanceof Uint8Array ? source : utf8(typeof source === 'string' ? source : JSON.stringify(source));
  let file;
  try {
    file = readJson(bytes);
  } catch (error) {
    refuse('TRUST_INVALID', `not a trust file: ${error.message}`);
  }
  if (!TRUST(file) || file.schema !== schema('trust') || file.root_keys.length === 0) {
    refuse('TRUST_INVALID', 'not a trust file that this verifier knows');
  }
  return { ...file, policy: await readPolicy(file.tlog_policy) };
}

function readBundle(bytes) {
  let bundle;
  if (bytes.length > LIMITS.bundleBytes) {
    refuse('BUNDLE_INVALID', 'not a bundle: it is too long');
  }
  try {
    bundle = readJson(bytes);
  } catch (error) {
    refuse('BUNDLE_INVALID', `not a bundle: ${error.message}`);
  }
  if (!BUNDLE(bundle) || bundle.schema !== schema('bundle')) {
    refuse('BUNDLE_INVALID', 'not a bundle that this verifier knows');
  }
  return bundle;
}

const decode = (base64) => fromBase64(base64) ?? refuse('BUNDLE_INVALID', 'not base64');

async function readBodies(bundle) {
  const bodies = new Map();
  for (const named of Object.keys(bundle.bodies).sort()) {
    const bytes = decode(bundle.bodies[named]);
    if ((await digestOf(bytes)) !== named) {
      refuse('DIGEST_MISMATCH', `the bytes stored as ${named} are others`);
    }
    bodies.set(named, bytes);
  }
  return bodies;
}

function readPath(proof) {
  return proof.map((base64) => {
    const bytes = decode(base64);
    return bytes.length === 32 ? bytes : refuse('INCLUSION_PROOF', 'a proof hash has another length than 32 bytes');
  });
}

// Every entry is in the tree of the checkpoint; gives them read, `null` for leaves of attestations.
async function readEntries(bundle, checkpoint) {
  const entries = [];
  for (const { index, leaf, proof } of bundle.entries) {
    if (entries.length > 0 && entries.at(-1).index >= index) {
      refuse('BUNDLE_INVALID', `entry ${index} is out of order or stands twice`);
    }
    const bytes = decode(leaf);
    const hashed = await leafHash(bytes);
    if (!(await verifyInclusion(BigInt(index), checkpoint.size, hashed, readPath(proof), checkpoint.root))) {
      refuse('INCLUSION_PROOF', `entry ${index} is not proven to be in the ledger`);
    }
    if (bytes.length > LIMITS.entryBytes) {
      refuse('ENTRY_INVALID', `entry ${index} is too long`);
    }
    const beginning = utf8('{"apiVersion":"0.0.2","kind":"hashedrekord"');
    const attested = same(bytes.subarray(0, beginning.length), beginning);
    const entry = readCanonical(bytes, attested ? HASHED_REKORD : ENTRY, 'ENTRY_INVALID', `entry ${index}`);
    if (!attested && holdsNull(entry)) {
      refuse('ENTRY_INVALID', `entry ${index} writes a field that is empty`);
    }
    entries.push({ index, hash: hashed, entry: attested ? null : entry });
  }
  return entries;
}

async function fold(entries, promotion, bodies) {
  const all = entries.filter(({ entry }) => entry !== null);
  const last = all.findLast(({ entry: { event: { type, body } } }) => type === 'decision.recorded' && body.promotion === promotion) ??
    refuse('DECISION_MISSING', `the bundle holds no decision on ${promotion}`);
  const decision = last.entry.event.body;
  const target = `running:${decision.environment}/${serviceOf(decision.release)}`;
  const ledger = new Ledger(bodies);
  const folded = { ledger, index: last.index, decision, target, ran: null, granted: null, documents: null };
  for (const { index, entry } of all) {
    const { type, body } = entry.event;
    const ledgers = GOVERNANCE_EVENTS.has(type) || APART_EVENTS.has(type);
    const own = body.release === decision.release && !ledgers;
    if (type === 'decision.recorded' && own && (index === last.index || body.outcome === 'allow')) {
      const documents = ledger.checkDecision(index, entry.time, body);
      if (index === last.index) {
        folded.ran = ledger.heads.get(target) ?? null;
        folded.documents = documents;
      }
    }
    if (ledgers || own) {
      await ledger.apply(index, entry);
      if (own && type === 'grant.issued' && body.promotion === promotion) {
        folded.granted = linkIn(entry, target)?.seq ?? null;
      }
    } else {
      // What the decision compares with, of the same service, and what else was let in just now.
      const followed = serviceOf(body.release) === serviceOf(decision.release) && ledger.follow(index, entry);
      if (type === 'grant.issued') {
        ledger.adoptOther(index, entry);
      } else if (!followed && index === entries.at(-1).index) {
        ledger.checkGovernanceHead(index, entry);
      } else if (!followed) {
        refuse('BUNDLE_INVALID', `entry ${index} does not belong to this bundle`);
      }
    }
  }
  return folded;
}

async function checkTrust(trust, governance, genesis) {
  if (`sha256:${hex(genesis)}` !== trust.genesis) {
    refuse('GENESIS_MISMATCH', 'the ledger has another first entry than the pinned one');
  }
  const first = [...governance.people.values()].map((record) => record.keys[0]).filter((known) => known !== undefined)
    .reduce((oldest, known) => (oldest === null || known.enrolledAt < oldest.enrolledAt ? known : oldest), null) ??
    refuse('SETUP_NEEDED', 'no owner is enrolled yet');
  if (!trust.root_keys.some((line) => same(readKeyLine(line).wire, first.public.wire))) {
    refuse('ROOT_KEY_UNKNOWN', 'the first owner\u2019s key is not a pinned root key');
  }
  if (!trust.policy.logs.some(({ vkey }) => vkey.line === governance.identity.log_key)) {
    refuse('LOG_KEY_UNKNOWN', 'the ledger names another log key than the pinned one');
  }
  if (governance.identity.attestation_key !== trust.attestation_key) {
    refuse('ATTESTATION_KEY_UNKNOWN', 'the ledger names another attestation key than the pinned one');
  }
}

function checkComplete({ ledger, decision, target, ran, granted }) {
  const named = (of) => decision.relied_on.some((head) => head.stream === of);
  for (const of of ['governance', `release:${decision.release}`]) {
    if (!named(of) || !ledger.whole.has(of)) {
      refuse('BUNDLE_INCOMPLETE', `the decision on ${decision.promotion} does not rest on the whole of ${of}`);
    }
  }
  if (!named(target) && (ran !== null || (granted !== null && granted !== 0))) {
    refuse('BUNDLE_INCOMPLETE', `the decision on ${decision.promotion} does not rest on ${target}`);
  }
}

async function checkAnchors(bundle, checkpoint, approvals) {
  for (const { body, predicate: { anchor } } of approvals) {
    const path = readPath(bundle.anchors.find((known) => known.size === anchor.size)?.proof ?? []);
    const root = fromHex(anchor.root.slice('sha256:'.length));
    if (!(await verifyConsistency(BigInt(anchor.size), checkpoint.size, path, root, checkpoint.root))) {
      refuse('ANCHOR_UNPROVEN', `the ledger that ${body.approver} saw is not proven to be the beginning of this one`);
    }
  }
}

const shownTime = (time) => (time <= 8.64e15 ? new Date(time).toISOString() : `${time} ms`);

function checkQuery({ asked, of, decision, governance, running, size }, { artifactDigest, service: wanted, environment, now }, pass) {
  if (serviceOf(of.name) !== wanted) {
    refuse('SERVICE_MISMATCH', `the bundle is about ${of.name}, not ${wanted}`);
  }
  const artifact = of.manifest.artifacts.find((known) => known.digest === artifactDigest) ??
    refuse('DIGEST_NOT_GRANTED', `${artifactDigest} is no artifact of ${of.name}`);
  pass('artifact', `${artifactDigest} is ${artifact.name} of ${of.name}`);
  if (asked.grant === null || decision.outcome !== 'allow') {
    refuse('NOT_GRANTED', `${asked.request.promotion} was not granted: ${decision.outcome}`);
  }
  const { body, time } = asked.grant;
  if (body.environment !== environment) {
    refuse('ENVIRONMENT_MISMATCH', `${body.promotion} was granted into ${body.environment}, not ${environment}`);
  }
  if (body.not_after <= now) {
    refuse('GRANT_EXPIRED', `the grant of ${body.promotion} ended at ${shownTime(body.not_after)}`);
  }
  if (time > now + MINUTES_5) {
    refuse('CLOCK_BEHIND', `the grant is from ${shownTime(time)}, later than this machine\u2019s clock`);
  }
  const newest = running.get(`${environment}/${wanted}`);
  if (newest !== undefined && newest.promotion !== body.promotion) {
    refuse('GRANT_SUPERSEDED', `${body.promotion} was replaced by ${newest.promotion}, granted later`);
  }
  // The governance chain is here up to the checkpoint, so that a freeze from before it is known.
  governance.checkNotFrozen({ service: wanted, environment }, asked, now);
  pass('freeze', `no freeze stops it after ${size} entries`);
  const under = decision.break_glass ?? null;
  if (under !== null) {
    const opened = governance.breakGlass(under);
    const reviewed = governance.reviewOf(opened) === null ? 'NOT REVIEWED' : 'reviewed';
    pass('break-glass', `BREAK-GLASS of entry ${under} by ${opened.signatures.map(({ by }) => by).join(' and ')}, ${reviewed}: ${opened.body.reason}`);
  }
  pass('grant', `${body.promotion} lets it run in ${body.environment} until ${shownTime(body.not_after)}`);
}

const NOT_RUN = 'not run again here: reading the evidence and judging it by the gates; lockgate verify does that';

function presenceWords(presence) {
  if (presence === null) {
    return '';
  }
  const user = presence.verified ? 'user present, user verified' : 'user present';
  return presence.origin === null ? ` (security key: ${user})` : ` (passkey at ${presence.origin}: ${user})`;
}

async function open(bytes, trustSource, pass, facts) {
  const trust = await readTrust(trustSource);
  const bundle = readBundle(bytes);
  const bodies = await readBodies(bundle);
  const checkpoint = await openCheckpoint(bundle.checkpoint, trust.policy);
  const witnesses = checkpoint.witnesses > 0 ? `, ${checkpoint.witnesses} witnesses cosigned` : '';
  pass('checkpoint', `${checkpoint.origin} signed ${checkpoint.size} entries${witnesses}`);
  const entries = await readEntries(bundle, checkpoint);
  pass('inclusion', `${entries.length} entries are in the ledger`);
  const newest = entries.at(-1);
  if (newest === undefined || newest.entry === null || BigInt(newest.index) + 1n !== checkpoint.size) {
    refuse('BUNDLE_INCOMPLETE', 'the ledger\u2019s newest entry is missing');
  }
  if (entries[0].index !== 0) {
    refuse('GENESIS_MISSING', 'the bundle does not start with the ledger\u2019s first entry');
  }
  const folded = await fold(entries, bundle.promotion, bodies);
  const { ledger, decision, documents } = folded;
  const { governance } = ledger;
  await checkTrust(trust, governance, entries[0].hash);
  pass('governance', `${governance.people.size} people and machines, each countersigned since the pinned first owner`);
  checkComplete(folded);
  pass('completeness', 'every entry of the streams that the decision relied on is here');
  pass('decision', `decision ${folded.index} says ${decision.outcome}, on the heads, policy set and approvals that the ledger has`);
  pass('policy', NOT_RUN, null);
  const of = ledger.release(decision.release);
  const asked = ledger.promotion(of, bundle.promotion);
  const suspects = suspectsIn(governance, of);
  await checkAnchors(bundle, checkpoint, asked.approvals);
  for (const { index, body, presence } of asked.approvals) {
    const suspect = suspects.find((one) => one.index === index);
    pass('approval', `${body.approver} signed with ${body.key}${presenceWords(presence)}${suspect === undefined ? '' : `; suspect since entry ${suspect.since}`}`);
  }
  Object.assign(facts, {
    promotion: bundle.promotion, release: of.name, environment: decision.environment, outcome: decision.outcome,
    requester: asked.requester, reason: asked.request.reason, kind: asked.request.kind, requestedAt: asked.time,
    manifest: of.manifestDigest, artifacts: of.manifest.artifacts, gates: documents.decision.gates, decisionIndex: folded.index,
    policy: governance.policy, suspects, origin: governance.origin, size: Number(checkpoint.size), root: toBase64(checkpoint.root),
    checkpoint: bundle.checkpoint,
    grant: asked.grant === null ? null : { index: asked.grant.index, time: asked.grant.time, notAfter: asked.grant.body.not_after },
    evidence: of.evidence.map(({ index, time, by, body }) => ({
      index, time, by, digest: body.evidence, kind: evidenceKind(body), sizeBytes: body.size_bytes,
    })),
    approvals: asked.approvals.map(({ index, time, body, predicate, withdrawn }) => ({
      index, time, person: body.approver, key: body.key, verdict: body.verdict, comment: predicate.comment ?? null,
      expiresAt: predicate.expiresAt, withdrawn: withdrawn !== null,
    })),
  });
  const suspect = suspects.find((one) => one.index === folded.index);
  if (suspect !== undefined) {
    refuse('SUSPECT_KEY', `the decision on ${bundle.promotion} is suspect since entry ${suspect.since}: ${suspect.why}`);
  }
  return { asked, of, decision, governance, running: folded.ledger.running, size: checkpoint.size };
}

// Verifies a bundle against a trust file that came from elsewhere; with `artifactDigest`, `service` and `environment`
// also whether that artifact may run there at the moment `now`.
//
// `checks` lists what was looked at, in order: `ok` is true, false, or null for what this verifier does not do. `code` is
// null, or the reason code of `lockgate verify` for the same cause. `facts` is what the bundle proves, as far as it was
// read; believe it only where `ok` is true.
export async function verifyBundle(bundleBytes, trust, { artifactDigest = null, service: wanted, environment, now } = {}) {
  const [checks, facts] = [[], {}];
  const pass = (check, found, ok = true) => checks.push({ name: check, ok, text: found });
  try {
    if (globalThis.crypto?.subtle === undefined) {
      refuse('BROWSER_UNSUPPORTED', 'the browser offers no cryptography here: open the page over https, or as a file');
    }
    const opened = await open(bundleBytes, trust, pass, facts);
    if (artifactDigest !== null) {
      checkQuery(opened, { artifactDigest, service: wanted, environment, now }, pass);
    }
    return { ok: true, checks, code: null, facts };
  } catch (error) {
    const code = error instanceof Refused ? error.code : 'VERIFIER_BUG';
    pass('refused', `${code}: ${error.message}`, false);
    return { ok: false, checks, code, facts };
  }
}
