//! Evidence: what builders and tools sign, by the facts that every decision and every replay makes of it: whose signature
//! it is, which artifact it is about, and what it says.

use std::sync::Arc;

use lockgate_ledger::attestation::PAYLOAD_TYPE;
use lockgate_ledger::entry::{EvidenceForm, EvidenceRecorded};
use lockgate_ledger::facts::fact_of;
use lockgate_ledger::release::EvidenceRecord;
use lockgate_ledger::sigstore::BUNDLE_MEDIA_TYPE;
use lockgate_ledger::{BodyMap, ClaimCache, Governance, ReleaseState};
use lockgate_model::facts::Origin;
use lockgate_model::{Digest, EntryIndex, Limits, PersonId, canonical};
use lockgate_sign::AttestationKey;
use lockgate_sign::dsse::Envelope;
use lockgate_sigstore::{BundleVerifier as _, Expected, ImageSignature, Instance, OfflineVerifier, Subject};
use serde_json::{Value, json};

use super::kinds::{Judgement, Kind};
use super::parts::Form;
use super::statements::{ARTIFACT, Chain};
use crate::failure::Result;

/// The share of one kind of evidence in all mutants.
const SHARE: usize = 4;
/// A key of minisign, and what it signed with minisign 0.11 about the artifact.
const MINISIGN_KEY: &str = "RWR+fJKKzS7AO4wbeZEZrqq+FA4aBJiC8tXU0KDIX8qrZbS0X+kBHVGi";
/// The lines of that signature behind the first, which nobody signs.
const MINISIGN: &str = "\
RUR+fJKKzS7AOz3E3K1At5QvBmB9fmXLXe2KGRLaJll62YNvCIks3/RcHvMmA2Zk/8E8qzHX1vapsi0c2BVN2Yqf5gkkoyMQQgY=\n\
trusted comment: sha256:ec84a949f988636db7e38e587a1e29afa3c9397d4737e045a53d8571862d1a13\n\
ZOnTgF97BZsJ/cV0JFI+tTS+ZaWDC2bfCsiFgjw7scusI7410g6QN1ekYtpK6KjfA20htm9OjU2WzIFWOIWqDQ==\n";
/// A signature that the public instance of Sigstore vouches for, with a certificate.
const IMAGE: &[u8] = include_bytes!("../../../crates/sigstore/testdata/image-signature.json");

/// Every kind of signed evidence.
///
/// # Errors
/// When a sample cannot be signed, or the policy set does not load.
pub fn kinds() -> Result<Vec<Kind>> {
    let key = AttestationKey::generate()?;
    let trust = format!(
        "[[signer]]\nname = \"builder\"\nkey = \"\"\"\n{}\"\"\"\nsigns = [\"signature\", \"provenance\"]\n\n\
         [[signer]]\nname = \"boxes\"\nminisign = \"{MINISIGN_KEY}\"\nsigns = [\"signature\"]\n",
        key.public().to_pem()
    );
    let mut chain = Chain::begin(&trust)?;
    let release = chain.publish()?;
    let handed_in = HandedIn {
        release: Arc::clone(chain.state().release(&release)?),
        governance: Arc::clone(chain.state().governance()?),
    };
    let (mut envelopes, mut bundles) = (Vec::new(), Vec::new());
    for name in ["accessibility", "drift"] {
        let envelope = checked(name, &key)?;
        let hint = key.public().keyid_sigstore();
        let bundle = json!({
            "mediaType": BUNDLE_MEDIA_TYPE,
            "verificationMaterial": { "publicKey": { "hint": hint } },
            "dsseEnvelope": serde_json::from_slice::<Value>(&envelope)?,
        });
        bundles.push(canonical::to_vec(&bundle)?);
        envelopes.push(envelope);
    }
    let minisign = |comment: &str| format!("untrusted comment: {comment}\n{MINISIGN}").into_bytes();
    let minisign = vec![minisign("signature from minisign secret key"), minisign("another word")];
    let envelope = handed_in.kind("evidence", Form::Json, envelopes, EvidenceForm::Envelope);
    let bundle = handed_in.kind("evidence-sigstore", Form::Json, bundles, EvidenceForm::Sigstore);
    let minisign = handed_in.kind("evidence-minisign", Form::Lines, minisign, EvidenceForm::Minisign);
    let image = images()?;
    Ok(vec![
        envelope.inside("evidence-inside", (Form::JsonInside, SHARE)),
        envelope,
        bundle.inside("evidence-sigstore-inside", (Form::JsonInside, SHARE)),
        bundle,
        minisign.inside("evidence-minisign-inside", (Form::LinesInside, SHARE)),
        minisign,
        image.inside("image-signature-inside", (Form::JsonInside, SHARE)),
        image,
    ])
}

/// A named check of the artifact, as a builder signs one.
fn checked(name: &str, key: &AttestationKey) -> Result<Vec<u8>> {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "app", "digest": { "sha256": Digest::of(ARTIFACT).hex() } }],
        "predicateType": "https://lockgate.dev/check/v1",
        "predicate": { "name": name, "outcome": "pass", "tool": "mutants", "checked_at": "2027-01-15T08:00:00Z" },
    });
    let payload = canonical::to_vec(&statement)?;
    Ok(Envelope::sign(PAYLOAD_TYPE, &payload, key, &[key.public().keyid_ssh()])?.to_json())
}

/// A release that evidence is handed in for.
#[derive(Clone)]
struct HandedIn {
    release: Arc<ReleaseState>,
    governance: Arc<Governance>,
}

impl HandedIn {
    fn kind(&self, name: &'static str, form: Form, samples: Vec<Vec<u8>>, recorded: EvidenceForm) -> Kind {
        let own = self.clone();
        Kind::new(name, (form, SHARE), samples, move |input| Judgement::of(own.judge(input, &recorded)))
    }

    /// What the facts say of some evidence; it is refused where nobody trusted signed it, or it is about nothing here.
    fn judge(&self, input: &[u8], form: &EvidenceForm) -> std::result::Result<Judgement, String> {
        let mut bodies = BodyMap::default();
        let by: PersonId = "dana".parse().map_err(|_| "NO_PERSON")?;
        let event = EvidenceRecorded {
            release: self.release.name.clone(),
            evidence: bodies.insert(input.to_vec()),
            size_bytes: input.len() as u64,
            media_type: "application/octet-stream".to_owned(),
            form: form.clone(),
        };
        let (index, time) = (EntryIndex(self.release.published_index.0 + 1), self.release.published_at);
        let record = EvidenceRecord { index, time, by, event };
        let fact = fact_of(&record, &self.release, &self.governance, &bodies, &ClaimCache::default())
            .map_err(|error| error.code.to_owned())?;
        let Origin::Signed { signers } = &fact.origin else { return Err("ON_BEHALF".to_owned()) };
        if signers.is_empty() || fact.artifacts.is_empty() {
            let code = fact.signature.as_ref().map_or("UNSIGNED", |signature| signature.code.as_str());
            return Err(code.to_owned());
        }
        Ok(Judgement::accepted(input, &(signers, &fact.artifacts, &fact.claim, &fact.signature)))
    }
}

/// Signatures of images by a certificate: the payload, and whose it is by the certificate and the log's promise.
fn images() -> Result<Kind> {
    let verifier = OfflineVerifier::new(&Instance::PublicGood.root()?)?;
    let samples = vec![IMAGE.to_vec(), [IMAGE, b"\n".as_slice()].concat()];
    Ok(Kind::new("image-signature", (Form::Json, SHARE), samples, move |input| {
        let judge = || -> std::result::Result<Judgement, String> {
            let image =
                ImageSignature::parse(input, &Limits::DEFAULT).map_err(|refusal| refusal.reason.code().to_owned())?;
            let outcome = verifier.verify(&image.bundle, Subject::Bytes(&image.payload), Expected::AnyIdentity);
            match outcome.class().proves_signer() {
                true => Ok(Judgement::accepted(input, &(image.image, &image.payload, outcome.to_fact(None)))),
                false => Err(outcome.code().to_owned()),
            }
        };
        Judgement::of(judge())
    }))
}
