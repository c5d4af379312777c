//! The scripts that the parts of a program follow.

use std::time::Duration;

use crate::{
    duration::{ms, secs},
    probe_task::End,
};

/// The script of a task.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) number: u32,
    /// It ends by itself after this time, in this way.
    pub(crate) takes: Duration,
    pub(crate) end: End,
    /// Once asked to stop, it ends after this time, in this way. `None`: it ignores the request.
    pub(crate) drains: Option<(Duration, End)>,
    /// It does not see the request to stop before this time.
    pub(crate) looks_after: Duration,
    /// Its destructor panics if it is dropped before its end.
    pub(crate) panics_on_drop: bool,
    /// The tasks that it starts when it is asked to stop.
    pub(crate) starts: Vec<Script>,
    pub(crate) phase: usize,
    pub(crate) is_vital: bool,
}

/// A task that takes ten minutes, ends well, and at once when it is asked.
pub(crate) fn task(number: u32) -> Script {
    Script {
        number,
        takes: secs(600),
        end: End::Ok,
        drains: Some((ms(0), End::Ok)),
        looks_after: ms(0),
        panics_on_drop: false,
        starts: Vec::new(),
        phase: 0,
        is_vital: false,
    }
}

impl Script {
    pub(crate) fn taking(self, takes: Duration) -> Self {
        Self { takes, ..self }
    }

    pub(crate) fn ending(self, end: End) -> Self {
        Self { end, ..self }
    }

    pub(crate) fn deaf(self) -> Self {
        Self { drains: None, ..self }
    }

    pub(crate) fn draining(self, takes: Duration) -> Self {
        Self { drains: Some((takes, End::Ok)), ..self }
    }

    pub(crate) fn answering(self, end: End) -> Self {
        Self { drains: Some((ms(0), end)), ..self }
    }

    pub(crate) fn looking_after(self, looks_after: Duration) -> Self {
        Self { looks_after, ..self }
    }

    pub(crate) fn panicking_on_drop(self) -> Self {
        Self { panics_on_drop: true, ..self }
    }

    pub(crate) fn starting(self, starts: Vec<Self>) -> Self {
        Self { starts, ..self }
    }

    pub(crate) fn of_phase(self, phase: usize) -> Self {
        Self { phase, ..self }
    }

    pub(crate) fn vital(self) -> Self {
        Self { is_vital: true, ..self }
    }
}

/// The scripts of all parts of a program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    pub(crate) tasks: Vec<Script>,
    pub(crate) clean_ups: Vec<Script>,
    pub(crate) guards: Vec<Script>,
    /// How long it takes between being made and being run.
    pub(crate) start_up: Duration,
}

impl Scene {
    pub(crate) fn of(tasks: impl IntoIterator<Item = Script>) -> Self {
        Self { tasks: tasks.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn starting_up(self, start_up: Duration) -> Self {
        Self { start_up, ..self }
    }

    pub(crate) fn cleaned_by(self, clean_ups: impl IntoIterator<Item = Script>) -> Self {
        Self { clean_ups: clean_ups.into_iter().collect(), ..self }
    }

    pub(crate) fn guarded_by(self, guards: impl IntoIterator<Item = Script>) -> Self {
        Self { guards: guards.into_iter().collect(), ..self }
    }
}
