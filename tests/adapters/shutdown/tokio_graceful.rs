//! tokio-graceful: a `Shutdown` with signal, delay and overwrite, and tasks and guards of it, as in its README.

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture, Configured,
    shutdown::{Capability, FailureKind, Outcome, Parts, ReportedFailure, Settings, Task},
};
use tokio_graceful::{Shutdown, ShutdownGuard};

use super::{NO_SUCH_THING, USUAL_GRACE};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "tokio-graceful",
    package: "tokio-graceful",
    docs: "https://docs.rs/tokio-graceful/0.2.2/tokio_graceful/struct.Shutdown.html",
    adapter: &Graceful,
    isolated: super::SIGNALS,
    fails: &[
        ("SHUTDOWN-08", "what is left goes on when the limit is over (`Shutdown::shutdown_with_limit`)"),
        ("SHUTDOWN-10", "as SHUTDOWN-08, after the overwrite signal"),
        ("SHUTDOWN-13", "a panic is dropped with the handle of its task (`ShutdownGuard::spawn_task_fn`)"),
        ("SHUTDOWN-35", "tasks are spawned, and nothing aborts them when the `Shutdown` is dropped"),
        (
            "SHUTDOWN-39",
            "the next signal overwrites, however soon it comes (`ShutdownBuilder::with_overwrite_fn`)",
        ),
    ],
};

struct Graceful;

impl Adapter<Settings> for Graceful {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Tasks
            | Capability::Grace
            | Capability::Again
            | Capability::PreStop
            | Capability::Readiness
            | Capability::Guards
            | Capability::Start
            | Capability::Signals => Ok(()),
            Capability::EndsByItself => Err("it waits for the signal"),
            Capability::Errors => Err("what tasks return is dropped, unless somebody keeps their handles"),
            Capability::Hung => Err("the error of a time-out names nobody"),
            Capability::ExitCode => Err("its result is how long the wait took"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Parts, Outcome>, AdapterError> {
        let settings = settings.clone();
        Ok(Configured::new(move |parts: Parts| run(settings.clone(), parts)))
    }
}

async fn run(settings: Settings, parts: Parts) -> Outcome {
    let again = settings.again_after.zip(settings.stop_after).map(|(again, first)| again - first);
    let builder = Shutdown::builder();
    let shutdown = match (settings.signals, settings.again_after) {
        (true, None) => builder.build(),
        (true, Some(_)) => builder.with_overwrite_fn(tokio::signal::ctrl_c).build(),
        (false, after) => {
            let signal = super::stop(settings.stop_after);
            let builder = builder.maybe_with_delay(settings.pre_stop).with_signal(signal);
            match after {
                None => builder.build(),
                Some(_) => builder.with_overwrite_fn(move || super::stop(again)).build(),
            }
        }
    };
    parts.start_up().await;
    let not_ready = parts.readiness_probe();
    for task in parts.tasks {
        shutdown.spawn_task_fn(move |guard| work(task, guard));
    }
    for task in parts.guards {
        let guard = shutdown.guard();
        tokio::spawn(async move {
            let _ = task.alone().await;
            drop(guard);
        });
    }
    let early = shutdown.guard_weak();
    tokio::spawn(async move {
        early.shutdown_signal_triggered().await;
        not_ready();
    });
    match shutdown.shutdown_with_limit(settings.grace.unwrap_or(USUAL_GRACE)).await {
        Ok(_) => Outcome::default(),
        Err(_) => Outcome::telling([ReportedFailure::new(FailureKind::Hung)]),
    }
}

fn work(task: Task, guard: ShutdownGuard) -> BoxFuture<'static, Result<(), ReportedFailure>> {
    Box::pin(async move {
        let asked = async {
            guard.cancelled().await;
            None
        };
        task.run(asked, |task| drop(guard.spawn_task_fn(move |guard| work(task, guard)))).await
    })
}
