//! Streams of connections: whoever does not read what is sent to them, or reads it too slowly, loses the connection, and the
//! reply that was held for them is forgotten.
//!
//! Only a write that waits counts. A connection on which there is nothing to send, such as a stream of events while nothing
//! happens, may last.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::pace::Pace;

/// A connection's stream, whose other end has to take what is written at a pace.
pub struct PacedStream<S> {
    inner: S,
    pace: Pace,
    /// The write that waits, where one does.
    waiting: Option<Waiting>,
}

/// A write that the other end has no room for.
struct Waiting {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

impl<S> PacedStream<S> {
    /// A stream that breaks off with [`io::ErrorKind::TimedOut`] when writes have waited for a whole window and too little
    /// was taken in it.
    pub fn new(inner: S, pace: Pace) -> Self {
        Self { inner, pace, waiting: None }
    }

    /// Counts what came of a write: the time that it waits, or how much was taken.
    fn counted(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = written else {
            let left = self.pace.left();
            let waiting =
                self.waiting.get_or_insert_with(|| Waiting { since: Instant::now(), end: Box::pin(sleep(left)) });
            // The window has an end also where nothing else wakes this task.
            ready!(waiting.end.as_mut().poll(context));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end reads too slowly")));
        };
        if let Some(waiting) = self.waiting.take() {
            self.pace.waited(waiting.since.elapsed());
        }
        if let Ok(bytes) = &written {
            self.pace.moved(*bytes);
        }
        Poll::Ready(written)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.counted(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, pieces);
        self.counted(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::timeout;

    use super::*;

    /// How long the other end has.
    const WINDOW: Duration = Duration::from_millis(50);
    /// Longer than a write that is broken off takes.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_write_that_nobody_reads_ends() {
        let (near, _far) = duplex(16);
        let mut stream = PacedStream::new(near, Pace::of(1, WINDOW));
        let error = timeout(PATIENCE, stream.write_all(&[7u8; 64])).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_write_that_is_read_drop_by_drop_ends() {
        let (near, mut far) = duplex(16);
        let mut stream = PacedStream::new(near, Pace::of(1 << 40, WINDOW));
        let reading = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            while far.read_u8().await.is_ok() {
                ticks.tick().await;
            }
        });
        let error = timeout(PATIENCE, stream.write_all(&vec![7u8; 1 << 20])).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(stream);
        reading.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_read_comes_whole() {
        let (near, mut far) = duplex(16);
        let mut stream = PacedStream::new(near, Pace::of(1, PATIENCE));
        let reading = tokio::spawn(async move {
            let mut bytes = Vec::new();
            far.read_to_end(&mut bytes).await.map(|_| bytes.len())
        });
        stream.write_all(&[7u8; 4096]).await.unwrap();
        stream.shutdown().await.unwrap();
        drop(stream);
        assert_eq!(reading.await.unwrap().unwrap(), 4096);
    }

    #[tokio::test]
    async fn a_stream_with_nothing_to_send_lasts() {
        let (near, mut far) = duplex(16);
        let mut stream = PacedStream::new(near, Pace::of(1 << 40, WINDOW));
        for _ in 0..3 {
            assert!(timeout(WINDOW * 2, stream.read_u8()).await.is_err(), "nobody says anything");
            stream.write_all(b"event").await.unwrap();
            let mut event = [0u8; 5];
            far.read_exact(&mut event).await.unwrap();
            assert_eq!(&event, b"event");
        }
    }
}
