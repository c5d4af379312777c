//! The description of one attempt, for the operation itself.

use std::{fmt, time::Duration};

use tokio::time::Instant;

/// Describes one attempt to its operation, which may send the deadline or the idempotency key along.
///
/// Returned by [`Policy::run_with`](crate::Policy::run_with) and [`Attempts::next_attempt`](crate::Attempts::next_attempt).
///
/// # Examples
/// ```
/// use evenkeel_retry::Policy;
/// use std::{io, time::Duration};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let policy = Policy::fixed(Duration::from_millis(10)).attempt_timeout(Duration::from_secs(2));
/// let mut keys = Vec::new();
/// let result = policy.run_with(|attempt| {
///     keys.push(attempt.key().to_string());
///     assert_eq!(attempt.remaining(), Some(Duration::from_secs(2)));
///     async move { Err::<(), _>(io::Error::other(format!("attempt {}", attempt.number()))) }
/// });
/// assert_eq!(result.await.unwrap_err().last.unwrap().to_string(), "attempt 3");
/// assert!(keys.iter().all(|key| *key == keys[0]), "one key for all attempts of a call");
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub(crate) number: u32,
    pub(crate) deadline: Option<Instant>,
    pub(crate) key: IdempotencyKey,
}

impl Attempt {
    /// Returns the attempt's number, from 1; from the last healthy one on if
    /// [`Policy::reset_after`](crate::Policy::reset_after) is set.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Returns the time at which the attempt will be dropped; `None` if no time limit is set.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns the time that is left to the attempt; `None` if no time limit is set.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Returns a key that all attempts of one call share, and no other call has: a server can tell a repetition from a
    /// new request.
    #[must_use]
    pub const fn key(&self) -> IdempotencyKey {
        self.key
    }
}

/// 128 random bits that name a call; displayed as 32 hexadecimal digits.
///
/// # Examples
/// ```
/// use evenkeel_retry::{IdempotencyKey, Policy};
/// use std::time::Duration;
///
/// let policy = Policy::fixed(Duration::from_millis(10));
/// let key: IdempotencyKey = policy.start().next_attempt().key();
/// assert_eq!(key.to_string().len(), 32);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub(crate) u128);

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
