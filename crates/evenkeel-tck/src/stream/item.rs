//! The items that operators move and run: each follows the script of a rule, and records its steps.

use std::{
    fmt,
    future::poll_fn,
    hash::{Hash, Hasher},
    panic::resume_unwind,
    pin::pin,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_base::lock;
use tokio::{sync::Semaphore, task::yield_now};

use super::{
    record::{Event, Record},
    remote::RemoteItem,
};
use crate::{
    BoxFuture,
    agenda::sleep,
    duration::secs,
    probe_task::{End, ReportedFailure},
};

/// The script of an item.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) number: u32,
    /// Its work sleeps for this time, and then ends in this way.
    pub(crate) takes: Duration,
    pub(crate) end: End,
    /// The call that makes the future of its work panics.
    pub(crate) panics_at_call: bool,
    /// Its work holds a permit of this semaphore while it sleeps.
    pub(crate) lock: Option<Arc<Semaphore>>,
    /// Its work yields as often.
    pub(crate) yields: u32,
    /// Its work blocks its thread until that of another item does, too; it fails if none comes.
    pub(crate) meeting: Option<Arc<Meeting>>,
    pub(crate) key: u32,
    pub(crate) weight: usize,
    pub(crate) ends_batch: bool,
    /// Counts the polls of its work.
    pub(crate) polls: Option<Arc<AtomicUsize>>,
    /// Counts the keys that are alive.
    pub(crate) keys: Option<Arc<KeyCount>>,
}

impl Script {
    /// Work that ends at once, and well.
    pub(crate) const fn new(number: u32) -> Self {
        Self {
            number,
            takes: Duration::ZERO,
            end: End::Ok,
            panics_at_call: false,
            lock: None,
            yields: 0,
            meeting: None,
            key: number,
            weight: 1,
            ends_batch: false,
            polls: None,
            keys: None,
        }
    }

    pub(crate) fn taking(self, takes: Duration) -> Self {
        Self { takes, ..self }
    }

    pub(crate) fn failing(self) -> Self {
        Self { end: End::Error, ..self }
    }

    pub(crate) fn panicking(self) -> Self {
        Self { end: End::Panic, ..self }
    }

    pub(crate) fn holding(self, lock: &Arc<Semaphore>) -> Self {
        Self { lock: Some(lock.clone()), ..self }
    }

    pub(crate) fn of_key(self, key: u32) -> Self {
        Self { key, ..self }
    }

    pub(crate) fn weighing(self, weight: usize) -> Self {
        Self { weight, ..self }
    }
}

/// A place where two threads meet.
#[derive(Debug, Default)]
pub(crate) struct Meeting {
    arrived: Mutex<u32>,
    all: Condvar,
}

impl Meeting {
    /// Blocks the thread until another one has come, for a second at most; returns whether one has.
    fn has_two(&self) -> bool {
        *lock(&self.arrived) += 1;
        self.all.notify_all();
        let waited = self.all.wait_timeout_while(lock(&self.arrived), secs(1), |arrived| *arrived < 2);
        waited.is_ok_and(|(arrived, _)| *arrived >= 2)
    }
}

/// An item of a source: its work follows the script of a rule, and records each of its steps.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[must_use = "a rule sees when it is dropped"]
pub struct Item {
    script: Script,
    // The last field: the drop is the last event.
    guard: Guard,
}

/// The key of an item, as [`Map::keyed`](super::Map::keyed) uses it. Rules count the keys that an implementation keeps.
#[derive(Clone)]
pub struct Key {
    number: u32,
    _alive: Option<Arc<KeyCount>>,
    _remote: Option<Arc<dyn Send + Sync>>,
}

/// Keys that are alive: one for each clone of the `Arc`, but for the rule's own ones.
#[derive(Debug, Default)]
pub(crate) struct KeyCount;

struct Guard {
    number: u32,
    told: Told,
}

/// Is told of the end of work, and awaited before that.
pub(crate) type BeforeEnd = Box<dyn FnOnce(End) -> BoxFuture<'static, ()> + Send>;

/// The listener of the steps of an item.
enum Told {
    Record(Record),
    Remote(Arc<dyn RemoteItem>),
    /// The other process has the item again.
    Nobody,
}

impl Item {
    pub(crate) fn new(script: Script, record: &Record) -> Self {
        let guard = Guard { number: script.number, told: Told::Record(record.clone()) };
        Self { script, guard }
    }

    /// An item whose script is in another process, but for what is in this one.
    pub(crate) fn remote(script: Script, remote: Arc<dyn RemoteItem>) -> Self {
        let guard = Guard { number: script.number, told: Told::Remote(remote) };
        Self { script, guard }
    }

    /// Its number in the protocol, if its script is in another process.
    pub(crate) fn id(&self) -> Option<u64> {
        match &self.guard.told {
            Told::Remote(remote) => Some(remote.id()),
            Told::Record(_) | Told::Nobody => None,
        }
    }

    /// Hands it back to the other process: its drop in this one is nobody's affair. Returns its number in the protocol.
    pub(crate) fn hand_over(mut self) -> Option<u64> {
        let id = self.id();
        self.guard.told = Told::Nobody;
        id
    }

    pub(crate) const fn script(&self) -> &Script {
        &self.script
    }

    /// The number of the item: the value of its work.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.script.number
    }

    /// The key of the item.
    #[must_use]
    pub fn key(&self) -> Key {
        let remote = match &self.guard.told {
            Told::Remote(remote) => Some(remote.keyed()),
            Told::Record(_) | Told::Nobody => None,
        };
        Key { number: self.script.key, _alive: self.script.keys.clone(), _remote: remote }
    }

    /// The weight of the item, such as its bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.script.weight
    }

    /// Returns whether a batch ends with the item.
    #[must_use]
    pub fn ends_batch(&self) -> bool {
        self.script.ends_batch
    }

    /// The work of the item: the function that a map runs over its items.
    ///
    /// # Errors
    /// If that is how the work ends.
    ///
    /// # Cancel safety
    /// Dropping it ends the work, and is noted.
    ///
    /// # Panics
    /// If that is how the work ends; a rule may also make the call itself panic.
    pub fn run(self) -> impl Future<Output = Result<u32, ReportedFailure>> + Send + 'static {
        self.run_behind(None)
    }

    /// As [`run`](Self::run), and ends when this does, if its script is played for another process.
    pub(crate) fn run_behind(
        self,
        gate: Option<BeforeEnd>,
    ) -> impl Future<Output = Result<u32, ReportedFailure>> + Send + 'static {
        if self.script.panics_at_call {
            self.guard.panic();
        }
        let polls = self.script.polls.clone();
        async move {
            let mut work = pin!(self.work(gate));
            poll_fn(|cx| {
                if let Some(polls) = &polls {
                    polls.fetch_add(1, Relaxed);
                }
                work.as_mut().poll(cx)
            })
            .await
        }
    }

    async fn work(self, gate: Option<BeforeEnd>) -> Result<u32, ReportedFailure> {
        let Self { script, guard } = self;
        if let Told::Remote(remote) = &guard.told {
            return remote.work().await;
        }
        guard.note(Event::Began);
        let _permit = match script.lock {
            Some(lock) => lock.acquire_owned().await.ok(),
            None => None,
        };
        if let Some(meeting) = script.meeting
            && !meeting.has_two()
        {
            guard.note(Event::Failed);
            return Err(ReportedFailure::error(guard.number));
        }
        for _ in 0..script.yields {
            yield_now().await;
        }
        if !script.takes.is_zero() {
            sleep(script.takes).await;
        }
        if let Some(gate) = gate {
            gate(script.end).await;
        }
        match script.end {
            End::Ok => guard.note(Event::Ended),
            End::Error => guard.note(Event::Failed),
            End::Panic => guard.panic(),
        }
        if script.end == End::Ok { Ok(guard.number) } else { Err(ReportedFailure::error(guard.number)) }
    }
}

impl Guard {
    fn note(&self, event: fn(u32) -> Event) {
        if let Told::Record(record) = &self.told {
            record.note(event(self.number));
        }
    }

    fn panic(&self) {
        if let Told::Remote(remote) = &self.told {
            remote.begins();
            panics(self.number);
        }
        self.note(Event::Panicked);
        panic!("task {} panicked", self.number);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        match &self.told {
            Told::Record(_) => self.note(Event::Freed),
            Told::Remote(remote) => remote.dropped(),
            Told::Nobody => {}
        }
    }
}

/// The panic of an item whose script is in another process, which is told there: here it is no news.
pub(crate) fn panics(number: u32) -> ! {
    resume_unwind(Box::new(format!("task {number} panicked")))
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("number", &self.number).finish_non_exhaustive()
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item").field("number", &self.number()).finish_non_exhaustive()
    }
}
