//! Ours.

use std::future::pending;

use evenkeel::shutdown::{Handle, Outcome as Ended, Report, Shutdown, Stop, TaskReport};
use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture, Configured,
    shutdown::{Capability, FailureKind, Outcome, Parts, ReportedFailure, Settings, Task},
};
use tokio::{join, select};

use super::USUAL_GRACE;
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "evenkeel",
    package: "evenkeel-shutdown",
    docs: "https://docs.rs/evenkeel-shutdown",
    adapter: &Evenkeel,
    isolated: super::SIGNALS,
    fails: &[],
};

struct Evenkeel;

impl Adapter<Settings> for Evenkeel {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Parts, Outcome>, AdapterError> {
        let settings = settings.clone();
        Ok(Configured::new(move |parts: Parts| run(settings.clone(), parts)))
    }
}

async fn run(settings: Settings, parts: Parts) -> Outcome {
    let (shutdown, stop) = if settings.signals { (Shutdown::new(), Stop::new()) } else { Shutdown::manual() };
    parts.start_up().await;
    let mut shutdown = shutdown.grace(settings.grace.unwrap_or(USUAL_GRACE));
    if let Some(delay) = settings.pre_stop {
        shutdown = shutdown.pre_stop(delay);
    }
    let handle = shutdown.handle();
    let (not_ready, mut phase) = (parts.readiness_probe(), 0);
    for task in parts.tasks {
        if task.phase() > phase {
            phase = task.phase();
            shutdown = shutdown.phase(format!("phase {phase}"));
        }
        let (handle, is_vital) = (handle.clone(), task.is_vital());
        shutdown = shutdown.task(task.name(), move |stop| work(task, stop, handle));
        if is_vital {
            shutdown = shutdown.vital();
        }
    }
    for task in parts.clean_ups {
        shutdown = shutdown.on_stop(task.name(), move || task.alone());
    }
    for task in parts.guards {
        let guard = handle.guard(task.name());
        tokio::spawn(async move {
            let _ = task.alone().await;
            drop(guard);
        });
    }
    let mut readiness = handle.readiness();
    let turned_away = async {
        let _ = readiness.wait_for(|ready| *ready).await;
        let _ = readiness.wait_for(|ready| !*ready).await;
        not_ready();
    };
    let alone = async {
        super::stop(settings.alone_after).await;
        handle.stop_task("task 1", USUAL_GRACE).await;
    };
    let asked = async {
        super::stop(settings.stop_after).await;
        stop.drain("a stop from outside");
        super::stop(settings.again_after.zip(settings.stop_after).map(|(again, first)| again - first)).await;
        stop.abort("another stop from outside");
    };
    let beside = async {
        join!(turned_away, alone, asked);
        pending::<()>().await;
    };
    select! {
        biased;
        report = shutdown.run() => told(&report),
        () = beside => Outcome::default(),
    }
}

fn work(task: Task, stop: Stop, handle: Handle) -> BoxFuture<'static, Result<(), ReportedFailure>> {
    Box::pin(async move {
        let asked = async {
            stop.draining().await;
            stop.reason().map(str::to_owned)
        };
        let start = |task: Task| {
            let later = handle.clone();
            let _ = handle.spawn(task.name(), move |stop| work(task, stop, later));
        };
        task.run(asked, start).await
    })
}

fn told(report: &Report) -> Outcome {
    let told = |task: &TaskReport| {
        let kind = match task.outcome {
            Ended::Failed(_) => FailureKind::Error,
            Ended::Panicked(_) => FailureKind::Panic,
            Ended::Aborted | Ended::Held => FailureKind::Hung,
            _ => return None,
        };
        Some(ReportedFailure::named(kind, &task.name))
    };
    Outcome::telling(report.tasks.iter().filter_map(told)).exiting(report.exit_code())
}
