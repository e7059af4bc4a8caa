//! Approvals made by hand, so that a test can hand in what the command line would never sign.

use std::path::Path;

use lockgate_ledger::approval::{Anchor, Consent, NAMESPACE, document_for};
use lockgate_ledger::{ApprovalDocument, ApprovalPredicate, bundle};
use lockgate_model::facts::Verdict;
use lockgate_model::{PromotionId, Span};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use serde_json::{Value, json};

use crate::instance::Instance;

/// The body of a request that approves: the document that this person would sign now, changed, and signed.
pub fn approval(
    instance: &Instance,
    promotion: &str,
    person: &str,
    key: &Path,
    change: impl FnOnce(&mut ApprovalPredicate),
) -> Value {
    let mut document = document(instance, promotion, person);
    change(&mut document.predicate);
    signed(&document, key, NAMESPACE)
}

/// The document that this person would sign now, built from what the bundle proves.
fn document(instance: &Instance, promotion: &str, person: &str) -> ApprovalDocument {
    let path = format!("/v1/promotions/{promotion}/bundle");
    let reply = instance.get(&path, Some(&instance.token("dana")));
    let verified = bundle::open(&reply.body, &instance.trust(), &mut Vec::new()).unwrap();
    let promotion: PromotionId = promotion.parse().unwrap();
    // Counted from the request, so that no clock is needed here.
    let requested_at = verified.release.promotion(promotion).unwrap().requested_at;
    let consent = Consent {
        approver: person.parse().unwrap(),
        verdict: Verdict::Approve,
        comment: None,
        expires_at: requested_at.plus(Span::from_secs(3600)),
        anchor: Anchor { size: verified.checkpoint_size, root: verified.checkpoint_root },
    };
    document_for(&verified.state, promotion, consent).unwrap()
}

/// Signs a document for a purpose.
pub fn signed(document: &ApprovalDocument, key: &Path, namespace: &str) -> Value {
    let bytes = document.to_bytes().unwrap();
    let signature = FileSigner::load(key).unwrap().sign(namespace, &bytes).unwrap().to_armored();
    json!({ "document": String::from_utf8(bytes).unwrap(), "signature": signature })
}

/// The same approval, signed for another purpose than approving.
pub fn for_another_purpose(instance: &Instance, promotion: &str, person: &str, key: &Path) -> Value {
    signed(&document(instance, promotion, person), key, "sign-in.v1@lockgate.dev")
}
