//! A dump as text.
//!
//! The findings are first, then the resources with waiters, then the groups. Long lists are cut: of each list the first
//! entries are shown, which are those that wait or hold longest, and of findings, resources and groups the first hundred.

use std::{fmt::Write, time::Duration};

use evenkeel_base::rounded;
use tokio::time::Instant;

use super::{Dump, SECTIONS};
use crate::{
    HolderEdge, InspectedGroup, InspectedResource, TaskId, TaskPhase, finding::one_line, registry::Tasks,
};

/// The number of columns of a line.
const COLUMNS: usize = 80;

/// The number of entries that a list shows.
const SHOWN: usize = 10;

pub(super) fn write(dump: &Dump) -> String {
    let mut lines = Vec::new();
    let summary = dump.summary();
    match dump.findings.is_empty() {
        true => lines.push(format!("nothing is known to stand still: {summary}")),
        false => {
            for finding in dump.findings.iter().take(SECTIONS) {
                lines.extend(finding.to_string().lines().map(str::to_owned));
            }
            more_sections(dump.findings.len(), "finding", &mut lines);
            lines.push(format!("all: {summary}"));
        }
    }
    if dump.panics > 0 {
        lines.push(format!("{} could not be described: a panic", super::count(dump.panics, "object")));
    }
    let tasks = Tasks::of(&dump.groups);
    for resource in dump.resources.iter().take(SECTIONS) {
        resource_lines(resource, dump.at, &tasks, &mut lines);
    }
    more_sections(dump.resources.len(), "resource", &mut lines);
    for group in dump.groups.iter().take(SECTIONS) {
        group_lines(group, dump.at, &tasks, &mut lines);
    }
    more_sections(dump.groups.len(), "group", &mut lines);
    let mut text = String::new();
    for line in lines {
        wrap(&line, &mut text);
    }
    // The last line has no end, as the text is printed in a line of its own.
    text.pop();
    text
}

pub(super) fn title(task: TaskId, tasks: &Tasks<'_>) -> String {
    match tasks.get(task).and_then(|task| task.name.as_ref()) {
        Some(name) => format!("task '{}'", name.escape_debug()),
        None => task.to_string(),
    }
}

fn resource_lines(resource: &InspectedResource, at: Instant, tasks: &Tasks<'_>, lines: &mut Vec<String>) {
    let InspectedResource { in_use, holders, waiters, .. } = resource;
    lines.push(super::heading(resource));
    lines.extend(resource.remarks().map(|remark| format!("  {remark}")));
    for holder in holders.iter().take(SHOWN) {
        let mut line = match holder.task {
            Some(task) => format!("  {} has", title(task, tasks)),
            None => "  an unknown task has".to_owned(),
        };
        let amount = if holder.amount == 1 { String::new() } else { format!(" {}", holder.amount) };
        let label =
            holder.label.as_ref().map_or_else(String::new, |label| format!(" '{}'", label.escape_debug()));
        let _ = write!(line, "{amount}{label} for {}, from {}", held_for(holder), holder.place);
        lines.push(line);
    }
    more(holders.len(), "have some", lines);
    let known = resource.held();
    if known < *in_use && !holders.is_empty() {
        lines.push(format!("  {} in use without a known holder", in_use - known));
    }
    for waiter in waiters.iter().take(SHOWN) {
        let amount = if waiter.amount == 1 { String::new() } else { format!(" for {}", waiter.amount) };
        let (task, waited) = (title(waiter.task, tasks), rounded(waiter.waited));
        let label =
            waiter.label.as_ref().map_or_else(String::new, |label| format!(" for {}", one_line(label)));
        let end = waiter.until.map_or_else(String::new, |until| format!(", {}", end(until, at)));
        lines.push(format!("  {task} waits{amount}{label} since {waited:?}{end}, at {}", waiter.place));
    }
    more(waiters.len(), "wait", lines);
}

/// Says how long something has been held.
pub(super) fn held_for(holder: &HolderEdge) -> String {
    let bound = if holder.at_least { "at least " } else { "" };
    format!("{bound}{:?}", rounded(holder.held_for))
}

/// Says when a wait ends, or that it should have ended.
pub(super) fn end(until: Instant, at: Instant) -> String {
    match at.saturating_duration_since(until) {
        Duration::ZERO => format!("{:?} left", rounded(until - at)),
        late => format!("late by {:?}", rounded(late)),
    }
}

fn group_lines(group: &InspectedGroup, at: Instant, tasks: &Tasks<'_>, lines: &mut Vec<String>) {
    let count = super::count(group.tasks.len(), "task");
    let mut line = format!("{group} of {} for {:?}: {count}", title(group.owner, tasks), rounded(group.age));
    if let Some(limit) = group.limit {
        let _ = write!(line, ", {} of {limit} slots in use, {} waiting", group.in_use, group.waiting());
    }
    lines.push(line);
    if let Some(join) = &group.join {
        let (task, waited) = (title(join.task, tasks), rounded(join.waited));
        let end = join.until.map_or_else(String::new, |until| format!(", {}", end(until, at)));
        lines.push(format!("  {task} waits for all of its tasks since {waited:?}{end}"));
    }
    for wait in group.child_waits.iter().take(SHOWN) {
        let (task, child) = (title(wait.task, tasks), title(wait.child, tasks));
        lines.push(format!("  {task} waits for {child} since {:?}", rounded(wait.waited)));
    }
    more(group.child_waits.len(), "wait for others", lines);
    for task in group.tasks.iter().take(SHOWN) {
        let verb = match task.phase {
            TaskPhase::Waiting => "waits for a slot",
            TaskPhase::Running => "runs",
            TaskPhase::Aborting => "was told to abort and runs",
            TaskPhase::Detached => "was left by its caller and runs",
        };
        lines.push(format!("  {task} {verb} for {:?}", rounded(task.age)));
    }
    more(group.tasks.len(), "are in the group", lines);
}

/// Tells of the entries that a list does not show.
fn more(all: usize, verb: &str, lines: &mut Vec<String>) {
    if let Some(left) = all.checked_sub(SHOWN).filter(|left| *left > 0) {
        lines.push(format!("  … and {left} more {verb}"));
    }
}

/// Tells of the findings, resources or groups that are not shown.
fn more_sections(all: usize, word: &str, lines: &mut Vec<String>) {
    if let Some(left) = all.checked_sub(SECTIONS).filter(|left| *left > 0) {
        lines.push(format!("… and {} more", super::count(left, word)));
    }
}

/// Breaks a line at spaces; its parts but the first are indented further. A single word may be longer.
fn wrap(line: &str, text: &mut String) {
    let indent = line.len() - line.trim_start().len();
    let (mut column, mut is_first) = (indent, true);
    text.push_str(&line[..indent]);
    for word in line[indent..].split(' ') {
        let width = word.chars().count();
        if !is_first && column + 1 + width > COLUMNS {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent + 4));
            column = indent + 4;
        } else if !is_first {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        (column, is_first) = (column + width, false);
    }
    text.push('\n');
}
