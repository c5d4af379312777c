//! The items of a map on their way to a worker, and the next step of one.

use std::task::Waker;

use super::workers::Call;
use crate::span::Span;

/// An item that was taken from the source and has not begun.
#[derive(Debug)]
pub(super) struct PulledItem<V> {
    pub(super) ticket: Ticket,
    pub(super) value: V,
    pub(super) span: Span,
}

/// The identity of an item: its number in the order of the input, and that of its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) key: Option<usize>,
}

/// The next step of a worker.
pub(super) enum Step<S, V> {
    Run(PulledItem<V>),
    /// Waits for the source.
    Pull(S),
    /// Comes back at once, behind the other tasks of its thread.
    Yield(Option<Seen>),
    /// Comes back a little later, and lets the other tasks of its thread run meanwhile.
    StandBy(Seen),
    Park,
    End,
}

/// The number of steps that a worker of several threads has seen when it yielded, for [`State::step`] when it is back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) steps: u64,
}

/// The next step of a worker, and the calls to make before it.
pub(super) struct Next<S, V> {
    pub(super) step: Step<S, V>,
    pub(super) call: Call,
    pub(super) consumer: Option<Waker>,
}

impl<S, V> Next<S, V> {
    /// The step of a worker that is parked, and was woken by a waker that an earlier item has left behind.
    pub(super) fn parked() -> Self {
        Self { step: Step::Park, call: Call::None, consumer: None }
    }
}
