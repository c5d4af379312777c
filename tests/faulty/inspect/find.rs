//! The findings in a graph.

use std::{collections::HashSet, time::Duration};

use evenkeel_tck::inspect::{StandStill, StandStillKind};
use tokio::task::Id;

use super::graph::{Edge, Node, State};
use crate::faulty::inspect::Fault;

/// The shortest stall.
const LONG: Duration = Duration::from_secs(10);

/// The time by which a pause is late.
const LATE: Duration = Duration::from_secs(1);

impl State {
    pub(super) fn findings(&self, fault: Fault) -> Vec<StandStill> {
        let mut findings: Vec<StandStill> = self.deadlock(fault).into_iter().collect();
        for node in self.nodes.values() {
            findings.extend(self.stall(node, fault));
            findings.extend(self.late_timer(node, fault));
            if fault == Fault::TellsEveryQueue && !node.waiters.is_empty() {
                findings.push(StandStill { kind: StandStillKind::Other, text: node.name.clone() });
            }
        }
        findings
    }

    fn name(&self, task: Id) -> &str {
        self.tasks.values().find(|(known, _)| *known == task).map_or("a task", |(_, name)| name)
    }

    /// The tasks that can never go on: all that wait, but for those that a free unit or a holder that goes on sets free.
    fn deadlock(&self, fault: Fault) -> Option<StandStill> {
        let is_seen = |node: &&Node| match node.kind {
            "pool" => true,
            "limit" => fault != Fault::LooksAtOneKindAtATime,
            "task" | "slots" => fault != Fault::KnowsNoTasks,
            _ => false,
        };
        let nodes: Vec<&Node> = self.nodes.values().filter(is_seen).collect();
        let mut stuck: HashSet<Id> =
            nodes.iter().flat_map(|node| node.waiters.values()).map(|waiter| waiter.task).collect();
        loop {
            let goes_on = |node: &&&Node| {
                let is_free = node.holders.len() < node.units;
                let mut holders: Vec<&Edge> = node.holders.values().collect();
                if fault == Fault::KnowsTheLastHolderAlone {
                    holders = holders.split_off(holders.len().saturating_sub(1));
                }
                let unseen = fault == Fault::KnowsSingleUnitsAlone && node.units > 1;
                is_free && fault != Fault::KnowsTheLastHolderAlone
                    || unseen
                    || holders.iter().any(|holder| !stuck.contains(&holder.task))
            };
            let free: Vec<Id> = nodes
                .iter()
                .filter(goes_on)
                .flat_map(|node| node.waiters.values())
                .map(|waiter| waiter.task)
                .filter(|task| stuck.contains(task))
                .collect();
            if free.is_empty() {
                break;
            }
            stuck.retain(|task| !free.contains(task));
        }
        match stuck.len() {
            0 => return None,
            1 if fault == Fault::MissesWaitsForItself => return None,
            2.. if fault == Fault::SeesPairsNowhere => return None,
            _ => {}
        }
        let mut text = String::from("deadlock");
        for node in nodes {
            let edges = [("has", &node.holders), ("waits for", &node.waiters)];
            for (verb, edge) in
                edges.iter().flat_map(|(verb, edges)| edges.values().map(move |edge| (verb, edge)))
            {
                let place = match fault {
                    Fault::HasNoPlaces => "",
                    Fault::TellsWhereTheyWaitAlone if *verb == "has" => "",
                    _ => &edge.place,
                };
                if stuck.contains(&edge.task) {
                    text += &format!("\n{} {verb} {} {} {place}", self.name(edge.task), node.kind, node.name);
                }
            }
        }
        Some(StandStill { kind: StandStillKind::Deadlock, text })
    }

    fn stall(&self, node: &Node, fault: Fault) -> Option<StandStill> {
        let first = node.waiters.values().next().filter(|waiter| waiter.since.elapsed() >= LONG)?;
        let longest = node.holds.iter().max();
        let kind = match node.kind {
            "drain" if fault != Fault::KnowsNoDrains => StandStillKind::Drain,
            "store" if fault != Fault::KnowsNoStores => StandStillKind::Outage,
            "consumer" if fault != Fault::KnowsNoConsumers => StandStillKind::NoProgress,
            "batch" if fault != Fault::KnowsNoBatches => StandStillKind::NoProgress,
            "pool" if fault != Fault::KnowsNoUsualHold => {
                let held = node.holders.values().map(|holder| holder.since.elapsed()).min()?;
                longest.filter(|longest| held >= LONG && held >= **longest * 100)?;
                StandStillKind::OldHolders
            }
            _ => return None,
        };
        let holders: Vec<&str> = node.holders.values().map(|holder| self.name(holder.task)).collect();
        let (task, at) = (self.name(first.task), &first.place);
        let text = format!("{task} waits for {} {}, of {holders:?} {at}", node.kind, node.name);
        Some(StandStill { kind, text })
    }

    fn late_timer(&self, node: &Node, fault: Fault) -> Option<StandStill> {
        let waiter = node.waiters.values().next()?;
        let end = Duration::from_millis(node.units as u64) + LATE;
        let is_over = waiter.since.elapsed() >= end || fault == Fault::TellsEveryPause;
        let is_late = node.kind == "pause" && fault != Fault::KnowsNoTimers && is_over;
        let text = || format!("{} should have gone on", self.name(waiter.task));
        is_late.then(|| StandStill { kind: StandStillKind::LateTimer, text: text() })
    }
}
