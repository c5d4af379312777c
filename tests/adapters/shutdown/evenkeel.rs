//! Ours.

use std::{future::pending, pin::Pin};

use evenkeel::shutdown::{Handle, Outcome as Ended, Report, Shutdown, Stop, TaskReport};
use evenkeel_tck::{
    AdapterError,
    shutdown::{
        Adapter, Capability, FailureKind, Job, Outcome, Parts, Program, Refused, ReportedFailure, Settings,
    },
};
use tokio::{join, select};

use super::USUAL_GRACE;
use crate::adapters::Peer;

pub(super) const PEER: Peer<dyn Adapter> = Peer {
    name: "evenkeel",
    package: "evenkeel-shutdown",
    docs: "https://docs.rs/evenkeel-shutdown",
    adapter: &Evenkeel,
    isolated: super::SIGNALS,
    fails: &[],
};

struct Evenkeel;

impl Adapter for Evenkeel {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn program(&self, settings: &Settings) -> Result<Program, AdapterError> {
        let settings = settings.clone();
        Ok(Program::new(move |parts: Parts| run(settings.clone(), parts)))
    }
}

async fn run(settings: Settings, parts: Parts) -> Outcome {
    let (shutdown, stop) = if settings.signals { (Shutdown::new(), Stop::new()) } else { Shutdown::manual() };
    parts.start_up.run().await;
    let mut shutdown = shutdown.grace(settings.grace.unwrap_or(USUAL_GRACE));
    if let Some(delay) = settings.pre_stop {
        shutdown = shutdown.pre_stop(delay);
    }
    let handle = shutdown.handle();
    let mut phase = 0;
    for job in parts.tasks {
        if job.phase() > phase {
            phase = job.phase();
            shutdown = shutdown.phase(format!("phase {phase}"));
        }
        let (handle, is_vital) = (handle.clone(), job.is_vital());
        shutdown = shutdown.task(job.name(), move |stop| work(job, stop, handle));
        if is_vital {
            shutdown = shutdown.vital();
        }
    }
    for job in parts.clean_ups {
        shutdown = shutdown.on_stop(job.name(), move || job.run(pending(), drop));
    }
    for job in parts.guards {
        let guard = handle.guard(job.name());
        tokio::spawn(async move {
            let _ = job.run(pending(), drop).await;
            drop(guard);
        });
    }
    let mut readiness = handle.readiness();
    let turned_away = async {
        let _ = readiness.wait_for(|ready| *ready).await;
        let _ = readiness.wait_for(|ready| !*ready).await;
        parts.probe.is_turned_away();
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

type Work = Pin<Box<dyn Future<Output = Result<(), Refused>> + Send>>;

fn work(job: Job, stop: Stop, handle: Handle) -> Work {
    Box::pin(async move {
        let asked = async {
            stop.draining().await;
            stop.reason().map(str::to_owned)
        };
        let start = |job: Job| {
            let later = handle.clone();
            let _ = handle.spawn(job.name(), move |stop| work(job, stop, later));
        };
        job.run(asked, start).await
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
