//! Hosts: the names that this server answers to.
//!
//! A page of another site can make a name of its own point to this machine's loopback address (DNS rebinding), and then
//! talk to the server as if it were that site's. Such a request names the other site in `Host`. So a server answers to
//! loopback names, to the address it listens on, and to the names that it was started with.

use std::collections::BTreeSet;
use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};
use lockgate_engine::{Fault, Kind};

/// The names that a server answers to.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    names: BTreeSet<String>,
    /// The address that it listens on; one that is unspecified stands for every address of the machine, and a name that
    /// is an address cannot be another site's.
    listens: Option<IpAddr>,
    /// Where people reach it, without a slash at the end.
    url: Option<String>,
}

impl Hosts {
    /// Loopback names, the address it listens on, further names, and the name in the URL under which people reach it.
    ///
    /// # Errors
    /// In words, when the URL or a name is not one.
    pub fn new(names: &[String], listens: Option<IpAddr>, url: Option<&str>) -> Result<Self, String> {
        let mut all = BTreeSet::new();
        for name in names {
            let plain = name_of(name).filter(|plain| *plain == name.as_str() && is_name(plain));
            all.insert(
                plain.ok_or_else(|| format!("`{name}` is not a host name: write one without port"))?.to_lowercase(),
            );
        }
        let url = url.map(|url| url.trim_end_matches('/'));
        if let Some(url) = url {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            let name = rest.and_then(name_of).filter(|name| is_name(name));
            let invalid = || format!("`{url}` is not a URL such as https://lockgate.example, without a path");
            all.insert(name.ok_or_else(invalid)?.to_lowercase());
        }
        Ok(Self { names: all, listens, url: url.map(str::to_owned) })
    }

    /// Where people reach the server, if it was told.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Checks that a request names this server, once, and nothing else.
    ///
    /// # Errors
    /// `HOST_REFUSED`.
    pub fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Fault> {
        let named = host_of(headers);
        // A proxy's form of request has a name of its own (RFC 9112, section 3.2.2).
        let target = uri.authority().map(|authority| authority.as_str());
        let known = |host: &str| name_of(host).is_some_and(|name| self.answers_to(name));
        match named.is_some_and(known) && target.is_none_or(known) {
            true => Ok(()),
            false => Err(Fault::new(
                Kind::Misdirected,
                "HOST_REFUSED",
                "this server does not answer to the name that the request is for",
            )
            .hint("start it with --url URL or --allow-host NAME to let it answer to another name")),
        }
    }

    fn answers_to(&self, name: &str) -> bool {
        if is_loopback(name) || self.names.contains(&name.to_lowercase()) {
            return true;
        }
        match (address(name), self.listens) {
            (Some(named), Some(listens)) => named == listens || listens.is_unspecified(),
            _ => false,
        }
    }

    /// Whether a request for this host came over plain HTTP from this very machine, as far as a server behind no proxy
    /// can tell.
    pub fn is_plain_loopback(&self, host: &str) -> bool {
        let encrypted = self.url().is_some_and(|url| url.starts_with("https://"));
        !encrypted && name_of(host).is_some_and(is_loopback)
    }
}

/// The only `Host` of a request.
pub fn host_of(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

/// A host without its port.
fn name_of(host: &str) -> Option<&str> {
    let port_is_fine = |port: &str| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    if host.starts_with('[') {
        let (name, port) = host.split_at_checked(host.find(']')? + 1)?;
        return (port.is_empty() || port.strip_prefix(':').is_some_and(port_is_fine)).then_some(name);
    }
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    (!name.is_empty() && port_is_fine(port)).then_some(name)
}

fn address(name: &str) -> Option<IpAddr> {
    name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name).parse().ok()
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || address(name).is_some_and(|address| address.is_loopback())
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    address(name).is_some() || (!name.is_empty() && name.len() <= 253 && name.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn answers(hosts: &Hosts, named: &[&str], target: &str) -> bool {
        let mut headers = HeaderMap::new();
        for host in named {
            headers.append(header::HOST, HeaderValue::try_from(*host).unwrap());
        }
        hosts.check(&headers, &target.parse().unwrap()).is_ok()
    }

    #[test]
    fn answers_to_its_own_names_alone() {
        let loopback = Hosts::new(&[], Some("127.0.0.1".parse().unwrap()), None).unwrap();
        for host in ["localhost", "LocalHost:7430", "127.0.0.1:7430", "127.0.0.2", "[::1]:7430"] {
            assert!(answers(&loopback, &[host], "/"), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "192.0.2.1", "localhost:x", "", "[::1", "[::1]x", "a:b:c"]
        {
            assert!(!answers(&loopback, &[host], "/"), "{host}");
        }
        assert!(!answers(&loopback, &[], "/"), "no name");
        assert!(!answers(&loopback, &["localhost", "localhost"], "/"), "two names");
        assert!(!answers(&loopback, &["localhost"], "http://evil.example/"), "another target");
        assert!(answers(&loopback, &["localhost"], "http://localhost:7430/"));
    }

    #[test]
    fn answers_to_what_it_was_started_with() {
        let hosts = Hosts::new(&["mirror.example".to_owned()], None, Some("https://Lockgate.example/")).unwrap();
        assert_eq!(hosts.url(), Some("https://Lockgate.example"));
        for host in ["lockgate.example", "lockgate.example:443", "MIRROR.example", "localhost"] {
            assert!(answers(&hosts, &[host], "/"), "{host}");
        }
        assert!(!answers(&hosts, &["other.example"], "/"));
        let everywhere = Hosts::new(&[], Some("0.0.0.0".parse().unwrap()), None).unwrap();
        assert!(answers(&everywhere, &["192.0.2.7:7430"], "/") && !answers(&everywhere, &["evil.example"], "/"));
        assert!(Hosts::new(&["a:1".to_owned()], None, None).is_err());
        for url in ["lockgate.example", "ftp://lockgate.example", "https://", "https://a.example/path", "https://a b"] {
            assert!(Hosts::new(&[], None, Some(url)).is_err(), "{url}");
        }
    }
}
