//! tokio-graceful-shutdown: subsystems under a `Toplevel`, with phases as in its example 20,
//! `orchestrated_shutdown_order`.

use std::future::pending;

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture, Configured,
    shutdown::{Capability, FailureKind, Outcome, Parts, ReportedFailure, Settings, Task},
};
use tokio::select;
use tokio_graceful_shutdown::{
    NestedSubsystem, SubsystemBuilder, SubsystemHandle, Toplevel,
    errors::{GracefulShutdownError, SubsystemError},
};
use tokio_util::sync::CancellationToken;

use super::{NO_SUCH_THING, USUAL_GRACE};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "tokio-graceful-shutdown",
    package: "tokio-graceful-shutdown",
    docs: "https://docs.rs/tokio-graceful-shutdown/0.20.0/tokio_graceful_shutdown/index.html",
    adapter: &Graceful,
    isolated: super::SIGNALS,
    fails: &[
        (
            "SHUTDOWN-08",
            "what is left is told to abort when the `Toplevel` is dropped, and not waited for (`handle_shutdown_requests`)",
        ),
        (
            "SHUTDOWN-24",
            "one time-out is for all, and nothing is kept for those whose turn has not come (`handle_shutdown_requests`)",
        ),
    ],
};

struct Graceful;

impl Adapter<Settings> for Graceful {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Tasks
            | Capability::EndsByItself
            | Capability::Grace
            | Capability::FailFast
            | Capability::Errors
            | Capability::ExitCode
            | Capability::Phases
            | Capability::Start
            | Capability::StopAlone
            | Capability::Signals => Ok(()),
            Capability::Hung => Err("the error of a time-out names nobody"),
            Capability::Vital => Err("a subsystem asks for the shutdown itself: `request_shutdown`"),
            Capability::Guards => Err("subsystems are all that it waits for"),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Parts, Outcome>, AdapterError> {
        let settings = settings.clone();
        Ok(Configured::new(move |parts: Parts| run(settings.clone(), parts)))
    }
}

async fn run(settings: Settings, parts: Parts) -> Outcome {
    let (token, alone_after) = (CancellationToken::new(), settings.alone_after);
    let (start_up, tasks) = (parts.start_up(), parts.tasks);
    let toplevel: Toplevel = Toplevel::new_with_shutdown_token(
        async move |s: &mut SubsystemHandle| {
            if tasks.iter().any(|task| task.phase() > 0) {
                let phases = async move |s: &mut SubsystemHandle| in_phases(tasks, s).await;
                s.start(SubsystemBuilder::new("phases", phases));
                return;
            }
            let subsystems: Vec<_> = tasks.into_iter().map(|task| start(s, task, false)).collect();
            if alone_after.is_some() {
                super::stop(alone_after).await;
                subsystems[0].initiate_shutdown();
            }
        },
        token.clone(),
    );
    let toplevel = if settings.signals { toplevel.catch_signals() } else { toplevel };
    start_up.await;
    let asked = async {
        super::stop(settings.stop_after).await;
        token.cancel();
        pending::<()>().await;
    };
    let grace = settings.grace.unwrap_or(USUAL_GRACE);
    select! {
        biased;
        ended = toplevel.handle_shutdown_requests(grace) => told(ended),
        () = asked => Outcome::default(),
    }
}

fn start(s: &SubsystemHandle, task: Task, is_detached: bool) -> NestedSubsystem {
    let subsystem =
        SubsystemBuilder::new(task.name(), async move |s: &mut SubsystemHandle| work(task, s).await);
    s.start(if is_detached { subsystem.detached() } else { subsystem })
}

fn work(task: Task, s: &mut SubsystemHandle) -> BoxFuture<'_, Result<(), ReportedFailure>> {
    Box::pin(async move {
        let asked = async {
            s.on_shutdown_requested().await;
            None
        };
        task.run(asked, |task| drop(start(s, task, false))).await
    })
}

/// One phase after the other is asked to stop, and joined.
async fn in_phases(tasks: Vec<Task>, s: &mut SubsystemHandle) -> Result<(), ReportedFailure> {
    let phases: Vec<_> = tasks.into_iter().map(|task| (task.phase(), start(s, task, true))).collect();
    s.on_shutdown_requested().await;
    for phase in phases.chunk_by(|(one, _), (other, _)| one == other) {
        phase.iter().for_each(|(_, subsystem)| subsystem.initiate_shutdown());
        for (_, subsystem) in phase {
            let _ = subsystem.join().await;
        }
    }
    Ok(())
}

/// As `main` returns it, so that it becomes the exit code.
fn told(ended: Result<(), GracefulShutdownError>) -> Outcome {
    let Err(error) = ended else { return Outcome::default().exiting(0) };
    let hung = matches!(error, GracefulShutdownError::ShutdownTimeout(_))
        .then(|| ReportedFailure::new(FailureKind::Hung));
    let failed = error.get_subsystem_errors().iter().map(|error| match error {
        SubsystemError::Failed(name, _) => ReportedFailure::named(FailureKind::Error, name),
        SubsystemError::Panicked(name) => ReportedFailure::named(FailureKind::Panic, name),
    });
    Outcome::telling(failed.chain(hung)).exiting(1)
}
