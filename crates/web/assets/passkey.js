// Passkeys: what they need, how one is made, and which ones a person has.

import { PATIENCE_MS, publicKey, readPublicKey } from '/assets/sshsig.js';
import { call } from '/assets/session.js';

const ES256 = -7;

// Why passkeys do not work on this page, with what to do; null when they do.
export function obstacle() {
  const { hostname, protocol, port, pathname, search } = location;
  if (/^[0-9.]+$/.test(hostname) || hostname.startsWith('[')) {
    const local = hostname.startsWith('127.') || hostname === '[::1]';
    const there = local ? `${protocol}//localhost${port ? `:${port}` : ''}${pathname}${search}` : null;
    return { text: 'Passkeys belong to a host name, and this address is a number. Open this page by its name.', there };
  }
  if (!isSecureContext) {
    return { text: 'Passkeys need HTTPS. Open this page with https://.', there: null };
  }
  if (!('PublicKeyCredential' in window)) {
    return { text: 'This browser has no passkeys. Use another one, or an SSH key on the command line.', there: null };
  }
  return null;
}

// Makes a passkey for a person and gives its public key with the id of the credential.
//
// ES256 alone, because SSH has a form for passkeys of no other algorithm. Discoverable, so that it is found later without
// a list of ids. The user handle is random: with the same one twice, the second passkey would take the place of the first.
export async function create(person, ledger) {
  const credential = await navigator.credentials.create({
    publicKey: {
      rp: { id: location.hostname, name: `Lockgate ${ledger}` },
      user: { id: crypto.getRandomValues(new Uint8Array(32)), name: person, displayName: person },
      // Nothing is proven by it: the signature over the enrolment document follows, and is what counts.
      challenge: crypto.getRandomValues(new Uint8Array(32)),
      pubKeyCredParams: [{ type: 'public-key', alg: ES256 }],
      authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
      attestation: 'none',
      timeout: PATIENCE_MS,
    },
  });
  const { response } = credential;
  if (response.getPublicKeyAlgorithm() !== ES256) {
    throw new Error('the device made a key of another kind than ES256, which cannot sign here');
  }
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const imported = await crypto.subtle.importKey('spki', response.getPublicKey(), algorithm, true, ['verify']);
  const point = new Uint8Array(await crypto.subtle.exportKey('raw', imported));
  return { key: publicKey(point, location.hostname), id: credential.rawId };
}

// The passkeys of a person that count now, as the server knows them.
export async function keysOf(person) {
  const { keys } = await call(`/v1/passkeys/keys/${encodeURIComponent(person)}`);
  return keys.map(readPublicKey).filter((key) => key !== null);
}
