//! The scripts that a body and its tasks follow.

use std::time::Duration;

use super::Group;
use crate::{duration::secs, probe_task::End};

/// The script of a task.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) number: u32,
    pub(crate) takes: Duration,
    pub(crate) end: End,
    /// After the signal to drain, it ends after this time, in this way. `None`: it ignores the signal.
    pub(crate) drains: Option<(Duration, End)>,
    /// Its destructor panics if it is dropped before its end.
    pub(crate) panics_on_drop: bool,
    /// It is shielded from a stop, for this time at most.
    pub(crate) shield: Option<Duration>,
    /// The tasks that it spawns when it ends.
    pub(crate) spawns: Vec<Script>,
    /// It spawns itself again when it ends.
    pub(crate) is_endless: bool,
    /// It blocks a thread; it looks at the signal to end, or does not.
    pub(crate) blocks: Option<bool>,
    /// In place of sleeping it runs a group of its own.
    pub(crate) inner: Option<(Group, Vec<Script>)>,
}

/// A task that takes a minute, ignores the signal to drain, and ends well.
pub(crate) fn task(number: u32) -> Script {
    Script {
        number,
        takes: secs(60),
        end: End::Ok,
        drains: None,
        panics_on_drop: false,
        shield: None,
        spawns: Vec::new(),
        is_endless: false,
        blocks: None,
        inner: None,
    }
}

impl Script {
    pub(crate) fn taking(self, takes: Duration) -> Self {
        Self { takes, ..self }
    }

    pub(crate) fn failing(self) -> Self {
        Self { end: End::Error, ..self }
    }

    pub(crate) fn panicking(self) -> Self {
        Self { end: End::Panic, ..self }
    }

    pub(crate) fn draining(self, takes: Duration, end: End) -> Self {
        Self { drains: Some((takes, end)), ..self }
    }

    pub(crate) fn panicking_on_drop(self) -> Self {
        Self { panics_on_drop: true, ..self }
    }

    pub(crate) fn shielded(self, longest: Duration) -> Self {
        Self { shield: Some(longest), ..self }
    }

    pub(crate) fn spawning(self, spawns: Vec<Self>) -> Self {
        Self { spawns, ..self }
    }

    pub(crate) fn endless(self) -> Self {
        Self { is_endless: true, ..self }
    }

    /// Blocks a thread of the system for its time, unless it looks at the signal to end.
    pub(crate) fn blocking(self, looks: bool) -> Self {
        Self { blocks: Some(looks), ..self }
    }

    pub(crate) fn within(self, group: Group, tasks: Vec<Self>) -> Self {
        Self { inner: Some((group, tasks)), ..self }
    }
}

/// The script of a body.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// The tasks that it spawns, each with its time, in the order of time.
    pub(crate) tasks: Vec<(Duration, Script)>,
    /// When it ends, and how.
    pub(crate) takes: Duration,
    pub(crate) end: End,
}

impl Scene {
    /// Spawns these, and ends at once.
    pub(crate) fn of(tasks: impl IntoIterator<Item = Script>) -> Self {
        let tasks = tasks.into_iter().map(|script| (Duration::ZERO, script)).collect();
        Self { tasks, takes: Duration::ZERO, end: End::Ok }
    }

    /// Spawns another one at this time.
    pub(crate) fn later(mut self, at: Duration, script: Script) -> Self {
        self.tasks.push((at, script));
        Self { takes: self.takes.max(at), ..self }
    }

    /// Ends in this way, at this time.
    pub(crate) fn ending(self, takes: Duration, end: End) -> Self {
        Self { takes, end, ..self }
    }
}
