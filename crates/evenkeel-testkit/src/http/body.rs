//! The body of a reply, sent at once or in pieces.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{in_flight::InFlightCall, reply::SlowBody};
use crate::net::later;

/// The bytes that are left to send.
#[derive(Debug)]
pub(super) struct ReplyBody {
    bytes: Bytes,
    slow: Option<(SlowBody, Pin<Box<Sleep>>)>,
    /// Counts the call as in flight until its reply is sent.
    _call: InFlightCall,
}

impl ReplyBody {
    pub(super) fn new(body: Bytes, slow: Option<SlowBody>, call: InFlightCall) -> Self {
        let slow = slow.map(|slow| (slow, Box::pin(sleep_until(Instant::now()))));
        ReplyBody { bytes: body, slow, _call: call }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let mut piece = this.bytes.len();
        if let Some((slow, timer)) = &mut this.slow {
            ready!(timer.as_mut().poll(cx));
            let next = later(timer.deadline(), slow.every);
            timer.as_mut().reset(next);
            piece = piece.min(slow.bytes);
        }
        Poll::Ready(Some(Ok(Frame::data(this.bytes.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
