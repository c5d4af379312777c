//! The script that a probe task follows.

use std::time::Duration;

use super::record::{End, Record};
use crate::{
    Configured,
    duration::{ms, secs},
};

/// The script of a task of a group or of a program.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) number: u32,
    /// It ends by itself after this time, in this way.
    pub(crate) takes: Duration,
    pub(crate) end: End,
    /// After the signal to drain, it ends after this time, in this way. `None`: it ignores the signal.
    pub(crate) drains: Option<(Duration, End)>,
    /// It does not see the signal before this time.
    pub(crate) looks_after: Duration,
    /// Its destructor panics if it is dropped before its end.
    pub(crate) panics_on_drop: bool,
    /// The tasks that it spawns when it drains, or when it ends without having drained.
    pub(crate) spawns: Vec<Script>,
    /// It spawns itself again when it ends.
    pub(crate) is_endless: bool,
    /// It is shielded from a stop, for this time at most.
    pub(crate) shield: Option<Duration>,
    /// It blocks a thread; it looks at the signal to end, or does not.
    pub(crate) blocks: Option<bool>,
    /// In place of sleeping it runs a group of its own.
    pub(crate) inner: Option<Configured<Record, ()>>,
    /// The phase in which it is to stop.
    pub(crate) phase: usize,
    /// Its end is to stop the program.
    pub(crate) is_vital: bool,
}

impl Script {
    /// A task that takes a minute, ignores the signal to drain, and ends well.
    pub(crate) fn new(number: u32) -> Self {
        Self {
            number,
            takes: secs(60),
            end: End::Ok,
            drains: None,
            looks_after: ms(0),
            panics_on_drop: false,
            spawns: Vec::new(),
            is_endless: false,
            shield: None,
            blocks: None,
            inner: None,
            phase: 0,
            is_vital: false,
        }
    }

    pub(crate) fn taking(self, takes: Duration) -> Self {
        Self { takes, ..self }
    }

    pub(crate) fn failing(self) -> Self {
        Self { end: End::Error, ..self }
    }

    pub(crate) fn panicking(self) -> Self {
        Self { end: End::Panic, ..self }
    }

    pub(crate) fn draining(self, takes: Duration) -> Self {
        Self { drains: Some((takes, End::Ok)), ..self }
    }

    /// Drains at once, and ends in this way.
    pub(crate) fn answering(self, end: End) -> Self {
        Self { drains: Some((ms(0), end)), ..self }
    }

    pub(crate) fn deaf(self) -> Self {
        Self { drains: None, ..self }
    }

    pub(crate) fn looking_after(self, looks_after: Duration) -> Self {
        Self { looks_after, ..self }
    }

    pub(crate) fn panicking_on_drop(self) -> Self {
        Self { panics_on_drop: true, ..self }
    }

    pub(crate) fn spawning(self, spawns: Vec<Self>) -> Self {
        Self { spawns, ..self }
    }

    pub(crate) fn endless(self) -> Self {
        Self { is_endless: true, ..self }
    }

    pub(crate) fn shielded(self, longest: Duration) -> Self {
        Self { shield: Some(longest), ..self }
    }

    /// Blocks a thread of the system for its time, unless it looks at the signal to end.
    pub(crate) fn blocking(self, looks: bool) -> Self {
        Self { blocks: Some(looks), ..self }
    }

    pub(crate) fn running(self, inner: Configured<Record, ()>) -> Self {
        Self { inner: Some(inner), ..self }
    }

    pub(crate) fn of_phase(self, phase: usize) -> Self {
        Self { phase, ..self }
    }

    pub(crate) fn vital(self) -> Self {
        Self { is_vital: true, ..self }
    }
}
