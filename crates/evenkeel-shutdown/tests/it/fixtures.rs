//! Tasks, clean-ups and guards for made-up programs, which need a time to stop, or hang.

use std::{
    future::pending,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_shutdown::{Guard, Handle, Stop};
use tokio::time::sleep;

use crate::ms;

/// A task that needs this time, in milliseconds, to drain.
pub(crate) fn drains_in(time: u64) -> impl FnOnce(Stop) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send {
    move |stop| {
        Box::pin(async move {
            stop.draining().await;
            sleep(ms(time)).await;
        })
    }
}

pub(crate) async fn deaf(_stop: Stop) {
    pending().await
}

/// Goes on for a time, or hangs.
pub(crate) async fn work(needs: Option<Duration>) {
    match needs {
        Some(time) => sleep(time).await,
        None => pending().await,
    }
}

/// Guards that are not dropped in time.
pub(crate) type Stray = Arc<Mutex<Vec<Guard>>>;

/// The line in `take` that takes a guard.
pub(crate) const GUARD: u32 = line!() + 3;

fn take(handle: &Handle, name: String) -> Guard {
    handle.guard(name)
}

/// Takes guards, and leaves them behind when it is asked to drain.
pub(crate) async fn carry(handle: Handle, stop: Stop, guards: Vec<(String, Option<Duration>)>, stray: Stray) {
    let held: Vec<_> = guards.into_iter().map(|(name, needs)| (take(&handle, name), needs)).collect();
    stop.draining().await;
    for (guard, needs) in held {
        match needs {
            None => stray.lock().expect("nobody panics").push(guard),
            Some(time) => {
                tokio::spawn(async move {
                    sleep(time).await;
                    drop(guard);
                });
            }
        }
    }
}
