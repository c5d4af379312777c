//! The errors of a distributed limit, and the failures of a call that its store did not report.

use std::{error, fmt, sync::Arc, time::Duration};

use crate::error::Denied;

/// A request for permits of a [`Distributed`](super::Distributed) was refused.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{Rate, Reason, distributed::{Distributed, Error, MemoryStore}};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let quota = Distributed::new(MemoryStore::new(), "partner", Rate::per_second(10)).burst(5);
/// match quota.acquire_many(6).await {
///     Err(Error::Denied(denied)) => assert_eq!(denied.reason, Reason::NeverFits),
///     other => panic!("{other:?}"),
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The limit denied the request.
    Denied(Denied),
    /// The store does not answer, and the policy grants nothing without it
    /// ([`OnFailure::Closed`](super::OnFailure::Closed)).
    #[non_exhaustive]
    Unavailable {
        /// The error of the last call.
        cause: Arc<dyn error::Error + Send + Sync>,
        /// The time from now until the store is called again.
        retry_after: Duration,
    },
    /// The store rejects the limit because of a mistake in the configuration: a missing right, user or password, or a key
    /// that holds something else. Returned under every [`OnFailure`](super::OnFailure), until the mistake is mended.
    #[non_exhaustive]
    Misconfigured {
        /// The error of the store.
        cause: Arc<dyn error::Error + Send + Sync>,
        /// The time from now until the store is called again.
        retry_after: Duration,
    },
}

impl Error {
    /// The time from now in which the same request is refused, if it is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Denied(denied) => denied.retry_after,
            Self::Unavailable { retry_after, .. } | Self::Misconfigured { retry_after, .. } => {
                Some(*retry_after)
            }
        }
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => denied.fmt(f),
            Self::Unavailable { retry_after, .. } => {
                write!(f, "the store of the limit does not answer: try again in {retry_after:?}")
            }
            Self::Misconfigured { cause, .. } => {
                write!(f, "the store of the limit refuses it until the configuration is mended: {cause}")
            }
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Denied(_) => None,
            Self::Unavailable { cause, .. } => Some(&**cause),
            // Its text is in that of the error.
            Self::Misconfigured { cause, .. } => cause.source(),
        }
    }
}

/// A failure of a call that the store did not report itself.
#[derive(Debug)]
pub(super) enum Failure {
    TimedOut(Duration),
    /// The answer contradicts the request.
    InvalidAnswer,
    /// The worker ended during the call: by a panic, or with its runtime.
    CutOff,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(after) => write!(f, "no answer within {after:?}"),
            Self::InvalidAnswer => f.write_str("an answer that does not fit the question"),
            Self::CutOff => f.write_str("the call was cut off by a panic, or the end of its runtime"),
        }
    }
}

impl error::Error for Failure {}
