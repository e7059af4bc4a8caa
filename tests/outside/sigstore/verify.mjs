// Verifies a Sigstore bundle that Lockgate wrote, with the unmodified verifier of the Sigstore project.
//
//   node verify.mjs BUNDLE TRUSTED_ROOT PUBKEY_PEM
//
// Exit 0: the envelope's signature, the log's body, the inclusion proof and the checkpoint are all valid under the
// given key and the given log. Exit 1: anything else. Exit 2: usage. One line on stdout or stderr says which.
//
// Nothing of the verification is done here; this file only hands over the pinned trust, and asks for the two things
// that the library leaves to its caller: that the named key is the given one, and that a log entry is there at all.

import { createHash, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { bundleFromJSON } from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { Verifier, toSignedEntity, toTrustMaterial } from '@sigstore/verify';

// Every time counts as inside: a managed key has no certificate whose validity a timestamp would have to meet.
const ALWAYS = { start: new Date(0), end: new Date(8640000000000000) };

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** The one trusted key, under the id by which Sigstore bundles name it: base64 of the SHA-256 of its SPKI. */
function pinnedKey(path) {
  const der = createPublicKey(readFileSync(path, 'utf8')).export({ type: 'spki', format: 'der' });
  const hint = createHash('sha256').update(der).digest('base64');
  return { hint, key: { rawBytes: der, validFor: ALWAYS } };
}

function verify(bundlePath, rootPath, keyPath) {
  const bundle = bundleFromJSON(readJson(bundlePath));
  const root = TrustedRoot.fromJSON(readJson(rootPath));
  const { hint, key } = pinnedKey(keyPath);
  if (bundle.content.$case !== 'dsseEnvelope') {
    throw new Error('the bundle holds no DSSE envelope');
  }
  const material = bundle.verificationMaterial.content;
  if (material.$case !== 'publicKey' || material.publicKey.hint !== hint) {
    throw new Error('the bundle names another key');
  }
  const envelope = bundle.content.dsseEnvelope;
  if (envelope.signatures[0].keyid !== hint) {
    throw new Error('the envelope names another key than the bundle');
  }

  // A managed key needs the log, and no timestamp: Rekor v2 entries carry none.
  const options = { tlogThreshold: 1, ctlogThreshold: 0, timestampThreshold: 0 };
  const trust = toTrustMaterial(root, { [hint]: key });
  new Verifier(trust, options).verify(toSignedEntity(bundle));

  const statement = JSON.parse(envelope.payload.toString('utf8'));
  const [entry] = bundle.verificationMaterial.tlogEntries;
  const subjects = statement.subject.map((subject) => `sha256:${subject.digest.sha256}`);
  return `verified ${statement.predicateType} for ${subjects.join(' ')} at entry ${entry.logIndex}`;
}

const paths = process.argv.slice(2);
if (paths.length !== 3) {
  console.error('usage: node verify.mjs BUNDLE TRUSTED_ROOT PUBKEY_PEM');
  process.exit(2);
}
try {
  console.log(verify(...paths));
} catch (error) {
  console.error(`not verified: ${error.code ? `${error.code}: ` : ''}${error.message}`);
  process.exit(1);
}
