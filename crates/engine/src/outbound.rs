//! Outbound: the few requests that the server itself makes, to token issuers and identity providers.
//!
//! Addresses come from what owners signed, or from an issuer's own discovery document, and never from a token.

/// Asks other servers, as a parameter: only the composition root knows a network.
///
/// An implementation follows no redirect, waits at most five seconds, reads at most 256 KiB, and demands `https` for
/// every host but this machine. A name that resolves to this machine, to what is link-local or multicast, or to a cloud's
/// metadata is asked only where the operator says that it stands here.
pub trait Outbound: Send + Sync {
    /// `GET`; the body of a reply with status 200.
    ///
    /// # Errors
    /// [`OutboundError`] for every other outcome.
    fn get(&self, url: &str) -> Result<Vec<u8>, OutboundError>;

    /// `POST` of a form; the status and the body, whatever the status. `authorization` is the value of that header.
    ///
    /// # Errors
    /// [`OutboundError`] when there is no whole reply.
    fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Result<(u16, Vec<u8>), OutboundError>;
}

/// Why there is no reply; for the operator, not for callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutboundError(pub String);
