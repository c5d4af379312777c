//! Assertions on exact virtual durations.

use std::{fmt, future::Future, time::Duration};

use tokio::time::Instant;

/// Awaits a future, and returns its output and the virtual time that it took.
///
/// # Cancel safety
///
/// Dropping it drops `future`; nothing else is lost.
///
/// # Examples
///
/// ```
/// # use evenkeel_testkit::{World, took};
/// # use std::time::Duration;
/// # use tokio::time::sleep;
/// World::run(async |_| {
///     let (output, time) = took(async { sleep(Duration::from_secs(3600)).await; 42 }).await;
///     assert_eq!((output, time), (42, Duration::from_secs(3600)));
/// });
/// ```
pub async fn took<F: Future>(future: F) -> (F::Output, Duration) {
    let start = Instant::now();
    let output = future.await;
    (output, start.elapsed())
}

/// Awaits a future, asserts that it took exactly this virtual time, and returns its output.
///
/// Further arguments are a message, as in [`assert!`].
///
/// # Panics
///
/// If it took more or less; the message has both times, and the difference.
///
/// # Examples
///
/// ```
/// # use evenkeel_testkit::{World, assert_took};
/// # use std::time::Duration;
/// # use tokio::time::sleep;
/// World::run(async |_| {
///     assert_took!(sleep(Duration::from_secs(2)), Duration::from_secs(2));
///     let answer = assert_took!(async { 42 }, Duration::ZERO, "arithmetic takes no time");
///     assert_eq!(answer, 42);
/// });
/// ```
#[macro_export]
macro_rules! assert_took {
    ($future:expr, $expected:expr $(,)?) => {
        $crate::assert_took!($future, $expected, "took another time than expected")
    };
    ($future:expr, $expected:expr, $($message:tt)+) => {{
        let (output, got) = $crate::took($future).await;
        $crate::__assert_duration(got, $expected, ::core::format_args!($($message)+));
        output
    }};
}

/// The comparison of [`assert_took!`](crate::assert_took).
#[doc(hidden)]
#[track_caller]
pub fn __assert_duration(got: Duration, expected: Duration, message: fmt::Arguments<'_>) {
    let (sign, difference) = if got >= expected { ('+', got - expected) } else { ('-', expected - got) };
    assert!(
        difference.is_zero(),
        "{message}\n  expected: {expected:?}\n       got: {got:?}\ndifference: {sign}{difference:?}",
    );
}
