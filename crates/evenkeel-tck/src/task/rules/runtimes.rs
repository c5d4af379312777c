//! Runtimes that end before the group, in real time.

use std::{future::poll_fn, task::Poll};

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] =
    &[rule!(Must "TASK-46" threads task_46 "A task whose runtime ends before it is reported.")];

/// The group is begun in one runtime, which ends, and waited for in another.
fn task_46(subject: &Subject) -> Checked {
    let [other, here] = [(); 2].map(|()| runtime(Builder::new_current_thread().enable_time()));
    let (other, here) = (other?, here?);
    let group = configure_on(&here, subject, &Settings::usual())?;
    here.block_on(async {
        let record = Record::start();
        let mut run = group.call(Body::new(Scene::of([task(1)]), &record));
        let inside = other.enter();
        poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_ready())).await;
        drop(inside);
        other.shutdown_background();
        match timeout(secs(10), Finished::end(run, record.clone())).await {
            Ok(run) => {
                let told = !run?.outcome.failures.is_empty();
                record.require(told, "task 1 is told", "a success")
            }
            Err(_) => Err(record.failure("an end within 10 s", "none")),
        }
    })
}
