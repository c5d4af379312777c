//! moro: a scope with `spawn`, `terminate` and `unwrap_or_cancel`, as in its README and the documentation of `Scope`.

use std::future::pending;

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture, Configured,
    task::{Body, Capability, FailureMode, Outcome, ReportedFailure, Settings, Task},
};
use moro::{Scope, prelude::*};

use super::{NO_SUCH_SETTING, TIMEOUT};
use crate::adapters::Peer;

pub(super) const PEER: Peer<Settings> = Peer {
    name: "moro",
    package: "moro",
    docs: "https://docs.rs/moro/0.4.0/moro/struct.Scope.html",
    adapter: &Moro,
    // A panic while its lock is held ends the process.
    isolated: &["TASK-15", "TASK-16", "TASK-19", "TASK-20", "TASK-46"],
    fails: &[
        (
            "TASK-10",
            "a job that terminates the scope does not wake it: it ends when another job does (`Scope::terminate`)",
        ),
        ("TASK-12", "the first value stays, and the others are dropped (`Scope::terminate`)"),
        (
            "TASK-16",
            "the panic poisons a lock, which is unwrapped while the stack is unwound: the process aborts (`Scope::clear`)",
        ),
        (
            "TASK-20",
            "jobs are dropped with the scope, and a panic there takes the place of its value (`Body::drop`)",
        ),
        ("TASK-22", "as TASK-10"),
        ("TASK-46", "as TASK-16: the timers of a job panic when their runtime is gone"),
    ],
};

struct Moro;

type End = Result<Vec<ReportedFailure>, ReportedFailure>;

impl Adapter<Settings> for Moro {
    fn supports(&self, capability: Capability) -> Result<(), &'static str> {
        match capability {
            Capability::Body
            | Capability::SpawnFromTasks
            | Capability::Errors
            | Capability::FailFast
            | Capability::CollectAll
            | Capability::Stop => Ok(()),
            Capability::Handle => Err("its tasks borrow from the scope"),
            Capability::Deadline => Err(TIMEOUT),
            Capability::Blocking => Err("its tasks are futures in one task"),
            _ => Err(NO_SUCH_SETTING),
        }
    }

    fn configure(&self, settings: &Settings) -> Result<Configured<Body, Outcome>, AdapterError> {
        let settings = settings.clone();
        Ok(Configured::new(move |body: Body| {
            let (fails_fast, stop_after) = (settings.on_failure == FailureMode::Stop, settings.stop_after);
            async move {
                // The expansion of the macro `async_scope`, with a block that moves.
                let scope = moro::scope_fn(|scope| {
                    Box::pin(async move {
                        if stop_after.is_some() {
                            drop(scope.spawn(async move {
                                super::stop(stop_after).await;
                                scope.terminate::<()>(Ok(Vec::new())).await;
                            }));
                        }
                        run(scope, body, fails_fast).await
                    })
                });
                let end: End = scope.await;
                match end {
                    Ok(told) => Outcome::telling(told),
                    Err(error) => Outcome::telling([error]),
                }
            }
        }))
    }
}

async fn run<'s>(scope: &'s Scope<'s, '_, End>, body: Body, fails_fast: bool) -> End {
    let mut tasks = Vec::new();
    let ended = body.run(|child| tasks.push(scope.spawn(work(scope, child, fails_fast)))).await;
    if fails_fast {
        ended.unwrap_or_cancel(scope).await;
    }
    let mut told = Vec::new();
    for task in tasks {
        told.extend(task.await.err());
    }
    Ok(told)
}

fn work<'s>(
    scope: &'s Scope<'s, '_, End>,
    child: Task,
    fails_fast: bool,
) -> BoxFuture<'s, Result<(), ReportedFailure>> {
    Box::pin(async move {
        let ended = child.run(pending(), |child| drop(scope.spawn(work(scope, child, fails_fast)))).await;
        if fails_fast {
            ended.unwrap_or_cancel(scope).await;
            return Ok(());
        }
        ended
    })
}
