//! How a request enters a limiter, and its result.

use super::wait_queue::Key;
use crate::error::Denied;

/// Whether a request may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is denied if it cannot be granted now.
    Try,
    /// It waits in the queue.
    Wait,
}

/// The result of a request that may wait.
#[derive(Debug)]
pub(crate) enum Entry<G = (), E = Denied> {
    Granted(G),
    /// It waits in the queue under this key.
    Queued(Key),
    Denied(E),
}

/// How far the future of a request has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Not polled yet.
    New,
    Queued(Key),
    Done,
}
