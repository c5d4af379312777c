//! Whether a request waits.

/// What a request does when there are too few permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is denied. A distributed limit asks its store first.
    Try,
    /// It waits in the queue.
    Wait,
}
