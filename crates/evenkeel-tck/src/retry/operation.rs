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

use tokio::{task::coop::consume_budget, time::advance};

use super::record::{Event, Record};
use crate::{
    BoxFuture,
    agenda::{Sleep, sleep},
};

/// The rounds of work of a busy attempt: enough for hundreds of polls.
const ROUNDS: u32 = 50_000;

/// The operation that an implementation retries: it follows the script of a rule, and records each of its steps.
///
/// Clones are handles to the same operation.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone)]
pub struct Operation(Source);

#[derive(Clone)]
enum Source {
    Here(Arc<Play>),
    Remote(Arc<dyn Remote>),
}

/// An operation whose script is in another process.
pub(crate) trait Remote: Send + Sync {
    /// Begins an attempt: its number and its end.
    fn call(&self) -> (u32, BoxFuture<'static, Result<u32, Refused>>);
    fn judge(&self, response: u32) -> Option<Hint>;
    fn keyed(&self, key: String);
    fn observed(&self, delay: Option<Duration>);
}

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
        let play = Play { script: Box::new(script), calls: AtomicU32::new(0), record: record.clone() };
        Self(Source::Here(Arc::new(play)))
    }

    /// An operation whose script is in another process.
    pub(crate) fn remote(remote: Arc<dyn Remote>) -> Self {
        Self(Source::Remote(remote))
    }

    /// Calls the operation: this is an attempt.
    pub fn call(&self) -> Attempt {
        let play = match &self.0 {
            Source::Here(play) => play,
            Source::Remote(remote) => {
                let (number, end) = remote.call();
                return Attempt { number, run: Run::Remote(end) };
            }
        };
        let number = play.calls.fetch_add(1, Relaxed) + 1;
        play.record.note(Event::Called(number));
        Attempt { number, run: Run::Here(Box::new(Steps::new(number, play.clone()))) }
    }

    /// Returns the hint of a response that counts as a failure, or `None` for a response to keep.
    ///
    /// For implementations that judge responses: [`Capability::Responses`](super::Capability::Responses).
    #[must_use]
    pub fn judge(&self, response: u32) -> Option<Hint> {
        match &self.0 {
            Source::Here(play) => (play.script)(response).result.ok().flatten(),
            Source::Remote(remote) => remote.judge(response),
        }
    }

    /// Records the idempotency key of the attempt that is called next.
    ///
    /// For implementations that have such keys: [`Capability::IdempotencyKeys`](super::Capability::IdempotencyKeys).
    pub fn keyed(&self, key: impl fmt::Display) {
        match &self.0 {
            Source::Here(play) => play.record.note(Event::Keyed(key.to_string())),
            Source::Remote(remote) => remote.keyed(key.to_string()),
        }
    }

    /// Records a retry with its delay, or with `None` if none is told; the implementation's observer calls this.
    pub fn observed(&self, delay: impl Into<Option<Duration>>) {
        let delay = delay.into();
        match &self.0 {
            Source::Here(play) => play.record.note(Event::Observed(delay)),
            Source::Remote(remote) => remote.observed(delay),
        }
    }
}

/// One attempt of an [`Operation`]: returns the number of the attempt, or the error of the script.
///
/// # Cancel safety
/// Dropping it ends the attempt, and is noted.
#[must_use = "futures do nothing unless awaited"]
pub struct Attempt {
    number: u32,
    run: Run,
}

enum Run {
    Here(Box<Steps>),
    Remote(BoxFuture<'static, Result<u32, Refused>>),
}

/// An attempt whose script is here.
struct Steps {
    number: u32,
    play: Arc<Play>,
    has_begun: bool,
    timer: Option<Sleep>,
    polls: u32,
    rounds: u32,
}

impl Attempt {
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Begins as by a first poll, which was that of the implementation in another process.
    pub(crate) fn begin(&mut self) {
        if let Run::Here(steps) = &mut self.run {
            steps.begin();
        }
    }
}

impl Future for Attempt {
    type Output = Result<u32, Refused>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.run {
            Run::Here(steps) => steps.poll(cx),
            Run::Remote(end) => end.as_mut().poll(cx),
        }
    }
}

impl Steps {
    fn new(number: u32, play: Arc<Play>) -> Self {
        Self { number, play, has_begun: false, timer: None, polls: 0, rounds: 0 }
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.play.record.note(Event::Polled(self.number));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<u32, Refused>> {
        let (number, step) = (self.number, (self.play.script)(self.number));
        self.polls += 1;
        self.begin();
        if step.is_busy {
            ready!(self.poll_work(step.takes, cx));
        } else if !step.takes.is_zero() {
            ready!(pin!(self.timer.get_or_insert_with(|| sleep(step.takes))).poll(cx));
        }
        self.play.record.note(Event::Ended(number));
        Poll::Ready(step.result.map(|_| number).map_err(|hint| Refused { attempt: number, hint }))
    }

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

impl Drop for Steps {
    fn drop(&mut self) {
        self.play.record.note(Event::Freed(self.number));
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").finish_non_exhaustive()
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("number", &self.number).finish_non_exhaustive()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the attempt: real errors do not differ by their number.
        write!(f, "refused: {:?}", self.hint)
    }
}

impl Error for Refused {}
