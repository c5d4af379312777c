//! The thread of the watchdogs, which can end the process. No code that is not ours runs on it.

use std::future::pending;
use std::process::exit;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use evenkeel_task::Panic;
use tokio::runtime::{Builder, Handle};
use tokio::time::sleep;

use crate::run::Run;
use crate::signals;

/// For the handlers that others have registered for the end of the process.
const PATIENCE: Duration = Duration::from_secs(1);

/// The runtime of the thread, which stays for the rest of the process, as the handlers do.
///
/// # Panics
///
/// If the system refuses the thread.
pub(crate) fn listener() -> &'static Handle {
    static LISTENER: OnceLock<Handle> = OnceLock::new();
    LISTENER.get_or_init(|| {
        // One of its own, because the one of the program may be stuck, gone, or not there yet.
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

/// Does something with a run on a thread that nothing depends on: it wakes who waits for it.
pub(crate) fn aside(run: Arc<Run>, work: impl Fn(&Arc<Run>) + Send + Sync + 'static) {
    let job = Arc::new((Lent::new(run), work));
    let again = job.clone();
    let aside = move || drop(Panic::catch(|| (job.1)(job.0.run())));
    // Without another thread it is better done here than not at all.
    if Panic::catch(|| listener().spawn_blocking(aside)).is_err() {
        drop(Panic::catch(|| (again.1)(again.0.run())));
    }
}

/// Ends the process. Its atexit handlers are not ours: they run on another thread, and not for ever.
pub(crate) fn end(code: i32) {
    if thread::Builder::new().name("evenkeel-exit".to_owned()).spawn(move || exit(code)).is_err() {
        signals::end_now(code);
    }
    listener().spawn(async move {
        sleep(PATIENCE).await;
        signals::end_now(code);
    });
}

/// A run in the hands of the listener, which does not drop what is left in it.
pub(crate) struct Lent(Option<Arc<Run>>);

impl Lent {
    pub(crate) fn new(run: Arc<Run>) -> Self {
        Self(Some(run))
    }

    pub(crate) fn run(&self) -> &Arc<Run> {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(last) = self.0.take().and_then(Arc::into_inner) {
            let _ = Panic::catch(|| listener().spawn_blocking(move || drop(Panic::catch(|| drop(last)))));
        }
    }
}
