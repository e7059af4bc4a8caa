//! Bodies that are fed piece by piece: downloads and server-sent events.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

/// A response body fed by a channel; bounded, so that a slow reader slows the sender down.
pub struct ChannelBody(mpsc::Receiver<Result<Bytes, io::Error>>);

impl ChannelBody {
    /// A channel of `pieces` pieces, and the body that it feeds.
    pub fn new(pieces: usize) -> (mpsc::Sender<Result<Bytes, io::Error>>, Self) {
        let (sender, receiver) = mpsc::channel(pieces);
        (sender, Self(receiver))
    }
}

impl HttpBody for ChannelBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// One server-sent event with the ledger index as its id, so that a reader can resume.
pub fn event(index: u64, name: &str, data: &str) -> Bytes {
    Bytes::from(format!("id: {index}\nevent: {name}\ndata: {data}\n\n"))
}
