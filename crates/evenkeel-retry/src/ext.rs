//! The extension trait: a policy behind the operation instead of before it.

use crate::{Attempts, Policy, Retry, RetryEvent, Verdict};

/// Retries a closure or a function as a method call: `operation.retry(&POLICY)` for
/// [`POLICY.run(operation)`](Policy::run).
///
/// # Examples
/// ```
/// use evenkeel_retry::{Policy, prelude::*};
/// use std::{io, time::Duration};
///
/// async fn fetch(_: &str) -> io::Result<u32> {
///     Ok(42)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let policy = Policy::fixed(Duration::from_millis(10));
/// let url = String::from("https://example.test/");
/// assert_eq!((|| fetch(&url)).retry(&policy).await.unwrap(), 42);
/// # }
/// ```
pub trait RetryExt<Fut>: FnMut() -> Fut + Sized {
    /// Calls itself until it succeeds or the policy gives up: see [`Policy::run`].
    ///
    /// # Errors
    /// As [`Policy::run`].
    ///
    /// # Cancel safety
    /// As [`Policy::run`].
    #[expect(
        clippy::type_complexity,
        reason = "the types of three closures, of no size unless they hold something"
    )]
    fn retry<'p, T, E>(
        self,
        policy: &'p Policy,
    ) -> Retry<
        'p,
        impl FnMut(&mut Attempts<'p>) -> Fut,
        Fut,
        E,
        impl FnMut(&E) -> Verdict,
        impl FnMut(RetryEvent<'_, E>),
    >
    where
        Fut: Future<Output = Result<T, E>>,
    {
        policy.run(self)
    }
}

impl<Op: FnMut() -> Fut, Fut> RetryExt<Fut> for Op {}
