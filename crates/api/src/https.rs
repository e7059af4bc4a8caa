//! HTTPS: the one way in which this program asks other servers, with one TLS stack and the machine's own roots.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::client::query_value;

/// How long a whole exchange may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest reply that is read, in bytes.
const REPLY_MAX: u64 = 256 * 1024;

/// TLS by `rustls` with `aws-lc-rs`, and the roots that the machine trusts.
pub fn tls() -> TlsConfig {
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build()
}

/// Whether a machine may be asked: the host as the address names it, and one of the addresses that it resolved to. The
/// error says why not.
type MayAsk = dyn Fn(&str, IpAddr) -> Result<(), &'static str> + Send + Sync;

/// Asks other servers small questions: no redirect is followed, nothing takes longer than five seconds, and no reply is
/// longer than 256 KiB.
///
/// Which addresses are acceptable is the caller's business.
pub struct Https {
    agent: ureq::Agent,
}

/// Resolves names, and refuses one of which any address may not be asked. What it gives is what is connected to, so that
/// a name that resolves to something else a moment later gains nothing.
struct Checked {
    resolver: DefaultResolver,
    may_ask: Box<MayAsk>,
}

/// A name that resolves to where nobody may be asked.
#[derive(Debug, thiserror::Error)]
#[error("`{host}` resolves to {address}, which is not asked: {why}")]
struct NotAsked {
    host: String,
    address: IpAddr,
    why: &'static str,
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checked")
    }
}

impl Resolver for Checked {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.resolver.resolve(uri, config, timeout)?;
        let host = uri.host().unwrap_or_default();
        for address in found.iter().map(SocketAddr::ip) {
            (self.may_ask)(host, address)
                .map_err(|why| ureq::Error::Other(NotAsked { host: host.to_owned(), address, why }.into()))?;
        }
        Ok(found)
    }
}

/// Why there is no whole reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HttpsError(String);

impl Https {
    /// A way to ask whatever machine is named.
    pub fn new() -> Self {
        Self::asking(|_, _| Ok(()))
    }

    /// A way to ask machines that may be asked, judged by the host as the address names it and each address that it
    /// resolves to; the error of `may_ask` says why not.
    pub fn asking(may_ask: impl Fn(&str, IpAddr) -> Result<(), &'static str> + Send + Sync + 'static) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .tls_config(tls())
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("lockgate/", env!("CARGO_PKG_VERSION")))
            .build();
        let resolver = Checked { resolver: DefaultResolver::default(), may_ask: Box::new(may_ask) };
        Self { agent: ureq::Agent::with_parts(config, DefaultConnector::default(), resolver) }
    }

    /// `GET`; `authorization` is the value of that header.
    ///
    /// # Errors
    /// [`HttpsError`] when there is no whole reply in time.
    pub fn get(&self, url: &str, authorization: Option<&str>) -> Result<(u16, Vec<u8>), HttpsError> {
        let mut request = self.agent.get(url).header("accept", "application/json");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        read(request.call())
    }

    /// `POST` of a form; `authorization` is the value of that header.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Result<(u16, Vec<u8>), HttpsError> {
        let pair = |(name, value): &(&str, &str)| format!("{}={}", query_value(name), query_value(value));
        let body = form.iter().map(pair).collect::<Vec<_>>().join("&");
        let mut request = self
            .agent
            .post(url)
            .header("accept", "application/json")
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        read(request.send(body.as_bytes()))
    }
}

impl Default for Https {
    fn default() -> Self {
        Self::new()
    }
}

fn read(reply: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<(u16, Vec<u8>), HttpsError> {
    // An address may hold what nobody should read in a log, and so may an error that repeats it.
    let failed = |error: ureq::Error| match error {
        ureq::Error::BadUri(_) => HttpsError("the address does not read".to_owned()),
        error => HttpsError(error.to_string()),
    };
    let mut reply = reply.map_err(failed)?;
    let status = reply.status().as_u16();
    let bytes = reply.body_mut().with_config().limit(REPLY_MAX).read_to_vec().map_err(failed)?;
    Ok((status, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// Answers one request with these bytes, and gives the address and what was asked.
    fn once(answer: Vec<u8>) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x?secret", listener.local_addr().unwrap());
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0u8; 1];
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            // Whoever has read enough hangs up.
            let _ = stream.write_all(&answer);
            String::from_utf8(head).unwrap()
        });
        (url, asked)
    }

    #[test]
    fn a_redirect_is_an_answer_and_is_not_followed() {
        let trap = TcpListener::bind("127.0.0.1:0").unwrap();
        trap.set_nonblocking(true).unwrap();
        let to = trap.local_addr().unwrap();
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{to}/\r\nContent-Length: 0\r\n\r\n");
        let (url, asked) = once(answer.into_bytes());
        assert_eq!(Https::new().get(&url, Some("Bearer x")).unwrap().0, 302);
        assert!(asked.join().unwrap().to_lowercase().contains("authorization: bearer x"));
        assert!(trap.accept().is_err(), "the redirect was followed");
    }

    #[test]
    fn a_machine_that_may_not_be_asked_is_not_connected_to() {
        let trap = TcpListener::bind("127.0.0.1:0").unwrap();
        trap.set_nonblocking(true).unwrap();
        let port = trap.local_addr().unwrap().port();
        // The last three are spellings of 127.0.0.1 that resolvers of names understand.
        for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "017700000001"] {
            let https = Https::asking(|_, address| if address.is_loopback() { Err("too near") } else { Ok(()) });
            let error = https.get(&format!("http://{host}:{port}/"), None).unwrap_err().to_string();
            assert!(error.contains(&format!("`{host}` resolves to ")) && error.contains("too near"), "{error}");
        }
        assert!(trap.accept().is_err(), "it was connected to");
    }

    #[test]
    fn a_long_reply_is_refused() {
        let long = usize::try_from(REPLY_MAX).unwrap() + 1;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {long}\r\n\r\n");
        let (url, asked) = once([head.into_bytes(), vec![b'x'; long]].concat());
        assert!(Https::new().get(&url, None).is_err());
        asked.join().unwrap();
    }
}
