//! Outbound: asks token issuers and identity providers over the network.

use lockgate_api::https::Https;
use lockgate_engine::outbound::{Outbound, OutboundError};
use lockgate_ledger::ci_trust::reach;

/// The network, as the engine asks for it.
#[derive(Default)]
pub struct Network(Https);

impl Network {
    /// A way outside.
    pub fn new() -> Self {
        Self(Https::new())
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

/// `https`, or this machine itself: checked here again, whoever it was that made the address.
fn acceptable(url: &str) -> Result<&str, OutboundError> {
    match reach(url) {
        Some(_) => Ok(url),
        None => Err(OutboundError("only `https` addresses are asked".to_owned())),
    }
}

impl Outbound for Network {
    fn get(&self, url: &str) -> Result<Vec<u8>, OutboundError> {
        match self.0.get(acceptable(url)?, None) {
            Ok((200, body)) => Ok(body),
            Ok((status, _)) => Err(OutboundError(format!("{url} answers with status {status}"))),
            Err(error) => Err(OutboundError(format!("{url}: {error}"))),
        }
    }

    fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Result<(u16, Vec<u8>), OutboundError> {
        let reply = self.0.post_form(acceptable(url)?, form, authorization);
        reply.map_err(|error| OutboundError(format!("{url}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_this_machine_is_asked() {
        for url in ["http://ci.example/", "file:///etc/passwd", "ftp://ci.example", "https://user:pass@ci.example"] {
            let error = Network::new().get(url).unwrap_err();
            assert!(error.0.contains("only `https`"), "{error}");
            assert!(Network::new().post_form(url, &[], None).is_err());
        }
    }
}
