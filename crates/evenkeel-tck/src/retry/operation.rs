use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use super::{Record, record::Event};

/// What an implementation is to call again and again: it does what a rule has written for it, and notes all of it.
///
/// Clones are handles to the same operation.
///
/// # Examples
/// As in [`Adapter`](super::Adapter).
#[derive(Clone)]
pub struct Operation(Arc<Play>);

struct Play {
    script: Box<dyn Fn(u32) -> Step + Send + Sync>,
    calls: AtomicU32,
    record: Record,
}

/// What one attempt does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    takes: Duration,
    result: Result<(), Hint>,
}

impl Step {
    pub(crate) const OK: Self = Self { takes: Duration::ZERO, result: Ok(()) };
    pub(crate) const TRANSIENT: Self = Self::refusing(Hint::Transient);

    pub(crate) const fn refusing(hint: Hint) -> Self {
        Self { takes: Duration::ZERO, result: Err(hint) }
    }

    pub(crate) const fn taking(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }
}

/// The error of an [`Operation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The number of the attempt that was refused, from 1.
    pub attempt: u32,
    /// What it says about another attempt.
    pub hint: Hint,
}

/// What an error says about another attempt.
///
/// # Examples
/// As in [`Adapter`](super::Adapter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Worth another one.
    Transient,
    /// Worth another one, after this time. A plain transient error where [`Capability::RetryAfter`] is withheld.
    ///
    /// [`Capability::RetryAfter`]: super::Capability::RetryAfter
    RetryAfter(Duration),
    /// Worth another one, and nothing has reached the other side. A plain transient error where
    /// [`Capability::AtMostOnce`] is withheld.
    ///
    /// [`Capability::AtMostOnce`]: super::Capability::AtMostOnce
    NotSent,
    /// Not worth another one.
    Permanent,
}

impl Operation {
    pub(crate) fn new(record: &Record, script: impl Fn(u32) -> Step + Send + Sync + 'static) -> Self {
        Self(Arc::new(Play { script: Box::new(script), calls: AtomicU32::new(0), record: record.clone() }))
    }

    /// Calls the operation: this is an attempt.
    pub fn call(&self) -> Attempt {
        let number = self.0.calls.fetch_add(1, Relaxed) + 1;
        self.0.record.note(Event::Called(number));
        Attempt { number, play: self.0.clone(), timer: None, is_polled: false }
    }

    /// Tells of a retry: for the implementation's observer, with the delay that it was told.
    pub fn observed(&self, delay: Duration) {
        self.0.record.note(Event::Observed(delay));
    }
}

/// One attempt of an [`Operation`]: gives the attempt's number, or the error that the rule has written for it.
///
/// # Cancel safety
/// Dropping it ends the attempt, and is noted.
#[must_use = "futures do nothing unless awaited"]
pub struct Attempt {
    number: u32,
    play: Arc<Play>,
    timer: Option<Pin<Box<Sleep>>>,
    is_polled: bool,
}

impl Future for Attempt {
    type Output = Result<u32, Refused>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (number, step) = (self.number, (self.play.script)(self.number));
        if !self.is_polled {
            self.is_polled = true;
            self.play.record.note(Event::Polled(number));
        }
        if !step.takes.is_zero() {
            ready!(self.timer.get_or_insert_with(|| Box::pin(sleep(step.takes))).as_mut().poll(cx));
        }
        self.play.record.note(Event::Ended(number));
        Poll::Ready(step.result.map(|()| number).map_err(|hint| Refused { attempt: number, hint }))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.play.record.note(Event::Freed(self.number));
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("calls", &self.0.calls).finish_non_exhaustive()
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("number", &self.number).finish_non_exhaustive()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempt {} was refused: {:?}", self.attempt, self.hint)
    }
}

impl Error for Refused {}
