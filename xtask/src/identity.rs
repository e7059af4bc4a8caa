//! Identities of a demo instance: signing in with the key files in `people/`.

use std::path::Path;
use std::time::Duration;

use lockgate_api::wire::{
    ApprovalRequest, Challenge, ChallengeRequest, ServerInfo, SessionReply, SessionRequest, SignableDocument,
};
use lockgate_api::{Client, ClientError};
use lockgate_model::{PersonId, canonical};
use lockgate_sign::ssh_signer::{FileSigner, SshSigner as _};
use serde_json::json;

use crate::deadline::wait_until;
use crate::failure::{During as _, Result};

/// The SSHSIG namespace of sign-in.
const NAMESPACE: &str = "sign-in.v1@lockgate.dev";
/// The identities that work here: the pipeline, and the developer.
pub const NAMES: [&str; 2] = ["ci", "dana"];
/// The person of the demo who approves, and so has something to look at on every page.
pub const APPROVER: &str = "sam";
/// How long a demo instance may take until its people can sign in.
const PEOPLE_LIMIT: Duration = Duration::from_secs(60);
/// How often that is tried; sign-ins are rate-limited on purpose.
const PEOPLE_STEP: Duration = Duration::from_millis(500);

/// Someone who can sign in.
#[derive(Debug)]
pub struct Identity {
    person: PersonId,
    signer: FileSigner,
}

impl Identity {
    /// Loads the key of one of the demo's people.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn load(home: &Path, name: &str) -> Result<Self> {
        let signer = FileSigner::load(&home.join("people").join(name))?;
        Ok(Self { person: name.parse()?, signer })
    }

    /// Signs bytes for an SSHSIG namespace; armored.
    ///
    /// # Errors
    /// When the key does not sign.
    fn sign(&self, namespace: &str, bytes: &[u8]) -> Result<String> {
        Ok(self.signer.sign(namespace, bytes)?.to_armored())
    }

    /// Signs what the server offers to be signed about a promotion.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn approve(&self, offer: SignableDocument) -> Result<ApprovalRequest> {
        let signature = self.sign(&offer.namespace, offer.document.as_bytes())?;
        Ok(ApprovalRequest { document: offer.document, signature })
    }

    /// Signs in and returns the token.
    ///
    /// # Errors
    /// What the server says, or that it cannot be reached.
    pub fn sign_in(&self, client: &Client) -> std::result::Result<String, ClientError> {
        let request = ChallengeRequest { person: self.person.clone() };
        let challenge: Challenge = client.post("/v1/challenges", &request, None)?;
        let document = json!({
            "schema": "https://lockgate.dev/sign-in/v1",
            "ledger": challenge.ledger,
            "person": self.person,
            "challenge": challenge.challenge,
        });
        let document = canonical::to_vec(&document).map_err(|error| ClientError::Protocol(error.to_string()))?;
        let signature = self.sign(NAMESPACE, &document).map_err(|error| ClientError::Protocol(error.to_string()))?;
        let request = SessionRequest { person: self.person.clone(), challenge: challenge.challenge, signature };
        let session: SessionReply = client.post("/v1/sessions", &request, None)?;
        Ok(session.token)
    }
}

/// Loads a key, signs in with it, and returns a client that uses the token.
///
/// # Errors
/// When there is no such key, or the server refuses.
pub fn client_as(url: &str, home: &Path, name: &str) -> Result<Client> {
    let mut client = Client::new(url, None);
    let token = Identity::load(home, name)?.sign_in(&client).during(format!("sign in as {name}"))?;
    client.sign_in_with(token);
    Ok(client)
}

/// Waits until everyone who works here can sign in.
///
/// # Errors
/// When that takes too long.
pub fn wait_for_people(url: &str, home: &Path) -> Result<()> {
    wait_until("the demo's people", PEOPLE_LIMIT, PEOPLE_STEP, || {
        let begun = Client::new(url, None).get::<ServerInfo>("/v1/server").is_ok_and(|info| !info.setup_needed);
        let written = ["context.toml", "trust.json"].iter().all(|file| home.join(file).is_file());
        let ready = begun && written && NAMES.iter().all(|name| client_as(url, home, name).is_ok());
        Ok(ready.then_some(()))
    })
}
