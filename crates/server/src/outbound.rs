//! Outbound: asks token issuers and identity providers over the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lockgate_api::https::Https;
use lockgate_engine::outbound::{Outbound, OutboundError};
use lockgate_ledger::ci_trust::{Reach, reach};

/// Where clouds give machines their credentials, and no link-local address says so: AWS over IPv6, Azure, Alibaba Cloud.
const METADATA: [IpAddr; 3] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
];
/// The first 96 bits of addresses that stand for those of IPv4 behind a translator (RFC 6052, section 2.1).
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// The network, as the engine asks for it.
pub struct Network(Https);

impl Network {
    /// A way outside.
    pub fn new() -> Self {
        Self(Https::asking(may_ask))
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

/// Whether an address that a name resolved to may be asked: this machine only where it is named as such, and never what
/// answers to whoever is near, such as a cloud's metadata.
///
/// A private network may be asked: identity providers stand there, and owners signed their names.
fn may_ask(host: &str, address: IpAddr) -> bool {
    let address = match address.to_canonical() {
        IpAddr::V6(address) if address.segments().starts_with(&TRANSLATED) => {
            let [.., a, b, c, d] = address.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        address => address,
    };
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast() || address.octets().starts_with(&[0]),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_unspecified(),
    };
    match reach(&format!("https://{host}")) {
        Some(Reach::Loopback) => address.is_loopback(),
        Some(Reach::Remote) => {
            !(address.is_loopback() || link_local || address.is_multicast() || METADATA.contains(&address))
        }
        None => false,
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
    fn names_that_lead_inside_are_not_asked() {
        let asked = |host: &str, address: &str| may_ask(host, address.parse().unwrap());
        for (host, address) in [
            ("ci.example", "203.0.113.7"),
            ("ci.example", "2001:db8::7"),
            ("ci.internal", "10.1.2.3"),
            ("ci.internal", "fd12::7"),
            ("localhost", "127.0.0.1"),
            ("localhost", "::1"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "::1"),
        ] {
            assert!(asked(host, address), "{host} at {address}");
        }
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
        ] {
            assert!(!asked("ci.example", address), "{address}");
        }
        assert!(!asked("localhost", "203.0.113.7") && !asked("user@ci.example", "203.0.113.7"));
    }

    #[test]
    fn addresses_in_other_spellings_lead_inside_too() {
        for host in ["169.254.169.254", "2852039166", "0xa9.0xfe.0xa9.0xfe", "2130706433", "0", "[fe80::1]", "[::]"] {
            let error = Network::new().get(&format!("https://{host}/latest/meta-data/")).unwrap_err();
            assert!(error.0.contains("never asked"), "{error}");
        }
    }

    #[test]
    fn only_https_or_this_machine_is_asked() {
        for url in ["http://ci.example/", "file:///etc/passwd", "ftp://ci.example", "https://user:pass@ci.example"] {
            let error = Network::new().get(url).unwrap_err();
            assert!(error.0.contains("only `https`"), "{error}");
            assert!(Network::new().post_form(url, &[], None).is_err());
        }
    }
}
