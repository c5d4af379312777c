//! The body of a reply, on its way.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{reply::Pace, shared::InFlight};
use crate::net::later;

/// What is left to send, piece by piece or at once.
#[derive(Debug)]
pub(super) struct ReplyBody {
    rest: Bytes,
    pace: Option<(Pace, Pin<Box<Sleep>>)>,
    /// The call is in flight as long as its reply is.
    _call: InFlight,
}

impl ReplyBody {
    pub(super) fn new(body: Bytes, pace: Option<Pace>, call: InFlight) -> Self {
        let pace = pace.map(|pace| (pace, Box::pin(sleep_until(Instant::now()))));
        ReplyBody { rest: body, pace, _call: call }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = &mut *self;
        if body.rest.is_empty() {
            return Poll::Ready(None);
        }
        let mut piece = body.rest.len();
        if let Some((pace, turn)) = &mut body.pace {
            ready!(turn.as_mut().poll(cx));
            let next = later(turn.deadline(), pace.every);
            turn.as_mut().reset(next);
            piece = piece.min(pace.bytes);
        }
        Poll::Ready(Some(Ok(Frame::data(body.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
