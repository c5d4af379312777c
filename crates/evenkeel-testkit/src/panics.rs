//! The panics of one world: a hook notes them, with the place, and whether they were in a task.

use std::{
    cell::RefCell,
    fmt,
    panic::PanicHookInfo,
    sync::{Arc, Mutex, Once},
};

use evenkeel_base::lock;

thread_local! {
    /// The log of the world that this thread works for.
    static CURRENT: RefCell<Option<Arc<Log>>> = const { RefCell::new(None) };
}

/// What panicked in one world.
#[derive(Debug)]
pub(crate) struct Log {
    /// Whether the panics are only noted, because they become rows of a table.
    quiet: bool,
    seen: Mutex<Vec<Panic>>,
}

/// One panic.
#[derive(Clone, Debug)]
pub(crate) struct Panic {
    message: String,
    place: String,
    in_task: bool,
}

impl Log {
    pub(crate) fn new(quiet: bool) -> Arc<Self> {
        install_hook();
        Arc::new(Log { quiet, seen: Mutex::default() })
    }

    /// Notes the panics of this thread until the guard is dropped.
    pub(crate) fn attach(self: &Arc<Self>) -> Attached {
        Attached { previous: CURRENT.replace(Some(self.clone())) }
    }

    /// Notes the panics of this thread, which belongs to the world's runtime and ends with it.
    pub(crate) fn adopt_thread(self: &Arc<Self>) {
        CURRENT.set(Some(self.clone()));
    }

    /// The panics of spawned tasks.
    pub(crate) fn in_tasks(&self) -> Vec<Panic> {
        lock(&self.seen).iter().filter(|panic| panic.in_task).cloned().collect()
    }

    /// The panic that came last, wherever it was.
    pub(crate) fn last(&self) -> Option<Panic> {
        lock(&self.seen).last().cloned()
    }

    fn note(&self, info: &PanicHookInfo<'_>) {
        let payload = info.payload();
        let message = (payload.downcast_ref::<&str>().copied())
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a value that is not text");
        lock(&self.seen).push(Panic {
            message: message.to_owned(),
            place: info.location().map(ToString::to_string).unwrap_or_default(),
            in_task: tokio::task::try_id().is_some(),
        });
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.place)
    }
}

/// While it lives, the panics of this thread go to a log.
#[derive(Debug)]
pub(crate) struct Attached {
    previous: Option<Arc<Log>>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        CURRENT.set(self.previous.take());
    }
}

/// Chains to the hook that was there, once per process.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // A thread that is ending has no log any more.
            let log = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
            if let Some(log) = &log {
                log.note(info);
            }
            if log.is_none_or(|log| !log.quiet) {
                previous(info);
            }
        }));
    });
}
