//! OpenPGP: how `gpgv` says that a verification ended.
//!
//! Nothing here verifies: the lines that `gpgv` writes to its status descriptor (`DETAILS` of GnuPG) decide, and its exit
//! code can only take away. Exactly one signature has to be there, and it has to be both good and valid.

use lockgate_model::Digest;

use crate::outcome::{Level, Log, Outcome, Reason, Signed};

/// How a status line begins.
const START: &str = "[GNUPG:] ";

/// What the status lines say; `success` is whether the program ended well.
pub fn outcome(status: &str, success: bool) -> Outcome {
    let lines: Vec<Vec<&str>> = status
        .lines()
        .filter_map(|line| line.strip_prefix(START))
        .map(|line| line.split_ascii_whitespace().collect())
        .collect();
    let count = |word: &str| lines.iter().filter(|line| line.first() == Some(&word)).count();
    let has = |word: &str| count(word) > 0;
    let refuse = |reason: Reason, detail: &str| Outcome::refused(reason, detail);
    if has("BADSIG") {
        return refuse(Reason::SignatureInvalid, "the OpenPGP signature does not belong to this file");
    }
    if has("REVKEYSIG") {
        return refuse(Reason::KeyRevoked, "the OpenPGP key was revoked by its owner");
    }
    if has("EXPKEYSIG") || has("EXPSIG") {
        return refuse(Reason::CertificateExpired, "the OpenPGP key or signature has expired");
    }
    if has("NO_PUBKEY") || has("ERRSIG") {
        return refuse(Reason::KeyUnknown, "the OpenPGP signature is by a key that the keyring does not hold");
    }
    if has("NODATA") || !(has("NEWSIG") || has("VALIDSIG")) {
        return refuse(Reason::Malformed, "not an OpenPGP signature");
    }
    // A line that names no key proves nobody's signature.
    let valid = lines.iter().find(|line| line.first() == Some(&"VALIDSIG")).and_then(|line| line.get(1));
    match valid {
        Some(fingerprint) if success && count("VALIDSIG") == 1 && count("GOODSIG") == 1 => Outcome::proved(Signed {
            identity: None,
            key: Digest::of(fingerprint.as_bytes()),
            level: Level::ManagedKey,
            // What the signer's own clock said proves nothing.
            time: None,
            log: Log::Absent,
        }),
        _ => refuse(Reason::SignatureInvalid, "not exactly one good and valid OpenPGP signature"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_good_and_valid_signature_counts() {
        let valid = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 0123 Dana\n[GNUPG:] VALIDSIG ABCD 2026-01-01 1767225600 0 4 0 22 10 00 ABCD\n";
        let check =
            |status: &str, success: bool, code: &str| assert_eq!(outcome(status, success).code(), code, "{status}");
        check(valid, true, "LOG_MISSING");
        check(valid, false, "SIGNATURE_INVALID");
        check(&valid.repeat(2), true, "SIGNATURE_INVALID");
        check("", true, "SIGNATURE_MALFORMED");
        check("VALIDSIG ABCD\nGOODSIG x\n", true, "SIGNATURE_MALFORMED");
        check("[GNUPG:] NODATA 1\n", false, "SIGNATURE_MALFORMED");
        check("[GNUPG:] NEWSIG\n[GNUPG:] BADSIG 0123 Dana\n", false, "SIGNATURE_INVALID");
        check(&format!("{valid}[GNUPG:] NEWSIG\n[GNUPG:] BADSIG 0123 Dana\n"), true, "SIGNATURE_INVALID");
        check("[GNUPG:] NEWSIG\n[GNUPG:] REVKEYSIG 0123 Dana\n", true, "SIGNING_KEY_REVOKED");
        check("[GNUPG:] NEWSIG\n[GNUPG:] EXPKEYSIG 0123 Dana\n", true, "CERTIFICATE_EXPIRED");
        check(
            "[GNUPG:] NEWSIG\n[GNUPG:] ERRSIG 0123 22 10 00 1 9 -\n[GNUPG:] NO_PUBKEY 0123\n",
            false,
            "SIGNING_KEY_UNKNOWN",
        );
        check("[GNUPG:] GOODSIG 0123 Dana\n[GNUPG:] VALIDSIG\n", true, "SIGNATURE_INVALID");
    }
}
