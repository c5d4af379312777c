//! One pattern: its rules against its peers, and against the planted faults.

use std::{env, process::Command, time::Duration};

use evenkeel_tck::{self as tck, Report, Rule, Suite, Tier, Verdict, child};

use crate::{adapters::Peer, faulty::Planted, parallel::in_parallel};

/// A fault that hangs will not end however long one waits.
const HANGS: Duration = Duration::from_millis(150);

/// The name of the implementation without a fault.
const SOUND: &str = "sound";

/// One pattern, whatever the type of its settings.
pub(crate) trait Pattern: Sync {
    fn name(&self) -> &'static str;
    /// The reports of all peers, or of the one with this name.
    fn columns(&self, peer: Option<&str>) -> Vec<Column>;
    /// The verdict of one rule on one peer or on one planted fault.
    fn check(&self, subject: &str, rule: &str) -> Option<Verdict>;
    /// The planted faults that the rules miss.
    fn missed(&self) -> Vec<String>;
}

/// A peer and its report.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    /// Its version, where Cargo.lock does not tell it.
    pub(crate) version: Option<String>,
    /// Its language, if that is not Rust.
    pub(crate) language: Option<&'static str>,
    pub(crate) docs: &'static str,
    pub(crate) fails: &'static [(&'static str, &'static str)],
    pub(crate) report: Report,
}

pub(crate) struct Entry<S: tck::Pattern> {
    pub(crate) suite: &'static Suite<S>,
    pub(crate) peers: &'static [Peer<S>],
    pub(crate) sound: &'static dyn tck::Adapter<S>,
    pub(crate) planted: &'static [Planted<S>],
}

impl<S: tck::Pattern> Pattern for Entry<S> {
    fn name(&self) -> &'static str {
        self.suite.pattern
    }

    fn columns(&self, peer: Option<&str>) -> Vec<Column> {
        let wanted: Vec<&Peer<S>> =
            self.peers.iter().filter(|candidate| peer.is_none_or(|name| candidate.name == name)).collect();
        in_parallel(&wanted, |peer| {
            let child = |rule: &str| peer.isolated.contains(&rule).then(|| child(peer.name, rule));
            let report = self.suite.run_with_children(peer.adapter, |rule| child(rule.id));
            let Peer { name, package, docs, fails, .. } = **peer;
            Column { name, package, version: None, language: None, docs, fails, report }
        })
    }

    fn check(&self, subject: &str, rule: &str) -> Option<Verdict> {
        let (adapter, rule) = (self.adapter(subject)?, self.suite.rule(rule)?);
        // On a thread like those of the parent, with a stack of the same size.
        in_parallel(&[()], |()| rule.check(adapter)).pop()
    }

    fn missed(&self) -> Vec<String> {
        let rules: Vec<_> = self.suite.rules().collect();
        let unsound = in_parallel(&rules, |rule| match rule.tier {
            Tier::Real => (rule.id, child::run(child(SOUND, rule.id), child::LIMIT)),
            _ => (rule.id, rule.check(self.sound)),
        });
        let unsound = unsound.into_iter().filter(|(_, verdict)| !verdict.passed());
        let mut missed: Vec<String> =
            unsound.map(|(rule, verdict)| format!("without a fault, {rule}: {verdict}")).collect();
        let verdicts = in_parallel(self.planted, |planted| match self.suite.rule(planted.rule) {
            // A rule in real time waits longer itself: to end it sooner would look like a fault that was found.
            Some(Rule { tier: Tier::Real, .. }) => {
                child::run(child(planted.fault, planted.rule), child::LIMIT)
            }
            Some(_) if planted.isolated => child::run(child(planted.fault, planted.rule), HANGS),
            Some(rule) => rule.check(planted.adapter),
            None => Verdict::Untested("there is no such rule".to_owned()),
        });
        let caught = self.planted.iter().zip(&verdicts).filter(|(_, verdict)| !verdict.failed());
        missed.extend(caught.map(|(planted, verdict)| {
            format!("{} does not find {}: {verdict}", planted.rule, planted.fault)
        }));
        let untried =
            self.suite.rules().filter(|rule| !self.planted.iter().any(|planted| planted.rule == rule.id));
        missed.extend(untried.map(|rule| format!("no fault is planted for {}", rule.id)));
        missed
    }
}

impl<S: tck::Pattern> Entry<S> {
    /// A peer, a planted fault, or the implementation without a fault.
    pub(crate) fn adapter(&self, subject: &str) -> Option<&'static dyn tck::Adapter<S>> {
        let peers = self.peers.iter().map(|peer| (peer.name, peer.adapter));
        let faults = self.planted.iter().map(|planted| (planted.fault, planted.adapter));
        let mut all = peers.chain(faults).chain([(SOUND, self.sound)]);
        all.find(|(name, _)| *name == subject).map(|(_, adapter)| adapter)
    }
}

/// This program again, for one rule.
fn child(subject: &str, rule: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap_or_else(|_| "conformance".into()));
    command.args(["child", subject, rule]);
    command
}
