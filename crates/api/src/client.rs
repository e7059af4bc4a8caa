//! The HTTP client that the CLI uses.

use std::io::Read;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use lockgate_model::{Digest, Limits};

use crate::exit::Exit;
use crate::problem::{Problem, ProblemKind};
use crate::wire::Stored;

/// The largest reply that is read into memory.
const REPLY_MAX: u64 = Limits::DEFAULT.bundle_bytes as u64;

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
        let mut request = self.agent.post(self.url(path)).header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let reply = request.send(&bytes[..]).map_err(|error| self.unreachable(&error))?;
        self.parse(self.check(reply)?)
    }

    /// Whether the server has a blob.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, ClientError> {
        let mut request = self.agent.head(self.url(&format!("/v1/blobs/{digest}")));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let reply = request.call().map_err(|error| self.unreachable(&error))?;
        Ok(reply.status().is_success())
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
        let mut request = self
            .agent
            .put(self.url("/v1/blobs"))
            .header("content-type", "application/octet-stream")
            .header("content-length", size_bytes.to_string());
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(declared) = declared {
            request = request.header("lockgate-digest", declared.to_string());
        }
        let reply = request.send(ureq::SendBody::from_reader(reader)).map_err(|error| self.unreachable(&error))?;
        self.parse(self.check(reply)?)
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
        let mut request = self
            .agent
            .put(self.url(path))
            .header("content-type", "application/octet-stream")
            .header("content-length", size_bytes.to_string());
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let reply = request.send(ureq::SendBody::from_reader(reader)).map_err(|error| self.unreachable(&error))?;
        self.parse(self.check(reply)?)
    }

    /// `DELETE` without a reply body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn delete(&self, path: &str) -> Result<(), ClientError> {
        let mut request = self.agent.delete(self.url(path));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let reply = request.call().map_err(|error| self.unreachable(&error))?;
        self.check(reply).map(|_| ())
    }

    /// `DELETE` with a JSON reply.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn delete_for<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let mut request = self.agent.delete(self.url(path));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let reply = request.call().map_err(|error| self.unreachable(&error))?;
        self.parse(self.check(reply)?)
    }

    fn get_reply(&self, path: &str) -> Result<Reply, ClientError> {
        let mut request = self.agent.get(self.url(path));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let reply = request.call().map_err(|error| self.unreachable(&error))?;
        self.check(reply)
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
