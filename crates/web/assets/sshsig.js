// SSH signatures made by a passkey: OpenSSH PROTOCOL.sshsig, with the "webauthn" signature of PROTOCOL.u2f inside.
//
// The challenge of the WebAuthn assertion is the very data that SSHSIG signs, so that the passkey's answer is a
// signature over the message, and stock `ssh-keygen -Y verify` can check it. Nothing here talks to the server.

const KEY_TYPE = 'sk-ecdsa-sha2-nistp256@openssh.com';
const SIGNATURE_TYPE = 'webauthn-sk-ecdsa-sha2-nistp256@openssh.com';
const CURVE = 'nistp256';
const HASH = 'sha512';
const ES256 = { name: 'ECDSA', namedCurve: 'P-256' };
// How long the browser waits for whoever sits in front of it, in milliseconds.
export const PATIENCE_MS = 120_000;
// Bits of the authenticator's flags (WebAuthn Level 3, section 6.1).
const ATTESTED = 0x40;
const EXTENSIONS = 0x80;

export const utf8 = (text) => new TextEncoder().encode(text);

export function base64(bytes) {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}

function unbase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// RFC 4251, section 5: uint32 and string.
const uint32 = (number) => Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);

function string(content) {
  const bytes = typeof content === 'string' ? utf8(content) : content;
  return concat(uint32(bytes.length), bytes);
}

async function digest(algorithm, bytes) {
  return new Uint8Array(await crypto.subtle.digest(algorithm, bytes));
}

export const sha256 = (bytes) => digest('SHA-256', bytes);

// The digest of bytes as Lockgate writes it.
export async function digestText(bytes) {
  const digits = Array.from(await sha256(bytes), (byte) => byte.toString(16).padStart(2, '0'));
  return `sha256:${digits.join('')}`;
}

// What an SSH signature over `message` for one purpose covers: 6 bytes of magic and four strings.
export async function signedData(namespace, message) {
  const hash = await digest('SHA-512', message);
  return concat(utf8('SSHSIG'), string(namespace), string(''), string(HASH), string(hash));
}

// A public key in SSH's wire format, from an uncompressed point and the passkey's RP id.
export function publicKey(point, rpId) {
  const blob = concat(string(KEY_TYPE), string(CURVE), string(point), string(rpId));
  return { blob, point, rpId, line: `${KEY_TYPE} ${base64(blob)}` };
}

// Reads `type base64`; null for keys that are no passkeys.
export function readPublicKey(line) {
  const [type, body] = line.split(' ');
  if (type !== KEY_TYPE) {
    return null;
  }
  const blob = unbase64(body);
  const view = new DataView(blob.buffer);
  const strings = [];
  for (let at = 0; at < blob.length; ) {
    const end = at + 4 + view.getUint32(at);
    strings.push(blob.subarray(at + 4, end));
    at = end;
  }
  const [, , point, application] = strings;
  const key = publicKey(point, new TextDecoder().decode(application));
  return base64(key.blob) === body ? key : null;
}

// The fingerprint that `ssh-keygen -l` shows.
export async function fingerprint(key) {
  return `SHA256:${base64(await sha256(key.blob)).replace(/=+$/, '')}`;
}

// The two INTEGERs of an ECDSA signature (RFC 3279, section 2.2.3), whose contents are SSH's mpints as they are.
function integers(der) {
  const [sequence, length] = der;
  if (sequence !== 0x30 || length !== der.length - 2) {
    throw new Error('the passkey answered with something that is no ECDSA signature');
  }
  const numbers = [];
  for (let at = 2; at < der.length; at += 2 + der[at + 1]) {
    if (der[at] !== 0x02) {
      throw new Error('the passkey answered with something that is no ECDSA signature');
    }
    numbers.push(der.subarray(at + 2, at + 2 + der[at + 1]));
  }
  return numbers;
}

// A number of at most 32 bytes, as the fixed-size form of WebCrypto wants it.
function fixed(number) {
  const digits = number[0] === 0 ? number.subarray(1) : number;
  return concat(new Uint8Array(32 - digits.length), digits);
}

async function verifies(key, numbers, covered) {
  const imported = await crypto.subtle.importKey('raw', key.point, ES256, false, ['verify']);
  const signature = concat(...numbers.map(fixed));
  return crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, imported, signature, covered);
}

// Signs `message` for one purpose with one of the `keys`, and gives the armored signature and the key.
//
// Unless the passkey has just been made, no credential id is named to the browser, which lets people choose among the
// passkeys of this site: a list of ids kept in this browser would be wrong in another one that has the same passkey, and
// a list kept by the server would tell anyone who has one. Which key answered is found by verifying the answer, so a
// wrong answer never leaves this page. Once `signal` is aborted, the browser asks no more, and no answer becomes a
// signature, not even one that was on its way.
export async function sign(namespace, message, keys, { id = null, signal } = {}) {
  const challenge = await signedData(namespace, message);
  const credential = await answer(signal, {
    challenge,
    rpId: location.hostname,
    allowCredentials: id === null ? [] : [{ type: 'public-key', id }],
    userVerification: 'required',
    timeout: PATIENCE_MS,
  });
  const { response } = credential;
  const clientData = new Uint8Array(response.clientDataJSON);
  const data = new Uint8Array(response.authenticatorData);
  const numbers = integers(new Uint8Array(response.signature));
  const flags = data[32];
  const extensions = data.subarray(37);
  if (flags & ATTESTED || Boolean(flags & EXTENSIONS) !== extensions.length > 0) {
    throw new Error('the passkey answered with data that do not belong to a signature');
  }
  const covered = concat(data, await sha256(clientData));
  for (const key of keys.filter((key) => key.rpId === location.hostname)) {
    if (await verifies(key, numbers, covered)) {
      const { origin } = JSON.parse(new TextDecoder().decode(clientData));
      const signature = concat(
        string(SIGNATURE_TYPE),
        string(concat(...numbers.map(string))),
        data.subarray(32, 37),
        string(origin),
        string(clientData),
        string(extensions),
      );
      signal?.throwIfAborted();
      return { key, signature: armored(key, namespace, signature) };
    }
  }
  throw new Error('that passkey is not one of this person: choose another, or enrol it first');
}

// What the passkey answers; where it was told to stop, the reason for that, whatever the browser makes of it.
async function answer(signal, publicKey) {
  try {
    return await navigator.credentials.get({ publicKey, signal });
  } finally {
    signal?.throwIfAborted();
  }
}

function armored(key, namespace, signature) {
  const whole = concat(
    utf8('SSHSIG'),
    uint32(1),
    string(key.blob),
    string(namespace),
    string(''),
    string(HASH),
    string(signature),
  );
  const lines = base64(whole).match(/.{1,70}/g);
  return `-----BEGIN SSH SIGNATURE-----\n${lines.join('\n')}\n-----END SSH SIGNATURE-----\n`;
}
