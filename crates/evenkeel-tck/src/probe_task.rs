//! Probe tasks: they follow the script of a rule, and record each of their steps.
//!
//! The rules for groups and for programs hand these tasks to the implementation, and judge only the record: when a task
//! was spawned, began, saw the signal to drain, ended, panicked and was dropped. The record is shared, so that an event
//! is never lost with its task. The drop is the last event of each task, also of one that the implementation never
//! polls; a task without it was alive when the group or the program had ended.

mod finished;
mod outcome;
mod record;
mod reported_failure;
mod script;
mod step_recorder;
mod task;

pub(crate) use self::{
    finished::{Finished, catch_panic},
    outcome::sorted,
    record::{End, Event, Record},
    script::Script,
    step_recorder::StepRecorder,
    task::{Order, Orders, Remote, Step},
};
pub use self::{
    outcome::Outcome,
    reported_failure::{FailureKind, ReportedFailure},
    task::Task,
};
