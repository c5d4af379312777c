//! How does my type own the task that it starts? By a handle: dropping it aborts the task, stopping it lets it finish.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use evenkeel_task::{Background, background};
use tokio::time::{sleep, timeout};

/// A value that is refreshed by a task of its own.
struct Fresh {
    value: Arc<AtomicU32>,
    refresher: Background<&'static str>,
}

impl Fresh {
    fn new() -> Self {
        let value = Arc::new(AtomicU32::new(0));
        let shared = value.clone();
        let refresher = background(async move |stop| {
            while timeout(Duration::from_millis(10), stop.draining()).await.is_err() {
                shared.fetch_add(1, Ordering::Relaxed);
            }
            "said goodbye"
        });
        Self { value, refresher }
    }
}

pub(crate) async fn scenario() {
    let (kept, dropped) = (Fresh::new(), Fresh::new());
    sleep(Duration::from_millis(55)).await;
    println!("refreshed some times: {}", kept.value.load(Ordering::Relaxed) > 1);
    if let Some(Ok(last)) = kept.refresher.stop(Duration::from_secs(1)).await {
        println!("stopped: it {last}");
    }
    let value = dropped.value.clone();
    drop(dropped.refresher);
    sleep(Duration::from_millis(1)).await;
    println!("dropped: nobody else holds its value: {}", Arc::strong_count(&value) == 2);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
