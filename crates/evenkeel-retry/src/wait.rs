use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep};

/// What the next poll waits for. One timer serves the time limits of attempts and the delays between them.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    kind: Kind,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Nothing,
    Yield,
    Timer,
}

impl Wait {
    pub(crate) fn is_nothing(&self) -> bool {
        self.kind == Kind::Nothing
    }

    pub(crate) fn for_nothing(&mut self) {
        self.kind = Kind::Nothing;
    }

    /// Lets other tasks run once.
    pub(crate) fn for_others(&mut self) {
        self.kind = Kind::Yield;
    }

    pub(crate) fn until(&mut self, at: Instant) {
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(at),
            None => self.timer = Some(Box::pin(tokio::time::sleep_until(at))),
        }
        self.kind = Kind::Timer;
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match (self.kind, &mut self.timer) {
            (Kind::Timer, Some(timer)) => ready!(timer.as_mut().poll(cx)),
            (Kind::Yield, _) => {
                self.kind = Kind::Nothing;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            _ => {}
        }
        self.kind = Kind::Nothing;
        Poll::Ready(())
    }
}
