//! The work of a pipeline: it goes as the script of a rule says, and records each step.

use std::{
    error::Error,
    fmt,
    future::pending,
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::record::{Event, Mark, Record};
use crate::clock::Clock;
use evenkeel_base::lock;

/// The payload of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "adapters send it over a wire, and build it again")]
pub struct Item {
    /// Its number.
    pub number: u32,
    /// The number of this part; 0 for a whole message.
    pub part: u32,
    /// Its key.
    pub key: u32,
    /// Its size in bytes.
    pub size: usize,
}

/// An item with the facts of its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct WorkItem {
    /// The identity that the implementation gives the message, or the part.
    pub id: String,
    /// The number of the attempt: 1 for the first.
    pub attempt: u32,
    /// The item.
    pub item: Item,
}

/// A message that has failed too often.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct Letter {
    /// The identity of the message.
    pub id: String,
    /// The number of attempts.
    pub attempts: u32,
    /// The reason of the last failure.
    pub reason: String,
    /// The item.
    pub item: Item,
}

/// The course of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// It ends after this time, or never.
    after: Option<Duration>,
    /// It writes a row at this time.
    writes: Option<Duration>,
    end: StepEnd,
}

#[derive(Clone, Copy, Debug)]
enum StepEnd {
    Ok,
    Fails,
    Panics,
}

impl Step {
    pub(crate) const OK: Self = Self { after: Some(Duration::ZERO), writes: None, end: StepEnd::Ok };
    pub(crate) const FAILS: Self = Self { end: StepEnd::Fails, ..Self::OK };
    pub(crate) const PANICS: Self = Self { end: StepEnd::Panics, ..Self::OK };
    pub(crate) const HANGS: Self = Self { after: None, ..Self::OK };

    pub(crate) const fn after(self, time: Duration) -> Self {
        Self { after: Some(time), ..self }
    }

    /// With a row that is written at this time, before the end.
    pub(crate) const fn writing(self, at: Duration) -> Self {
        Self { writes: Some(at), ..self }
    }
}

/// The course of one store or burial: its time, and the indices that fail.
pub(crate) type Outcome = (Duration, Vec<usize>);

type Course = Arc<dyn Fn(&Mark) -> Step + Send + Sync>;
type Bulk = Arc<dyn Fn(&[u32]) -> Outcome + Send + Sync>;

#[derive(Clone)]
struct Script {
    runs: Course,
    stores: Bulk,
    buries: Bulk,
    parts: fn(u32) -> u32,
}

/// The work of one worker, as the script of a rule says.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone)]
pub struct Work {
    worker: u32,
    clock: Clock,
    record: Record,
    script: Arc<Mutex<Script>>,
}

/// A run under way.
struct Running {
    mark: Mark,
    record: Record,
    has_ended: bool,
}

impl Work {
    pub(crate) fn new(clock: Clock) -> Self {
        let all_well: Bulk = Arc::new(|_| (Duration::ZERO, Vec::new()));
        let script =
            Script { runs: Arc::new(|_| Step::OK), stores: all_well.clone(), buries: all_well, parts: |_| 3 };
        Self { worker: 0, clock, record: Record::on(clock), script: Arc::new(Mutex::new(script)) }
    }

    /// The work of the worker with this number.
    pub(crate) fn of(&self, worker: u32) -> Self {
        Self { worker, ..self.clone() }
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn runs(&self, course: impl Fn(&Mark) -> Step + Send + Sync + 'static) {
        let course: Course = Arc::new(course);
        let old = mem::replace(&mut lock(&self.script).runs, course);
        drop(old);
    }

    /// The store of the messages with these numbers goes like this.
    pub(crate) fn stores(&self, course: impl Fn(&[u32]) -> Outcome + Send + Sync + 'static) {
        let course: Bulk = Arc::new(course);
        let old = mem::replace(&mut lock(&self.script).stores, course);
        drop(old);
    }

    /// The burial of the messages with these numbers goes like this.
    pub(crate) fn buries(&self, course: impl Fn(&[u32]) -> Outcome + Send + Sync + 'static) {
        let course: Bulk = Arc::new(course);
        let old = mem::replace(&mut lock(&self.script).buries, course);
        drop(old);
    }

    /// A message has as many parts as this.
    pub(crate) fn splits(&self, parts: fn(u32) -> u32) {
        lock(&self.script).parts = parts;
    }

    fn script(&self) -> Script {
        lock(&self.script).clone()
    }

    async fn wait(&self, time: Duration) {
        if !time.is_zero() {
            self.clock.sleep(time).await;
        }
    }

    /// Works on a message, or on a part of it.
    ///
    /// # Errors
    /// If that is how the work ends.
    ///
    /// # Cancel safety
    /// Dropping it ends the work, and is noted.
    ///
    /// # Panics
    /// If that is how the work ends.
    pub async fn run(&self, job: WorkItem) -> Result<(), WorkError> {
        let WorkItem { id, attempt, item } = job;
        let mark = Mark { worker: self.worker, number: item.number, part: item.part, attempt, id };
        self.record.note(Event::Begins(mark.clone()));
        let mut running = Running { mark, record: self.record.clone(), has_ended: false };
        let Step { after, writes, end } = (self.script().runs)(&running.mark);
        if let Some(at) = writes {
            self.clock.sleep(at).await;
            self.record.note(Event::Writes(running.mark.clone()));
        }
        match after {
            Some(after) if after > writes.unwrap_or_default() => {
                self.clock.sleep(after - writes.unwrap_or_default()).await;
            }
            Some(_) => {}
            None => pending().await,
        }
        running.has_ended = true;
        match end {
            StepEnd::Ok => {
                self.record.note(Event::Done(running.mark.clone()));
                Ok(())
            }
            StepEnd::Fails => {
                self.record.note(Event::Fails(running.mark.clone()));
                Err(WorkError(format!("message {} is refused", item.number)))
            }
            StepEnd::Panics => {
                self.record.note(Event::Fails(running.mark.clone()));
                panic!("message {} panics", item.number)
            }
        }
    }

    /// Returns whether a message is to be worked on; else it is done.
    #[must_use]
    pub fn keeps(&self, item: &Item) -> bool {
        item.number.is_multiple_of(2)
    }

    /// Returns the parts of a message.
    #[must_use]
    pub fn parts(&self, item: Item) -> Vec<Item> {
        (1..=(self.script().parts)(item.number)).map(|part| Item { part, ..item }).collect()
    }

    /// Stores a batch of messages.
    ///
    /// # Errors
    /// The indices of those that are not stored.
    ///
    /// # Cancel safety
    /// Dropping it stores none.
    pub async fn store(&self, jobs: Vec<WorkItem>) -> Result<(), BulkError> {
        let numbers: Vec<u32> = jobs.iter().map(|job| job.item.number).collect();
        self.record.note(Event::Stores(numbers.clone()));
        let (after, failed) = (self.script().stores)(&numbers);
        self.wait(after).await;
        self.record.note(Event::Stored(numbers));
        if failed.is_empty() { Ok(()) } else { Err(BulkError(failed)) }
    }

    /// Buries messages that have failed too often.
    ///
    /// # Errors
    /// The indices of those that are not buried.
    ///
    /// # Cancel safety
    /// Dropping it buries none.
    pub async fn bury(&self, letters: Vec<Letter>) -> Result<(), BulkError> {
        let numbers: Vec<u32> = letters.iter().map(|letter| letter.item.number).collect();
        let (after, failed) = (self.script().buries)(&numbers);
        self.wait(after).await;
        for (index, letter) in letters.into_iter().enumerate() {
            if !failed.contains(&index) {
                self.record.note(Event::Buried(letter));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(BulkError(failed)) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended {
            self.record.note(Event::Dropped(self.mark.clone()));
        }
    }
}

/// The error of the work on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkError(String);

impl fmt::Display for WorkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for WorkError {}

/// The error of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkError(Vec<usize>);

impl BulkError {
    /// Returns the indices of those that have failed.
    #[must_use]
    pub fn failed(&self) -> &[usize] {
        &self.0
    }
}

impl fmt::Display for BulkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} are refused", self.0.len())
    }
}

impl Error for BulkError {}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("worker", &self.worker).finish_non_exhaustive()
    }
}
