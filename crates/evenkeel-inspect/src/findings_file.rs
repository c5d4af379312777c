//! The findings of test runs, in the file that the variable `EVENKEEL_FINDINGS` names.
//!
//! # How it works
//!
//! A process whose variable is set looks at its objects ten times a second, on a thread that the first registration starts, and
//! appends each finding to the file once. So the programs and the tests of a whole run, their child processes included, say
//! together whether there was a finding where nothing stands still.
//!
//! - **A runtime with a clock of its own looks by itself**: a [`FindingsLog`] claims the runtime of a world of
//!   evenkeel-testkit, whose times mean nothing on a thread, and looks when the world is idle.
//! - **A claim is asked for each object**, under the lock of the registry, so that nothing is locked while [`CLAIMED`] is. A world claims
//!   its runtime before it makes an object there, and its log gives the claim back at its end: no look of the thread sees an
//!   object of a world that runs.
//! - **An object that has outlived its world is told by nobody**, as a limiter that is a `static`: its times are those of a clock that
//!   has ended.
//! - **Objects of no runtime are told by all**: each world and the thread may tell the same finding of them.
//! - **Each log is one title**: a world has the name of its test, a thread that of the program. A line tells the number of
//!   looks since the line before. The thread writes one after a finding and after ten looks, and none when the program ends: up
//!   to nine of its looks are in no line.
//! - **An append is one write**, so that lines of several processes are not mixed.

use std::{
    collections::HashSet,
    env,
    ffi::OsString,
    fmt::Write as _,
    fs::OpenOptions,
    io::Write as _,
    path::Path,
    process,
    sync::{LazyLock, Mutex, OnceLock},
    thread,
    time::Duration,
};

use evenkeel_base::lock;
use tokio::{
    runtime::{self, Handle},
    time::Instant,
};

use crate::{Dump, dump::dump_where, registry::Object, told::Told};

/// The time between two looks of a thread.
const PAUSE: Duration = Duration::from_millis(100);

/// The number of looks of a thread between two lines without a finding.
const LOOKS: u64 = 10;

/// The runtimes that look by themselves.
static CLAIMED: LazyLock<Mutex<HashSet<runtime::Id>>> = LazyLock::new(Mutex::default);

/// A runtime that looks by itself, until this is dropped.
#[derive(Debug)]
struct Claim(runtime::Id);

impl Claim {
    fn of(runtime: runtime::Id) -> Self {
        lock(&CLAIMED).insert(runtime);
        Self(runtime)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&CLAIMED).remove(&self.0);
    }
}

/// Returns whether the thread looks at this object.
fn is_unclaimed(object: &Object) -> bool {
    !object.is_left && object.runtime.is_none_or(|made_in| !lock(&CLAIMED).contains(&made_in))
}

/// The name of the file, if the variable is set.
fn file() -> Option<&'static Path> {
    static FILE: OnceLock<Option<OsString>> = OnceLock::new();
    let file = FILE.get_or_init(|| env::var_os("EVENKEEL_FINDINGS").filter(|name| !name.is_empty()));
    file.as_deref().map(Path::new)
}

/// Starts the thread that looks, if it has not been started and there is a file.
pub(crate) fn start() {
    static STARTED: OnceLock<()> = OnceLock::new();
    if file().is_none() {
        return;
    }
    STARTED.get_or_init(|| {
        let thread = thread::Builder::new().name("evenkeel-findings".to_owned());
        // Without a thread nothing is found, and the line of looks is missing.
        let _ = thread.spawn(|| {
            let mut log = FindingsLog::new(&format!("process {}", process::id()), None);
            loop {
                thread::park_timeout(PAUSE);
                log.add(&dump_where(&is_unclaimed, Instant::now()));
                if log.looks >= LOOKS || !log.text.is_empty() {
                    log.write();
                }
            }
        });
    });
}

/// The looks at one program, and the findings that are not yet in the file.
#[derive(Debug)]
pub struct FindingsLog {
    title: String,
    looks: u64,
    findings: u64,
    text: String,
    told: Told,
    // Dropped after the last line is written.
    _claim: Option<Claim>,
}

impl FindingsLog {
    fn new(title: &str, claim: Option<Claim>) -> Self {
        let program = env::current_exe().ok();
        let program = program.as_deref().and_then(Path::file_stem).unwrap_or_default();
        let title = format!("{} {title}", program.display());
        Self { title, looks: 0, findings: 0, text: String::new(), told: Told::default(), _claim: claim }
    }

    /// Creates one of the current runtime, which looks by itself until this is dropped; `None` without a file.
    #[must_use]
    pub fn of_runtime() -> Option<Self> {
        file()?;
        let (claim, thread) = (Claim::of(Handle::current().id()), thread::current());
        Some(Self::new(thread.name().unwrap_or("a thread"), Some(claim)))
    }

    /// Looks at the objects of the current runtime.
    pub fn look(&mut self) {
        let runtime = Handle::current().id();
        self.add(&dump_where(&|object| !object.is_left && object.is_of(runtime), Instant::now()));
    }

    fn add(&mut self, dump: &Dump) {
        let Self { findings, text, told, looks, .. } = self;
        *looks += 1;
        told.look(dump, |finding| {
            *findings += 1;
            let _ = writeln!(text, "{finding}");
            true
        });
    }

    /// Appends what is new to the file.
    fn write(&mut self) {
        let Some(file) = file().filter(|_| self.looks > 0) else { return };
        let Self { title, looks, findings, text, .. } = self;
        let mut lines = format!("{title}: {looks} looks, {findings} findings\n");
        text.lines().for_each(|line| {
            let _ = writeln!(lines, "    {line}");
        });
        let opened = OpenOptions::new().create(true).append(true).open(file);
        // A missing line tells that the file cannot be written.
        let _ = opened.and_then(|mut file| file.write_all(lines.as_bytes()));
        (*looks, *findings) = (0, 0);
        text.clear();
    }
}

impl Drop for FindingsLog {
    fn drop(&mut self) {
        self.write();
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc, sync::Arc};

    use super::*;
    use crate::{Inspect, Inspected, InspectedResource, Registration, end_runtime, register};

    thread_local! {
        /// Is done when a look of this thread comes to the first object.
        static THEN: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    }

    struct Ferry {
        registration: Registration,
    }

    impl Inspect for Ferry {
        fn inspect(&self, _: Instant) -> Option<Inspected> {
            THEN.take().into_iter().for_each(|then| then());
            Some(Inspected::Resource(InspectedResource::new("ferry", 1)))
        }
    }

    impl Ferry {
        fn new() -> Arc<Self> {
            Arc::new_cyclic(|ferry| Self { registration: register(ferry.clone()) })
        }

        fn is_in(&self, dump: &Dump) -> bool {
            dump.resources.iter().any(|resource| resource.id == self.registration.id())
        }
    }

    /// A look of the thread, without the objects of the tests beside this one, which count theirs.
    fn dump_of_unclaimed() -> Dump {
        let runtime = Some(Handle::current().id());
        dump_where(&|object| object.runtime == runtime && is_unclaimed(object), Instant::now())
    }

    /// Makes one in each of many threads, since each list of the registry has the objects of some.
    fn made_in_threads(runtime: &Handle) -> Vec<Arc<Ferry>> {
        let made = (0..16).map(|_| {
            let runtime = runtime.clone();
            thread::spawn(move || {
                let _entered = runtime.enter();
                Ferry::new()
            })
        });
        made.map(|thread| thread.join().expect("it makes one")).collect()
    }

    #[tokio::test]
    async fn a_claim_during_a_look_hides_what_is_made_after_it_and_is_given_back() {
        let runtime = Handle::current();
        let before = made_in_threads(&runtime);
        let claimed = Rc::new(RefCell::new(None));
        THEN.set(Some(Box::new({
            let (claimed, runtime) = (claimed.clone(), runtime.clone());
            move || {
                let claim = Claim::of(runtime.id());
                *claimed.borrow_mut() = Some((claim, made_in_threads(&runtime)));
            }
        })));
        let seen = dump_of_unclaimed();
        let (claim, within) = claimed.take().expect("the look has come to one");
        assert!(before.iter().any(|ferry| ferry.is_in(&seen)));
        assert!(!within.iter().any(|ferry| ferry.is_in(&seen)));
        let seen = dump_of_unclaimed();
        assert!(!before.iter().chain(&within).any(|ferry| ferry.is_in(&seen)));
        drop(claim);
        let seen = dump_of_unclaimed();
        assert!(before.iter().chain(&within).all(|ferry| ferry.is_in(&seen)));
        assert!(!lock(&CLAIMED).contains(&runtime.id()), "it does not grow");
    }

    #[tokio::test]
    async fn an_object_that_has_outlived_its_runtime_is_looked_at_no_more() {
        let ferry = Ferry::new();
        assert!(ferry.is_in(&dump_of_unclaimed()));
        end_runtime(Handle::current().id());
        assert!(!ferry.is_in(&dump_of_unclaimed()));
    }
}
