//! The callback before each retry.

use std::time::Duration;

/// A callback before every retry, with the error and the delay that follows.
///
/// # Examples
/// ```
/// use evenkeel_retry::compat::backoff::Notify;
/// use std::time::Duration;
///
/// let mut log = |error: &str, delay: Duration| assert_eq!((error, delay), ("busy", Duration::from_secs(1)));
/// log.notify("busy", Duration::from_secs(1));
/// ```
pub trait Notify<E> {
    /// An attempt failed with `err`, and the next one is after `duration`.
    fn notify(&mut self, err: E, duration: Duration);
}

impl<E, F: FnMut(E, Duration)> Notify<E> for F {
    fn notify(&mut self, err: E, duration: Duration) {
        self(err, duration);
    }
}

/// Tells nobody.
///
/// # Examples
/// ```
/// # use evenkeel_retry::compat::backoff::{NoopNotify, Notify};
/// # use std::time::Duration;
/// NoopNotify.notify("busy", Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NoopNotify;

impl<E> Notify<E> for NoopNotify {
    fn notify(&mut self, _: E, _: Duration) {}
}
