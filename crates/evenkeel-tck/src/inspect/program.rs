//! The parts of an observed program, and what the observer shows of it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use crate::BoxFuture;

/// The body of a program, which spawns tasks. When it ends, the program aborts them.
pub type ProgramBody = Box<dyn FnOnce(Arc<dyn Tasks>) -> BoxFuture<'static, ()> + Send>;

/// The work on one message of a consumer.
pub type MessageWork = Arc<dyn Fn(u32) -> BoxFuture<'static, ()> + Send + Sync>;

/// The answer of a store, or its failure, in words.
pub type StoreCall = Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

/// Makes the parts of a program so that the implementation under test can observe them, and looks at them.
///
/// The adapter marks all that a careful user of the implementation marks: names, places, waits and holds.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
pub trait Inspectable: Send + Sync {
    /// Runs a program: its body, and the tasks that it spawns. They are gone when the future has ended or was dropped.
    fn run(&self, body: ProgramBody) -> BoxFuture<'static, ()>;

    /// A resource with a number of units; those who wait for one get it in their order.
    fn resource(&self, kind: SharedKind, name: &'static str, units: usize) -> Arc<dyn Shared>;

    /// Looks at the program, from within it.
    fn look(&self) -> View;

    /// A drain that waits for a guard of this name, which is held that long.
    ///
    /// Asked for with [`Capability::Stalls`](super::Capability::Stalls) alone, as the next four.
    fn drain(&self, _guard: &'static str, _held_for: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    /// A consumer of this name, which runs `work` for each of these many messages, one after the other.
    fn consume(&self, _name: &'static str, _messages: u32, _work: MessageWork) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    /// A batch of this name and size without a time limit, into which these many items come, and no more.
    fn batch(&self, _name: &'static str, _size: usize, _items: u32) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    /// Takes a permit each second, of a limit of this name that processes share in a store. Each call of the store calls `store`;
    /// while that fails, permits are refused. It never ends.
    fn shared_limit(&self, _name: &'static str, _store: StoreCall) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    /// A pause of the task that is known to end by itself, such as that before the next attempt of a call.
    fn pause(&self, _time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

impl fmt::Debug for dyn Inspectable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspectable").finish_non_exhaustive()
    }
}

/// Spawns the tasks of a program.
pub trait Tasks: Send + Sync {
    /// Spawns a task of this name.
    fn spawn(&self, name: String, task: BoxFuture<'static, ()>) -> Box<dyn Spawned>;
}

/// A spawned task; dropping it changes nothing.
pub trait Spawned: Send {
    /// Aborts it.
    fn abort(&self);

    /// Waits until it has ended.
    fn ended(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// Something of which tasks hold units, and for which others wait.
pub trait Shared: Send + Sync {
    /// Takes a unit at this site, runs `inside`, and gives the unit back.
    fn hold(&self, site: Site, inside: BoxFuture<'static, ()>) -> BoxFuture<'static, ()>;
}

/// The kind of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharedKind {
    /// A pool of objects.
    Pool,
    /// A limit of what runs at once.
    Limit,
}

/// One place of a program at which a unit is taken. The adapter has two lines that take units, one for each number.
#[derive(Clone, Debug)]
pub struct Site {
    number: usize,
    place: Arc<OnceLock<String>>,
}

impl Site {
    pub(crate) fn new(number: usize) -> Self {
        Self { number, place: Arc::default() }
    }

    /// The number of the line: 0 or 1.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// Tells the place of that line, as `file!()` and `line!()` have it.
    pub fn is_at(&self, file: &str, line: u32) {
        let _ = self.place.set(format!("{file}:{line}"));
    }

    /// Whether a text has the place.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_digit());
        self.place.get().is_some_and(|place| text.split(&**place).skip(1).any(ends))
    }
}

/// The findings, the tasks and the resources that an observer shows.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The stand-stills that it has found by itself.
    pub findings: Vec<StandStill>,
    /// The tasks that it shows as alive.
    pub tasks: Vec<ViewedTask>,
    /// The names of the resources that it lists.
    pub resources: Vec<String>,
}

/// A stand-still that an observer has found.
#[derive(Clone, Debug)]
pub struct StandStill {
    /// Its kind.
    pub kind: StandStillKind,
    /// The text that says what it is.
    pub text: String,
}

/// The kind of a stand-still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StandStillKind {
    /// Tasks that wait for each other, or for themselves.
    Deadlock,
    /// A drain that does not end.
    Drain,
    /// Holders that keep something far longer than usual.
    OldHolders,
    /// Work that is pending, and of which nothing is done.
    NoProgress,
    /// A store or server that is out of reach.
    Outage,
    /// A wait that should have ended by itself, as of a task whose worker is blocked.
    LateTimer,
    /// Another one.
    Other,
}

/// A task in a view.
#[derive(Clone, Debug)]
pub struct ViewedTask {
    /// Its name.
    pub name: String,
    /// The text on its waits.
    pub waits: String,
}
