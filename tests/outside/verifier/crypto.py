"""Signatures over bytes, each pair of key, message and signature checked once (module `cryptography`)."""

import functools
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from forms import remembered

CURVES = {"nistp256": (ec.SECP256R1(), 65, hashes.SHA256()), "nistp384": (ec.SECP384R1(), 97, hashes.SHA384())}
_P = (1 << 255) - 19
_EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
# The y coordinates of the points of edwards25519 whose order divides 8, and the spellings of two of them beyond p.
_SMALL_ORDER = {0, 1, _P - 1, _EIGHTH, _P - _EIGHTH, _P, _P + 1}


def is_small_order(key):
    """Whether anybody could make signatures by an Ed25519 key, because its point has small order."""
    return int.from_bytes(key, "little") & ((1 << 255) - 1) in _SMALL_ORDER


@remembered(count=16384, most=4096)
def ed25519(key, message, signature):
    if is_small_order(key) or len(signature) != 64:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


@functools.lru_cache(maxsize=4096)
def ec_point(curve, point):
    """A public key of an uncompressed point, or None where it is no point of the curve."""
    known, length, _ = CURVES[curve]
    if len(point) != length or point[:1] != b"\x04":
        return None
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(known, point)
    except ValueError:
        return None


@remembered(count=16384, most=4096)
def ecdsa(curve, point, message, r, s):
    key = ec_point(curve, point)
    if key is None or r <= 0 or s <= 0:
        return False
    return ecdsa_der(key, CURVES[curve][2], message, encode_dss_signature(r, s))


def ecdsa_der(key, hash_algorithm, message, signature):
    try:
        key.verify(signature, message, ec.ECDSA(hash_algorithm))
        return True
    except (InvalidSignature, ValueError):
        return False


@remembered(count=16384, most=4096)
def rsa_pkcs1(modulus, exponent, name, message, signature):
    hash_algorithm = {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}[name]
    if len(signature) != (modulus.bit_length() + 7) // 8:
        return False
    try:
        rsa.RSAPublicNumbers(exponent, modulus).public_key().verify(
            signature, message, padding.PKCS1v15(), hash_algorithm
        )
        return True
    except (InvalidSignature, ValueError):
        return False


def sha256(data):
    return hashlib.sha256(data).digest()
