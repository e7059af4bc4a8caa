//! Presence: what a security key or passkey says about whoever stood in front of it when it signed.

use crate::ssh::relying_party::WebOrigin;

/// Bit 0: someone was there (WebAuthn Level 3, section 6.1).
pub(crate) const USER_PRESENT: u8 = 0x01;
/// Bit 2: it was the right person, by PIN or biometrics.
pub(crate) const USER_VERIFIED: u8 = 0x04;
/// Bit 3: the key can be copied to other devices.
pub(crate) const BACKUP_ELIGIBLE: u8 = 0x08;
/// Bit 4: the key has been copied to other devices.
pub(crate) const BACKED_UP: u8 = 0x10;
/// Bit 6: data about the credential follows, as at a registration.
pub(crate) const ATTESTED: u8 = 0x40;
/// Bit 7: extension data follow.
pub(crate) const EXTENSIONS: u8 = 0x80;

/// What a signature by a security key or passkey says beside the message.
///
/// All of it is signed. Two things are worth no more than a hint: the counter, because synced passkeys always say 0, and
/// the origin, which the browser vouches for and not the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Whether someone was there; a verified signature always says so.
    pub user_present: bool,
    /// Whether the device knew who it was, by PIN or biometrics.
    pub user_verified: bool,
    /// Whether the key can be copied to other devices.
    pub backup_eligible: bool,
    /// Whether the key has been copied to other devices: a synced passkey.
    pub backed_up: bool,
    /// How many signatures the device counted, or 0.
    pub counter: u32,
    /// Where a browser asked for the signature; absent when a security key signed through SSH.
    pub origin: Option<WebOrigin>,
}

impl Presence {
    /// Reads the flags (WebAuthn Level 3, section 6.1); bits without a meaning are ignored, as there.
    pub(crate) fn new(flags: u8, counter: u32, origin: Option<WebOrigin>) -> Self {
        let is_set = |bit: u8| flags & bit != 0;
        Self {
            user_present: is_set(USER_PRESENT),
            user_verified: is_set(USER_VERIFIED),
            backup_eligible: is_set(BACKUP_ELIGIBLE),
            backed_up: is_set(BACKED_UP),
            counter,
            origin,
        }
    }

    /// Whether a passkey signed in a browser, and not a security key through SSH.
    pub fn is_passkey(&self) -> bool {
        self.origin.is_some()
    }
}
