//! Passkey signatures: a WebAuthn assertion carried in an SSH signature (OpenSSH `PROTOCOL.u2f`, "webauthn").
//!
//! The challenge of the assertion is the data that SSHSIG signs, so that the browser's answer is a signature over the
//! message, and stock `ssh-keygen -Y verify` can check it. What that tool leaves to its caller is checked here: that the
//! origin belongs to the key's RP id, and that no other site was involved.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lockgate_model::json::{self, Numbers};
use lockgate_model::{Digest, Limits};
use serde_json::Value;

use crate::ssh::presence::{ATTESTED, BACKED_UP, BACKUP_ELIGIBLE, EXTENSIONS, Presence, USER_PRESENT};
use crate::ssh::relying_party::{WebOrigin, shown};
use crate::ssh::wire::Reader;

/// The type of a passkey's signature; its key is of the type `sk-ecdsa-sha2-nistp256@openssh.com`.
pub(crate) const SIGNATURE_TYPE: &str = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com";
/// The type of client data that an assertion has (WebAuthn Level 3, section 5.8.1).
const ASSERTION: &str = "webauthn.get";

/// Why a passkey's signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebauthnError {
    /// The authenticator's flags are not those of an assertion that somebody confirmed.
    #[error("the passkey's flags are wrong: {0}; sign again")]
    Flags(&'static str),
    /// Not an assertion.
    #[error("the passkey answered `{0}` and not `webauthn.get`: that is no signature, sign again")]
    Type(String),
    /// A passkey's key signed something that is not an assertion.
    #[error("the key is a passkey and makes no `{0}` signatures: sign with the passkey in a browser")]
    NotPasskey(String),
    /// The challenge is not what the message asks for.
    #[error("the passkey signed another challenge: the message was changed, or the signature is for another one")]
    Challenge,
    /// The origin is not one of the key's RP id.
    #[error("the passkey of `{rp_id}` was used at `{origin}`: its origin is `https://{rp_id}` with any port")]
    Origin {
        /// Where the signature was asked for, as the signature says.
        origin: String,
        /// What the key was made for.
        rp_id: String,
    },
    /// Another site embedded the page that asked.
    #[error("the passkey was used on a page inside another site's page: open Lockgate itself and sign again")]
    CrossOrigin,
    /// The client data are not JSON as browsers write them.
    #[error("the passkey's client data cannot be accepted: {0}")]
    ClientData(String),
}

impl WebauthnError {
    /// The stable reason code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Flags(_) => "WEBAUTHN_FLAGS",
            Self::Type(_) | Self::NotPasskey(_) => "WEBAUTHN_TYPE",
            Self::Challenge => "WEBAUTHN_CHALLENGE",
            Self::Origin { .. } => "WEBAUTHN_ORIGIN",
            Self::CrossOrigin => "WEBAUTHN_CROSS_ORIGIN",
            Self::ClientData(_) => "WEBAUTHN_CLIENT_DATA",
        }
    }
}

/// What stands in the signature blob after type and ECDSA signature.
pub(super) struct Assertion<'a> {
    flags: u8,
    counter: u32,
    origin: &'a str,
    client_data: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> Assertion<'a> {
    /// Reads flags, counter, origin, client data and extensions, with nothing after them.
    pub(super) fn parse(reader: &mut Reader<'a>) -> Option<Self> {
        let assertion = Self {
            flags: reader.byte()?,
            counter: reader.uint32()?,
            origin: reader.text()?,
            client_data: reader.string()?,
            extensions: reader.string()?,
        };
        reader.end()?;
        Some(assertion)
    }

    /// What the assertion says; nothing of it is checked.
    pub(super) fn claimed(&self) -> Presence {
        Presence::new(self.flags, self.counter, self.origin.parse().ok())
    }

    /// Checks everything but the ECDSA signature, and gives the bytes that it has to cover.
    ///
    /// The steps are those of WebAuthn Level 3, section 7.2, as far as they apply to one key with a known RP id.
    /// Deviations: the origin's host must be the RP id itself, where the standard allows subdomains; and client data
    /// must begin with type, challenge and origin in their plain spelling, as `ssh-keygen` demands.
    pub(super) fn check(&self, application: &[u8], signed: &[u8]) -> Result<(Vec<u8>, Presence), WebauthnError> {
        // 1. The flags are those of an assertion.
        self.check_flags()?;
        // 2. The origin is one of the RP id that the key was made for.
        let origin = self.check_origin(application)?;
        // 3. The browser says that it asked for this, there, and for nobody else.
        self.check_client_data(application, signed)?;
        // 4. What the authenticator signs: its data with the hash of the RP id, and the hash of the client data.
        let mut message = Vec::with_capacity(69 + self.extensions.len());
        message.extend_from_slice(Digest::of(application).as_bytes());
        message.push(self.flags);
        message.extend_from_slice(&self.counter.to_be_bytes());
        message.extend_from_slice(self.extensions);
        message.extend_from_slice(Digest::of(self.client_data).as_bytes());
        Ok((message, Presence::new(self.flags, self.counter, Some(origin))))
    }

    fn check_flags(&self) -> Result<(), WebauthnError> {
        let is_set = |bit: u8| self.flags & bit != 0;
        if !is_set(USER_PRESENT) {
            return Err(WebauthnError::Flags("nobody confirmed the signature"));
        }
        if is_set(ATTESTED) {
            return Err(WebauthnError::Flags("they announce data about a new credential"));
        }
        if is_set(EXTENSIONS) == self.extensions.is_empty() {
            return Err(WebauthnError::Flags("they do not fit the extension data"));
        }
        if is_set(BACKED_UP) && !is_set(BACKUP_ELIGIBLE) {
            return Err(WebauthnError::Flags("they say that a key was copied which cannot be copied"));
        }
        Ok(())
    }

    fn check_origin(&self, application: &[u8]) -> Result<WebOrigin, WebauthnError> {
        let fits = |origin: &WebOrigin| origin.host().as_str().as_bytes() == application;
        self.origin.parse::<WebOrigin>().ok().filter(fits).ok_or_else(|| wrong_origin(self.origin, application))
    }

    fn check_client_data(&self, application: &[u8], signed: &[u8]) -> Result<(), WebauthnError> {
        let members = match json::read(self.client_data, &Limits::DEFAULT, Numbers::Integers) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(WebauthnError::ClientData("they are not a JSON object".to_owned())),
            Err(error) => return Err(WebauthnError::ClientData(shown(&error.message))),
        };
        let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("type") != ASSERTION {
            return Err(WebauthnError::Type(shown(text("type"))));
        }
        let challenge = URL_SAFE_NO_PAD.encode(signed);
        if text("challenge") != challenge {
            return Err(WebauthnError::Challenge);
        }
        if text("origin") != self.origin {
            return Err(wrong_origin(text("origin"), application));
        }
        let alone = matches!(members.get("crossOrigin"), None | Some(Value::Bool(false)));
        if !alone || members.contains_key("topOrigin") {
            return Err(WebauthnError::CrossOrigin);
        }
        let beginning = format!(r#"{{"type":"{ASSERTION}","challenge":"{challenge}","origin":"{}""#, self.origin);
        match self.client_data.starts_with(beginning.as_bytes()) {
            true => Ok(()),
            false => Err(WebauthnError::ClientData(
                "they do not begin with type, challenge and origin in their plain spelling".to_owned(),
            )),
        }
    }
}

fn wrong_origin(origin: &str, application: &[u8]) -> WebauthnError {
    WebauthnError::Origin { origin: shown(origin), rp_id: shown(&String::from_utf8_lossy(application)) }
}
