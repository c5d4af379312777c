//! Retrying futures.

use super::{Backoff, Error, NoopNotify, Notify};

/// Calls `operation` until it succeeds, fails for good, or `backoff` has no other delay.
///
/// # Errors
/// The error of the last attempt.
///
/// # Cancel safety
/// Dropping the future drops the attempt in flight, if any, and makes no other.
///
/// # Examples
/// ```
/// use evenkeel_retry::compat::backoff::{Error, backoff::Zero, future::retry};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let answer = retry(Zero {}, || async { Err::<(), _>(Error::permanent("bad request")) });
/// assert_eq!(answer.await, Err("bad request"));
/// # }
/// ```
pub async fn retry<T, E, Op, Fut, B>(backoff: B, operation: Op) -> Result<T, E>
where
    B: Backoff,
    Op: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error<E>>>,
{
    retry_notify(backoff, operation, NoopNotify).await
}

/// Like [`retry`], and tells `notify` of every retry, before the wait.
///
/// # Errors
/// The error of the last attempt.
///
/// # Cancel safety
/// As [`retry`].
///
/// # Examples
/// ```
/// use evenkeel_retry::compat::backoff::{Error, ExponentialBackoff, future::retry_notify};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mut left = 3;
/// let operation = || {
///     left -= 1;
///     std::future::ready(if left > 0 { Err(Error::transient("busy")) } else { Ok(42) })
/// };
/// let mut seen = 0;
/// let answer = retry_notify(ExponentialBackoff::default(), operation, |_, _| seen += 1).await;
/// assert_eq!((answer, seen), (Ok(42), 2));
/// # }
/// ```
pub async fn retry_notify<T, E, Op, Fut, B, N>(
    mut backoff: B,
    mut operation: Op,
    mut notify: N,
) -> Result<T, E>
where
    B: Backoff,
    Op: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error<E>>>,
    N: Notify<E>,
{
    backoff.reset();
    loop {
        let (error, asked) = match operation().await {
            Ok(value) => return Ok(value),
            Err(Error::Permanent(error)) => return Err(error),
            Err(Error::Transient { err, retry_after }) => (err, retry_after),
        };
        let Some(delay) = backoff.next_backoff() else { return Err(error) };
        let delay = asked.unwrap_or(delay);
        notify.notify(error, delay);
        tokio::time::sleep(delay).await;
    }
}
