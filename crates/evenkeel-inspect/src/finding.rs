//! Findings: the circles of tasks that wait for each other.
//!
//! # How it works
//!
//! From each task that is [stuck](crate::stuck) the search goes on to the one that it waits for: the oldest holder of the
//! resource that waits for something else, or the oldest at all; a task that has a slot; the child. There is always such a task, and it is stuck as well, so each
//! search comes to a circle. A circle is told once, with the number of the other tasks that lead to it.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{HashMap, HashSet},
    fmt::{self, Write},
    panic::Location,
    time::Duration,
};

use crate::{
    InspectedTask, TaskId,
    registry::Look,
    stuck::{Stuck, Wait, slot_holders},
};

/// Something that a dump has found out.
///
/// As text: the first line says what it is, and the lines behind it give each task with its places.
///
/// # Examples
///
/// A task that waits for the only permit, which it has itself:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use evenkeel_inspect::{FindingKind, dump};
/// use evenkeel_limit::ConcurrencyLimiter;
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// static CALLS: ConcurrencyLimiter = ConcurrencyLimiter::new(1).named("calls");
///
/// tokio::spawn(async {
///     let _outer = CALLS.acquire().await;
///     let _inner = CALLS.acquire().await;
/// });
/// sleep(Duration::from_secs(5)).await;
///
/// let finding = &dump().findings[0];
/// assert_eq!((finding.kind, finding.lasted), (FindingKind::SelfWait, Duration::from_secs(5)));
/// println!("{finding}");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of finding.
    pub kind: FindingKind,
    /// The time for which it has stood, by tokio's clock: that of the youngest of its waits.
    pub lasted: Duration,
    /// The tasks of the circle; each waits for something that the next one has, and the last one for that of the first. Of
    /// [`AllHoldersWait`](FindingKind::AllHoldersWait), the holders.
    pub steps: Vec<FindingStep>,
    /// The number of further tasks that wait for those of the circle.
    pub behind: usize,
}

/// The kind of a [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// A task waits for what it holds itself.
    SelfWait,
    /// All of a resource is held by several tasks, each of which waits for more of it.
    AllHoldersWait,
    /// Several tasks wait for each other.
    Cycle,
    /// All slots of a group are taken by tasks that wait for others of the same group, which wait for a slot.
    FullGroup,
}

impl FindingKind {
    /// Returns the kind in words with hyphens, as it is in JSON: `self-wait`, `all-holders-wait`, `cycle`, `full-group`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SelfWait => "self-wait",
            Self::AllHoldersWait => "all-holders-wait",
            Self::Cycle => "cycle",
            Self::FullGroup => "full-group",
        }
    }
}

/// A task of a circle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FindingStep {
    /// The task.
    pub task: TaskId,
    /// The name of the task, if it is in a group and has one.
    pub name: Option<Cow<'static, str>>,
    /// The place at which the task was spawned, if it is in a group.
    pub spawned_at: Option<&'static Location<'static>>,
    /// The thing that it has, and that the step before waits for, in words.
    pub has: String,
    /// The place at which it was taken; for a slot and for a task that is waited for, that of its spawn.
    pub taken_at: Option<&'static Location<'static>>,
    /// The time for which it has had it.
    pub held_for: Option<Duration>,
    /// The thing that it waits for, in words.
    pub waits_for: String,
    /// The place at which it waits; for a slot that of its spawn, for another task that of the spawn of this one.
    pub waits_at: Option<&'static Location<'static>>,
    /// The time for which it has waited.
    pub waited: Duration,
}

impl FindingStep {
    /// Returns the task in words, with its name or number.
    fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("task '{}'", name.escape_debug()),
            None => self.task.to_string(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, lasted) = (&self.steps[0], self.lasted);
        match self.kind {
            FindingKind::SelfWait => {
                write!(
                    f,
                    "deadlock: {} waits for {}, which it holds itself",
                    first.title(),
                    first.waits_for
                )?;
            }
            FindingKind::AllHoldersWait => {
                let (resource, tasks) = (&first.waits_for, self.steps.len());
                write!(f, "deadlock: all of {resource} is held by {tasks} tasks that wait for more of it")?;
            }
            FindingKind::Cycle => write!(f, "deadlock: {} tasks wait for each other", self.steps.len())?,
            FindingKind::FullGroup => {
                let slot = self.steps.iter().find(|step| step.waits_for.starts_with(SLOT));
                let group = slot.map_or("a group", |step| &step.waits_for[SLOT.len()..]);
                write!(f, "deadlock: {group} is full of tasks that wait for its other tasks")?;
            }
        }
        write!(f, ", for {:?}", rounded(lasted))?;
        if self.behind > 0 {
            let tasks = if self.behind == 1 { "task waits" } else { "tasks wait" };
            write!(f, "; {} more {tasks} behind", self.behind)?;
        }
        for step in self.steps.iter().take(SHOWN) {
            write!(f, "\n  {}", step.title())?;
            if let Some(place) = step.spawned_at {
                write!(f, ", spawned at {place}")?;
            }
            if !step.has.is_empty() {
                write!(f, "\n    has       {}", step.has)?;
                write_since(f, "taken", step.held_for, step.taken_at)?;
            }
            write!(f, "\n    waits for {}", step.waits_for)?;
            write_since(f, "asked", Some(step.waited), step.waits_at)?;
        }
        match self.steps.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            left => write!(f, "\n  … and {left} more"),
        }
    }
}

fn write_since(
    f: &mut fmt::Formatter<'_>,
    verb: &str,
    since: Option<Duration>,
    place: Option<&Location<'_>>,
) -> fmt::Result {
    let mut line = String::new();
    if let Some(since) = since {
        write!(line, "{:?} ago", rounded(since))?;
    }
    if let Some(place) = place {
        write!(line, "{}at {place}", if line.is_empty() { "" } else { " " })?;
    }
    if line.is_empty() { Ok(()) } else { write!(f, "\n              {verb} {line}") }
}

/// Leaves out of a time in a text what nobody reads.
pub(crate) fn rounded(time: Duration) -> Duration {
    let unit = if time.as_millis() > 0 { 1_000_000 } else { 1_000 };
    Duration::new(time.as_secs(), time.subsec_nanos() / unit * unit)
}

/// The number of tasks that a text shows.
const SHOWN: usize = 10;

/// A slot, in words, before the name of its group.
const SLOT: &str = "a slot of ";

/// Finds the circles among the tasks that are stuck, the longest standing first.
pub(crate) fn find(look: &Look, stuck: &Stuck<'_>) -> Vec<Finding> {
    let tasks = named(look);
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
    let mut findings: Vec<_> =
        circles.into_iter().map(|(circle, led)| finding(&circle, led, stuck, &tasks)).collect();
    findings.sort_by_key(|finding| Reverse(finding.lasted));
    findings
}

/// The tasks of all groups.
type Named<'a> = HashMap<TaskId, &'a InspectedTask>;

fn named(look: &Look) -> Named<'_> {
    let tasks = look.groups.iter().flat_map(|group| &group.tasks);
    tasks.filter_map(|task| Some((task.id?, task))).collect()
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

fn finding(circle: &[TaskId], led: usize, stuck: &Stuck<'_>, tasks: &Named<'_>) -> Finding {
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
    let kind = if circle.iter().enumerate().any(|(at, _)| matches!(wait(at), Wait::Slot(..))) {
        FindingKind::FullGroup
    } else if has_crowd {
        FindingKind::AllHoldersWait
    } else if circle.len() == 1 {
        FindingKind::SelfWait
    } else {
        FindingKind::Cycle
    };
    let lasted = steps.iter().map(|step| step.waited).min().unwrap_or_default();
    Finding { kind, lasted, steps, behind: led.saturating_sub(circle.len()) }
}

/// Describes a task of a circle, which has what the one before waits for.
fn step(task: TaskId, before: Wait<'_>, wait: Wait<'_>, tasks: &Named<'_>) -> FindingStep {
    let known = tasks.get(&task);
    let spawned_at = known.map(|task| task.place);
    let (has, taken_at, held_for) = match before {
        Wait::Resource(resource, _) => {
            let holder = resource.holders.iter().find(|holder| holder.task == Some(task));
            let (place, held_for) = (holder.map(|holder| holder.place), holder.map(|holder| holder.held_for));
            (resource.to_string(), place, held_for)
        }
        Wait::Slot(group, _) => (format!("{SLOT}{group}"), spawned_at, known.map(|task| task.age)),
        Wait::Child(..) | Wait::Join(..) => (String::new(), None, None),
    };
    let (waits_for, waits_at, waited) = match wait {
        Wait::Resource(resource, waiter) => (resource.to_string(), Some(waiter.place), waiter.waited),
        Wait::Slot(group, task) => (format!("{SLOT}{group}"), Some(task.place), task.age),
        Wait::Child(_, wait) => {
            let child = tasks.get(&wait.child);
            let title = child.map_or_else(|| wait.child.to_string(), |child| child.to_string());
            (title, child.map(|child| child.place), wait.waited)
        }
        Wait::Join(group, waiter) => (format!("the tasks of {group}"), Some(waiter.place), waiter.waited),
    };
    let name = known.and_then(|task| task.name.clone());
    FindingStep { task, name, spawned_at, has, taken_at, held_for, waits_for, waits_at, waited }
}
