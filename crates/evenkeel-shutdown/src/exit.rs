//! The end of the process.

use std::{process, thread, time::Duration};

use tokio::time::sleep;

use crate::watchdog_thread::runtime;

/// Limits the time of the atexit handlers.
const HANDLERS_TIMEOUT: Duration = Duration::from_secs(1);

/// Ends the process soon, and returns.
///
/// The atexit handlers are foreign code: they run on a thread of their own, and are cut off after a second.
pub(crate) fn exit(code: i32) {
    if thread::Builder::new().name("evenkeel-exit".to_owned()).spawn(move || process::exit(code)).is_err() {
        exit_now(code);
    }
    runtime().spawn(async move {
        sleep(HANDLERS_TIMEOUT).await;
        exit_now(code);
    });
}

/// Ends the process now, without its atexit handlers.
fn exit_now(code: i32) -> ! {
    #[cfg(unix)]
    signal_hook::low_level::exit(code);
    #[cfg(windows)]
    {
        let _ = code;
        process::abort()
    }
}
