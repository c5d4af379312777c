//! The options of a transaction: isolation level, access, and retry.

use std::time::Duration;

use evenkeel_retry::Policy;

/// The isolation level of a transaction, and its retry after conflicts.
///
/// | setting | default | set by |
/// |---|---|---|
/// | isolation level | the server's, as a rule read committed | the constructor |
/// | access | read and write | [`read_only`](Self::read_only) |
/// | attempts | 10, 10 ms and up to 1 s apart, with full jitter | [`retry`](Self::retry) |
/// | time for an attempt | no bound | [`retry`](Self::retry) |
///
/// # Examples
///
/// ```
/// use evenkeel_postgres::{Policy, TxOptions};
/// use std::time::Duration;
///
/// let policy = Policy::exponential(Duration::from_millis(5), Duration::from_millis(500)).max_attempts(20);
/// let options = TxOptions::serializable().read_only().retry(policy);
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing before they are passed to a transaction"]
pub struct TxOptions {
    isolation: Option<&'static str>,
    read_only: bool,
    pub(crate) retry: Policy,
}

impl TxOptions {
    /// The server's default isolation level: `default_transaction_isolation`.
    pub const fn new() -> Self {
        Self::at(None)
    }

    /// Each statement sees what was committed before it began.
    pub const fn read_committed() -> Self {
        Self::at(Some("READ COMMITTED"))
    }

    /// All statements see what was committed before the first one; a write to a row that another transaction has changed
    /// since is a conflict.
    pub const fn repeatable_read() -> Self {
        Self::at(Some("REPEATABLE READ"))
    }

    /// Transactions behave as if they ran one after the other; where that is impossible, one of them has a conflict.
    pub const fn serializable() -> Self {
        Self::at(Some("SERIALIZABLE"))
    }

    const fn at(isolation: Option<&'static str>) -> Self {
        let retry = Policy::exponential(Duration::from_millis(10), Duration::from_secs(1))
            .max_attempts(10)
            .attempt_timeout(Duration::MAX);
        Self { isolation, read_only: false, retry }
    }

    /// Makes the server refuse every change.
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Sets the policy by which the transaction is tried again after a conflict with another one.
    ///
    /// The time of an attempt begins with the wait for a connection. An attempt that runs out of it is rolled back and
    /// tried again, unless it was in its commit: then the outcome is unknown, and it is not repeated.
    pub fn retry(mut self, policy: Policy) -> Self {
        self.retry = policy;
        self
    }

    /// The statement that begins the transaction.
    pub(crate) fn begin(&self) -> String {
        let isolation = self.isolation.map(|level| format!(" ISOLATION LEVEL {level}"));
        let access = if self.read_only { " READ ONLY" } else { "" };
        format!("BEGIN{}{access}", isolation.unwrap_or_default())
    }
}

impl Default for TxOptions {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::TxOptions;

    #[test]
    fn they_are_the_words_after_begin() {
        assert_eq!(TxOptions::default().begin(), "BEGIN");
        assert_eq!(TxOptions::read_committed().begin(), "BEGIN ISOLATION LEVEL READ COMMITTED");
        assert_eq!(TxOptions::new().read_only().begin(), "BEGIN READ ONLY");
        let both = TxOptions::repeatable_read().read_only();
        assert_eq!(both.begin(), "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        assert_eq!(TxOptions::serializable().begin(), "BEGIN ISOLATION LEVEL SERIALIZABLE");
    }
}
