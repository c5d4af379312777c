//! The dump: all objects at one time, and the findings.

use std::{cmp::Reverse, fmt};

use tokio::{runtime, time::Instant};

use crate::{
    Finding, InspectedGroup, InspectedResource, deadlock,
    registry::{Look, Object, Tasks, look},
    stalls, stuck,
};

mod html;
mod json;
mod text;

pub use self::json::json_text;

/// The number of findings, resources and groups that a text and a page show, of each.
const SECTIONS: usize = 100;

/// The state of all objects of a process that can be inspected, and what is wrong with it.
///
/// As text, it begins with the findings, in lines of at most 80 columns where names and places leave room.
/// [`to_json`](Self::to_json) and [`to_html`](Self::to_html) say the same.
///
/// # Examples
///
/// ```
/// let dump = evenkeel_inspect::dump();
/// assert!(dump.findings.is_empty());
/// assert!(dump.to_string().starts_with("nothing is known to stand still"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dump {
    /// The time at which the objects were asked, by tokio's clock.
    pub at: Instant,
    /// The findings, the most serious kind first, and of a kind the longest standing first.
    pub findings: Vec<Finding>,
    /// The resources, those with the longest queues first.
    pub resources: Vec<InspectedResource>,
    /// The groups, in the order of their start.
    pub groups: Vec<InspectedGroup>,
    /// The number of objects whose description, or whose destructor that happened to run here, panicked.
    pub panics: usize,
}

/// Describes all objects of this process, and looks for what is wrong: see [`FindingKind`](crate::FindingKind).
///
/// Any thread may call it, inside of a runtime or not; where time is paused, one inside. It waits for short locks alone, one
/// at a time, and holds none while it looks for findings. If the first look finds a circle, it takes a second one, so that
/// a finding is one that was there at one instant.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use evenkeel_inspect::dump;
/// use evenkeel_limit::ConcurrencyLimiter;
///
/// static CALLS: ConcurrencyLimiter = ConcurrencyLimiter::new(10).named("calls");
///
/// let permit = CALLS.acquire().await;
/// assert!(dump().to_string().contains("concurrency limit 'calls': 1 of 10 in use"));
/// # }
/// ```
#[must_use]
pub fn dump() -> Dump {
    dump_where(&|_| true, Instant::now())
}

/// As [`dump`], for the objects that were made in this runtime, or in none. A static object of a runtime that has ended, as of a
/// `World` of evenkeel-testkit before, is there while tasks wait for it.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use tokio::runtime::Handle;
///
/// let dump = evenkeel_inspect::dump_of(Handle::current().id());
/// assert!(dump.groups.is_empty());
/// # }
/// ```
#[must_use]
pub fn dump_of(runtime: runtime::Id) -> Dump {
    dump_at(Some(runtime), Instant::now())
}

/// As [`dump_of`], with the times as they were when the last wait began: for a test whose clock has jumped, as nothing runs
/// any more.
#[doc(hidden)]
#[must_use]
pub fn dump_at_last_wait(runtime: runtime::Id) -> Dump {
    let now = Instant::now();
    let is_of = |object: &Object| object.is_of(runtime);
    let since = stuck::waits(&look(&is_of, now)).map(|(_, wait)| wait.waited()).min();
    dump_where(&is_of, now.checked_sub(since.unwrap_or_default()).unwrap_or(now))
}

/// As [`dump_of`], or as [`dump`] without a runtime, as if it were asked at another time: for a test of what has stood for
/// long that does not wait so long.
#[doc(hidden)]
#[must_use]
pub fn dump_at(runtime: Option<runtime::Id>, now: Instant) -> Dump {
    match runtime {
        Some(runtime) => dump_where(&|object| object.is_of(runtime), now),
        None => dump_where(&|_| true, now),
    }
}

/// Describes such objects.
pub(crate) fn dump_where(is_wanted: &dyn Fn(&Object) -> bool, now: Instant) -> Dump {
    let first = look(is_wanted, now);
    let mut stuck = stuck::find(&first, None);
    let mut panics = first.panics;
    if !stuck.waits.is_empty() {
        let second = look(is_wanted, now);
        panics = panics.max(second.panics);
        stuck = stuck::find(&first, Some(&stuck::edges(&second)));
    }
    let mut findings = {
        let tasks = Tasks::of(&first.groups);
        let mut findings = deadlock::find(&stuck, &tasks);
        findings.extend(stalls::find(&first, &stuck, &tasks, now));
        findings
    };
    findings.sort_by_key(|finding| (finding.kind.severity(), Reverse(finding.lasted)));
    let Look { mut resources, groups, .. } = first;
    resources.sort_by_key(|resource| Reverse(resource.waiters.len()));
    Dump { at: now, findings, resources, groups, panics }
}

impl Dump {
    /// Returns it as JSON, in one line. The README has the schema.
    ///
    /// # Examples
    ///
    /// ```
    /// let json = evenkeel_inspect::dump().to_json();
    /// assert_eq!(json, r#"{"findings":[],"resources":[],"groups":[],"panics":0}"#);
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        json::write(self)
    }

    /// Returns it as a page of HTML that needs no other file and no script, and has the colors of the reader's system.
    ///
    /// A browser asks for it again every two seconds.
    ///
    /// # Examples
    ///
    /// ```
    /// let page = evenkeel_inspect::dump().to_html();
    /// assert!(page.starts_with("<!doctype html>") && page.contains("http-equiv=\"refresh\""));
    /// ```
    #[must_use]
    pub fn to_html(&self) -> String {
        html::write(self)
    }

    /// Returns the line under which it stands if there is no finding.
    fn summary(&self) -> String {
        let waiters: usize = self.resources.iter().map(|resource| resource.waiters.len()).sum();
        let tasks: usize = self.groups.iter().map(|group| group.tasks.len()).sum();
        let (resources, groups) = (self.resources.len(), self.groups.len());
        format!(
            "{}, {waiters} waiting; {}, {}",
            count(resources, "resource"),
            count(groups, "group"),
            count(tasks, "task")
        )
    }
}

/// Describes a resource in one line; of one that has no units, as a retry policy, none are in use.
fn heading(resource: &InspectedResource) -> String {
    let InspectedResource { capacity, in_use, waiters, .. } = resource;
    let waiting = waiters.len();
    match (capacity, in_use) {
        (0, 0) => format!("{resource}: {waiting} waiting"),
        _ => format!("{resource}: {in_use} of {capacity} in use, {waiting} waiting"),
    }
}

fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::write(self))
    }
}
