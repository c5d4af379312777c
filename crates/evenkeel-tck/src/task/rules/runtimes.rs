//! Runtimes that end before the group, in real time.

use std::{future::poll_fn, task::Poll};

use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use crate::{
    Rule, Verdict,
    duration::secs,
    probe_task::Record,
    rule::{Checked, rule},
    task::{
        Adapter, Body, Settings,
        harness::{FinishedGroup, configure},
        script::{Scene, task},
    },
};

pub(super) const RULES: &[Rule<dyn Adapter>] =
    &[rule!(Must "TASK-46" threads task_46 "A task whose runtime ends before it is told.")];

fn runtime() -> Checked<Runtime> {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.map_err(|error| Verdict::Untested(format!("no runtime: {error}")))
}

/// The group is begun in one runtime, which ends, and waited for in another.
fn task_46(subject: &dyn Adapter) -> Checked {
    let group = configure(subject, &Settings::usual())?;
    let (other, here) = (runtime()?, runtime()?);
    here.block_on(async {
        let record = Record::start();
        let mut run = group.call(Body::new(Scene::of([task(1)]), &record));
        let inside = other.enter();
        poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_ready())).await;
        drop(inside);
        other.shutdown_background();
        match timeout(secs(10), FinishedGroup::end(run, record.clone())).await {
            Ok(run) => {
                let told = !run?.outcome.told.is_empty();
                record.require(told, || "task 1 is told".to_owned(), || "a success".to_owned())
            }
            Err(_) => Err(record.failure("an end within 10 s", "none")),
        }
    })
}
