//! The backend of a pool: it makes objects as the script of a rule says, and records each step.

use std::{
    error::Error,
    fmt,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use evenkeel_base::lock;
use tokio::time::sleep;

use super::record::{Event, Record};

/// The course of one creation, check or reset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// It ends after this time, or never.
    after: Option<Duration>,
    end: StepEnd,
}

#[derive(Clone, Copy, Debug)]
enum StepEnd {
    Ok,
    Fails(ErrorKind),
    Panics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorKind {
    /// It concerns one creation.
    Single,
    /// The backend is down for a while.
    Transient,
    /// Every caller would meet it.
    Fatal,
}

impl Step {
    pub(crate) const OK: Self = Self { after: Some(Duration::ZERO), end: StepEnd::Ok };
    pub(crate) const FAILS: Self = Self { end: StepEnd::Fails(ErrorKind::Single), ..Self::OK };
    /// The backend is down.
    pub(crate) const DOWN: Self = Self { end: StepEnd::Fails(ErrorKind::Transient), ..Self::OK };
    pub(crate) const FATAL: Self = Self { end: StepEnd::Fails(ErrorKind::Fatal), ..Self::OK };
    pub(crate) const PANICS: Self = Self { end: StepEnd::Panics, ..Self::OK };
    pub(crate) const HANGS: Self = Self { after: None, end: StepEnd::Ok };

    pub(crate) const fn after(self, time: Duration) -> Self {
        Self { after: Some(time), ..self }
    }

    async fn run(self, what: &str, number: u32) -> Result<(), BackendError> {
        match self.after {
            Some(Duration::ZERO) => {}
            Some(time) => sleep(time).await,
            None => pending().await,
        }
        let text = format!("{what} {number} is refused");
        match self.end {
            StepEnd::Ok => Ok(()),
            StepEnd::Fails(kind) => Err(BackendError { text, kind }),
            StepEnd::Panics => panic!("{what} {number} panics"),
        }
    }
}

/// The course of each step, by the number of its object.
type Course = Arc<dyn Fn(u32) -> Step + Send + Sync>;

#[derive(Clone)]
struct Script {
    create: Course,
    check: Course,
    reset: Course,
    /// Runs in the destructor of an object.
    on_drop: Arc<dyn Fn(u32) + Send + Sync>,
}

/// Makes the objects of a pool, as the script of a rule says.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone)]
pub struct Backend {
    shared: Arc<Shared>,
}

struct Shared {
    record: Record,
    creations: AtomicU32,
    script: Mutex<Script>,
}

/// A creation under way.
struct Creation {
    number: u32,
    record: Record,
    is_done: bool,
}

impl Backend {
    /// A backend that makes objects at once.
    pub(crate) fn new() -> Self {
        let course = |step: Step| -> Course { Arc::new(move |_| step) };
        let script = Script {
            create: course(Step::OK),
            check: course(Step::OK),
            reset: course(Step::OK),
            on_drop: Arc::new(|_| {}),
        };
        let (record, creations) = (Record::start(), AtomicU32::new(0));
        Self { shared: Arc::new(Shared { record, creations, script: Mutex::new(script) }) }
    }

    /// Creates an object.
    ///
    /// # Errors
    /// If that is how the creation ends.
    ///
    /// # Cancel safety
    /// Dropping it ends the creation, and is noted.
    ///
    /// # Panics
    /// If that is how the creation ends.
    pub async fn create(&self) -> Result<Object, BackendError> {
        let mut creation = self.begin();
        let course = self.script().create;
        course(creation.number).run("creation", creation.number).await?;
        Ok(creation.done(self))
    }

    /// Creates an object at once, for an implementation without creations of its own: where
    /// [`Capability::Create`](super::Capability::Create) is withheld.
    pub fn object(&self) -> Object {
        self.begin().done(self)
    }

    fn begin(&self) -> Creation {
        let number = self.shared.creations.fetch_add(1, Relaxed) + 1;
        self.record().note(Event::Creates(number));
        Creation { number, record: self.record().clone(), is_done: false }
    }

    fn script(&self) -> Script {
        lock(&self.shared.script).clone()
    }

    pub(crate) fn record(&self) -> &Record {
        &self.shared.record
    }

    /// From now on the object with this number is created in this way.
    pub(crate) fn creates(&self, course: impl Fn(u32) -> Step + Send + Sync + 'static) {
        lock(&self.shared.script).create = Arc::new(course);
    }

    /// From now on the object with this number is checked in this way.
    pub(crate) fn checks(&self, course: impl Fn(u32) -> Step + Send + Sync + 'static) {
        lock(&self.shared.script).check = Arc::new(course);
    }

    /// From now on the object with this number is reset in this way.
    pub(crate) fn resets(&self, course: impl Fn(u32) -> Step + Send + Sync + 'static) {
        lock(&self.shared.script).reset = Arc::new(course);
    }

    /// From now on the destructor of each object does this.
    pub(crate) fn on_drop(&self, run: impl Fn(u32) + Send + Sync + 'static) {
        lock(&self.shared.script).on_drop = Arc::new(run);
    }

    /// From now on all goes well: what the implementation still does then comes to its end.
    pub(crate) fn recover(&self) {
        self.creates(|_| Step::OK);
        self.checks(|_| Step::OK);
        self.resets(|_| Step::OK);
        self.on_drop(|_| {});
    }
}

impl Creation {
    fn done(&mut self, backend: &Backend) -> Object {
        self.is_done = true;
        self.record.note(Event::Created(self.number));
        Object { number: self.number, backend: backend.clone(), is_broken: AtomicBool::new(false) }
    }
}

impl Drop for Creation {
    fn drop(&mut self) {
        if !self.is_done {
            self.record.note(Event::NotCreated(self.number));
        }
    }
}

/// An object of a pool.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[must_use = "a rule sees when it is dropped"]
pub struct Object {
    number: u32,
    backend: Backend,
    is_broken: AtomicBool,
}

impl Object {
    /// Checks whether the object can be lent again.
    ///
    /// # Errors
    /// If it cannot.
    ///
    /// # Cancel safety
    /// Dropping it ends the check.
    ///
    /// # Panics
    /// If that is how the check ends.
    pub async fn check(&self) -> Result<(), BackendError> {
        let record = self.backend.record();
        record.note(Event::Checks(self.number));
        let course = self.backend.script().check;
        course(self.number).run("the check of object", self.number).await?;
        record.note(Event::Checked(self.number));
        Ok(())
    }

    /// Cleans the object for its next user.
    ///
    /// # Errors
    /// If it cannot be used again.
    ///
    /// # Cancel safety
    /// Dropping it leaves the object as it is.
    pub async fn reset(&self) -> Result<(), BackendError> {
        let course = self.backend.script().reset;
        course(self.number).run("the reset of object", self.number).await?;
        self.backend.record().note(Event::Reset(self.number));
        Ok(())
    }

    /// Returns whether the object is broken, as its last user has found.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Relaxed)
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn break_down(&self) {
        self.is_broken.store(true, Relaxed);
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        self.backend.record().note(Event::Freed(self.number));
        let on_drop = self.backend.script().on_drop;
        if !thread::panicking() {
            on_drop(self.number);
        }
    }
}

/// The error of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendError {
    text: String,
    kind: ErrorKind,
}

impl BackendError {
    /// Returns whether another attempt may succeed: the backend is down for a while.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == ErrorKind::Transient
    }

    /// Returns whether every caller would meet the error, such as a wrong password.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.kind == ErrorKind::Fatal
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for BackendError {}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("creations", &self.shared.creations).finish_non_exhaustive()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("number", &self.number).finish_non_exhaustive()
    }
}
