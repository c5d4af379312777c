//! Stalls that are no deadlock: late timers, outages, drains, old holders, and work that nothing leaves.
//!
//! # How it works
//!
//! Each is read from the description of one resource alone, which is of one instant, so that no second look is needed. A
//! program that is slow for a moment, starts up or has little to do must not be told of. So a stall has to last, and what
//! has a usual duration has to take many times as long; a resource whose usual hold is not known has no old holders, as it
//! may be made to be held for good, like a lock of the process that is the leader.

use std::{cmp::Reverse, time::Duration};

use evenkeel_base::rounded;
use tokio::time::Instant;

use crate::{
    Finding, FindingKind, FindingStep, HolderEdge, InspectedResource, TaskId, WaiterEdge,
    finding::one_line,
    registry::{Look, Tasks},
    stuck::{self, Stuck, Wait},
};

/// The shortest outage, drain, hold and pause of a stage that is told of.
const LONG: Duration = Duration::from_secs(10);

/// The shortest pause of a stage of which it is not known how long an item takes.
const VERY_LONG: Duration = Duration::from_secs(600);

/// The number of times that a hold or an item takes longer than usual.
const TIMES: u32 = 100;

/// The time by which a timer or the end of a drain is late: more than a busy scheduler takes.
const LATE: Duration = Duration::from_secs(1);

pub(crate) fn find(look: &Look, stuck: &Stuck<'_>, tasks: &Tasks<'_>, now: Instant) -> Vec<Finding> {
    let mut findings = Vec::from_iter(late_timers(look, tasks, now));
    for resource in &look.resources {
        findings.extend(outage(resource, tasks));
        findings.extend(no_progress(resource, tasks));
        findings.extend(drain(resource, tasks, now));
        findings.extend(old_holders(resource, stuck, tasks));
    }
    findings
}

/// One finding for all waits that are late: a worker that is blocked makes many of them.
fn late_timers(look: &Look, tasks: &Tasks<'_>, now: Instant) -> Option<Finding> {
    let mut late: Vec<_> = stuck::waits(look)
        .filter_map(|(task, wait)| match wait {
            Wait::Resource(resource, waiter) => {
                let late = now.saturating_duration_since(waiter.until?);
                (late >= LATE).then_some((late, task, resource, waiter))
            }
            _ => None,
        })
        .collect();
    late.sort_by_key(|(late, ..)| Reverse(*late));
    let lasted = late.first()?.0;
    let steps: Vec<_> =
        late.iter().map(|(_, _, resource, waiter)| waiting_step(resource, waiter, tasks)).collect();
    let (subject, place) = (steps[0].title(), steps[0].spawned_at);
    let what = format!("{subject} should have gone on {:?} ago", rounded(lasted));
    let more = match steps.len() {
        1 => String::new(),
        waits => format!("; {} more are late", waits - 1),
    };
    let summary =
        format!("late timer: {what}: its worker is blocked, or it does not poll what it waits for{more}");
    Some(Finding { kind: FindingKind::LateTimer, subject, place, summary, lasted, steps, behind: 0 })
}

fn outage(resource: &InspectedResource, tasks: &Tasks<'_>) -> Option<Finding> {
    let outage = resource.outage.as_ref().filter(|outage| outage.lasted >= LONG)?;
    let (lasted, reason) = (rounded(outage.lasted), one_line(&outage.reason));
    let what = format!("outage: {resource} has been out of reach for {lasted:?}: {reason}");
    let steps = resource.waiters.first().map(|waiter| waiting_step(resource, waiter, tasks));
    Some(finding(FindingKind::Outage, resource, &what, outage.lasted, steps.into_iter().collect()))
}

fn no_progress(resource: &InspectedResource, tasks: &Tasks<'_>) -> Option<Finding> {
    let backlog = resource.backlog.filter(|backlog| backlog.pending > 0)?;
    let bound = backlog.usual.map_or(VERY_LONG, |usual| LONG.max(usual.saturating_mul(TIMES)));
    if backlog.idle < bound {
        return None;
    }
    let usual =
        backlog.usual.map_or_else(String::new, |usual| format!(", usually {:?} each", rounded(usual)));
    let (pending, idle) = (backlog.pending, rounded(backlog.idle));
    let what =
        format!("no progress: {resource} has {pending} pending, and none has left for {idle:?}{usual}");
    let holders = resource.holders.iter().map(|holder| holding_step(resource, holder, tasks));
    let waiter = resource.waiters.first().map(|waiter| waiting_step(resource, waiter, tasks));
    Some(finding(FindingKind::NoProgress, resource, &what, backlog.idle, holders.chain(waiter).collect()))
}

fn drain(resource: &InspectedResource, tasks: &Tasks<'_>, now: Instant) -> Option<Finding> {
    let waiter =
        resource.waiters.iter().filter(|_| resource.is_drain()).max_by_key(|waiter| waiter.waited)?;
    // At its limit it is ended by that, and does not stand still.
    let is_over = waiter.until.is_some_and(|until| now.saturating_duration_since(until) >= LATE);
    if resource.in_use == 0 || (waiter.waited < LONG && !is_over) {
        return None;
    }
    let (held, waited) = (resource.in_use, rounded(waiter.waited));
    let only = resource.holders.first().and_then(|holder| holder.label.as_ref()).filter(|_| held == 1);
    let parts = match only {
        Some(label) => format!("'{}'", label.escape_debug()),
        None => format!("{held} guards and tasks"),
    };
    let what = format!("hang: {resource} has waited for {parts} for {waited:?}");
    let mut steps: Vec<_> =
        resource.holders.iter().map(|holder| holding_step(resource, holder, tasks)).collect();
    steps.push(waiting_step(resource, waiter, tasks));
    Some(finding(FindingKind::Drain, resource, &what, waiter.waited, steps))
}

fn old_holders(resource: &InspectedResource, stuck: &Stuck<'_>, tasks: &Tasks<'_>) -> Option<Finding> {
    let waiter = resource.waiters.first()?;
    let usual = resource.usual_hold?;
    let bound = LONG.max(usual.saturating_mul(TIMES));
    let youngest = resource.holders.iter().map(|holder| holder.held_for).min()?;
    // A deadlock says why they hold it.
    let is_stuck = stuck.waits.contains_key(&waiter.task);
    if youngest < bound || waiter.waited < LONG || !resource.is_exhausted() || is_stuck {
        return None;
    }
    let (least, usual) = (rounded(youngest), rounded(usual));
    let holders = match &resource.holders[..] {
        [holder] => {
            let bound = if holder.at_least { "at least " } else { "" };
            format!("the holder of {resource} has had it for {bound}{least:?}")
        }
        holders => {
            format!("all {} holders of {resource} have had it for {least:?} or longer", holders.len())
        }
    };
    let what = format!("old holders: {holders}, usually {usual:?}");
    let holding = resource.holders.iter().map(|holder| holding_step(resource, holder, tasks));
    let steps = holding.chain([waiting_step(resource, waiter, tasks)]).collect();
    Some(finding(FindingKind::OldHolders, resource, &what, youngest, steps))
}

fn finding(
    kind: FindingKind,
    resource: &InspectedResource,
    what: &str,
    lasted: Duration,
    steps: Vec<FindingStep>,
) -> Finding {
    let behind = resource.waiters.len();
    let waiting = match behind {
        0 => String::new(),
        1 => "; 1 task waits".to_owned(),
        tasks => format!("; {tasks} tasks wait"),
    };
    let summary = format!("{what}{waiting}");
    Finding { kind, subject: resource.to_string(), place: resource.place, summary, lasted, steps, behind }
}

/// Describes a holder of a resource.
fn holding_step(resource: &InspectedResource, holder: &HolderEdge, tasks: &Tasks<'_>) -> FindingStep {
    let label =
        holder.label.as_ref().map_or_else(String::new, |label| format!(" '{}'", label.escape_debug()));
    let amount = if holder.amount == 1 { String::new() } else { format!("{} of ", holder.amount) };
    FindingStep {
        has: format!("{amount}{resource}{label}"),
        taken_at: Some(holder.place),
        held_for: Some(holder.held_for),
        at_least: holder.at_least,
        ..step(holder.task, tasks)
    }
}

/// Describes a task that waits for a resource.
fn waiting_step(resource: &InspectedResource, waiter: &WaiterEdge, tasks: &Tasks<'_>) -> FindingStep {
    let label = waiter.label.as_ref().map_or_else(String::new, |label| format!(": {}", one_line(label)));
    FindingStep {
        waits_for: format!("{resource}{label}"),
        waits_at: Some(waiter.place),
        waited: waiter.waited,
        ..step(Some(waiter.task), tasks)
    }
}

fn step(task: Option<TaskId>, tasks: &Tasks<'_>) -> FindingStep {
    let known = task.and_then(|task| tasks.get(task));
    FindingStep {
        task,
        name: known.and_then(|task| task.name.clone()),
        spawned_at: known.map(|task| task.place),
        has: String::new(),
        taken_at: None,
        held_for: None,
        at_least: false,
        waits_for: String::new(),
        waits_at: None,
        waited: Duration::ZERO,
    }
}
