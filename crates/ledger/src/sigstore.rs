//! What makes Lockgate's attestations provable to Sigstore clients, unmodified.
//!
//! Each attestation gets a leaf of its own in the ledger, shaped as a Rekor v2 `hashedrekord` 0.0.2 entry over the
//! DSSE pre-authentication encoding; the leaf, its inclusion proof and the checkpoint make a Sigstore bundle v0.3.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use lockgate_model::canonical::{self, CanonicalError};
use lockgate_model::{Digest, EntryIndex, Limits, TreeSize};
use lockgate_sign::dsse::{Envelope, pae};
use lockgate_sign::note::VerifierKey;
use lockgate_sign::public_key::PublicKey;

/// The media type of a Sigstore bundle v0.3.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A Rekor v2 `hashedrekord` 0.0.2 leaf (rekor-tiles, entry type hashedrekord).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HashedRekord {
    api_version: String,
    kind: String,
    spec: Spec,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(rename = "hashedRekordV002")]
    hashed_rekord: HashedRekordV002,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HashedRekordV002 {
    data: Data,
    signature: Signature,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    algorithm: String,
    digest: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    content: String,
    verifier: Verifier,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Verifier {
    key_details: String,
    public_key: RawKey,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawKey {
    raw_bytes: String,
}

/// The leaf for the first signature of an envelope, in canonical bytes.
///
/// # Errors
/// [`CanonicalError`] never happens for an envelope that Lockgate signed.
pub fn leaf_for(envelope: &Envelope, key: &PublicKey) -> Result<Vec<u8>, CanonicalError> {
    let signature = envelope.signatures.first().map(|signature| signature.sig.as_slice()).unwrap_or_default();
    let digest = Digest::of(&pae(&envelope.payload_type, &envelope.payload));
    canonical::to_vec(&HashedRekord {
        api_version: "0.0.2".to_owned(),
        kind: "hashedrekord".to_owned(),
        spec: Spec {
            hashed_rekord: HashedRekordV002 {
                data: Data { algorithm: "SHA2_256".to_owned(), digest: STANDARD.encode(digest.as_bytes()) },
                signature: Signature {
                    content: STANDARD.encode(signature),
                    verifier: Verifier {
                        key_details: "PKIX_ECDSA_P256_SHA_256".to_owned(),
                        public_key: RawKey { raw_bytes: STANDARD.encode(key.spki_der()) },
                    },
                },
            },
        },
    })
}

/// Checks that bytes are a canonical leaf of this shape.
///
/// # Errors
/// [`CanonicalError`].
pub fn check_leaf(bytes: &[u8], limits: &Limits) -> Result<(), CanonicalError> {
    let leaf: HashedRekord = canonical::from_slice(bytes, limits)?;
    // A list in the place of an object is read too, field by field; it would be a second spelling of one leaf.
    match canonical::to_vec(&leaf)? == bytes {
        true => Ok(()),
        false => Err(CanonicalError::NotCanonical),
    }
}

/// An inclusion proof with the checkpoint that it leads to.
#[derive(Debug, Clone)]
pub struct Inclusion<'a> {
    /// The leaf's index.
    pub index: EntryIndex,
    /// The tree's size.
    pub size: TreeSize,
    /// The tree's root.
    pub root: Digest,
    /// The path, leaf side first.
    pub path: Vec<Digest>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: &'a str,
}

/// A Sigstore bundle v0.3 with the envelope, its leaf and the proof that the ledger holds it.
pub fn bundle(
    envelope: &Envelope,
    leaf: &[u8],
    log_key: &VerifierKey,
    key: &PublicKey,
    inclusion: &Inclusion<'_>,
) -> Value {
    let signature = envelope.signatures.first().map(|signature| STANDARD.encode(&signature.sig)).unwrap_or_default();
    let hint = key.keyid_sigstore();
    json!({
        "mediaType": BUNDLE_MEDIA_TYPE,
        "verificationMaterial": {
            "publicKey": { "hint": hint },
            "tlogEntries": [{
                "logIndex": inclusion.index.to_string(),
                "logId": { "keyId": STANDARD.encode(log_key.log_id()) },
                "kindVersion": { "kind": "hashedrekord", "version": "0.0.2" },
                "inclusionProof": {
                    "logIndex": inclusion.index.to_string(),
                    "rootHash": STANDARD.encode(inclusion.root.as_bytes()),
                    "treeSize": inclusion.size.to_string(),
                    "hashes": inclusion.path.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect::<Vec<_>>(),
                    "checkpoint": { "envelope": inclusion.checkpoint },
                },
                "canonicalizedBody": STANDARD.encode(leaf),
            }],
        },
        "dsseEnvelope": {
            "payload": STANDARD.encode(&envelope.payload),
            "payloadType": envelope.payload_type,
            "signatures": [{ "sig": signature, "keyid": hint }],
        },
    })
}

/// The `trusted_root.json` that Sigstore clients pin: one transparency log, the ledger.
pub fn trusted_root(log_key: &VerifierKey, since: lockgate_model::UnixMillis) -> Value {
    // RFC 8410: SubjectPublicKeyInfo of an Ed25519 key is this prefix and the 32 bytes.
    let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    spki.extend_from_slice(&log_key.public_key());
    json!({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [{
            "baseUrl": format!("https://{}", log_key.name()),
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": STANDARD.encode(&spki),
                "keyDetails": "PKIX_ED25519",
                "validFor": { "start": since.rfc3339_secs() },
            },
            "logId": { "keyId": STANDARD.encode(log_key.log_id()) },
        }],
        "certificateAuthorities": [],
        "ctlogs": [],
        "timestampAuthorities": [],
    })
}
