//! The circles of tasks that wait for each other.
//!
//! # How it works
//!
//! From each task that is [stuck](crate::stuck) the search goes on to the one that it waits for: the oldest holder of the
//! resource that waits for something else, or the oldest at all; a task that has a slot; the child. There is always such a task, and it is stuck as well, so each
//! search comes to a circle. A circle is told once, with the number of the other tasks that lead to it.

use std::collections::{HashMap, HashSet};

use evenkeel_base::rounded;

use crate::{
    Finding, FindingKind, FindingStep, TaskId,
    registry::Tasks,
    stuck::{Stuck, Wait, slot_holders},
};

/// A slot, in words, before the name of its group.
const SLOT: &str = "a slot of ";

/// Finds the circles among the tasks that are stuck.
pub(crate) fn find(stuck: &Stuck<'_>, tasks: &Tasks<'_>) -> Vec<Finding> {
    let mut seen = HashMap::<TaskId, usize>::new();
    let mut circles: Vec<(Vec<TaskId>, usize)> = Vec::new();
    let mut starts: Vec<_> = stuck.waits.keys().copied().collect();
    // So that the same tasks give the same text.
    starts.sort_by_cached_key(|task| task.to_string());
    for start in starts {
        let (mut path, mut at) = (Vec::new(), start);
        let circle = loop {
            if let Some(circle) = seen.get(&at) {
                break *circle;
            }
            if let Some(from) = path.iter().position(|task| *task == at) {
                circles.push((path[from..].to_vec(), 0));
                break circles.len() - 1;
            }
            path.push(at);
            match stuck.waits.get(&at).and_then(|waits| next(waits, stuck)) {
                Some(next) => at = next,
                None => break usize::MAX,
            }
        };
        if let Some((_, tasks)) = circles.get_mut(circle) {
            *tasks += path.len();
        }
        seen.extend(path.into_iter().map(|task| (task, circle)));
    }
    circles.into_iter().map(|(circle, led)| finding(&circle, led, stuck, tasks)).collect()
}

/// Returns the task that has what this one waits for.
fn next(waits: &[Wait<'_>], stuck: &Stuck<'_>) -> Option<TaskId> {
    match *waits.first()? {
        Wait::Resource(resource, _) => {
            let waits_here = |task: &TaskId| match stuck.waits.get(task).map(|waits| waits[0]) {
                Some(Wait::Resource(other, _)) => other.id == resource.id,
                _ => false,
            };
            let mut holders = resource.holders.iter().filter_map(|holder| holder.task);
            // One that waits for more of the same says nothing if another one waits elsewhere.
            holders.clone().find(|task| !waits_here(task)).or_else(|| holders.next())
        }
        Wait::Slot(group, _) => slot_holders(group).find_map(|task| task.id),
        Wait::Child(_, wait) => Some(wait.child),
        Wait::Join(group, _) => {
            group.tasks.iter().filter_map(|task| task.id).find(|task| stuck.waits.contains_key(task))
        }
    }
}

fn finding(circle: &[TaskId], led: usize, stuck: &Stuck<'_>, tasks: &Tasks<'_>) -> Finding {
    let mut circle = circle.to_vec();
    let mut has_crowd = false;
    if let ([task], Wait::Resource(resource, _)) = (&circle[..], stuck.waits[&circle[0]][0]) {
        let others = resource.holders.iter().filter_map(|holder| holder.task).filter(|other| other != task);
        let others: Vec<_> = others.collect();
        circle.extend(others);
        let mut seen = HashSet::new();
        circle.retain(|task| seen.insert(*task));
        has_crowd = circle.len() > 1;
    }
    let wait = |at: usize| stuck.waits[&circle[at]][0];
    let mut steps = Vec::new();
    for (at, task) in circle.iter().enumerate() {
        let before = if has_crowd { wait(0) } else { wait((at + circle.len() - 1) % circle.len()) };
        steps.push(step(*task, before, wait(at), tasks));
    }
    let lasted = steps.iter().map(|step| step.waited).min().unwrap_or_default();
    let behind = led.saturating_sub(circle.len());
    let slot = circle.iter().enumerate().find_map(|(at, _)| match wait(at) {
        Wait::Slot(group, _) => Some(group),
        _ => None,
    });
    let (first, count) = (steps[0].title(), steps.len());
    let (subject, place) = match (slot, wait(0)) {
        (Some(group), _) => (group.to_string(), Some(group.place)),
        _ if count > 1 && !has_crowd => (first.clone(), steps[0].spawned_at),
        (None, Wait::Resource(resource, _)) => (resource.to_string(), resource.place),
        (None, Wait::Slot(group, _) | Wait::Child(group, _) | Wait::Join(group, _)) => {
            (group.to_string(), Some(group.place))
        }
    };
    let (kind, what) = if slot.is_some() {
        (FindingKind::FullGroup, format!("{subject} is full of tasks that wait for its other tasks"))
    } else if has_crowd {
        let what = format!("all of {subject} is held by {count} tasks that wait for more of it");
        (FindingKind::AllHoldersWait, what)
    } else if count == 1 {
        let what = format!("{first} waits for {}, which it holds itself", steps[0].waits_for);
        (FindingKind::SelfWait, what)
    } else {
        (FindingKind::Cycle, format!("{count} tasks wait for each other"))
    };
    let mut summary = format!("deadlock: {what}, for {:?}", rounded(lasted));
    match behind {
        0 => {}
        1 => summary.push_str("; 1 more task waits behind"),
        tasks => summary.push_str(&format!("; {tasks} more tasks wait behind")),
    }
    Finding { kind, subject, place, summary, lasted, steps, behind }
}

/// Describes a task of a circle, which has what the one before waits for.
fn step(task: TaskId, before: Wait<'_>, wait: Wait<'_>, tasks: &Tasks<'_>) -> FindingStep {
    let known = tasks.get(task);
    let spawned_at = known.map(|task| task.place);
    let holder = match before {
        Wait::Resource(resource, _) => resource.holders.iter().find(|holder| holder.task == Some(task)),
        _ => None,
    };
    let (has, taken_at, held_for) = match before {
        Wait::Resource(resource, _) => {
            let (place, held_for) = (holder.map(|holder| holder.place), holder.map(|holder| holder.held_for));
            (resource.to_string(), place, held_for)
        }
        Wait::Slot(group, _) => (format!("{SLOT}{group}"), spawned_at, known.map(|task| task.age)),
        Wait::Child(..) | Wait::Join(..) => (String::new(), None, None),
    };
    let at_least = holder.is_some_and(|holder| holder.at_least);
    let (waits_for, waits_at, waited) = match wait {
        Wait::Resource(resource, waiter) => (resource.to_string(), Some(waiter.place), waiter.waited),
        Wait::Slot(group, task) => (format!("{SLOT}{group}"), Some(task.place), task.age),
        Wait::Child(_, wait) => {
            let child = tasks.get(wait.child);
            let title = child.map_or_else(|| wait.child.to_string(), |child| child.to_string());
            (title, child.map(|child| child.place), wait.waited)
        }
        Wait::Join(group, waiter) => (format!("the tasks of {group}"), Some(waiter.place), waiter.waited),
    };
    let name = known.and_then(|task| task.name.clone());
    let task = Some(task);
    FindingStep { task, name, spawned_at, has, taken_at, held_for, at_least, waits_for, waits_at, waited }
}
