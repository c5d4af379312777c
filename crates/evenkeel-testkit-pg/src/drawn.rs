//! The statements that run, in the timeline of the world.

use std::{collections::HashMap, sync::Mutex};

use evenkeel_base::lock;
use evenkeel_testkit::timeline::{Span, span_on};

use super::record::StatementOutcome;

/// The statements of a server that have not ended.
#[derive(Debug)]
pub(super) struct Drawn {
    title: String,
    running: Mutex<HashMap<usize, Span>>,
}

impl Drawn {
    pub(super) fn new(address: &str) -> Self {
        Self { title: format!("postgres {address}"), running: Mutex::default() }
    }

    pub(super) fn begin(&self, number: usize, sql: &str) {
        let span = span_on(&self.title, sql.to_owned());
        lock(&self.running).insert(number, span);
    }

    pub(super) fn end(&self, number: usize, outcome: &StatementOutcome) {
        let span = lock(&self.running).remove(&number);
        if let Some(mut span) = span {
            match outcome {
                StatementOutcome::Done(tag) => span.set_outcome(tag.clone().into(), false),
                StatementOutcome::Failed(code) => span.set_outcome(code.clone().into(), true),
                StatementOutcome::Cut | StatementOutcome::Running => span.set_outcome("cut off".into(), true),
            }
        }
    }
}
