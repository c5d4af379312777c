//! Choosing a policy, coming from other crates, and what wraps what. There are no items in this module.
//!
//! # Choosing
//!
//! | you have | take |
//! |---|---|
//! | a request to another service | [`Policy::exponential`] with full jitter, 3 or 4 attempts, a [`Budget`] |
//! | a few clients of one server that restarts | the same with [`Jitter::Equal`]: never at once, still spread |
//! | a poll every few seconds | [`Policy::fixed`] with [`Jitter::Percent`] |
//! | a conflict in a database or a compare-and-swap | [`Backoff::none`] or a very short one, many attempts |
//! | a request that must not take effect twice | [`Retry::at_most_once`], or the key of [`Attempt::key`] sent along |
//! | a user who waits | [`Policy::total_timeout`]: it bounds attempts and waits together |
//! | a connection, a transaction, `&mut self` | [`Policy::start`], the loop |
//! | errors of anyhow, boxes or strings, and a `?` | `.await.map_err(RetryError::boxed)?`: [`RetryError::boxed`] |
//! | rare slow answers, and a server with room | [`Hedge`] |
//! | a `tower` service | feature `tower` |
//! | a part of a request that has its own deadline | [`Retry::deadline`], [`Attempts::deadline`] |
//! | a connection that is made again when it breaks | [`Policy::reset_after`]: after a healthy period the count of attempts and delays starts again |
//!
//! Jitter: full gives the least load and the best spread, at the price that a retry may come at once. Equal waits at
//! least half the ceiling. A percentage keeps a rhythm. None is for tests, or for a single client.
//!
//! Retry at one layer only. Three layers of three attempts are 27 calls for one.
//!
//! # From a configuration
//!
//! With the feature `serde`. A backoff is `fixed`, with its `delay`, or `linear`, `exponential` or `fibonacci`, with
//! `initial` and `cap`; a jitter is `"none"`, `"full"`, `"equal"` or `{"percent": 20}`; and a time limit of `"none"` is no
//! limit. A setting that is left out has its default, an unknown name is an error, and so are the cases of [`InvalidPolicy`].
//!
//! ```
//! # #[cfg(feature = "serde")] {
//! # use evenkeel_retry::Policy;
//! let policy: Policy = serde_json::from_str(r#"{
//!     "backoff": {"exponential": {"initial": "100ms", "cap": "10s", "ratio": [3, 2], "jitter": "equal"}},
//!     "max_attempts": 4,
//!     "attempt_timeout": "5s",
//!     "total_timeout": "1m 30s",
//!     "max_retry_after": "1m",
//!     "reset_after": "none",
//!     "budget": {"permille": 100, "per_second": 1, "reserve": 10}
//! }"#).unwrap();
//! # drop(policy) }
//! ```
//!
//! # Amplification
//!
//! When a server is down, every call becomes as many as there are attempts, just when it can bear the least. With four
//! attempts that is four times the load; a fleet of 10,000 clients that each call every ten seconds sends 3.8 times the
//! calls that it would have sent (`cargo run -p cookbook --bin fleet` draws it, and shows why it is not four: some
//! attempts come after the outage). With `Budget::percent(10)` it sends 1.1 times as many. Nothing is lost by
//! it: in an outage the retries fail, too; and when a few calls fail, a tenth is enough for all of them.
//!
//! One budget for each server, not for each call: clones share it, and so do hedges. [`Budget::snapshot`] says how many
//! retries it allowed and refused: refusals are the outages that it kept from growing.
//!
//! # Asking when to come again
//!
//! With feature `http`, `http::retry_after` reads from all headers of a response how long to wait, in each form that services
//! send; its bound is a day, and [`Policy::max_retry_after`] bounds what a call waits.
//!
//! ```
//! # #[cfg(feature = "http")] {
//! use evenkeel_retry::{Verdict, http::retry_after};
//! use std::time::SystemTime;
//!
//! fn verdict(status: u16, headers: &[(&str, &str)]) -> Verdict {
//!     let wait = retry_after(headers.iter().copied(), SystemTime::now());
//!     match (status, wait) {
//!         (403 | 408 | 425 | 429 | 500 | 502..=504 | 520..=524 | 529, Some(wait)) => Verdict::RetryAfter(wait),
//!         (408 | 425 | 429 | 500 | 502..=504 | 520..=524 | 529, None) => Verdict::Retry,
//!         _ => Verdict::Permanent,
//!     }
//! }
//! let limited = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1m30s")];
//! assert_eq!(verdict(429, &limited), Verdict::RetryAfter(std::time::Duration::from_secs(90)));
//! assert_eq!(verdict(429, &[("retry-after", "soon")]), Verdict::Retry);
//! assert_eq!(verdict(403, &[]), Verdict::Permanent);
//! # }
//! ```
//!
//! | response | what to do |
//! |---|---|
//! | 429 without a wait that can be read | [`Verdict::Retry`]: the backoff of the policy, with its jitter |
//! | 202 with `Retry-After` | no error and no retry: ask for the state of the work after that time, in a loop of your own |
//! | 3xx with `Retry-After` | follow after that time |
//! | 409 after an attempt that timed out | that attempt may have succeeded: read what is there, or send the same idempotency key ([`Attempt::key`]) |
//! | `x-should-retry`, `stripe-should-retry` | `false` is [`Verdict::Permanent`], whatever the status; `true` is a retry, even of a status that is otherwise final |
//!
//! # Which wraps which
//!
//! From the outside in: the total time limit, the retry, the rate limiter, the concurrency limit, the time limit of one
//! attempt. So every attempt takes its turn in the limiter, the queue of the limiter is not part of an attempt's time,
//! a wait between attempts holds no permit, and no attempt begins when the total time is over. A loop says it in this
//! order:
//!
//! ```
//! # use evenkeel_retry::{Policy, RetryError};
//! # use std::{io, time::Duration};
//! use tokio::sync::Semaphore;
//!
//! static POLICY: Policy = Policy::exponential(Duration::from_millis(100), Duration::from_secs(10))
//!     .attempt_timeout(Duration::from_secs(2))
//!     .total_timeout(Duration::from_secs(30));
//! static AT_ONCE: Semaphore = Semaphore::const_new(10);
//!
//! # async fn fetch(_: &str) -> io::Result<u32> { Ok(42) }
//! async fn get(url: &str) -> Result<u32, RetryError<io::Error>> {
//!     let mut attempts = POLICY.start();
//!     loop {
//!         let permit = AT_ONCE.acquire().await; // the queue: not a part of the attempt
//!         let outcome = attempts.attempt(fetch(url)).await;
//!         drop(permit); // none is held during the wait
//!         match outcome {
//!             Ok(answer) => break Ok(answer),
//!             Err(failed) => attempts.backoff(failed).await?,
//!         }
//!     }
//! }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() { assert_eq!(get("https://example.test/").await.unwrap(), 42); }
//! ```
//!
//! The wait in the queue is the queue's own: [`timeout_at`](tokio::time::timeout_at) the deadline of the call bounds it.
//! In the closure of `run` the queue is a part of the attempt, and needs an
//! [`attempt_timeout`](Policy::attempt_timeout) that has room for it.
//!
//! | order | consequence |
//! |---|---|
//! | limiter around retry | retries go out unpaced, four calls within one permit |
//! | attempt limit around limiter | an attempt times out in the queue, without having called anything |
//! | concurrency limit around retry | a wait between attempts holds a permit, and the others queue |
//! | `tokio::time::timeout` around all, instead of [`Policy::total_timeout`] | waits are begun that cannot end in time, and the last error is lost |
//! | retry around a circuit breaker without a verdict | the breaker's refusals use up the attempts: make them [`Verdict::RetryAfter`] |
//! | retry around retry | attempts multiply |
//!
//! # Coming from backon
//!
//! | backon | here |
//! |---|---|
//! | `fetch.retry(ExponentialBuilder::default())` | `POLICY.run(fetch)` |
//! | `with_max_times(3)`, retries | [`Policy::max_attempts`]`(4)`, the first included |
//! | `with_min_delay`, `with_max_delay`, `with_factor` | [`Policy::exponential`]`(initial, cap)`, [`Backoff::ratio`] |
//! | `with_jitter()`, up to twice the delay, above the maximum | full by default, never above the cap |
//! | `with_total_delay`, a sum of delays | [`Policy::total_timeout`], the time that passed |
//! | `.when(f)`, `.notify(f)` | [`Retry::when`], [`Retry::observe`] |
//! | `.adjust(f)`, which goes past `max_times` | [`Retry::classify`] and [`Verdict::RetryAfter`], within all limits |
//! | `RetryableWithContext` | [`Policy::start`] |
//! | the last error | [`RetryError`], with it in `last` |
//!
//! # Coming from backoff
//!
//! | backoff 0.4 | here |
//! |---|---|
//! | `future::retry(backoff, op)` | [`Policy::run`]`(op)`; the backoff is part of the policy, which can be a `static` |
//! | `future::retry_notify(backoff, op, notify)`, `Notify`, `NoopNotify` | [`Retry::observe`] |
//! | `ExponentialBackoff::default()` | the policy `DEFAULT` below |
//! | `with_initial_interval`, `with_max_interval` | [`Policy::exponential`]`(initial, cap)`, [`Backoff::exponential`] |
//! | `with_multiplier(1.5)` | [`Backoff::ratio`]`(3, 2)`; 2 unless set |
//! | `with_randomization_factor(0.2)`, around the interval | [`Jitter::Percent`]`(20)`, below it; [`Jitter::None`] for 0.0 |
//! | `with_max_elapsed_time(Some(time))` | [`Policy::total_timeout`]; none unless set |
//! | no limit on the attempts | [`Policy::max_attempts`]`(u32::MAX)`; 3 unless set |
//! | `backoff::Constant`, `backoff::Zero`, `backoff::Stop` | [`Policy::fixed`], [`Backoff::none`], `max_attempts(1)` |
//! | an `impl Backoff` of your own | [`Backoff::steps`]; [`Policy::start`] for a loop that decides by itself |
//! | `Backoff::reset` after a healthy period | [`Policy::reset_after`] |
//! | `Error::transient`, `Error::permanent`, `Error::retry_after` in the operation | errors of your own; [`Retry::when`], [`Retry::classify`] at the call |
//! | the error of the operation | [`RetryError::last`], beside the reason |
//! | `Clock`, `SystemClock` | tokio's clock, which a test can pause |
//!
//! The same, compiled:
//!
//! ```
//! use evenkeel_retry::{Backoff, GaveUp, Jitter, Policy, Verdict};
//! use std::time::Duration;
//!
//! const fn secs(secs: u64) -> Duration { Duration::from_secs(secs) }
//!
//! static DEFAULT: Policy = Policy::new(
//!     Backoff::exponential(Duration::from_millis(500), secs(60)).ratio(3, 2).jitter(Jitter::Percent(50)),
//! )
//! .max_attempts(u32::MAX)
//! .attempt_timeout(Duration::MAX)
//! .total_timeout(secs(900));
//! static CONSTANT: Policy = Policy::fixed(secs(1));
//! static ZERO: Policy = Policy::new(Backoff::none());
//! static STOP: Policy = Policy::fixed(secs(1)).max_attempts(1);
//! static OWN: Policy = Policy::new(Backoff::steps(&[secs(1), secs(5), secs(30)]));
//! static LINK: Policy = Policy::exponential(secs(1), secs(60)).attempt_timeout(Duration::MAX).reset_after(secs(60));
//!
//! #[derive(Debug, PartialEq)]
//! enum ApiError { Busy, Limited(Duration), BadRequest }
//!
//! fn verdict(error: &ApiError) -> Verdict {
//!     match error {
//!         ApiError::Busy => Verdict::Retry, // Error::transient
//!         ApiError::Limited(wait) => Verdict::RetryAfter(*wait), // Error::retry_after
//!         ApiError::BadRequest => Verdict::Permanent, // Error::permanent
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let mut answers = [Err(ApiError::Busy), Err(ApiError::Limited(secs(7))), Err(ApiError::BadRequest)].into_iter();
//! let gave_up = DEFAULT
//!     .run(|| std::future::ready(answers.next().unwrap_or(Ok(()))))
//!     .classify(verdict)
//!     .observe(|retry| println!("again in {:?}: {:?}", retry.delay, retry.error))
//!     .await
//!     .unwrap_err();
//! assert_eq!((gave_up.reason, gave_up.attempts), (GaveUp::Permanent, 3));
//! assert_eq!(gave_up.last, Some(ApiError::BadRequest));
//! # let op = async || Err::<(), _>(ApiError::Busy);
//! # for policy in [&CONSTANT, &ZERO, &STOP, &OWN, &LINK] { policy.run(op).when(|_| true).await.unwrap_err(); }
//! # }
//! ```
//!
//! These differ because they are defects there: the operation is called when the future is made, and again before its
//! delay; jitter goes up to 1.5 times the maximum interval; `retry_after` goes past the elapsed time.
//!
//! # Coming from tokio-retry
//!
//! | tokio-retry | here |
//! |---|---|
//! | `ExponentialBackoff::from_millis(2).factor(50)`, a base that is raised | [`Backoff::exponential`]`(100 ms, cap)` |
//! | `.map(jitter)` | [`Jitter`], full by default |
//! | `.take(3)`, retries | [`Policy::max_attempts`]`(4)` |
//! | `Retry::start(strategy, action)` | `POLICY.run(action)` |
//! | `RetryIf` | [`Retry::when`] |
//!
//! # Coming from tenacity, stamina and other Python
//!
//! | Python | here |
//! |---|---|
//! | `@retry(stop=stop_after_attempt(4))` | [`Policy::max_attempts`]`(4)` |
//! | `stop_after_delay(60)`, `stop_before_delay(60)` | [`Policy::total_timeout`], which is the second |
//! | `wait_exponential_jitter(initial=0.1, max=10)` | [`Policy::exponential`]`(100 ms, 10 s)` |
//! | `wait_fixed(1)`, `wait_chain(...)` | [`Policy::fixed`], [`Backoff::steps`] |
//! | `retry_if_exception_type(OSError)` | [`Retry::when`] |
//! | `before_sleep=log` | [`Retry::observe`], or feature `tracing` |
//! | `for attempt in Retrying(...): with attempt: ...` | [`Policy::start`], a loop |
//! | `RetryError.last_attempt` | [`RetryError`]`.last` |

#[cfg(doc)]
use crate::{
    Attempt, Attempts, Backoff, Budget, Hedge, InvalidPolicy, Jitter, Policy, Retry, RetryError, Verdict,
};
