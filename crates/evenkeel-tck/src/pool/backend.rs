//! The backend of a pool: it makes objects as the script of a rule says, and records each step.
//!
//! # How it works
//!
//! A backend with its script is *here*. Where the implementation is in another process, the backend that it is given there is
//! *remote*: it tells of each step, and is told of the end of each. The backend here then does all that is told, and
//! knows who else is to be told of what a rule does to an object: the one who is *elsewhere*.

mod object;

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use evenkeel_base::lock;

pub(crate) use self::object::Destructor;
pub use self::object::Object;
use super::{
    record::{Event, Record},
    step::{BackendError, Failure, Kind, Step},
};
use crate::BoxFuture;

/// The course of each step, by the number of its object.
type Course = Arc<dyn Fn(u32) -> Step + Send + Sync>;

struct Script {
    create: Course,
    check: Course,
    reset: Course,
}

/// Makes the objects of a pool, as the script of a rule says.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone)]
pub struct Backend(Source);

#[derive(Clone)]
enum Source {
    Here(Arc<Shared>),
    Remote(Arc<dyn Remote>),
}

/// A backend whose script is in another process.
pub(crate) trait Remote: Send + Sync {
    /// Begins a creation: the number of its object, and its end.
    fn create(&self) -> (u32, BoxFuture<'static, Result<(), Failure>>);
    /// Begins a check or a reset of this object.
    fn step(&self, kind: Kind, number: u32) -> BoxFuture<'static, Result<(), Failure>>;
    /// An object that is there at once.
    fn object(&self) -> u32;
    fn is_broken(&self, number: u32) -> bool;
    /// The object is dropped.
    fn freed(&self, number: u32) -> Option<Destructor>;
}

/// The implementation in another process, which is told what a rule does to an object.
pub(crate) trait Elsewhere: Send + Sync {
    fn breaks(&self, number: u32);
    fn destroys(&self, number: u32, destructor: &Destructor);
}

struct Shared {
    record: Record,
    creations: AtomicU32,
    script: Mutex<Script>,
    elsewhere: Mutex<Option<Arc<dyn Elsewhere>>>,
}

/// A creation under way.
pub(crate) struct Creation {
    number: u32,
    record: Record,
    is_done: bool,
}

impl Backend {
    /// A backend that makes objects at once.
    pub(crate) fn new() -> Self {
        let course = |step: Step| -> Course { Arc::new(move |_| step) };
        let script = Script { create: course(Step::OK), check: course(Step::OK), reset: course(Step::OK) };
        Self(Source::Here(Arc::new(Shared {
            record: Record::start(),
            creations: AtomicU32::new(0),
            script: Mutex::new(script),
            elsewhere: Mutex::new(None),
        })))
    }

    /// A backend whose script is in another process.
    pub(crate) fn remote(remote: Arc<dyn Remote>) -> Self {
        Self(Source::Remote(remote))
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
        let number = match &self.0 {
            Source::Here(_) => {
                let creation = self.begin();
                let step = self.course(Kind::Create, creation.number);
                step.wait().await;
                step.end(Kind::Create, creation.number).map_err(Failure::raise)?;
                creation.done()
            }
            Source::Remote(remote) => {
                let (number, end) = remote.create();
                end.await.map_err(Failure::raise)?;
                number
            }
        };
        Ok(Object::new(number, self))
    }

    /// Creates an object at once, for an implementation without creations of its own: where
    /// [`Capability::Create`](super::Capability::Create) is withheld.
    pub fn object(&self) -> Object {
        let number = match &self.0 {
            Source::Here(_) => self.begin().done(),
            Source::Remote(remote) => remote.object(),
        };
        Object::new(number, self)
    }

    /// Begins a creation.
    pub(crate) fn begin(&self) -> Creation {
        let number = self.here().creations.fetch_add(1, Relaxed) + 1;
        self.record().note(Event::Creates(number));
        Creation { number, record: self.record().clone(), is_done: false }
    }

    /// A check or a reset of this object.
    async fn step(&self, kind: Kind, number: u32) -> Result<(), BackendError> {
        if let Source::Remote(remote) = &self.0 {
            return remote.step(kind, number).await.map_err(Failure::raise);
        }
        self.begins(kind, number);
        let step = self.course(kind, number);
        step.wait().await;
        step.end(kind, number).map_err(Failure::raise)?;
        self.ends(kind, number);
        Ok(())
    }

    /// Notes the begin of a check.
    pub(crate) fn begins(&self, kind: Kind, number: u32) {
        if kind == Kind::Check {
            self.record().note(Event::Checks(number));
        }
    }

    /// Notes the good end of a check or a reset.
    pub(crate) fn ends(&self, kind: Kind, number: u32) {
        match kind {
            Kind::Create => {}
            Kind::Check => self.record().note(Event::Checked(number)),
            Kind::Reset => self.record().note(Event::Reset(number)),
        }
    }

    fn is_broken(&self, number: u32) -> bool {
        match &self.0 {
            Source::Here(_) => false,
            Source::Remote(remote) => remote.is_broken(number),
        }
    }

    /// The object is dropped. Returns what its destructor does.
    fn freed(&self, number: u32) -> Option<Destructor> {
        match &self.0 {
            Source::Here(_) => {
                self.record().note(Event::Freed(number));
                None
            }
            Source::Remote(remote) => remote.freed(number),
        }
    }

    pub(crate) fn course(&self, kind: Kind, number: u32) -> Step {
        let course = {
            let script = lock(&self.here().script);
            match kind {
                Kind::Create => script.create.clone(),
                Kind::Check => script.check.clone(),
                Kind::Reset => script.reset.clone(),
            }
        };
        course(number)
    }

    pub(crate) fn record(&self) -> &Record {
        &self.here().record
    }

    fn here(&self) -> &Shared {
        match &self.0 {
            Source::Here(shared) => shared,
            Source::Remote(_) => unreachable!("the script is in another process"),
        }
    }

    /// From now on the object with this number is created in this way.
    pub(crate) fn creates(&self, course: impl Fn(u32) -> Step + Send + Sync + 'static) {
        let course: Course = Arc::new(course);
        let old = mem::replace(&mut lock(&self.here().script).create, course);
        drop(old);
    }

    /// From now on the object with this number is checked in this way.
    pub(crate) fn checks(&self, course: impl Fn(u32) -> Step + Send + Sync + 'static) {
        let course: Course = Arc::new(course);
        let old = mem::replace(&mut lock(&self.here().script).check, course);
        drop(old);
    }

    /// From now on the object with this number is reset in this way.
    pub(crate) fn resets(&self, course: impl Fn(u32) -> Step + Send + Sync + 'static) {
        let course: Course = Arc::new(course);
        let old = mem::replace(&mut lock(&self.here().script).reset, course);
        drop(old);
    }

    /// From now on all goes well: what the implementation still does then comes to its end.
    pub(crate) fn recover(&self) {
        self.creates(|_| Step::OK);
        self.checks(|_| Step::OK);
        self.resets(|_| Step::OK);
    }

    /// The implementation is in another process. It is kept until it is let go.
    pub(crate) fn serves(&self, elsewhere: Arc<dyn Elsewhere>) {
        let old = lock(&self.here().elsewhere).replace(elsewhere);
        drop(old);
    }

    /// The rule is over.
    pub(crate) fn let_go(&self) {
        let old = lock(&self.here().elsewhere).take();
        drop(old);
    }

    fn elsewhere(&self) -> Option<Arc<dyn Elsewhere>> {
        lock(&self.here().elsewhere).clone()
    }
}

impl Creation {
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The object is there.
    pub(crate) fn done(mut self) -> u32 {
        self.is_done = true;
        self.record.note(Event::Created(self.number));
        self.number
    }
}

impl Drop for Creation {
    fn drop(&mut self) {
        if !self.is_done {
            self.record.note(Event::NotCreated(self.number));
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").finish_non_exhaustive()
    }
}
