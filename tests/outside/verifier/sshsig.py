"""SSH keys, SSHSIG signatures, security keys and passkeys (docs/formats.md, "Keys and signatures" and "Passkeys").

OpenSSH PROTOCOL.sshsig and PROTOCOL.u2f, RFC 4251 section 5, W3C WebAuthn.
"""

import base64
import functools
import hashlib
import re

import crypto
from forms import Malformed, Refused, read_json, remembered, unbase64

ARMORED_MAX_BYTES = LINE_MAX_BYTES = 16 * 1024
PASSKEY_SIGNATURE = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"
PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED, EXTENSIONS = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80


class Reader:
    """SSH's encoding: byte, uint32, string, mpint."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise Malformed("cut off")
        self.at += count
        return piece

    def byte(self):
        return self.take(1)[0]

    def uint32(self):
        return int.from_bytes(self.take(4), "big")

    def string(self):
        return self.take(self.uint32())

    def text(self):
        try:
            return self.string().decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("not UTF-8") from error

    def mpint(self):
        """A positive number in its shortest form."""
        content = self.string()
        shortest = content and (content[0] < 0x80 if content[0] else len(content) > 1 and content[1] >= 0x80)
        if not shortest:
            raise Malformed("not a positive number in its shortest form")
        return int.from_bytes(content, "big")

    def end(self):
        if self.at != len(self.data):
            raise Malformed("more than there should be")


class Key:
    """A public key in SSH's wire form."""

    def __init__(self, wire):
        self.wire, self.application = wire, None
        reader = Reader(wire)
        self.kind = reader.text()
        if self.kind in ("ssh-ed25519", "sk-ssh-ed25519@openssh.com"):
            self.raw = reader.string()
            if len(self.raw) != 32 or crypto.is_small_order(self.raw):
                raise Malformed("not an Ed25519 key")
            material = b"ed25519" + self.raw
        elif self.kind in ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "sk-ecdsa-sha2-nistp256@openssh.com"):
            self.curve, self.raw = reader.text(), reader.string()
            named = "nistp384" if self.kind.endswith("384") else "nistp256"
            if self.curve != named or crypto.ec_point(self.curve, self.raw) is None:
                raise Malformed("not a point of the curve")
            material = self.curve.encode() + self.raw
        elif self.kind == "ssh-rsa":
            self.exponent, self.modulus = reader.mpint(), reader.mpint()
            sound = self.exponent & 1 and self.modulus & 1 and 1 < self.exponent < 1 << 32
            if not sound or not 3072 <= self.modulus.bit_length() <= 8192:
                raise Malformed("not an RSA key that counts")
            material = b"rsa" + wire
        else:
            raise Malformed(f"keys of type {self.kind!r:.60} do not count")
        self.is_security_key = self.kind.startswith("sk-")
        if self.is_security_key:
            self.application = reader.text().encode()
        reader.end()
        self.material = hashlib.sha256(material).digest()
        self.fingerprint = "SHA256:" + base64.b64encode(crypto.sha256(wire)).decode().rstrip("=")
        self.is_passkey = self.kind == "sk-ecdsa-sha2-nistp256@openssh.com" and not self.application.startswith(b"ssh:")

    def line(self):
        return f"{self.kind} {base64.b64encode(self.wire).decode()}"


key_of_wire = functools.lru_cache(maxsize=4096)(Key)


@functools.lru_cache(maxsize=4096)
def key_of_line(line):
    """A key of one OpenSSH public key line; what follows the key is a comment."""
    line = line.strip("\t\n\x0c\r ")
    if len(line.encode()) > LINE_MAX_BYTES or re.search(r"[\n\r\0]", line):
        raise Malformed("not one line")
    words = re.split(r"[ \t]", line, maxsplit=2)
    if len(words) < 2:
        raise Malformed("not a public key line")
    key = key_of_wire(unbase64(words[1]))
    if key.kind != words[0]:
        raise Malformed("the line says another type than the key")
    return key


def ssh_key(value):
    """A key as entries spell it: type and base64 with one space between them, and nothing else."""
    if not isinstance(value, str) or key_of_line(value).line() != value:
        raise Malformed("not a public key line in its one spelling")


# --- Web origins


def is_rp_id(text):
    labels = text.split(".")
    form = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
    return len(text) <= 253 and all(map(form.fullmatch, labels)) and re.match(r"[a-z]", labels[-1]) is not None


def origin_host(text):
    """The host of a web origin in its one spelling, or None."""
    match = re.fullmatch(r"(https?)://([^:]*)(?::([1-9][0-9]{0,4}))?", text, re.ASCII)
    if not match or not is_rp_id(match[2]):
        return None
    own_port = {"https": "443", "http": "80"}[match[1]]
    if match[3] and (match[3] == own_port or int(match[3]) > 0xFFFF):
        return None
    return match[2] if match[1] == "https" or match[2] == "localhost" else None


# --- Signatures


class Signature:
    """An armored SSHSIG, read and not yet verified."""

    def __init__(self, armored):
        if len(armored.encode()) > ARMORED_MAX_BYTES:
            raise Malformed("the signature is too long")
        lines = [line.removesuffix("\r") for line in armored.strip("\t\n\x0c\r ").split("\n")]
        if len(lines) < 2 or lines[0] != "-----BEGIN SSH SIGNATURE-----" or lines[-1] != "-----END SSH SIGNATURE-----":
            raise Malformed("not one SSH signature block")
        body = lines[1:-1]
        if "" in body or "-----END SSH SIGNATURE-----" in body:
            raise Malformed("not one SSH signature block")
        data = unbase64("".join(body))
        if not data.startswith(b"SSHSIG"):
            raise Malformed("not an SSH signature")
        reader = Reader(data[6:])
        version, wire = reader.uint32(), reader.string()
        self.namespace, reserved = reader.text(), reader.string()
        self.hash, self.blob = reader.text(), reader.string()
        reader.end()
        if version != 1 or reserved or self.hash not in ("sha256", "sha512"):
            raise Malformed("an SSH signature of another version or hash")
        self.key = key_of_wire(wire)

    def presence(self):
        """(flags, origin) that the signature claims, where a security key or passkey made it; else None."""
        try:
            reader = Reader(self.blob)
            kind, _ = reader.text(), reader.string()
            if self.key.kind.startswith("sk-ecdsa") and kind == PASSKEY_SIGNATURE:
                flags, _, origin, _, _ = reader.byte(), reader.uint32(), reader.text(), reader.string(), reader.string()
                reader.end()
                return flags, origin if origin_host(origin) else None
        except Malformed:
            pass
        return None


def armored_text(data):
    """The text of an armored signature.

    Raises Refused SIGNATURE_MALFORMED.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("SIGNATURE_MALFORMED", "the signature is not UTF-8") from error


@remembered(count=4096, most=ARMORED_MAX_BYTES)
def parse(armored):
    """An armored signature.

    Raises Refused SIGNATURE_MALFORMED.
    """
    try:
        return Signature(armored)
    except Malformed as error:
        raise Refused("SIGNATURE_MALFORMED", str(error)) from error


@remembered(count=4096, most=64 * 1024)
def verify(armored, namespace, message, wire):
    """Verifies that a key signed a message for one purpose.

    Raises Refused with SIGNATURE_INVALID, or one of the WEBAUTHN_ codes.
    """
    signature = parse(armored)
    if signature.key.wire != wire or signature.namespace != namespace:
        raise Refused("SIGNATURE_INVALID", "the signature is by another key, or for another purpose")
    hashed = hashlib.new(signature.hash, message).digest()
    signed = b"SSHSIG" + b"".join(map(_string, (namespace.encode(), b"", signature.hash.encode(), hashed)))
    try:
        good = _verify_blob(signature.key, signed, signature.blob)
    except Malformed as error:
        raise Refused("SIGNATURE_INVALID", str(error)) from error
    if not good:
        raise Refused("SIGNATURE_INVALID", "the signature does not verify")


def _string(content):
    return len(content).to_bytes(4, "big") + content


def _verify_blob(key, signed, blob):
    reader = Reader(blob)
    kind, signature = reader.text(), reader.string()
    if key.kind == "ssh-rsa":
        reader.end()
        known = kind in ("rsa-sha2-256", "rsa-sha2-512")
        return known and crypto.rsa_pkcs1(key.modulus, key.exponent, kind, signed, signature)
    if key.kind.startswith("sk-ecdsa") and kind == PASSKEY_SIGNATURE:
        return _bare(key, _passkey_message(key, signed, reader), signature)
    if key.is_passkey:
        raise Refused("WEBAUTHN_TYPE", "a passkey signs in browsers only")
    if kind != key.kind:
        return False
    if key.is_security_key:
        flags, counter = reader.byte(), reader.take(4)
        reader.end()
        message = crypto.sha256(key.application) + bytes([flags]) + counter + crypto.sha256(signed)
        return bool(flags & PRESENT) and _bare(key, message, signature)
    reader.end()
    return _bare(key, signed, signature)


def _bare(key, message, signature):
    if "ed25519" in key.kind:
        return crypto.ed25519(key.raw, message, signature)
    numbers = Reader(signature)
    r, s = numbers.mpint(), numbers.mpint()
    numbers.end()
    return crypto.ecdsa(key.curve, key.raw, message, r, s)


def _passkey_message(key, signed, reader):
    """What the authenticator signed, once the assertion around it is one that counts."""
    flags, counter = reader.byte(), reader.take(4)
    origin, client_data, extensions = reader.text(), reader.string(), reader.string()
    reader.end()
    fits = bool(flags & EXTENSIONS) == bool(extensions) and not (flags & BACKED_UP and not flags & ELIGIBLE)
    if not flags & PRESENT or flags & ATTESTED or not fits:
        raise Refused("WEBAUTHN_FLAGS", "the passkey's flags are not those of an assertion")
    host = origin_host(origin)
    if host is None or host.encode() != key.application:
        raise Refused("WEBAUTHN_ORIGIN", "the passkey was used at another origin")
    _check_client_data(client_data, base64.urlsafe_b64encode(signed).decode().rstrip("="), origin)
    return crypto.sha256(key.application) + bytes([flags]) + counter + extensions + crypto.sha256(client_data)


def _check_client_data(client_data, challenge, origin):
    try:
        members = read_json(client_data)
    except Malformed as error:
        raise Refused("WEBAUTHN_CLIENT_DATA", str(error)) from error
    if not isinstance(members, dict):
        raise Refused("WEBAUTHN_CLIENT_DATA", "not an object")
    if members.get("type") != "webauthn.get":
        raise Refused("WEBAUTHN_TYPE", "not an assertion")
    if members.get("challenge") != challenge:
        raise Refused("WEBAUTHN_CHALLENGE", "the passkey signed something else")
    if members.get("origin") != origin:
        raise Refused("WEBAUTHN_ORIGIN", "the client data name another origin")
    if members.get("crossOrigin", False) is not False or "topOrigin" in members:
        raise Refused("WEBAUTHN_CROSS_ORIGIN", "the passkey was used inside another site's page")
    beginning = f'{{"type":"webauthn.get","challenge":"{challenge}","origin":"{origin}"'
    if not client_data.startswith(beginning.encode()):
        raise Refused("WEBAUTHN_CLIENT_DATA", "the client data are spelled differently")
