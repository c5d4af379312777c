//! The rules of one pattern, and the run that makes a report of them.

use std::{fmt, process::Command};

use crate::{Adapter, Finding, Pattern, Report, Rule, Tier, Verdict, child};

/// The rules of one pattern, for implementations behind an [`Adapter`] of its settings.
///
/// # Examples
/// Every rule is a heading of the specification:
/// ```
/// use evenkeel_tck::retry::SUITE;
///
/// assert!(SUITE.rules().all(|rule| SUITE.spec.contains(&format!("### {}\n", rule.id))));
/// ```
#[non_exhaustive]
pub struct Suite<S: Pattern> {
    /// The prefix of the rules' ids.
    pub pattern: &'static str,
    /// The specification: each rule with its reason, and the bug that it comes from. Markdown.
    pub spec: &'static str,
    pub(crate) chapters: &'static [&'static [Rule<S>]],
}

impl<S: Pattern> Suite<S> {
    /// All rules, in the order of the specification.
    pub fn rules(&self) -> impl Iterator<Item = &'static Rule<S>> + use<S> {
        self.chapters.iter().copied().flatten()
    }

    /// The rule with this id.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&'static Rule<S>> {
        self.rules().find(|rule| rule.id == id)
    }

    /// Tests an implementation with all rules that need no process of their own.
    ///
    /// # Panics
    /// If called inside a runtime.
    ///
    /// # Examples
    /// As in [the crate's documentation](crate).
    pub fn run(&self, subject: &(dyn Adapter<S> + 'static)) -> Report {
        self.run_with_children(subject, |_| None)
    }

    /// As [`run`](Self::run), but rules for which `child` gives a command are run by that program, and may crash or
    /// hang there: see [`child`](crate::child).
    ///
    /// # Panics
    /// If called inside a runtime.
    pub fn run_with_children(
        &self,
        subject: &(dyn Adapter<S> + 'static),
        mut child: impl FnMut(&'static Rule<S>) -> Option<Command>,
    ) -> Report {
        self.run_by(|rule| match child(rule) {
            Some(command) => child::run(command, child::LIMIT),
            None if rule.tier == Tier::Real => Verdict::Untested("it needs a process of its own".to_owned()),
            None => rule.check(subject),
        })
    }

    /// Checks each rule whose foundation holds.
    pub(crate) fn run_by(&self, mut check: impl FnMut(&'static Rule<S>) -> Verdict) -> Report {
        let mut findings: Vec<Finding> = Vec::new();
        for rule in self.rules() {
            let broken = |finding: &&Finding| Some(finding.id) == rule.after && finding.verdict.failed();
            let verdict = match findings.iter().find(broken) {
                Some(Finding { id, .. }) => {
                    Verdict::Untested(format!("it builds on {id}, which does not hold"))
                }
                None => check(rule),
            };
            findings.push(Finding::new(rule, verdict));
        }
        Report { findings }
    }
}

impl<S: Pattern> fmt::Debug for Suite<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}
