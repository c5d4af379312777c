//! Ours.

use evenkeel::task::{Cause, Failure, Group as Ours, GroupError, Stop, blocking, shield};
use evenkeel_tck::{
    Adapter, AdapterError, Configured,
    task::{Body, Capability, FailureKind, FailureMode, Outcome, ReportedFailure, Settings, Task},
};
use tokio::{select, time::Instant};

use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "evenkeel",
    package: "evenkeel-task",
    docs: "https://docs.rs/evenkeel-task",
    adapter: &Evenkeel,
    isolated: &[],
    fails: &[],
};

struct Evenkeel;

impl Adapter<Settings> for Evenkeel {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Body, Outcome>, AdapterError> {
        let (settings, mut builder) = (settings.clone(), Ours::builder());
        if let Some(limit) = settings.limit {
            builder = builder.limit(limit);
        }
        if let Some(grace) = settings.grace {
            builder = builder.grace(grace);
        }
        if settings.on_failure == FailureMode::GoOn {
            builder = builder.collect_all();
        }
        Ok(Configured::new(move |body: Body| {
            let (stop, deadline) = (Stop::new(), settings.deadline);
            let (stop_after, mut builder) = (settings.stop_after, builder.clone());
            async move {
                if let Some(deadline) = deadline {
                    builder = builder.deadline(Instant::now() + deadline);
                }
                if stop_after.is_some() {
                    builder = builder.stop(&stop);
                }
                let run = builder.run(async |g| {
                    let handle = g.clone();
                    body.hand_out(move |child| spawn(&handle, child));
                    Ok(body.run(|child| spawn(&g, child)).await?)
                });
                let stopped = async {
                    super::stop(stop_after).await;
                    stop.abort("a stop from outside");
                    std::future::pending::<()>().await;
                };
                select! {
                    biased;
                    ended = run => ended.map_or_else(told, |()| Outcome::default()),
                    () = stopped => Outcome::default(),
                }
            }
        }))
    }
}

fn spawn(g: &Ours, child: Task) {
    let (inner, stop) = (g.clone(), g.stop().clone());
    if child.is_blocking() {
        return g.task(child.name()).spawn(blocking(|stop| child.block(|| stop.is_draining())));
    }
    let drained = async move {
        stop.draining().await;
        stop.reason().map(str::to_owned)
    };
    let (task, longest) = (g.task(child.name()), child.shield());
    let run = child.run(drained, move |child| spawn(&inner, child));
    match longest {
        Some(longest) => task.spawn(shield(longest, run)),
        None => task.spawn(run),
    }
}

fn told(error: GroupError) -> Outcome {
    let (finished, cancelled) = (error.finished(), error.cancelled());
    Outcome::telling(error.into_failures().map(failure)).counting(finished, cancelled)
}

fn failure(failure: Failure) -> ReportedFailure {
    let told = match failure.cause {
        Cause::Error(error) => match error.downcast::<ReportedFailure>() {
            Ok(error) => *error,
            Err(_) => ReportedFailure::new(FailureKind::Error),
        },
        Cause::Panic(panic) => ReportedFailure::panic(panic.message().unwrap_or_default()),
        Cause::Deadline => ReportedFailure::new(FailureKind::Deadline),
        Cause::Aborted(_) | Cause::RuntimeShutdown => ReportedFailure::new(FailureKind::Stopped),
        _ => ReportedFailure::new(FailureKind::Error),
    };
    told.of(failure.name.as_deref())
}
