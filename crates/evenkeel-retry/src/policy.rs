//! Policies: the settings of a call as data.

#[cfg(feature = "inspect")]
use std::panic::Location;
use std::time::Duration;

#[cfg(feature = "inspect")]
use crate::inspect::Title;
use crate::{
    Attempt, Attempts, Backoff, Budget, InvalidPolicy, Jitter, Retry, RetryEvent, Verdict,
    edges::CallPlace,
    retry::{retry_all, unobserved},
};

/// The settings of a call: delays, time limits and the number of attempts, as plain data that can be a `static`.
///
/// A policy knows nothing of errors. The call says which of them are worth another attempt:
/// [`Retry::when`], [`Retry::classify`], [`Failed::when`](crate::Failed::when).
///
/// | setting | default | meaning |
/// |---|---|---|
/// | [`max_attempts`](Self::max_attempts) | 3 | attempts in all, the first included; [`max_retries`](Self::max_retries) counts without it |
/// | [`attempt_timeout`](Self::attempt_timeout) | 30 s | one attempt |
/// | [`total_timeout`](Self::total_timeout) | none | all attempts and the waits between them |
/// | [`max_retry_after`](Self::max_retry_after) | 60 s | the longest wait that a server may ask for |
/// | [`reset_after`](Self::reset_after) | never | the time in flight after which a failure counts as the first again |
/// | [`budget`](Self::budget) | none | the share of calls that may be retried |
/// | [`seed`](Self::seed) | a new one for each call | the source of the jitter |
///
/// # Examples
/// ```
/// use evenkeel_retry::Policy;
/// use std::time::Duration;
///
/// static POLICY: Policy = Policy::exponential(Duration::from_millis(100), Duration::from_secs(10))
///     .max_attempts(4)
///     .attempt_timeout(Duration::from_secs(5));
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use std::{io, sync::atomic::{AtomicU32, Ordering::Relaxed}};
/// let calls = AtomicU32::new(0);
/// let answer = POLICY.run(async || match calls.fetch_add(1, Relaxed) {
///     0 => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
///     _ => Ok(42),
/// });
/// assert_eq!(answer.await.unwrap(), 42);
/// # }
/// ```
/// A static policy that makes no sense does not compile:
/// ```compile_fail,E0080
/// # use evenkeel_retry::Policy;
/// # use std::time::Duration;
/// static POLICY: Policy = Policy::fixed(Duration::from_millis(100)).max_attempts(0);
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(try_from = "crate::serde::PolicyData"))]
pub struct Policy {
    pub(crate) backoff: Backoff,
    pub(crate) max_attempts: u32,
    pub(crate) attempt_timeout: Duration,
    pub(crate) total_timeout: Duration,
    pub(crate) max_retry_after: Duration,
    pub(crate) reset_after: Duration,
    pub(crate) budget: Option<Budget>,
    pub(crate) seed: Option<u64>,
    #[cfg(feature = "inspect")]
    pub(crate) title: Title,
}

impl Policy {
    /// Returns a policy with this backoff and the defaults of the table above.
    #[must_use]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub const fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            max_attempts: 3,
            attempt_timeout: Duration::from_secs(30),
            total_timeout: Duration::MAX,
            max_retry_after: Duration::from_secs(60),
            reset_after: Duration::MAX,
            budget: None,
            seed: None,
            #[cfg(feature = "inspect")]
            title: Title::new(Location::caller()),
        }
    }

    /// Names the policy for the dumps of evenkeel-inspect. Without the feature `inspect` the name is dropped.
    ///
    /// A policy is in a dump while calls wait for their next attempts: each with its task, the place of the call, the number of
    /// the next attempt, the end of the delay, and the type of the last error. The text of an error is not in it, as that may
    /// hold a secret.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::Policy;
    /// # use std::time::Duration;
    /// static POLICY: Policy =
    ///     Policy::exponential(Duration::from_millis(100), Duration::from_secs(10)).named("orders");
    /// ```
    #[must_use]
    pub const fn named(self, name: &'static str) -> Self {
        #[cfg(feature = "inspect")]
        {
            let mut policy = self;
            policy.title.set_name(name);
            policy
        }
        #[cfg(not(feature = "inspect"))]
        {
            let _ = name;
            self
        }
    }

    /// Returns a policy with delays that double from `initial` to `cap`, with full jitter: [`Backoff::exponential`].
    ///
    /// # Panics
    /// If `initial` is longer than `cap`; at compile time in a `const` or `static`.
    #[must_use]
    #[track_caller]
    pub const fn exponential(initial: Duration, cap: Duration) -> Self {
        Self::new(Backoff::exponential(initial, cap))
    }

    /// Returns a policy with the same delay before every retry: [`Backoff::fixed`].
    #[doc(alias = "constant")]
    #[must_use]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub const fn fixed(delay: Duration) -> Self {
        Self::new(Backoff::fixed(delay))
    }

    /// Sets the maximum number of attempts, the first included.
    ///
    /// # Panics
    /// If `attempts` is zero; at compile time in a `const` or `static`.
    #[must_use]
    #[track_caller]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        if attempts == 0 {
            panic!("{}", InvalidPolicy::NoAttempts.message());
        }
        self.max_attempts = attempts;
        self
    }

    /// Sets the maximum number of retries: `max_attempts(retries + 1)`, at most `u32::MAX` attempts.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Backoff, Policy};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let policy = Policy::new(Backoff::none()).max_retries(3);
    /// let gave_up = policy.run(async || Err::<(), _>("busy")).await.unwrap_err();
    /// assert_eq!(gave_up.attempts, 4);
    /// # }
    /// ```
    #[must_use]
    pub const fn max_retries(self, retries: u32) -> Self {
        self.max_attempts(retries.saturating_add(1))
    }

    /// Like [`max_attempts`](Self::max_attempts), for a configuration that is read at run time.
    ///
    /// # Errors
    /// [`InvalidPolicy`]: `attempts` is zero.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Backoff, InvalidPolicy, Policy};
    /// let policy = Policy::new(Backoff::none());
    /// assert_eq!(policy.try_max_attempts(0).unwrap_err(), InvalidPolicy::NoAttempts);
    /// ```
    pub fn try_max_attempts(self, attempts: u32) -> Result<Self, InvalidPolicy> {
        if attempts == 0 { Err(InvalidPolicy::NoAttempts) } else { Ok(self.max_attempts(attempts)) }
    }

    /// Sets the longest time for one attempt, which is dropped then and counts as failed; `Duration::MAX` sets no bound.
    ///
    /// The timer is armed when an attempt is first pending: an operation that is ready at once reads no clock, and is all
    /// that a limit of zero allows.
    #[doc(alias = "timeout")]
    #[must_use]
    pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Sets the longest time for all attempts and waits together, from the first attempt on; `Duration::MAX` sets no bound.
    ///
    /// An attempt in flight is dropped at that time. A wait that would not end before it is not begun: the call
    /// gives up at once.
    #[doc(alias("with_total_delay", "timeout"))]
    #[must_use]
    pub const fn total_timeout(mut self, timeout: Duration) -> Self {
        self.total_timeout = timeout;
        self
    }

    /// Sets the longest wait that [`Verdict::RetryAfter`] may ask for; beyond it the call
    /// gives up, since the server asked not to be called earlier.
    #[must_use]
    pub const fn max_retry_after(mut self, longest: Duration) -> Self {
        self.max_retry_after = longest;
        self
    }

    /// Starts the count again after a healthy period, for operations that last: a connection that is made again when it breaks.
    ///
    /// When an attempt has lived this long, from when it was first pending, its failure counts as the first one: of the
    /// attempts, of the delays, and of [`RetryError::elapsed`](crate::RetryError::elapsed). It counts as a call for the
    /// [`budget`](Self::budget), too. The total time goes on. `Duration::MAX` is never.
    ///
    /// Such an operation needs an [`attempt_timeout`](Self::attempt_timeout) that lets it live, `Duration::MAX` mostly.
    /// Running out of time is a failure like any other: with a limit above this period, an operation that hangs is
    /// tried again for ever.
    ///
    /// # Panics
    /// If it is zero, which would be to try for ever; at compile time in a `const` or `static`.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Policy, RetryError};
    /// # use std::{cell::Cell, io, time::Duration};
    /// # use tokio::time::sleep;
    /// static RECONNECT: Policy = Policy::exponential(Duration::from_millis(100), Duration::from_secs(10))
    ///     .max_attempts(5)
    ///     .attempt_timeout(Duration::MAX)
    ///     .reset_after(Duration::from_secs(60));
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let days = Cell::new(0);
    /// let gave_up = RECONNECT.run(async || {
    ///     days.set(days.get() + 1);
    ///     if days.get() <= 30 {
    ///         sleep(Duration::from_secs(86_400)).await; // it serves for a day, and breaks
    ///     }
    ///     Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionReset))
    /// });
    /// assert_eq!(gave_up.await.unwrap_err().attempts, 5, "since the last day that was served");
    /// assert_eq!(days.get(), 30 + 4);
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub const fn reset_after(mut self, healthy: Duration) -> Self {
        if healthy.is_zero() {
            panic!("{}", InvalidPolicy::ResetAfter.message());
        }
        self.reset_after = healthy;
        self
    }

    /// Like [`reset_after`](Self::reset_after), for a configuration that is read at run time.
    ///
    /// # Errors
    /// [`InvalidPolicy`]: `healthy` is zero.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Backoff, InvalidPolicy, Policy};
    /// # use std::time::Duration;
    /// let policy = Policy::new(Backoff::none());
    /// assert_eq!(policy.try_reset_after(Duration::ZERO).unwrap_err(), InvalidPolicy::ResetAfter);
    /// ```
    pub fn try_reset_after(self, healthy: Duration) -> Result<Self, InvalidPolicy> {
        if healthy.is_zero() { Err(InvalidPolicy::ResetAfter) } else { Ok(self.reset_after(healthy)) }
    }

    /// Sets the jitter of the delays, full for exponential ones unless set: [`Backoff::jitter`].
    ///
    /// # Panics
    /// If a percentage is above 100; at compile time in a `const` or `static`.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Jitter, Policy};
    /// # use std::time::Duration;
    /// static POLICY: Policy =
    ///     Policy::exponential(Duration::from_millis(100), Duration::from_secs(10)).jitter(Jitter::Equal);
    /// ```
    #[must_use]
    #[track_caller]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.backoff = self.backoff.jitter(jitter);
        self
    }

    /// Makes retries only while this budget has tokens; clones of the policy share it.
    #[must_use]
    pub const fn budget(mut self, budget: Budget) -> Self {
        // A `const fn` cannot drop the old budget, if there was one.
        std::mem::forget(self.budget.replace(budget));
        self
    }

    /// Draws the jitter of every call from this seed, so that a simulation or a test can be replayed.
    ///
    /// All calls of a seeded policy wait alike: never ship one.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Calls `operation` until it succeeds or the policy gives up; every error is retried unless
    /// [`Retry::when`] or [`Retry::classify`] says otherwise.
    ///
    /// The operation is first called when the future is first polled, and again only when its delay is over.
    ///
    /// An operation that changes what it captures, as `async || { n += 1; … }` or one over `&mut self` does, is no `FnMut`
    /// that returns a future: [`start`](Self::start) and a loop lend it mutably. A closure with a `?` in it names its error:
    /// `async || -> io::Result<_> { … }`.
    ///
    /// # Errors
    /// [`RetryError`](crate::RetryError): why the call gave up, and the last attempt's error by value.
    ///
    /// # Cancel safety
    /// Dropping the future drops the attempt in flight, if any, and makes no other. The operation has to
    /// know whether that attempt took effect.
    ///
    /// # Panics
    /// If a limit or a delay needs a timer, and there is no tokio runtime or it has none (`enable_time`); and where the
    /// operation or a function of the call does.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::Policy;
    /// # use std::{io, time::Duration};
    /// # async fn fetch(_: &str) -> Result<String, io::Error> { Ok("ok".into()) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let policy = Policy::fixed(Duration::from_millis(50));
    /// let url = String::from("https://example.test/");
    /// let body = policy.run(|| fetch(&url)).when(|e| e.kind() != io::ErrorKind::NotFound).await?;
    /// # assert_eq!(body, "ok");
    /// # Ok(()) }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    #[expect(
        clippy::type_complexity,
        reason = "the types of three closures, of no size unless they hold something"
    )]
    pub fn run<'p, Op, Fut, T, E>(
        &'p self,
        mut operation: Op,
    ) -> Retry<
        'p,
        impl FnMut(&mut Attempts<'p>) -> Fut + use<'p, Op, Fut, T, E>,
        Fut,
        E,
        impl FnMut(&E) -> Verdict + use<Op, Fut, T, E>,
        impl FnMut(RetryEvent<'_, E>) + use<Op, Fut, T, E>,
    >
    where
        Op: FnMut() -> Fut, // where it changes what it captures: `start`, and a loop
        Fut: Future<Output = Result<T, E>>,
    {
        let call = CallPlace::here();
        Retry::new(self.start(), call, move |_: &mut Attempts<'p>| operation(), retry_all, unobserved)
    }

    /// Like [`run`](Self::run), for an operation that wants to know which [`Attempt`] it is.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::Policy;
    /// # use std::{io, time::Duration};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # let policy = Policy::fixed(Duration::from_millis(10));
    /// let answer = policy.run_with(async |attempt| match attempt.number() {
    ///     3 => Ok("the third"),
    ///     _ => Err(io::Error::other("busy")),
    /// });
    /// assert_eq!(answer.await.unwrap(), "the third");
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    #[expect(
        clippy::type_complexity,
        reason = "the types of three closures, of no size unless they hold something"
    )]
    pub fn run_with<'p, Op, Fut, T, E>(
        &'p self,
        mut operation: Op,
    ) -> Retry<
        'p,
        impl FnMut(&mut Attempts<'p>) -> Fut + use<'p, Op, Fut, T, E>,
        Fut,
        E,
        impl FnMut(&E) -> Verdict + use<Op, Fut, T, E>,
        impl FnMut(RetryEvent<'_, E>) + use<Op, Fut, T, E>,
    >
    where
        Op: FnMut(Attempt) -> Fut, // where it changes what it captures: `start`, and a loop
        Fut: Future<Output = Result<T, E>>,
    {
        Retry::new(
            self.start(),
            CallPlace::here(),
            move |attempts: &mut Attempts<'p>| operation(attempts.this_attempt()),
            retry_all,
            unobserved,
        )
        .with_call_state()
    }

    /// Returns whether no setting needs to know how long an attempt is in flight.
    pub(crate) fn is_untimed(&self) -> bool {
        [self.attempt_timeout, self.total_timeout, self.reset_after] == [Duration::MAX; 3]
    }

    /// Starts a series of attempts that the caller's own loop drives: see [`Attempts`].
    #[inline]
    pub const fn start(&self) -> Attempts<'_> {
        Attempts::new(self)
    }
}
