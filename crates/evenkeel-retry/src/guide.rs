#![doc = include_str!("../GUIDE.md")]

#[cfg(doc)]
use crate::{
    Attempt, Attempts, Backoff, Budget, Hedge, InvalidPolicy, Jitter, Policy, Retry, RetryError, Verdict,
};
