//! `Finding`: its kinds, its steps, and its text.

use std::{
    borrow::Cow,
    fmt::{self, Write},
    panic::Location,
    time::Duration,
};

use evenkeel_base::rounded;

use crate::TaskId;

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
/// assert_eq!(finding.subject, "concurrency limit 'calls'");
/// println!("{finding}");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of finding.
    pub kind: FindingKind,
    /// The resource, group or task that it is about, in words.
    pub subject: String,
    /// The place at which the subject was made, if that is known; of a task, that of its spawn.
    pub place: Option<&'static Location<'static>>,
    /// The sentence that says what it is: the first line of the text.
    pub summary: String,
    /// The time for which it has stood, by tokio's clock. Of a deadlock, that of the youngest of its waits; of
    /// [`OldHolders`](FindingKind::OldHolders), that of the youngest hold; of a [`LateTimer`](FindingKind::LateTimer), the
    /// time by which it is late.
    pub lasted: Duration,
    /// The tasks of it. Of a deadlock, each waits for something that the next one has, and the last one for that of the
    /// first; of [`AllHoldersWait`](FindingKind::AllHoldersWait), they are the holders. Of others, they are the holders, and
    /// then the first one that waits; or the waits that are late.
    pub steps: Vec<FindingStep>,
    /// The number of further tasks that wait for it.
    pub behind: usize,
}

/// The kind of a [`Finding`]: deadlocks, and then the others, the most serious first.
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
    /// A wait should have ended by itself a second ago or earlier: a worker thread is blocked, or the task does not poll the
    /// future that waits.
    LateTimer,
    /// A server or store has been out of reach for 10 s or longer.
    Outage,
    /// A drain has waited for guards for 10 s or longer, or for a second past its time limit.
    Drain,
    /// Tasks wait for a resource, the first for 10 s or longer, and all who hold it have held it for 10 s or longer, and a
    /// hundred times as long as usual.
    OldHolders,
    /// Work is pending, and nothing has left for 10 s or longer, and a hundred times as long as usual; if that is not known,
    /// for 10 min.
    NoProgress,
}

impl FindingKind {
    /// Returns the kind in words with hyphens, as it is in JSON: `self-wait`, `late-timer`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SelfWait => "self-wait",
            Self::AllHoldersWait => "all-holders-wait",
            Self::Cycle => "cycle",
            Self::FullGroup => "full-group",
            Self::LateTimer => "late-timer",
            Self::Outage => "outage",
            Self::Drain => "drain",
            Self::OldHolders => "old-holders",
            Self::NoProgress => "no-progress",
        }
    }

    /// Returns whether it is a deadlock: tasks that can never go on by themselves, however short it has stood.
    #[must_use]
    pub fn is_deadlock(self) -> bool {
        matches!(self, Self::SelfWait | Self::AllHoldersWait | Self::Cycle | Self::FullGroup)
    }

    /// Returns its place among the kinds, the most serious first; deadlocks share the first one.
    pub(crate) fn severity(self) -> u8 {
        if self.is_deadlock() { 0 } else { self as u8 }
    }
}

/// A task of a finding: one of a circle, a holder, or one that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FindingStep {
    /// The task; `None` for a holder that is not known.
    pub task: Option<TaskId>,
    /// The name of the task, if it is in a group and has one.
    pub name: Option<Cow<'static, str>>,
    /// The place at which the task was spawned, if it is in a group.
    pub spawned_at: Option<&'static Location<'static>>,
    /// The thing that it has, in words: in a circle, that for which the step before waits. Empty if it has none of it.
    pub has: String,
    /// The place at which it was taken; for a slot and for a task that is waited for, that of its spawn.
    pub taken_at: Option<&'static Location<'static>>,
    /// The time for which it has had it.
    pub held_for: Option<Duration>,
    /// Whether it may have had it for longer; see [`HolderEdge::at_least`](crate::HolderEdge::at_least).
    pub at_least: bool,
    /// The thing that it waits for, in words. Empty if it is not known to wait.
    pub waits_for: String,
    /// The place at which it waits; for a slot that of its spawn, for another task that of the spawn of this one.
    pub waits_at: Option<&'static Location<'static>>,
    /// The time for which it has waited.
    pub waited: Duration,
}

impl FindingStep {
    /// Returns the task in words, with its name or number.
    pub(crate) fn title(&self) -> String {
        match (&self.name, self.task) {
            (Some(name), _) => format!("task '{}'", name.escape_debug()),
            (None, Some(task)) => task.to_string(),
            (None, None) => "an unknown task".to_owned(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)?;
        for step in self.steps.iter().take(SHOWN) {
            write!(f, "\n  {}", step.title())?;
            if let Some(place) = step.spawned_at {
                write!(f, ", spawned at {place}")?;
            }
            if !step.has.is_empty() {
                write!(f, "\n    has       {}", step.has)?;
                let verb = if step.at_least { "taken at least" } else { "taken" };
                write_since(f, verb, step.held_for, step.taken_at)?;
            }
            if !step.waits_for.is_empty() {
                write!(f, "\n    waits for {}", step.waits_for)?;
                write_since(f, "asked", Some(step.waited), step.waits_at)?;
            }
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

/// Returns a text of a program without breaks of lines, and without marks that change the order of what stands beside them.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    let is_mark = |c: char| {
        let is_order = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c.is_control() || is_order || matches!(c, '\u{2028}' | '\u{2029}')
    };
    match text.contains(is_mark) {
        true => text.replace(is_mark, " ").into(),
        false => text.into(),
    }
}

/// The number of tasks that a text shows.
const SHOWN: usize = 10;
