//! The log of the panics of one world: a panic hook notes each with its place, and whether it was in a task.

use std::{
    cell::RefCell,
    panic::PanicHookInfo,
    sync::{Arc, Mutex, Once},
};

use evenkeel_base::lock;

thread_local! {
    /// The log of the world to which this thread belongs.
    static CURRENT_LOG: RefCell<Option<Arc<PanicLog>>> = const { RefCell::new(None) };
}

/// The panics of one world.
#[derive(Debug)]
pub(crate) struct PanicLog {
    /// Whether panics are noted and not printed, because they become rows of a table.
    quiet: bool,
    /// Each with its place, and whether it was in a task.
    seen: Mutex<Vec<(String, bool)>>,
}

impl PanicLog {
    pub(crate) fn new(quiet: bool) -> Arc<Self> {
        install_hook();
        Arc::new(PanicLog { quiet, seen: Mutex::default() })
    }

    /// Notes the panics of this thread until the guard is dropped.
    pub(crate) fn attach(self: &Arc<Self>) -> AttachGuard {
        AttachGuard { previous: CURRENT_LOG.replace(Some(self.clone())) }
    }

    /// Notes the panics of this thread of the world's runtime, until the thread ends.
    pub(crate) fn adopt_thread(self: &Arc<Self>) {
        CURRENT_LOG.set(Some(self.clone()));
    }

    /// The panics of spawned tasks.
    pub(crate) fn in_tasks(&self) -> Vec<String> {
        lock(&self.seen).iter().filter(|(_, in_task)| *in_task).map(|(panic, _)| panic.clone()).collect()
    }

    /// The last panic, in a task or not.
    pub(crate) fn last(&self) -> Option<String> {
        lock(&self.seen).last().map(|(panic, _)| panic.clone())
    }

    fn note(&self, info: &PanicHookInfo<'_>) {
        let payload = info.payload();
        let message = (payload.downcast_ref::<&str>().copied())
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a value that is not text");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let in_task = tokio::task::try_id().is_some();
        lock(&self.seen).push((format!("{message} ({place})"), in_task));
    }
}

/// Sends the panics of this thread to a log while it lives.
#[derive(Debug)]
pub(crate) struct AttachGuard {
    previous: Option<Arc<PanicLog>>,
}

impl Drop for AttachGuard {
    fn drop(&mut self) {
        CURRENT_LOG.set(self.previous.take());
    }
}

/// Installs the hook, once per process; it calls the hook before it.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // A thread that is ending may have lost its thread-locals.
            let log = CURRENT_LOG.try_with(|current| current.borrow().clone()).ok().flatten();
            if let Some(log) = &log {
                log.note(info);
            }
            if log.is_none_or(|log| !log.quiet) {
                previous(info);
            }
        }));
    });
}
