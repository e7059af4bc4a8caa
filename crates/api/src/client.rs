//! The HTTP client that the CLI uses.

use std::io::Read;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::typestate::WithBody;

use lockgate_model::{Digest, Limits};

use crate::exit::Exit;
use crate::problem::{Problem, ProblemKind};
use crate::wire::Stored;

/// The largest reply that is read into memory.
const REPLY_MAX: u64 = Limits::DEFAULT.bundle_bytes as u64;

/// How often a request is sent to a server that has too much to do.
const TRIES: usize = 4;
/// The longest time that is waited between two of them.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What to do about a server that does not answer, where nothing better is known: it may be somebody else's.
const UNREACHABLE_HINT: &str =
    "start the server there, or ask who runs it; `lockgate verify --bundle FILE` needs no server";

/// A connection to one server.
pub struct Client {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
    unreachable_hint: Option<String>,
}

/// Why a call did not give a result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The server said what is wrong.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// The server could not be reached, or went away before it answered.
    #[error("cannot reach {server}: {cause}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What happened.
        cause: String,
        /// What to do next, where more is known than that somebody runs it.
        hint: Option<String>,
    },
    /// What answered is not a Lockgate server, or speaks another version.
    #[error("the answer is not what a Lockgate server of this version sends: {0}")]
    Protocol(String),
}

impl ClientError {
    /// How a command ends that met this.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Problem(problem) => problem.kind.into(),
            Self::Unreachable { .. } => Exit::Unavailable,
            Self::Protocol(_) => Exit::Failed,
        }
    }

    /// The stable reason code.
    pub fn code(&self) -> &str {
        match self {
            Self::Problem(problem) => &problem.code,
            Self::Unreachable { .. } => "SERVER_UNREACHABLE",
            Self::Protocol(_) => "SERVER_PROTOCOL",
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => problem.hint.as_deref(),
            Self::Unreachable { hint, .. } => Some(hint.as_deref().unwrap_or(UNREACHABLE_HINT)),
            Self::Protocol(_) => None,
        }
    }
}

type Reply = ureq::http::Response<ureq::Body>;

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:8443`.
    pub fn new(base: &str, token: Option<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .tls_config(crate::https::tls())
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(120)))
            .user_agent(concat!("lockgate/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), base: base.trim_end_matches('/').to_owned(), token, unreachable_hint: None }
    }

    /// Says what to do next when the server cannot be reached.
    #[must_use]
    pub fn when_unreachable(mut self, hint: &str) -> Self {
        self.unreachable_hint = Some(hint.to_owned());
        self
    }

    /// The server's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Uses a token from now on.
    pub fn sign_in_with(&mut self, token: String) {
        self.token = Some(token);
    }

    /// `GET`, JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.parse(self.get_reply(path)?)
    }

    /// `GET`, raw bytes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get_bytes(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        let mut reply = self.get_reply(path)?;
        self.bytes(&mut reply)
    }

    /// `GET`, streamed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get_stream(&self, path: &str) -> Result<impl Read + use<>, ClientError> {
        Ok(self.get_reply(path)?.into_body().into_with_config().limit(u64::MAX).reader())
    }

    /// `POST`, JSON in and out. A key makes it safe to repeat.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        key: Option<&str>,
    ) -> Result<T, ClientError> {
        let bytes = serde_json::to_vec(body).map_err(|error| ClientError::Protocol(error.to_string()))?;
        let send = || {
            let request = self.agent.post(self.url(path)).header("content-type", "application/json");
            let request = match key {
                Some(key) => request.header("idempotency-key", key),
                None => request,
            };
            self.authorized(request).send(&bytes[..])
        };
        self.parse(self.patiently(send)?)
    }

    /// Whether the server has a blob.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, ClientError> {
        let request = self.agent.head(self.url(&format!("/v1/blobs/{digest}")));
        let reply = self.authorized(request).call().map_err(|error| self.unreachable(&error))?;
        Ok(reply.status().is_success())
    }

    /// Downloads a blob whole; whoever uses it compares its digest. A server breaks off a large one whose bytes are others
    /// than its name says, before the last of them; then it is asked what it found.
    ///
    /// # Errors
    /// [`ClientError`]; `BLOB_BROKEN` where the download breaks off and the server knows of no bytes that are others.
    pub fn blob(&self, digest: &Digest) -> Result<Vec<u8>, ClientError> {
        let mut reply = self.get_reply(&format!("/v1/blobs/{digest}"))?;
        self.bytes(&mut reply).map_err(|error| self.broken_off(digest, &error))
    }

    /// A server says what was found in its store first, and not which bytes it is about.
    fn broken_off(&self, digest: &Digest, error: &ClientError) -> ClientError {
        let broke = format!("the download of {digest} broke off");
        let general = "of its store in general the server says";
        let told = match self.get_bytes("/readyz") {
            Err(ClientError::Problem(problem)) if problem.kind == ProblemKind::Integrity => Some(problem),
            _ => None,
        };
        let detail = match told {
            Some(mut problem) if problem.code == "DIGEST_MISMATCH" => {
                problem.detail = format!("{broke}; {general}: {}", problem.detail);
                return ClientError::Problem(problem);
            }
            Some(problem) => format!("{broke}: {error}; {general}: {} ({})", problem.detail, problem.code),
            None => format!("{broke}: {error}"),
        };
        ClientError::Problem(Box::new(Problem::new(
            ProblemKind::Unavailable,
            "BLOB_BROKEN",
            detail,
            Some("try again; where it ends there each time, whoever runs the server looks at its log".to_owned()),
        )))
    }

    /// Uploads `size_bytes` bytes from a reader, streamed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn upload(
        &self,
        reader: &mut dyn Read,
        size_bytes: u64,
        declared: Option<&Digest>,
    ) -> Result<Stored, ClientError> {
        let mut request = self.put_of("/v1/blobs", size_bytes);
        if let Some(declared) = declared {
            request = request.header("lockgate-digest", declared.to_string());
        }
        self.send_once(request, reader)
    }

    /// `PUT` of `size_bytes` bytes from a reader, streamed, with a JSON reply.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        reader: &mut dyn Read,
        size_bytes: u64,
    ) -> Result<T, ClientError> {
        self.send_once(self.put_of(path, size_bytes), reader)
    }

    /// `DELETE` without a reply body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.delete_reply(path).map(|_| ())
    }

    /// `DELETE` with a JSON reply.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn delete_for<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.parse(self.delete_reply(path)?)
    }

    fn delete_reply(&self, path: &str) -> Result<Reply, ClientError> {
        self.patiently(|| self.authorized(self.agent.delete(self.url(path))).call())
    }

    fn get_reply(&self, path: &str) -> Result<Reply, ClientError> {
        self.patiently(|| self.authorized(self.agent.get(self.url(path))).call())
    }

    fn put_of(&self, path: &str, size_bytes: u64) -> ureq::RequestBuilder<WithBody> {
        let request = self.agent.put(self.url(path));
        self.authorized(request)
            .header("content-type", "application/octet-stream")
            .header("content-length", size_bytes.to_string())
    }

    /// What was read once cannot be sent again.
    fn send_once<T: DeserializeOwned>(
        &self,
        request: ureq::RequestBuilder<WithBody>,
        reader: &mut dyn Read,
    ) -> Result<T, ClientError> {
        let reply = request.send(ureq::SendBody::from_reader(reader)).map_err(|error| self.unreachable(&error))?;
        self.parse(self.check(reply)?)
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    /// Sends a request, and again where the server says that it has too much to do: nothing was recorded then.
    fn patiently(&self, send: impl Fn() -> Result<Reply, ureq::Error>) -> Result<Reply, ClientError> {
        for _ in 1..TRIES {
            let reply = send().map_err(|error| self.unreachable(&error))?;
            let wait = retry_after(&reply);
            match (self.check(reply), wait) {
                (Err(ClientError::Problem(problem)), Some(wait)) if problem.code == "OVERLOADED" => pause(wait),
                (outcome, _) => return outcome,
            }
        }
        self.check(send().map_err(|error| self.unreachable(&error))?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn unreachable(&self, error: &ureq::Error) -> ClientError {
        ClientError::Unreachable {
            server: self.base.clone(),
            cause: error.to_string(),
            hint: self.unreachable_hint.clone(),
        }
    }

    fn bytes(&self, reply: &mut Reply) -> Result<Vec<u8>, ClientError> {
        reply.body_mut().with_config().limit(REPLY_MAX).read_to_vec().map_err(|error| self.unreachable(&error))
    }

    fn check(&self, mut reply: Reply) -> Result<Reply, ClientError> {
        let status = reply.status();
        if status.is_success() {
            return Ok(reply);
        }
        let bytes = reply.body_mut().with_config().limit(256 * 1024).read_to_vec().unwrap_or_default();
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) if status.as_u16() == 503 => Err(ClientError::Problem(Box::new(Problem::new(
                ProblemKind::Unavailable,
                "UNAVAILABLE",
                "the server is not available",
                None,
            )))),
            Err(_) => Err(ClientError::Protocol(format!("status {status} without a problem body"))),
        }
    }

    fn parse<T: DeserializeOwned>(&self, mut reply: Reply) -> Result<T, ClientError> {
        let bytes = self.bytes(&mut reply)?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Protocol(error.to_string()))
    }
}

#[expect(clippy::disallowed_methods, reason = "the server says how long: there is nothing here to wait for")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// How long the server asks to wait (RFC 9110, 10.2.3), where somebody would wait for it.
fn retry_after(reply: &Reply) -> Option<Duration> {
    let text = reply.headers().get("retry-after")?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs).filter(|wait| *wait <= WAIT_MAX)
}

/// Percent-encodes a query value.
pub fn query_value(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A call, of whatever there is to be had in bytes.
    type Call<'a> = &'a dyn Fn(&Client) -> Result<Vec<u8>, ClientError>;

    /// What a client makes of these answers, the last of which is given again and again, and how often it asked.
    fn ask(answers: &[String]) -> (Result<Vec<u8>, ClientError>, usize) {
        ask_for(answers, &|client| client.get_bytes("/"))
    }

    fn ask_for(answers: &[String], call: Call<'_>) -> (Result<Vec<u8>, ClientError>, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                let mut asked = 0;
                loop {
                    let (mut stream, _) = listener.accept().unwrap();
                    // Whoever asks for nothing ends it.
                    if stream.read(&mut [0; 4096]).unwrap() == 0 {
                        return asked;
                    }
                    stream.write_all(answers[asked.min(answers.len() - 1)].as_bytes()).unwrap();
                    asked += 1;
                }
            });
            let outcome = call(&Client::new(&format!("http://{address}"), None));
            drop(TcpStream::connect(address).unwrap());
            (outcome, server.join().unwrap())
        })
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    fn unavailable(code: &str, retry_after: u64) -> String {
        let problem = Problem::new(ProblemKind::Unavailable, code, "not now", None);
        let body = serde_json::to_string(&problem).unwrap();
        answer(&format!("503 Service Unavailable\r\nretry-after: {retry_after}"), &body)
    }

    #[test]
    fn a_server_with_too_much_to_do_is_asked_again() {
        let busy = unavailable("OVERLOADED", 0);
        let (outcome, asked) = ask(&[busy.clone(), busy.clone(), answer("200 OK", "done")]);
        assert_eq!((outcome.unwrap(), asked), (b"done".to_vec(), 3));
        let (outcome, asked) = ask(&[busy]);
        assert_eq!((outcome.unwrap_err().code(), asked), ("OVERLOADED", TRIES));
    }

    #[test]
    fn a_download_that_breaks_off_is_told_with_what_the_server_has_found() {
        let digest = Digest::of(b"whole");
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhalf".to_owned();
        let damaged = |code: &str| {
            let mut problem = Problem::new(ProblemKind::Integrity, code, "damaged", Some("audit".to_owned()));
            problem.status = 503;
            answer("503 Service Unavailable", &serde_json::to_string(&problem).unwrap())
        };
        for (then, code, exit) in [
            (damaged("DIGEST_MISMATCH"), "DIGEST_MISMATCH", Exit::Integrity),
            // That says nothing of these bytes.
            (damaged("STREAM_BROKEN"), "BLOB_BROKEN", Exit::Unavailable),
            (answer("200 OK", "{}"), "BLOB_BROKEN", Exit::Unavailable),
        ] {
            let (outcome, asked) = ask_for(&[cut.clone(), then], &|client| client.blob(&digest));
            let error = outcome.unwrap_err();
            assert_eq!((error.code(), error.exit(), asked), (code, exit, 2));
            assert!(error.to_string().contains("broke off") && error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn what_would_take_long_or_change_nothing_is_not_asked_again() {
        let long = unavailable("OVERLOADED", WAIT_MAX.as_secs() + 1);
        let (outcome, asked) = ask(&[long]);
        assert_eq!((outcome.unwrap_err().code(), asked), ("OVERLOADED", 1));
        let (outcome, asked) = ask(&[unavailable("STORE_FAILED", 0)]);
        assert_eq!((outcome.unwrap_err().code(), asked), ("STORE_FAILED", 1));
    }
}
