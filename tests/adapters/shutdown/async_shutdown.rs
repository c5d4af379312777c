//! async-shutdown: a `ShutdownManager`, with tasks that delay its completion, as in its example.

use std::future::pending;

use async_shutdown::ShutdownManager;
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture, Configured,
    shutdown::{Capability, Outcome, Parts, ReportedFailure, Settings, Task},
};
use tokio::select;

use super::NO_SUCH_THING;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "async-shutdown",
    package: "async-shutdown",
    docs: "https://docs.rs/async-shutdown/0.2.2/async_shutdown/struct.ShutdownManager.html",
    adapter: &Async,
    isolated: super::SIGNALS,
    fails: &[],
};

struct Async;

type Manager = ShutdownManager<&'static str>;

impl Adapter<Settings> for Async {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Vital | Capability::Reason | Capability::Guards | Capability::Start => Ok(()),
            Capability::Tasks => Err("it wraps futures, and the user spawns them"),
            Capability::EndsByItself => Err("it waits for the shutdown to be triggered"),
            Capability::Grace => Err("wrap the wait in `tokio::time::timeout`"),
            Capability::FailFast => Err("the end of a wrapped future is all that it sees"),
            Capability::Errors => Err("it does not see what tasks return"),
            Capability::Signals => Err("bring your own"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Parts, Outcome>, AdapterError> {
        let settings = settings.clone();
        Ok(Configured::new(move |parts: Parts| run(settings.clone(), parts)))
    }
}

async fn run(settings: Settings, parts: Parts) -> Outcome {
    let manager = Manager::new();
    parts.start_up().await;
    for task in parts.tasks {
        spawn(&manager, task);
    }
    for task in parts.guards {
        if let Ok(token) = manager.delay_shutdown_token() {
            tokio::spawn(async move {
                let _ = task.alone().await;
                drop(token);
            });
        }
    }
    let asked = async {
        super::stop(settings.stop_after).await;
        let _ = manager.trigger_shutdown("a stop from outside");
        pending::<()>().await;
    };
    select! {
        biased;
        _ = manager.wait_shutdown_complete() => {}
        () = asked => {}
    }
    Outcome::default()
}

fn spawn(manager: &Manager, task: Task) {
    let is_vital = task.is_vital();
    let Ok(work) = manager.wrap_delay_shutdown(work(manager.clone(), task)) else { return };
    if is_vital {
        tokio::spawn(manager.wrap_trigger_shutdown("a vital task ended", work));
    } else {
        tokio::spawn(work);
    }
}

fn work(manager: Manager, task: Task) -> BoxFuture<'static, Result<(), ReportedFailure>> {
    Box::pin(async move {
        let signal = manager.wait_shutdown_triggered();
        let asked = async { Some(signal.await.to_owned()) };
        task.run(asked, |task| spawn(&manager, task)).await
    })
}
