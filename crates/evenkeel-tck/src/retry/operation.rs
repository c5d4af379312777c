//! The operation that a policy retries, and the scripts of its attempts.

use std::{
    error::Error,
    fmt,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    task::coop::consume_budget,
    time::{Sleep, advance, sleep},
};

use super::record::{Event, Record};

/// The rounds of work of a busy attempt: enough for hundreds of polls.
const ROUNDS: u32 = 50_000;

/// The operation that an implementation retries: it follows the script of a rule, and records each of its steps.
///
/// Clones are handles to the same operation.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone)]
pub struct Operation(Arc<Play>);

struct Play {
    script: Box<dyn Fn(u32) -> Step + Send + Sync>,
    calls: AtomicU32,
    record: Record,
}

/// The script of one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    takes: Duration,
    is_busy: bool,
    /// A response that counts as a failure has a hint, as an error has.
    result: Result<Option<Hint>, Hint>,
}

impl Step {
    pub(crate) const OK: Self = Self::giving(Ok(None));
    pub(crate) const TRANSIENT: Self = Self::refusing(Hint::Transient);

    pub(crate) const fn refusing(hint: Hint) -> Self {
        Self::giving(Err(hint))
    }

    /// A response that counts as a failure.
    pub(crate) const fn responding(hint: Hint) -> Self {
        Self::giving(Ok(Some(hint)))
    }

    pub(crate) const fn taking(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }

    /// Spends its time not asleep, but in work that uses up the cooperative budget of its task at every poll.
    pub(crate) const fn busy(mut self) -> Self {
        self.is_busy = true;
        self
    }

    const fn giving(result: Result<Option<Hint>, Hint>) -> Self {
        Self { takes: Duration::ZERO, is_busy: false, result }
    }
}

/// The error of an [`Operation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The number of the attempt that was refused, from 1.
    pub attempt: u32,
    /// The hint about another attempt.
    pub hint: Hint,
}

/// The hint of an error, or of a response that counts as a failure, about another attempt.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
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
        Attempt { number, play: self.0.clone(), timer: None, polls: 0, rounds: 0 }
    }

    /// Returns the hint of a response that counts as a failure, or `None` for a response to keep.
    ///
    /// For implementations that judge responses: [`Capability::Responses`](super::Capability::Responses).
    #[must_use]
    pub fn judge(&self, response: u32) -> Option<Hint> {
        (self.0.script)(response).result.ok().flatten()
    }

    /// Records the idempotency key of the attempt that is called next.
    ///
    /// For implementations that have such keys: [`Capability::IdempotencyKeys`](super::Capability::IdempotencyKeys).
    pub fn keyed(&self, key: impl fmt::Display) {
        self.0.record.note(Event::Keyed(key.to_string()));
    }

    /// Records a retry with its delay; the implementation's observer calls this.
    pub fn observed(&self, delay: Duration) {
        self.0.record.note(Event::Observed(delay));
    }
}

/// One attempt of an [`Operation`]: returns the number of the attempt, or the error of the script.
///
/// # Cancel safety
/// Dropping it ends the attempt, and is noted.
#[must_use = "futures do nothing unless awaited"]
pub struct Attempt {
    number: u32,
    play: Arc<Play>,
    timer: Option<Pin<Box<Sleep>>>,
    polls: u32,
    rounds: u32,
}

impl Attempt {
    /// Works until the cooperative budget of the task is used up. The second poll advances the clock by hand: virtual
    /// time passes by itself only while all tasks sleep.
    fn poll_work(&mut self, takes: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if self.polls == 2 {
            // Awaiting the rest of the advance would let other tasks run.
            let _moved = pin!(advance(takes)).poll(cx);
        }
        while self.rounds < ROUNDS {
            ready!(pin!(consume_budget()).poll(cx));
            self.rounds += 1;
        }
        Poll::Ready(())
    }
}

impl Future for Attempt {
    type Output = Result<u32, Refused>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (number, step) = (self.number, (self.play.script)(self.number));
        self.polls += 1;
        if self.polls == 1 {
            self.play.record.note(Event::Polled(number));
        }
        if step.is_busy {
            ready!(self.poll_work(step.takes, cx));
        } else if !step.takes.is_zero() {
            ready!(self.timer.get_or_insert_with(|| Box::pin(sleep(step.takes))).as_mut().poll(cx));
        }
        self.play.record.note(Event::Ended(number));
        Poll::Ready(step.result.map(|_| number).map_err(|hint| Refused { attempt: number, hint }))
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
