//! Hedging: a second attempt beside a slow one.
//!
//! One future polls up to two attempts in its own task; no task is spawned. The first attempt is polled first, then the
//! timer, then the second attempt: where both succeed in one poll, the first wins. At the end both attempts and the timer
//! are dropped before the result is returned.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use evenkeel_base::poll_timer;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::{Budget, InvalidPolicy, error::StdError, quantile::LatencyQuantile, telemetry};

/// A second attempt beside a slow first one; the first success wins.
///
/// Against the slow few among many calls ("The Tail at Scale", Dean and Barroso, CACM 2013): most calls end before
/// the delay and cost nothing more. The operation must be safe to run twice at once. Hedging is for slowness: a
/// failure before the delay ends the call, and is the business of a [`Policy`](crate::Policy) around it.
///
/// | setting | default | meaning |
/// |---|---|---|
/// | delay | none: it is the constructor's argument | when the second attempt begins |
/// | [`budget`](Self::budget) | none | the share of calls that may have a second attempt |
///
/// # Why not just use `tokio::select!`?
/// It takes the first result, and so the first failure; here a failure waits for the other attempt, every error is
/// kept, a budget bounds the load, and the delay can follow the latencies that were seen.
///
/// # Examples
/// ```
/// use evenkeel_retry::{Budget, Hedge};
/// use std::{io, time::Duration};
///
/// static HEDGE: Hedge = Hedge::quantile(95, Duration::from_millis(50)).budget(Budget::percent(5));
///
/// # async fn fetch(_: &str) -> io::Result<u32> { Ok(42) }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let answer = HEDGE.run(|| fetch("https://example.test/")).await;
/// assert_eq!(answer.unwrap(), 42);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Hedge {
    delay: Delay,
    budget: Option<Budget>,
}

#[derive(Clone, Debug)]
enum Delay {
    Fixed(Duration),
    Quantile(LatencyQuantile),
}

impl Hedge {
    /// Makes a second attempt when the first one has taken this long.
    #[must_use]
    pub const fn after(delay: Duration) -> Self {
        Self { delay: Delay::Fixed(delay), budget: None }
    }

    /// Makes a second attempt when the first one has taken longer than this percentage of recent calls.
    ///
    /// The quantile is computed after every 32 calls that succeeded, from the last 256 of them, by the nearest rank, to the
    /// microsecond; until the first 32 have ended the delay is `until_known`. Clones share the latencies.
    ///
    /// # Panics
    /// If the percentage is not 1 to 99; at compile time in a `const` or `static`.
    #[must_use]
    #[track_caller]
    pub const fn quantile(percent: u8, until_known: Duration) -> Self {
        if percent < 1 || percent > 99 {
            panic!("{}", InvalidPolicy::Quantile.message());
        }
        Self { delay: Delay::Quantile(LatencyQuantile::new(percent, until_known)), budget: None }
    }

    /// Like [`quantile`](Self::quantile), for a configuration that is read at run time.
    ///
    /// # Errors
    /// [`InvalidPolicy`]: the percentage is not 1 to 99.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Hedge, InvalidPolicy};
    /// # use std::time::Duration;
    /// assert_eq!(Hedge::try_quantile(100, Duration::from_millis(50)).unwrap_err(), InvalidPolicy::Quantile);
    /// ```
    pub fn try_quantile(percent: u8, until_known: Duration) -> Result<Self, InvalidPolicy> {
        if !(1..=99).contains(&percent) {
            return Err(InvalidPolicy::Quantile);
        }
        Ok(Self::quantile(percent, until_known))
    }

    /// Makes second attempts only while this budget has tokens; each call deposits its share.
    ///
    /// A policy around it can have the same budget: then a call deposits once for the policy and once for every
    /// attempt, and retries and second attempts together stay within what was deposited.
    #[must_use]
    pub const fn budget(mut self, budget: Budget) -> Self {
        // A `const fn` cannot drop the old budget, if there was one.
        std::mem::forget(self.budget.replace(budget));
        self
    }

    /// Returns the delay after which the second attempt of a call would begin now.
    #[must_use]
    pub fn delay(&self) -> Duration {
        match &self.delay {
            Delay::Fixed(delay) => *delay,
            Delay::Quantile(latency) => latency.quantile(),
        }
    }

    fn may_begin_second(&self) -> bool {
        if let Some(budget) = &self.budget {
            match budget.try_withdraw() {
                Some(permit) => permit.spend(),
                None => return false,
            }
        }
        telemetry::hedged();
        true
    }

    /// Calls `operation`, and once more if it is slow.
    ///
    /// When the future is ready, neither attempt exists any more: the loser was dropped, and its destructors have run. A
    /// dropped future cannot await its own clean-up; an operation that needs to runs it in a task that it owns.
    ///
    /// # Errors
    /// [`HedgeError`]: the first attempt failed before the delay, or both failed; all errors are in it.
    ///
    /// # Cancel safety
    /// Dropping the future drops both attempts. The operation has to know whether they took effect.
    ///
    /// # Panics
    /// If the first attempt is not ready at once, and there is no tokio runtime or it has no timer (`enable_time`); where
    /// the operation does; and when the future is polled after it was ready.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::Hedge;
    /// # use std::{cell::Cell, io, time::Duration};
    /// # use tokio::time::sleep;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let hedge = Hedge::after(Duration::from_millis(100));
    /// let calls = Cell::new(0);
    /// let slow_at_first = async || {
    ///     calls.set(calls.get() + 1);
    ///     sleep(Duration::from_secs(if calls.get() == 1 { 9 } else { 1 })).await;
    ///     io::Result::Ok("done")
    /// };
    /// let start = tokio::time::Instant::now();
    /// assert_eq!(hedge.run(slow_at_first).await.unwrap(), "done");
    /// assert_eq!(start.elapsed(), Duration::from_millis(1100));
    /// # }
    /// ```
    pub const fn run<Op, Fut, T, E>(&self, operation: Op) -> impl Future<Output = Result<T, HedgeError<E>>>
    where
        Op: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        Hedged {
            hedge: self,
            operation,
            stage: Stage::Unstarted,
            start: None,
            errors: Errors(None, None),
            first: None,
            second: None,
            timer: None,
        }
    }
}

/// The errors so far, in order.
struct Errors<E>(Option<E>, Option<E>);

impl<E> Errors<E> {
    fn push(&mut self, error: E) {
        if self.0.is_none() { self.0 = Some(error) } else { self.1 = Some(error) }
    }
}

pin_project! {
    /// The future of [`Hedge::run`].
    struct Hedged<'h, Op, Fut, E> {
        hedge: &'h Hedge,
        operation: Op,
        stage: Stage,
        start: Option<Instant>,
        errors: Errors<E>,
        #[pin]
        first: Option<Fut>,
        #[pin]
        second: Option<Fut>,
        #[pin]
        timer: Option<Sleep>,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unstarted,
    /// The first attempt is in flight, and its delay is not over.
    One,
    /// No attempt is left to begin: there are two, or the budget had no token for the second.
    All,
    Done,
}

impl<Op, Fut, T, E> Future for Hedged<'_, Op, Fut, E>
where
    Op: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, HedgeError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match *this.stage {
            Stage::Unstarted => {
                if let Some(budget) = &this.hedge.budget {
                    budget.deposit();
                }
                if let Delay::Quantile(_) = this.hedge.delay {
                    *this.start = Some(Instant::now());
                }
                let attempt = (this.operation)();
                this.first.set(Some(attempt));
                *this.stage = Stage::One;
            }
            Stage::Done => panic!("`Hedged` was polled after it was ready"),
            Stage::One | Stage::All => {}
        }
        let mut won = None;
        match poll_attempt(this.first.as_mut(), cx) {
            Some(Ok(value)) => won = Some(value),
            Some(Err(error)) => this.errors.push(error),
            None => {}
        }
        if *this.stage == Stage::One && this.first.is_some() {
            if this.timer.is_none() {
                this.timer.set(Some(tokio::time::sleep(this.hedge.delay())));
            }
            if this.timer.as_mut().as_pin_mut().is_some_and(|timer| poll_timer(timer, cx).is_ready()) {
                *this.stage = Stage::All;
                if this.hedge.may_begin_second() {
                    let attempt = (this.operation)();
                    this.second.set(Some(attempt));
                }
            }
        }
        if won.is_none() {
            match poll_attempt(this.second.as_mut(), cx) {
                Some(Ok(value)) => {
                    telemetry::hedge_won();
                    won = Some(value);
                }
                Some(Err(error)) => this.errors.push(error),
                None => {}
            }
        }
        if won.is_none() && (this.first.is_some() || this.second.is_some()) {
            return Poll::Pending;
        }
        *this.stage = Stage::Done;
        this.first.set(None);
        this.second.set(None);
        this.timer.set(None);
        if let (Some(_), Some(start), Delay::Quantile(latency)) = (&won, *this.start, &this.hedge.delay) {
            // If the second attempt won, the first one would have taken longer than this.
            latency.record(start.elapsed());
        }
        Poll::Ready(match (won, this.errors.0.take()) {
            (None, Some(first)) => Err(HedgeError { first, second: this.errors.1.take() }),
            (Some(value), _) => Ok(value),
            (None, None) => unreachable!("an attempt ends with a value or an error"),
        })
    }
}

/// Polls an attempt in flight, and drops it when it ends.
fn poll_attempt<F: Future>(mut attempt: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Option<F::Output> {
    match attempt.as_mut().as_pin_mut()?.poll(cx) {
        Poll::Ready(output) => {
            attempt.set(None);
            Some(output)
        }
        Poll::Pending => None,
    }
}

/// The error of a call whose attempts all failed, with every error; the first in time is the `source()`.
///
/// # Examples
/// ```
/// use evenkeel_retry::Hedge;
/// use std::{io, time::Duration};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let hedge = Hedge::after(Duration::from_millis(10));
/// let failed = hedge.run(async || Err::<(), _>(io::Error::other("busy"))).await.unwrap_err();
/// assert_eq!(failed.first.to_string(), "busy");
/// assert!(failed.second.is_none(), "it failed before there was a second attempt");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HedgeError<E> {
    /// The first error in time.
    pub first: E,
    /// The other attempt's error, if there was another.
    pub second: Option<E>,
}

impl<E: fmt::Display> fmt::Display for HedgeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.second {
            Some(second) => write!(f, "both attempts failed, the second with: {second}"),
            None => f.write_str("the attempt failed before there was a second one"),
        }
    }
}

impl<E: StdError> Error for HedgeError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.first)
    }
}
