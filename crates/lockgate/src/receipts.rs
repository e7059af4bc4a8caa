//! Receipts: the proof that comes back with a write is shown, checked, and remembered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_api::Exit;
use lockgate_api::wire::{Acknowledged, Logged};
use lockgate_model::EntryIndex;
use lockgate_tlog::Checkpoint;
use lockgate_tlog::proof::{ProofError, hash_from_slice, verify_inclusion};
use serde::Serialize;

use crate::commands::seen::remember;
use crate::failure::Failure;
use crate::terminal::counted;
use crate::world::World;

/// The proof in one line.
pub fn logged_line(logged: Option<&Logged>) -> String {
    match logged {
        Some(logged) => {
            let size = logged.checkpoint.lines().nth(1).unwrap_or("?");
            format!(
                "  logged     entry {} of {size}, with {} and a signed checkpoint\n",
                logged.index,
                counted(logged.proof.len() as u64, "proof hash", "proof hashes")
            )
        }
        None => "  logged     nothing new\n".to_owned(),
    }
}

impl World {
    /// Prints the reply to a write, and keeps its receipt.
    ///
    /// # Errors
    /// When standard output is closed, and as [`Self::keep_receipt`].
    pub fn acknowledged<T: Serialize>(
        &self,
        reply: &Acknowledged<T>,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        // What was done stays done, whatever becomes of its receipt, and is told first.
        let kept = self.keep_receipt(reply.logged.as_ref());
        let shown = self.terminal.show(reply, text);
        kept.and(shown)
    }

    /// Checks the receipt of a write, and keeps its checkpoint as the newest state of the ledger that this machine has
    /// seen: a server that answers with less afterwards has lost what it acknowledged. Where nothing is pinned, nothing
    /// is checked or kept.
    ///
    /// A network that fails here is told and is no failure.
    ///
    /// # Errors
    /// When the checkpoint is not signed by the pinned log key, does not contain the entry, or contradicts what was
    /// seen before.
    pub fn keep_receipt(&self, logged: Option<&Logged>) -> Result<(), Failure> {
        let Some(logged) = logged.filter(|_| self.home.trust().exists()) else { return Ok(()) };
        self.check_and_remember(logged).map_err(|failure| {
            let message =
                format!("it is recorded in entry {}, and its receipt is not right: {}", logged.index, failure.message);
            Failure { message, ..failure }
        })
    }

    fn check_and_remember(&self, logged: &Logged) -> Result<(), Failure> {
        let trust = self.trust(None)?;
        let (signed, _) = trust
            .open_unwitnessed(logged.checkpoint.as_bytes())
            .map_err(|error| Failure::new(Exit::Integrity, error.code, error.message))?;
        check_inclusion(logged, &signed.checkpoint)?;
        // Witnesses sign later: what they have not seen yet says nothing against the receipt.
        if let Err(error) = trust.check_witnesses(&signed) {
            self.terminal.say(format!("note: the checkpoint of the reply is not kept: {error}"));
            return Ok(());
        }
        // Nobody has to be signed in for it: the write may have ended the session that it was made in.
        let client = self.client()?;
        match remember(self, &client, &trust, &signed.checkpoint, &logged.checkpoint) {
            Err(failure) if failure.exit != Exit::Integrity => {
                self.terminal.say(format!("note: the checkpoint of the reply is not kept: {}", failure.message));
                Ok(())
            }
            kept => kept,
        }
    }
}

/// Checks that the tree of a checkpoint has the acknowledged entry at its index (RFC 9162, 2.1.3.2).
fn check_inclusion(logged: &Logged, head: &Checkpoint) -> Result<(), Failure> {
    let refused = |error: ProofError| {
        let message = format!("the receipt does not prove that the ledger has entry {}: {error}", logged.index);
        Failure::new(Exit::Integrity, "INCLUSION_PROOF", message).hint(
            "keep the output: the server acknowledged what it does not prove; run `lockgate audit` where its data is",
        )
    };
    let hash = |text: &String| hash_from_slice(&STANDARD.decode(text).unwrap_or_default());
    let path = logged.proof.iter().map(hash).collect::<Result<Vec<_>, _>>().map_err(refused)?;
    verify_inclusion(EntryIndex(logged.index), head.size, &logged.leaf, &path, &head.root).map_err(refused)
}
