//! Passkeys: vouching for one that was made in a browser. Its own signature is verified here, and the server's word for
//! it is not taken.

use std::path::Path;

use lockgate_api::client::query_value;
use lockgate_api::wire::{Enrolment, PasskeyWaiting, ServerInfo};
use lockgate_api::{Client, Exit};
use lockgate_ledger::code_words::code_words;
use lockgate_ledger::governance::{ENROLMENT_NAMESPACE, EnrolmentDocument, document_bytes};
use lockgate_model::facts::SubjectKind;
use lockgate_model::text::argument;
use lockgate_model::{Digest, GroupName, PersonId};
use lockgate_sign::ssh::{SshPublicKey, SshSignature};

use crate::commands::key::{countersign, person_row, vouch, write_json};
use crate::failure::{Failure, Outcome};
use crate::world::World;

/// `lockgate key enrol NAME --passkey CODE`: lets someone new in with a passkey; with `file`, only writes the request.
///
/// # Errors
/// `PASSKEY_UNKNOWN`, `PASSKEY_MISMATCH`, or what the signature, the caller's key or the server refuses.
pub fn enrol(
    world: &World,
    name: &PersonId,
    groups: &[GroupName],
    code: &str,
    file: Option<&Path>,
    yes: bool,
) -> Outcome {
    let client = world.signed_in()?;
    let waiting = waiting(&client, code)?;
    let same_groups = sorted(groups) == sorted(&waiting.groups);
    if waiting.further || waiting.person != *name || !same_groups {
        return Err(mismatch(code, &waiting));
    }
    let passkey = verify(world, &client, &waiting)?;
    let request = Enrolment {
        person: waiting.person,
        subject: SubjectKind::Person,
        groups: waiting.groups,
        key: waiting.key,
        proof: waiting.proof,
        code: None,
        by: None,
        signature: None,
        expires_at: None,
        environments: Vec::new(),
    };
    world.terminal.say(format!("The passkey signed its own enrolment.\n  site       {}", passkey.site));
    match file {
        None => countersign(world, request, yes),
        Some(file) => {
            write_json(file, &request)?;
            let code = code_words(&Digest::of(&passkey.document));
            let (file, named) = (file.display(), argument(&file.to_string_lossy()));
            world.terminal.say(format!(
                "{file} is written\n  code  {code}\n  next  an owner compares the code with {name} and runs `lockgate invite {named}`"
            ));
            Ok(Exit::Done)
        }
    }
}

/// `lockgate key add NAME --passkey CODE`: adds a passkey to oneself.
///
/// # Errors
/// As [`enrol`].
pub fn add(world: &World, name: &PersonId, code: &str, yes: bool) -> Outcome {
    let by = world.person()?;
    let client = world.signed_in_as(&by)?;
    let waiting = waiting(&client, code)?;
    if !waiting.further || waiting.person != *name {
        return Err(mismatch(code, &waiting));
    }
    let row = person_row(&client, name)?;
    if row.subject != SubjectKind::Person || row.groups != waiting.groups {
        return Err(mismatch(code, &waiting));
    }
    let passkey = verify(world, &client, &waiting)?;
    world.terminal.say(format!(
        "You are about to add a passkey:\n  name       {name}\n  key        {}\n  site       {}\n  code       {}",
        passkey.key.fingerprint(),
        passkey.site,
        code_words(&Digest::of(&passkey.document))
    ));
    if !yes && !world.terminal.confirm("Is this the code on your screen, and is the passkey yours?")? {
        return Err(Failure::new(Exit::Failed, "NOT_CONFIRMED", "nothing was signed"));
    }
    vouch(world, &client, by, name, &passkey.key, waiting.proof, &passkey.document)
}

fn waiting(client: &Client, code: &str) -> Result<PasskeyWaiting, Failure> {
    Ok(client.get(&format!("/v1/passkeys/{}", query_value(code)))?)
}

fn sorted(groups: &[GroupName]) -> Vec<&GroupName> {
    let mut sorted: Vec<&GroupName> = groups.iter().collect();
    sorted.sort_unstable();
    sorted
}

fn mismatch(code: &str, waiting: &PasskeyWaiting) -> Failure {
    let groups: Vec<&str> = waiting.groups.iter().map(GroupName::as_str).collect();
    let groups = groups.join(", ");
    let asked = match waiting.further {
        true => format!("a further key of {} in {groups}", waiting.person),
        false => format!("the first key of {}, to be in {groups}", waiting.person),
    };
    Failure::new(Exit::Denied, "PASSKEY_MISMATCH", format!("the passkey under `{code}` is {asked}; nothing was signed"))
        .hint("ask whoever made it for the command that the page showed")
}

/// A passkey whose own signature was verified.
struct Passkey {
    key: SshPublicKey,
    /// The host name that it belongs to.
    site: String,
    /// What it signed.
    document: Vec<u8>,
}

/// Rebuilds what the passkey has to have signed, and verifies that it did.
fn verify(world: &World, client: &Client, waiting: &PasskeyWaiting) -> Result<Passkey, Failure> {
    let info: ServerInfo = client.get("/v1/server")?;
    world.check_ledger(&info.origin)?;
    let key: SshPublicKey = waiting.key.parse().map_err(|error| Failure::usage("KEY_INVALID", format!("{error}")))?;
    let site = key.rp_id().ok_or_else(|| Failure::usage("KEY_INVALID", "the key is not a passkey"))?.to_string();
    let document = EnrolmentDocument::new(&info.origin, &waiting.person, SubjectKind::Person, &waiting.groups, &key);
    let document = document_bytes(&document)?;
    let signature = SshSignature::parse_armored(&waiting.proof)
        .map_err(|error| Failure::new(Exit::Denied, "SIGNATURE_MALFORMED", error.to_string()))?;
    signature.verify(&document, ENROLMENT_NAMESPACE, &key).map_err(|error| {
        Failure::new(Exit::Denied, error.code(), format!("the passkey's own signature does not verify: {error}"))
    })?;
    Ok(Passkey { key, site, document })
}
