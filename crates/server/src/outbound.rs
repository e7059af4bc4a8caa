//! Outbound: asks token issuers and identity providers over the network.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lockgate_api::https::Https;
use lockgate_engine::outbound::{Outbound, OutboundError};
use lockgate_ledger::ci_trust::{Reach, reach};

/// Where clouds give machines their credentials, and no link-local address says so. Of IPv4: Azure, Alibaba Cloud and
/// Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
/// The same of IPv6: all of AWS's `fd00:ec2::/32`, Google, Scaleway, Oracle and Linode, by how their addresses begin.
const METADATA_V6: [&[u16]; 5] = [
    &[0xfd00, 0xec2],
    &[0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254],
    &[0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42],
    &[0xfd00, 0xc1],
    &[0xfd00, 0xa9fe],
];
/// How addresses of IPv6 begin that end with one of IPv4: mapped and compatible (RFC 4291, section 2.5.5), translated (RFC
/// 6052, section 2.1; RFC 8215; RFC 2765, section 2.1).
const ENDS_WITH_V4: [&[u16]; 5] = [
    &[0, 0, 0, 0, 0, 0xffff],
    &[0, 0, 0, 0, 0, 0],
    &[0x64, 0xff9b, 0, 0, 0, 0],
    &[0x64, 0xff9b, 1],
    &[0, 0, 0, 0, 0xffff, 0],
];
/// How addresses of IPv6 begin that have one of IPv4 right after it (RFC 3056, section 2).
const SIX_TO_FOUR: u16 = 0x2002;

const HERE: &str = "it is this machine, and no `--local-issuer` of the server names the host";
const NEAR: &str = "it is no machine beyond this network, or a cloud's metadata";
const NO_HOST: &str = "the host does not read";

/// The network, as the engine asks for it.
pub struct Network(Https);

impl Network {
    /// A way outside; hosts that `local` names may be this machine itself.
    pub fn new(local: &[String]) -> Self {
        let local: BTreeSet<String> = local.iter().map(|host| host.to_ascii_lowercase()).collect();
        Self(Https::asking(move |host, address| may_ask(&local, host, address)))
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

/// Whether an address that a name resolved to may be asked: this machine only where it is named as such, or the operator
/// says so, and never what answers to whoever is near, such as a cloud's metadata.
///
/// A private network may be asked: identity providers stand there, and owners signed their names.
fn may_ask(local: &BTreeSet<String>, host: &str, address: IpAddr) -> Result<(), &'static str> {
    let is_here = |address: &IpAddr| address.to_canonical().is_loopback();
    match reach(&format!("https://{host}")) {
        None => Err(NO_HOST),
        Some(Reach::Loopback) if is_here(&address) => Ok(()),
        Some(Reach::Loopback) => Err(NEAR),
        Some(Reach::Remote) if is_here(&address) && local.contains(&host.to_ascii_lowercase()) => Ok(()),
        Some(Reach::Remote) => match meant(address).into_iter().find_map(|address| objection(&address)) {
            Some(why) => Err(why),
            None => Ok(()),
        },
    }
}

/// An address, and one of IPv4 that stands in it.
fn meant(address: IpAddr) -> Vec<IpAddr> {
    let mut meant = vec![address];
    if let IpAddr::V6(address) = address {
        let (parts, bytes) = (address.segments(), address.octets());
        let [_, _, a, b, c, d, ..] = bytes;
        if parts.starts_with(&[SIX_TO_FOUR]) {
            meant.push(Ipv4Addr::new(a, b, c, d).into());
        }
        let [.., a, b, c, d] = bytes;
        if ENDS_WITH_V4.iter().any(|start| parts.starts_with(start)) {
            meant.push(Ipv4Addr::new(a, b, c, d).into());
        }
    }
    meant
}

/// Why a machine that is not this one by name is not asked at this address.
fn objection(address: &IpAddr) -> Option<&'static str> {
    let is_near = match address {
        IpAddr::V4(address) => {
            address.is_link_local()
                || address.is_broadcast()
                || address.is_multicast()
                || address.octets().starts_with(&[0])
                || METADATA_V4.contains(address)
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.is_multicast()
                || *address == Ipv6Addr::UNSPECIFIED
                || METADATA_V6.iter().any(|start| address.segments().starts_with(start))
        }
    };
    match address.is_loopback() {
        true => Some(HERE),
        false => is_near.then_some(NEAR),
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
        let local = BTreeSet::from(["ci.here".to_owned()]);
        let asked = |host: &str, address: &str| may_ask(&local, host, address.parse().unwrap());
        for (host, address) in [
            ("ci.example", "203.0.113.7"),
            ("ci.example", "2001:db8::7"),
            ("ci.example", "2002:cb00:7107::1"),
            ("ci.example", "64:ff9b::203.0.113.7"),
            ("ci.internal", "10.1.2.3"),
            ("ci.internal", "fd12::7"),
            ("localhost", "127.0.0.1"),
            ("LOCALHOST", "::1"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "::1"),
            ("ci.here", "127.0.1.1"),
            ("CI.here", "::1"),
        ] {
            assert_eq!(asked(host, address), Ok(()), "{host} at {address}");
        }
        for address in ["127.0.0.1", "127.0.1.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1"] {
            assert_eq!(asked("ci.example", address), Err(HERE), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "::",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "::ffff:0:169.254.169.254",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
        ] {
            assert_eq!(asked("ci.example", address), Err(NEAR), "{address}");
            assert_eq!(asked("ci.here", address), Err(NEAR), "{address}");
        }
        assert_eq!(asked("localhost", "203.0.113.7"), Err(NEAR));
        assert_eq!(asked("user@ci.example", "203.0.113.7"), Err(NO_HOST));
    }

    #[test]
    fn addresses_in_other_spellings_lead_inside_too() {
        for host in ["169.254.169.254", "2852039166", "0xa9.0xfe.0xa9.0xfe", "2130706433", "0", "[fe80::1]", "[::]"] {
            let error = Network::new(&[]).get(&format!("https://{host}/latest/meta-data/")).unwrap_err();
            assert!(error.0.contains("which is not asked"), "{error}");
        }
    }

    #[test]
    fn only_https_or_this_machine_is_asked() {
        for url in ["http://ci.example/", "file:///etc/passwd", "ftp://ci.example", "https://user:pass@ci.example"] {
            let error = Network::new(&[]).get(url).unwrap_err();
            assert!(error.0.contains("only `https`"), "{error}");
            assert!(Network::new(&[]).post_form(url, &[], None).is_err());
        }
    }
}
