//! Canonical JSON: RFC 8785 restricted to integers, so that one document has one spelling and one digest.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::json::{self, JsonError, Numbers};
use crate::limits::Limits;

mod spelling;

/// Why a value has no canonical form, or bytes are not in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// The bytes are not acceptable JSON at all.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The bytes are JSON, but not the one canonical spelling of it.
    #[error("not canonical JSON (RFC 8785): keys must be sorted, without white space, with minimal escapes")]
    NotCanonical,
    /// A value holds a number that is not an integer within 2^53 - 1, or cannot be serialised.
    #[error("no canonical form: {0}")]
    NoForm(String),
}

/// Serialises a value to its canonical bytes.
///
/// # Errors
/// [`CanonicalError::NoForm`] for a fraction, or an integer beyond 2^53 - 1.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let text = serde_json::to_vec(value).map_err(|error| CanonicalError::NoForm(error.to_string()))?;
    spelling::canonical(&text).map_err(CanonicalError::NoForm)
}

/// Reads bytes that must be the canonical spelling of a `T`, each struct being an object and never a list.
///
/// The spelling is checked on the bytes themselves, which are then read straight into the type.
///
/// # Errors
/// [`CanonicalError::Json`] when they are not JSON of that shape, [`CanonicalError::NotCanonical`] when they are
/// another spelling of it.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T, CanonicalError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if spelling::is_canonical(text, limits) => Ok(json::checked_as(text)?),
        _ => {
            // What reads all the same is only spelled in another way.
            json::read(bytes, limits, Numbers::Integers)?;
            Err(CanonicalError::NotCanonical)
        }
    }
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
