//! `Told`: which findings were told, so that each is told once for as long as it lasts.

use std::{collections::HashSet, panic::Location};

use tokio::time::Instant;

use crate::{Dump, Finding, FindingKind, TaskId};

/// The findings that were told, and the time of the last look.
///
/// A finding is the same as one before until a look does not have it, or until it is younger than the last look, so that it
/// must have gone and come back meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Told {
    keys: Vec<Key>,
    last: Option<Instant>,
}

impl Told {
    /// Calls the function for each finding of a look that was not told; it returns whether it has told it.
    pub(crate) fn look(&mut self, dump: &Dump, mut tell: impl FnMut(&Finding) -> bool) {
        let mut still = Vec::new();
        for finding in &dump.findings {
            let key = Key::of(finding);
            let was_there =
                self.last.is_some_and(|last| finding.lasted >= dump.at.saturating_duration_since(last));
            match self.keys.iter().position(|told| *told == key).filter(|_| was_there) {
                // One for one: several may look the same.
                Some(before) => still.push(self.keys.swap_remove(before)),
                None if tell(finding) => still.push(key),
                None => {}
            }
        }
        (self.keys, self.last) = (still, Some(dump.at));
    }
}

/// The part of a finding that stays the same while it lasts: of a deadlock its tasks, of others the subject, as tasks come and go
/// there.
#[derive(Debug, PartialEq)]
struct Key {
    kind: FindingKind,
    subject: Option<(String, Option<&'static Location<'static>>)>,
    steps: HashSet<(Option<TaskId>, String)>,
}

impl Key {
    fn of(finding: &Finding) -> Self {
        let is_deadlock = finding.kind.is_deadlock();
        let steps = finding.steps.iter().filter(|_| is_deadlock);
        Self {
            kind: finding.kind,
            subject: (!is_deadlock).then(|| (finding.subject.clone(), finding.place)),
            steps: steps.map(|step| (step.task, step.waits_for.clone())).collect(),
        }
    }
}
