//! How do I call something that blocks? With `blocking`, on a thread of its own; the call sees when it should stop.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use evenkeel_task::{GroupError, blocking, group};
use tokio::sync::Notify;

pub(crate) async fn scenario() -> Result<(), GroupError> {
    let (begun, stopped) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    group(async |_g| {
        let (tell, saw) = (begun.clone(), stopped.clone());
        // A loop without an end: a file that is read, a driver that blocks.
        let call = blocking(move |stop| {
            tell.notify_one();
            while !stop.is_draining() {
                thread::park_timeout(Duration::from_millis(1));
            }
            saw.store(true, Relaxed);
        });
        tokio::select! {
            () = call => {}
            () = begun.notified() => println!("it runs, and the caller gives up"),
        }
        Ok(())
    })
    .await?;
    println!("no call runs any more; it saw the stop: {}", stopped.load(Relaxed));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), GroupError> {
    scenario().await
}
