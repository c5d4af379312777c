//! The thread that the watchdogs run on. No foreign code runs on it, so that nothing can block it.

use std::{
    future::pending,
    sync::{Arc, OnceLock},
    thread,
};

use evenkeel_task::Panic;
use tokio::runtime::{Builder, Handle};

use crate::run::Run;

/// Returns the runtime of the thread, which lives for the rest of the process, as the signal handlers do.
///
/// # Panics
///
/// If the system refuses the thread.
pub(crate) fn runtime() -> &'static Handle {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        // The program's own runtime will not do: it may be blocked, gone, or not there yet.
        let runtime = Builder::new_current_thread()
            .enable_time()
            .thread_name("evenkeel-shutdown")
            .build()
            .expect("a runtime for the watchdogs can be built");
        let handle = runtime.handle().clone();
        thread::Builder::new()
            .name("evenkeel-shutdown".to_owned())
            .spawn(move || runtime.block_on(pending::<()>()))
            .expect("a thread for the watchdogs can be started");
        handle
    })
}

/// Calls `work` with the run on a blocking thread that nothing depends on, because it may wake foreign wakers.
pub(crate) fn on_blocking_thread(run: Arc<Run>, work: impl Fn(&Arc<Run>) + Send + Sync + 'static) {
    let call = Arc::new((RunRef::new(run), work));
    let fallback = call.clone();
    let blocking = move || drop(Panic::catch(|| (call.1)(call.0.run())));
    // If the system refuses another thread, this one is better than no call at all.
    if Panic::catch(|| runtime().spawn_blocking(blocking)).is_err() {
        drop(Panic::catch(|| (fallback.1)(fallback.0.run())));
    }
}

/// A reference to a run that never drops the run on the thread of the signals or the watchdogs.
///
/// If it is the last reference, the run is dropped on a blocking thread: closures of the user may be left in it.
pub(crate) struct RunRef(Option<Arc<Run>>);

impl RunRef {
    pub(crate) fn new(run: Arc<Run>) -> Self {
        Self(Some(run))
    }

    pub(crate) fn run(&self) -> &Arc<Run> {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for RunRef {
    fn drop(&mut self) {
        if let Some(last) = self.0.take().and_then(Arc::into_inner) {
            let _ = Panic::catch(|| runtime().spawn_blocking(move || drop(Panic::catch(|| drop(last)))));
        }
    }
}
