//! Something that is held and waited for: a pool, a limit, a stage, a drain.

use std::{borrow::Cow, fmt, panic::Location, time::Duration};

use evenkeel_base::rounded;
use tokio::time::Instant;

use crate::{TaskId, finding::one_line};

/// A resource, with the tasks that hold parts of it and those that wait for it.
///
/// As text, its title: `pool 'orders-db'`, `concurrency limit (src/main.rs:7:5)`.
///
/// # Examples
///
/// ```
/// use evenkeel_inspect::InspectedResource;
///
/// let mut gate = InspectedResource::new("gate", 2);
/// gate.name = Some("east".into());
/// assert_eq!(gate.to_string(), "gate 'east'");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedResource {
    /// The number of the object, from its [`Registration`](crate::Registration); the registry sets it.
    pub id: usize,
    /// The kind of resource, in words. A `drain` waits until its holders are gone.
    pub kind: &'static str,
    /// The name that the program gave it.
    pub name: Option<Cow<'static, str>>,
    /// The place at which it was made, if that is known.
    pub place: Option<&'static Location<'static>>,
    /// The amount that can be in use.
    pub capacity: u64,
    /// The amount that is in use, or on its way to a task. More than the holders have if not all of them are known.
    pub in_use: u64,
    /// The tasks that hold it, the longest first.
    pub holders: Vec<HolderEdge>,
    /// The tasks that wait for it, the first in the queue first.
    pub waiters: Vec<WaiterEdge>,
    /// The median time for which it was held of late, if that is known.
    pub usual_hold: Option<Duration>,
    /// The work that passes through it, as of a stage.
    pub backlog: Option<Backlog>,
    /// The outage of the server or store behind it, while it lasts.
    pub outage: Option<Outage>,
    /// Further remarks, such as the last failure of a creation.
    pub notes: Vec<String>,
}

/// The work that passes through a stage, a queue or a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backlog {
    /// The number of items that have come in and not gone out.
    pub pending: u64,
    /// The time since the last item went out; with none so far, since the first came in.
    pub idle: Duration,
    /// The time that an item usually takes, if that is known.
    pub usual: Option<Duration>,
}

impl Backlog {
    /// Creates the description of work of which it is not known how long it usually takes.
    #[must_use]
    pub const fn new(pending: u64, idle: Duration) -> Self {
        Self { pending, idle, usual: None }
    }
}

/// The outage of a server or store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outage {
    /// The time since the first failure after which none has succeeded.
    pub lasted: Duration,
    /// The last failure, in words.
    pub reason: String,
}

impl Outage {
    /// Creates the description of an outage.
    #[must_use]
    pub fn new(lasted: Duration, reason: impl Into<String>) -> Self {
        Self { lasted, reason: reason.into() }
    }
}

impl InspectedResource {
    /// Creates the description of a resource of which nothing is in use, to be filled in.
    #[must_use]
    pub fn new(kind: &'static str, capacity: u64) -> Self {
        Self {
            id: 0,
            kind,
            name: None,
            place: None,
            capacity,
            in_use: 0,
            holders: Vec::new(),
            waiters: Vec::new(),
            usual_hold: None,
            backlog: None,
            outage: None,
            notes: Vec::new(),
        }
    }

    /// Returns lines on its outage, its backlog and its holds, and the notes.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = String> {
        let outage = self.outage.as_ref().map(|Outage { lasted, reason }| {
            format!("out of reach for {:?}: {}", rounded(*lasted), one_line(reason))
        });
        let backlog = self.backlog.map(|Backlog { pending, idle, usual }| {
            let usual =
                usual.map_or_else(String::new, |usual| format!("; usually {:?} each", rounded(usual)));
            format!("{pending} pending, none has left for {:?}{usual}", rounded(idle))
        });
        let hold = self.usual_hold.map(|hold| format!("usually held for {:?}", rounded(hold)));
        outage
            .into_iter()
            .chain(backlog)
            .chain(hold)
            .chain(self.notes.iter().map(|note| one_line(note).into_owned()))
    }

    /// Returns whether it waits until its holders are gone.
    pub(crate) fn is_drain(&self) -> bool {
        self.kind == "drain"
    }

    /// Returns whether nothing can come to the first waiter but from a holder, and all holders are known. Those of a drain
    /// are not: a guard is taken to be given to another task.
    pub(crate) fn is_exhausted(&self) -> bool {
        if self.is_drain() {
            return false;
        }
        let Some(first) = self.waiters.first() else { return false };
        let held = self.held();
        self.left() < first.amount && held >= self.in_use && held > 0
    }

    /// Returns the amount that the known holders have; of objects that tell nonsense the greatest number.
    pub(crate) fn held(&self) -> u64 {
        self.holders.iter().fold(0, |held, holder| holder.amount.saturating_add(held))
    }

    /// Returns the amount that is not in use.
    fn left(&self) -> u64 {
        self.capacity.saturating_sub(self.in_use)
    }

    /// Returns the waiters that ask for more than is left, if one behind them does not: it is held up by the queue alone.
    pub(crate) fn blockers(&self) -> &[WaiterEdge] {
        let fits = |waiter: &WaiterEdge| waiter.amount <= self.left();
        &self.waiters[..self.waiters.iter().position(fits).unwrap_or_default()]
    }
}

impl fmt::Display for InspectedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(self.kind))?;
        match (&self.name, self.place) {
            (Some(name), _) => write!(f, " '{}'", name.escape_debug()),
            (None, Some(place)) => write!(f, " ({place})"),
            (None, None) => write!(f, " #{}", self.id),
        }
    }
}

/// A task that holds a part of a resource.
///
/// # Examples
///
/// ```
/// use evenkeel_inspect::{HolderEdge, TaskId};
/// use std::{panic::Location, time::Duration};
///
/// let holder = HolderEdge::new(7, Some(TaskId::current()), Location::caller(), Duration::from_secs(2));
/// assert_eq!(holder.amount, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HolderEdge {
    /// The number of the hold, which no other hold of the resource gets.
    pub number: u64,
    /// The task that took it; `None` if that is not known, or if it has given it to another one.
    pub task: Option<TaskId>,
    /// The amount.
    pub amount: u64,
    /// The place at which it was taken.
    pub place: &'static Location<'static>,
    /// The text that says what it is for.
    pub label: Option<Cow<'static, str>>,
    /// The time since it was taken, by tokio's clock.
    pub held_for: Duration,
    /// Whether it may have been taken earlier: in a burst of holds the clock is not read for each of them, and the time is
    /// that since a look has seen it first, or since another task waits for it.
    pub at_least: bool,
}

impl HolderEdge {
    /// Creates the description of a hold of amount 1.
    #[must_use]
    pub fn new(
        number: u64,
        task: Option<TaskId>,
        place: &'static Location<'static>,
        held_for: Duration,
    ) -> Self {
        Self { number, task, amount: 1, place, label: None, held_for, at_least: false }
    }
}

/// A task that waits.
///
/// # Examples
///
/// ```
/// use evenkeel_inspect::{TaskId, WaiterEdge};
/// use std::{panic::Location, time::Duration};
///
/// let waiter = WaiterEdge::new(8, TaskId::current(), Location::caller(), Duration::from_secs(2));
/// assert_eq!(waiter.amount, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaiterEdge {
    /// The number of the wait, which no other wait for the same gets.
    pub number: u64,
    /// The task that waits.
    pub task: TaskId,
    /// The amount that it waits for.
    pub amount: u64,
    /// The place at which it began to wait.
    pub place: &'static Location<'static>,
    /// The time for which it has waited, by tokio's clock.
    pub waited: Duration,
    /// The time at which the wait ends by itself: a deadline, the end of a delay.
    pub until: Option<Instant>,
    /// The thing that it waits for, in words, if that is not the resource itself.
    pub label: Option<String>,
}

impl WaiterEdge {
    /// Creates the description of a wait for the amount 1.
    #[must_use]
    pub fn new(number: u64, task: TaskId, place: &'static Location<'static>, waited: Duration) -> Self {
        Self { number, task, amount: 1, place, waited, until: None, label: None }
    }
}
