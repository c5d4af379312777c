//! Tasks that are told to end before they are stopped.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TASK-29" task_29 "A task that drains within the grace ends by itself, and the group with the last of them."),
    rule!(Must "TASK-30" task_30 "Tasks that have not drained are stopped when the grace is over."),
    rule!(Must "TASK-31" task_31 "An error that answers the stop does not replace the first failure."),
    rule!(Must "TASK-32" task_32 "Nothing begins in a group that stops."),
    rule!(Must "TASK-33" task_33 "A task that sees the signal to drain sees the reason."),
];

/// A group whose first failure comes at 1 s, with five seconds of grace after it.
fn graceful() -> Settings {
    Settings { grace: Some(secs(5)), ..Settings::fail_fast() }
}

async fn task_29(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).taking(secs(1)).failing(), task(2).draining(secs(2))]);
    let run = run_group(subject, &graceful(), scene).await?;
    run.equal("tasks that ended well:", run.ended(End::Ok), vec![2])?;
    run.equal("the end of the group at", run.returned_at(), secs(3))
}

async fn task_30(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).taking(secs(1)).failing(), task(2)]);
    let run = run_group(subject, &graceful(), scene).await?;
    run.equal("task 2 dropped at", run.first(&Event::Freed(2)), Some(secs(6)))?;
    run.equal("the end of the group at", run.returned_at(), secs(6))
}

async fn task_31(subject: &Subject) -> Checked {
    needs(subject, Capability::Errors)?;
    let scene = Scene::of([task(1).answering(End::Error), task(2).taking(secs(1)).failing()]);
    let run = run_group(subject, &graceful(), scene).await?;
    run.equal("tasks told to have failed, in this order:", run.outcome.failed(), vec![2, 1])
}

async fn task_32(subject: &Subject) -> Checked {
    needs(subject, Capability::Handle)?;
    let group = configure(subject, &graceful())?;
    let record = Record::start();
    let body = Body::new(Scene::of([task(1).taking(secs(1)).failing(), task(2)]), &record);
    let (outside, late) = (body.outside(), record.clone());
    let outsider = tokio::task::spawn_local(async move {
        sleep(secs(3)).await;
        outside.spawn(task(3).taking(secs(1)), &late);
    });
    let run = Finished::end(group.call(body), record).await?;
    outsider.abort();
    let began = run.first(&Event::Began(3));
    run.require(began.is_none(), "that task 3 never begins", "it does")?;
    run.leaves_nobody()
}

async fn task_33(subject: &Subject) -> Checked {
    needs(subject, Capability::Reason)?;
    let scene = Scene::of([task(1).taking(secs(1)).failing(), task(2).draining(secs(0))]);
    let run = run_group(subject, &graceful(), scene).await?;
    run.drains_for_a_reason()
}
