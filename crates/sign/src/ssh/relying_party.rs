//! Relying parties: the web address that a passkey belongs to, and the web origin that one of its signatures was made at.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest host name in bytes (RFC 1035, section 2.3.4, without the final dot).
const HOST_MAX_BYTES: usize = 253;
/// The longest label of a host name in bytes (RFC 1035, section 2.3.4).
const LABEL_MAX_BYTES: usize = 63;
/// The one name that browsers give passkeys to without TLS.
const LOCALHOST: &str = "localhost";

/// Why a text is not an RP id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an RP id: write a host name in lower case, such as `lockgate.example`, without scheme and port")]
pub struct RpIdError(String);

/// Why a text is not a web origin that passkeys may be used at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a web origin: write `https://host` or `https://host:port` as a browser does, without a path and \
     without a port that goes without saying; `http` is for localhost alone"
)]
pub struct WebOriginError(String);

/// An RP id (WebAuthn Level 3, section 5.4.2): the host name that a passkey was made for.
///
/// Always a name in lower case ASCII and never an IP address, as browsers demand. Whether it is a public suffix is not
/// checked: the name comes from an enrolment that people signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RpId(String);

impl RpId {
    /// The host name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RpId {
    type Err = RpIdError;

    fn from_str(text: &str) -> Result<Self, RpIdError> {
        // A last label that begins with a letter keeps IPv4 addresses out, however they are spelled.
        let last = text.rsplit('.').next().unwrap_or_default();
        let named = last.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        match text.len() <= HOST_MAX_BYTES && named && text.split('.').all(is_label) {
            true => Ok(Self(text.to_owned())),
            false => Err(RpIdError(shown(text))),
        }
    }
}

fn is_label(label: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LABEL_MAX_BYTES).contains(&label.len())
        && label.bytes().all(known)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// A web origin (RFC 6454, section 6.2) that passkeys may be used at: `https`, or `http` on localhost.
///
/// There is one spelling, which is the one that browsers write into client data: lower case, and the port only where
/// it is not the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebOrigin {
    scheme: Scheme,
    host: RpId,
    port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Scheme {
    Https,
    Http,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    fn own_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

impl WebOrigin {
    /// The host, which is the RP id of every passkey that counts here: a parent domain's passkey does not.
    pub fn host(&self) -> &RpId {
        &self.host
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://")? {
            ("https", rest) => (Scheme::Https, rest),
            ("http", rest) => (Scheme::Http, rest),
            _ => return None,
        };
        let (host, port) = match rest.split_once(':') {
            None => (rest, None),
            Some((host, digits)) => {
                let port: u16 = digits.parse().ok()?;
                // One spelling: no sign, no leading zeros, and not the port that goes without saying.
                let plain = port.to_string() == digits && port != 0 && port != scheme.own_port();
                (host, Some(plain.then_some(port)?))
            }
        };
        let host: RpId = host.parse().ok()?;
        let safe = scheme == Scheme::Https || host.as_str() == LOCALHOST;
        safe.then_some(Self { scheme, host, port })
    }
}

impl FromStr for WebOrigin {
    type Err = WebOriginError;

    fn from_str(text: &str) -> Result<Self, WebOriginError> {
        Self::parse(text).ok_or_else(|| WebOriginError(shown(text)))
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RpId {
    type Error = RpIdError;
    fn try_from(text: String) -> Result<Self, RpIdError> {
        text.parse()
    }
}

impl From<RpId> for String {
    fn from(id: RpId) -> Self {
        id.0
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = WebOriginError;
    fn try_from(text: String) -> Result<Self, WebOriginError> {
        text.parse()
    }
}

impl From<WebOrigin> for String {
    fn from(origin: WebOrigin) -> Self {
        origin.to_string()
    }
}

/// Another's text as a message may show it: short, and without control characters.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rp_ids_are_host_names() {
        for good in ["localhost", "lockgate.example", "a.b-c.d3.example", "xn--bcher-kva.example", "3com.example"] {
            assert_eq!(good.parse::<RpId>().unwrap().to_string(), good);
        }
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "abcdefg.".repeat(32));
        for bad in [
            "",
            ".",
            "ssh:",
            "Lockgate.example",
            "lockgate.example.",
            ".lockgate.example",
            "lock..gate",
            "-a.example",
            "a-.example",
            "a_b.example",
            "127.0.0.1",
            "0x7f.1",
            "[::1]",
            "lockgate.example:443",
            "https://lockgate.example",
            "b\u{fc}cher.example",
            "a example",
            long_label.as_str(),
            long_name.as_str(),
        ] {
            assert!(bad.parse::<RpId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_have_the_spelling_of_browsers() {
        let check = |text: &str, host: &str| {
            let origin: WebOrigin = text.parse().unwrap();
            assert_eq!((origin.to_string().as_str(), origin.host().as_str()), (text, host));
        };
        check("https://lockgate.example", "lockgate.example");
        check("https://lockgate.example:8443", "lockgate.example");
        check("https://lockgate.example:80", "lockgate.example");
        check("https://localhost", "localhost");
        check("http://localhost", "localhost");
        check("http://localhost:8080", "localhost");
        check("http://localhost:443", "localhost");
        for bad in [
            "",
            "null",
            "https://",
            "lockgate.example",
            "http://lockgate.example",
            "http://localhost.example",
            "http://a.localhost",
            "http://127.0.0.1:8080",
            "https://127.0.0.1",
            "https://[::1]",
            "HTTPS://lockgate.example",
            "https://Lockgate.example",
            "https://lockgate.example/",
            "https://lockgate.example#x",
            "https://lockgate.example?x",
            "https://lockgate.example:",
            "https://lockgate.example:443",
            "http://localhost:80",
            "https://lockgate.example:0",
            "https://lockgate.example:08443",
            "https://lockgate.example:+8443",
            "https://lockgate.example:65536",
            "https://lockgate.example:8443:1",
            "https://user@lockgate.example",
            "https://lockgate.example@evil.example/",
            "https://lockgate.example\"",
            "ftp://lockgate.example",
            "android:apk-key-hash:AAAA",
            " https://lockgate.example",
        ] {
            assert!(bad.parse::<WebOrigin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn texts_are_checked_when_read_from_files() {
        assert!(serde_json::from_str::<RpId>("\"lockgate.example\"").is_ok());
        assert!(serde_json::from_str::<RpId>("\"ssh:\"").is_err());
        assert!(serde_json::from_str::<WebOrigin>("\"http://lockgate.example\"").is_err());
        let origin: WebOrigin = "https://lockgate.example".parse().unwrap();
        assert_eq!(serde_json::to_string(&origin).unwrap(), "\"https://lockgate.example\"");
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_written_the_same(text in "(https?://)?[a-z0-9.:-]{0,20}") {
            if let Ok(origin) = text.parse::<WebOrigin>() {
                prop_assert_eq!(origin.to_string(), text.clone());
            }
            if let Ok(id) = text.parse::<RpId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
