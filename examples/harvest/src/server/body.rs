//! The body of an answer, which may be slow or cut off.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::Reset;

/// The number of pieces of a slow body.
const PIECES: usize = 4;

/// A body sent piece by piece.
#[derive(Debug)]
pub(super) struct Body {
    left: Bytes,
    piece: usize,
    /// The time between two pieces.
    pause: Option<(Duration, Pin<Box<Sleep>>)>,
    /// The bytes that are announced and never sent.
    missing: usize,
}

impl Body {
    pub(super) fn empty() -> Self {
        Self::whole(Vec::new())
    }

    pub(super) fn whole(bytes: Vec<u8>) -> Self {
        Self { piece: bytes.len(), left: bytes.into(), pause: None, missing: 0 }
    }

    /// Returns a body that takes this time after its first piece.
    pub(super) fn slow(bytes: Vec<u8>, time: Duration) -> Self {
        let pause = time / (PIECES as u32 - 1);
        Self {
            piece: bytes.len().div_ceil(PIECES),
            left: bytes.into(),
            pause: Some((pause, Box::pin(sleep(Duration::ZERO)))),
            missing: 0,
        }
    }

    /// Returns a body without its second half.
    pub(super) fn cut(mut bytes: Vec<u8>) -> Self {
        let missing = bytes.len().div_ceil(2);
        bytes.truncate(bytes.len() - missing);
        Self { missing, ..Self::whole(bytes) }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Reset;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Reset>>> {
        if self.left.is_empty() {
            return Poll::Ready((self.missing > 0).then_some(Err(Reset)));
        }
        if let Some((pause, timer)) = &mut self.pause {
            ready!(timer.as_mut().poll(cx));
            timer.as_mut().reset(Instant::now() + *pause);
        }
        let piece = self.piece.min(self.left.len());
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.missing == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.left.len() + self.missing) as u64)
    }
}
