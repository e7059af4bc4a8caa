//! Step-up: what a session alone is not enough for (attack A-45 of `tests/attacks`).
//!
//! Whoever holds a stolen session can read and request. An act that changes who may do what needs the person: either
//! they signed in a short while ago, or the request carries a signature by their own key. The signature is verified by
//! the act itself, over its own document; here it only counts as a sign that the person is there. An act that carries
//! none needs the fresh sign-in.

use lockgate_ledger::Governance;
use lockgate_model::{EntryIndex, UnixMillis};
use lockgate_sign::ssh::SshSignature;

use crate::fault::{Fault, Kind};
use crate::session::Caller;

/// The rule, and the only place that it is written.
///
/// `signatures` are those that the act verifies, as they came (SSHSIG, armored).
///
/// # Errors
/// `STEP_UP_REQUIRED`.
pub fn check(
    governance: &Governance,
    caller: &Caller,
    signatures: &[&str],
    next: EntryIndex,
    now: UnixMillis,
) -> Result<(), Fault> {
    let age = governance.policy.settings().sign_in.step_up_age;
    let fresh = now < caller.proof.auth_time.plus(age);
    if fresh || signatures.iter().any(|armored| is_own(governance, caller, armored, next, now)) {
        return Ok(());
    }
    Err(Fault::new(
        Kind::Unauthenticated,
        "STEP_UP_REQUIRED",
        format!("this takes a sign-in of the last {age}, or a signature by your own key in the same request"),
    )
    .hint(format!("sign in again: `lockgate login {}`", caller.person)))
}

/// Whether a signature names a key of the caller's that counts now.
fn is_own(governance: &Governance, caller: &Caller, armored: &str, next: EntryIndex, now: UnixMillis) -> bool {
    SshSignature::parse_armored(armored).is_ok_and(|signature| {
        governance.check_counts(&caller.person, &signature.public_key().fingerprint(), next, now).is_ok()
    })
}
