//! Signed evidence: which form its bytes announce, and who verifies that form from its bytes alone.

use lockgate_model::facts::SignatureFact;
use lockgate_model::{Limits, SignerName};
use lockgate_policy::PolicySet;
use lockgate_sigstore::{Bundle, ImageSignature};

use crate::detached::{is_minisign, read_minisign};
use crate::entry::EvidenceForm;
use crate::foreign::{ForeignRead, read_bundle, read_image};

/// The form that signed evidence announces; bytes that announce none are for the reader of envelopes to refuse. No bytes
/// announce two.
pub fn form_of(bytes: &[u8]) -> EvidenceForm {
    if ImageSignature::announced(bytes, &Limits::DEFAULT) {
        EvidenceForm::ImageSignature
    } else if Bundle::announced(bytes, &Limits::DEFAULT) {
        EvidenceForm::Sigstore
    } else if is_minisign(bytes) {
        EvidenceForm::Minisign
    } else {
        EvidenceForm::Envelope
    }
}

/// Reads a signature that another tool made, and verifies it under the keys and roots of a policy set.
pub(crate) type ForeignReader = fn(&[u8], &PolicySet) -> ForeignRead;

/// Who reads a form that other tools made: neither an envelope nor a report.
pub(crate) fn reader_of(form: &EvidenceForm) -> Option<ForeignReader> {
    match form {
        EvidenceForm::Sigstore => Some(read_bundle),
        EvidenceForm::ImageSignature => Some(read_image),
        EvidenceForm::Minisign => Some(read_minisign),
        EvidenceForm::Envelope | EvidenceForm::Report { .. } => None,
    }
}

/// Who such a signature proves to have signed it: signers of the policy set by name, and what was found about it; `None`
/// for an envelope and a report.
///
/// The names are empty unless the signature and its signer are proved; does not ask when it was recorded.
pub fn proven(form: &EvidenceForm, bytes: &[u8], policy: &PolicySet) -> Option<(Vec<SignerName>, SignatureFact)> {
    let read = reader_of(form)?(bytes, policy);
    let signers = if read.signature.class.proves_signer() { read.signers } else { Vec::new() };
    Some((signers, read.signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_announce_their_form() {
        let check = |text: &str, expected: EvidenceForm| assert_eq!(form_of(text.as_bytes()), expected, "{text}");
        check(r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v9+json"}"#, EvidenceForm::Sigstore);
        check(r#"{"Base64Signature":"AQID","Payload":"e30="}"#, EvidenceForm::ImageSignature);
        check(r#"{"Base64Signature":"AQID","Payload":"e30=","payloadType":"x"}"#, EvidenceForm::Envelope);
        check(r#"{"Base64Signature":"AQID","Payload":"e30=","mediaType":"x"}"#, EvidenceForm::Envelope);
        check("untrusted comment: x\nAQID\ntrusted comment: y\nAQID\n", EvidenceForm::Minisign);
        check(r#"{"payload":"e30=","payloadType":"x","signatures":[]}"#, EvidenceForm::Envelope);
        check("anything", EvidenceForm::Envelope);
    }
}
