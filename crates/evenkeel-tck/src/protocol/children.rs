//! The children of an adapter that run, and that no world uses.
//!
//! A rule that makes several worlds uses the same child for all of them: so the standard errors of a child are those of one rule.

use std::{
    sync::{Arc, Mutex},
    thread::{self, ThreadId},
};

use evenkeel_base::lock;

use super::pipes::Pipes;

#[derive(Clone)]
pub(super) struct IdleChildren(Arc<Mutex<Vec<Idle>>>);

struct Idle {
    pipes: Pipes,
    /// The thread whose rule has used it, until that rule ends.
    used_by: Option<ThreadId>,
}

impl IdleChildren {
    pub(super) fn with(pipes: Pipes) -> Self {
        Self(Arc::new(Mutex::new(vec![Idle { pipes, used_by: None }])))
    }

    /// Returns the child that the rule of this thread has used, or else one that no rule uses.
    pub(super) fn take(&self) -> Option<Pipes> {
        let own = Some(thread::current().id());
        let mut idle = lock(&self.0);
        let of = |thread| idle.iter().position(|idle| idle.used_by == thread);
        let at = of(own).or_else(|| of(None))?;
        Some(idle.swap_remove(at).pipes)
    }

    /// A world of the rule of this thread has ended.
    pub(super) fn give_back(&self, pipes: Pipes) {
        let used_by = Some(thread::current().id());
        lock(&self.0).push(Idle { pipes, used_by });
    }

    /// The rule of this thread has ended. Returns what its children have written to their standard errors, if that is wanted.
    pub(super) fn end_rule(&self, with_errors: bool) -> Vec<String> {
        let own = Some(thread::current().id());
        let mut used: Vec<Idle> = lock(&self.0).extract_if(.., |idle| idle.used_by == own).collect();
        let read = |idle: &Idle| idle.pipes.errors_of_rule();
        let errors = if with_errors { used.iter().flat_map(read).collect() } else { Vec::new() };
        for idle in &mut used {
            idle.pipes.forget_errors();
            idle.used_by = None;
        }
        lock(&self.0).append(&mut used);
        errors
    }
}
