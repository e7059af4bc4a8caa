//! Exchange: one request as bytes on a connection of its own, and whatever comes back.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddrV4, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of an answer is read.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The type of the body; empty where the answer has none.
    pub content_type: String,
    /// Whether the body is as it was written: neither compressed nor in chunks.
    pub is_plain: bool,
    /// The body, as far as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether it says that it describes a problem.
    pub fn is_problem(&self) -> bool {
        self.content_type == "application/problem+json"
    }

    /// The problem that it describes.
    pub fn problem(&self) -> Option<Value> {
        self.is_problem().then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }

    /// The reason code of the problem; empty without one.
    pub fn code(&self) -> String {
        self.problem().and_then(|problem| Some(problem.get("code")?.as_str()?.to_owned())).unwrap_or_default()
    }
}

/// Sends a request, and reads until the server closes; `None` where it closes without an answer.
///
/// With `whole`, the request is HTTP that asks to close; anything else ends with the sender's half of the connection.
///
/// # Errors
/// When the server cannot be reached, is silent for too long, or answers what is not HTTP.
pub fn exchange(to: SocketAddrV4, request: &[u8], whole: bool) -> io::Result<Option<Answer>> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // A server that refuses may close before it has read everything; what it said is read all the same.
    let _ = stream.write_all(request);
    if !whole {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut bytes = Vec::new();
    let mut piece = [0u8; 16 * 1024];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // What was not read when the server closed resets the connection behind its answer.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        }
        if bytes.len() > ANSWER_BYTES || is_stream(&bytes) {
            break;
        }
    }
    match bytes.is_empty() {
        true => Ok(None),
        false => read(&bytes).map(Some).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the answer is not HTTP")),
    }
}

/// Whether an answer goes on for ever.
fn is_stream(bytes: &[u8]) -> bool {
    read(bytes).is_some_and(|answer| answer.content_type == "text/event-stream")
}

/// Reads an answer whose head is complete.
fn read(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, rest) = bytes.split_at_checked(end)?;
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let (mut content_type, mut is_plain) = (String::new(), true);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "content-type" => content_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase(),
            "content-encoding" | "transfer-encoding" => is_plain = false,
            _ => {}
        }
    }
    let body = rest.get(4..).unwrap_or_default().to_vec();
    Some(Answer { status, content_type, is_plain, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_far_as_they_came() {
        let check = |text: &str, expected: Option<(u16, &str, bool, &str)>| {
            let found = read(text.as_bytes());
            let expected = expected.map(|(status, content_type, is_plain, body)| Answer {
                status,
                content_type: content_type.to_owned(),
                is_plain,
                body: body.as_bytes().to_vec(),
            });
            assert_eq!(found, expected, "{text:?}");
        };
        check(
            "HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=utf-8\r\n\r\nx",
            Some((200, "text/html", true, "x")),
        );
        check("HTTP/1.1 400 Bad Request\r\n\r\n", Some((400, "", true, "")));
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx", Some((200, "", false, "1\r\nx")));
        check("HTTP/1.1 200 OK\r\n", None);
        check("SSH-2.0\r\n\r\n", None);
    }
}
