//! The accept loop: header timeouts, connection caps and a pace for whoever reads, which a stock `axum::serve` does not
//! have; and patience where the system has no room for another connection.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lockgate_model::Limits;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::ServiceExt as _;

use crate::app::App;
use crate::dispatch;
use crate::pace::Pace;
use crate::rate::network;
use crate::stream::PacedStream;

/// How long a client may take to send its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How much of a connection is held in memory for a client that sends or reads slowly, each way.
const BUFFER_BYTES: usize = 96 * 1024;
/// How long running requests may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How long no connection is taken after the system had no room for one: asked at once, it would say the same again.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the log says that connections were not taken.
const TELL_EACH: Duration = Duration::from_secs(1);
/// How many open files are kept for the store, the logs, and what is sent and received.
const RESERVED_FILES: usize = 256;

/// How many connections may wait until they are taken, where the system allows that many. A connection that does not fit
/// is asked for again after a second: the 128 that are usual make everybody wait when many come at once.
const WAITING: u32 = 4096;

/// Listens on an address.
///
/// # Errors
/// When something else listens there, or the address is not one of this machine.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A server that starts again need not wait for the connections of the one before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// How many connections, of at most `most`, a process may have that may open so many files: each connection is one, and
/// some are kept for the store.
pub fn connections_within(most: usize, open_files: u64) -> usize {
    let files = usize::try_from(open_files).unwrap_or(usize::MAX);
    // Half of them where there are so few: a server without connections is none.
    let reserved = RESERVED_FILES.min(files / 2);
    files.saturating_sub(reserved).max(1).min(most)
}

/// Serves until `stop` completes, then lets running requests end.
///
/// # Errors
/// When a route has no handler; a connection's own errors end that connection alone.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    let router = dispatch::router(app)?;
    let total = Arc::new(Semaphore::new(limits.connections));
    let per_address = Arc::new(Addresses { most: limits.connections_per_address, open: Mutex::default() });
    let (closing, closed) = tokio::sync::watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    let (mut failed, mut refused) = (Tally::default(), Tally::default());
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if has_ended(&error) => {
                // The next may be well.
                tracing::debug!(%error, "a connection ended before it was taken");
                continue;
            }
            Err(error) => {
                // Too many open files, or too little memory.
                if let Some(count) = failed.count(Instant::now()) {
                    tracing::warn!(%error, count, "connections could not be accepted");
                }
                tokio::select! {
                    () = &mut stop => break,
                    () = tokio::time::sleep(PAUSE) => {}
                }
                continue;
            }
        };
        let (Ok(permit), Some(place)) = (total.clone().try_acquire_owned(), per_address.clone().take(address.ip()))
        else {
            if let Some(count) = refused.count(Instant::now()) {
                tracing::warn!(%address, count, "too many connections");
            }
            continue;
        };
        let (router, closed, pace) = (router.clone(), closed.clone(), Pace::new(limits));
        let (header_bytes, header_count) = (limits.header_bytes, limits.header_count);
        tokio::spawn(async move {
            connection(stream, address.ip(), router, closed, pace, header_bytes, header_count).await;
            drop((permit, place));
        });
    }
    drop(listener);
    // Nobody listens when no connection is open.
    let _ = closing.send(true);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(DRAIN, total.acquire_many(all)).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
    Ok(())
}

async fn connection(
    stream: TcpStream,
    address: IpAddr,
    router: Router,
    mut closed: tokio::sync::watch::Receiver<bool>,
    pace: Pace,
    header_bytes: usize,
    header_count: usize,
) {
    // Small replies must not wait for more to send.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router.map_request(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(address);
        request
    }));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(header_count)
        // More is answered with 431, and the connection ends.
        .max_header_size(header_bytes)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(PacedStream::new(stream, pace)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut closed) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "a connection ended early");
    }
}

/// Waits until the server stops.
async fn told(closed: &mut tokio::sync::watch::Receiver<bool>) {
    while !*closed.borrow_and_update() {
        if closed.changed().await.is_err() {
            return;
        }
    }
}

/// Whether it is the connection's own error, and not one of the system.
fn has_ended(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// How often something happened since it was told last.
#[derive(Debug, Default)]
struct Tally {
    told: Option<Instant>,
    since: u64,
}

impl Tally {
    /// Counts one more; gives how many there were since the last time, when it is time to tell.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.since = self.since.saturating_add(1);
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EACH) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

/// How many connections each address has open; of IPv6, each network.
struct Addresses {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

struct Place {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    fn take(self: Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Place { addresses: self, address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn connections_leave_files_for_the_store() {
        let check = |open_files, expected| assert_eq!(connections_within(10_000, open_files), expected, "{open_files}");
        check(u64::MAX, 10_000);
        check(10_256, 10_000);
        check(10_255, 9_999);
        check(1024, 768);
        check(512, 256);
        check(400, 200);
        check(0, 1);
        assert_eq!(connections_within(100, 1024), 100);
    }

    /// A reply that nobody reads, and its connection, are not kept for ever.
    #[tokio::test]
    async fn whoever_does_not_read_loses_the_connection() {
        // More than a system keeps for somebody who does not read.
        let router = Router::new().route("/", axum::routing::get(|| async { vec![7u8; 64 << 20] }));
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let (stream, address) = listener.accept().await.unwrap();
        let (_closing, closed) = tokio::sync::watch::channel(false);
        let pace = Pace::of(1 << 40, Duration::from_millis(100));
        let served = connection(stream, address.ip(), router, closed, pace, 32 * 1024, 100);
        tokio::time::timeout(Duration::from_secs(20), served).await.unwrap();
    }

    #[test]
    fn what_goes_on_failing_is_told_once_a_second_with_its_number() {
        let (begun, mut tally) = (Instant::now(), Tally::default());
        let mut at = |millis| tally.count(begun + Duration::from_millis(millis));
        assert_eq!([at(0), at(100), at(999), at(1000), at(1001)], [Some(1), None, None, Some(3), None]);
        assert_eq!([at(9000), at(9001)], [Some(2), None]);
        // Whatever the clock does.
        assert_eq!(at(0), None);
    }

    #[test]
    fn a_connection_that_ended_is_no_lack_of_files() {
        // EMFILE.
        assert!(!has_ended(&io::Error::from_raw_os_error(24)));
        for (kind, expected) in [
            (io::ErrorKind::OutOfMemory, false),
            (io::ErrorKind::ConnectionAborted, true),
            (io::ErrorKind::ConnectionReset, true),
        ] {
            assert_eq!(has_ended(&io::Error::from(kind)), expected, "{kind}");
        }
    }

    #[test]
    fn a_network_shares_its_places() {
        let addresses = Arc::new(Addresses { most: 2, open: Mutex::default() });
        let take = |address: &str| addresses.clone().take(address.parse().unwrap());
        let held = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(held.iter().all(Option::is_some));
        assert!(take("2001:db8::3").is_none(), "a third of the same /64");
        assert!(take("2001:db8:0:1::1").is_some() && take("192.0.2.1").is_some());
        drop(held);
        assert!(take("2001:db8::3").is_some());
        assert!(addresses.open.lock().unwrap().is_empty(), "what is closed is forgotten");
    }
}
