//! Tasks that are shielded from a stop.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TASK-42" task_42 "A shielded task goes on to its end in a group that is stopped, and the group waits for it."),
    rule!(Must "TASK-43" task_43 "A shield has an end.").after("TASK-42"),
];

async fn task_42(subject: &Subject) -> Checked {
    needs(subject, Capability::Shield)?;
    let scene = Scene::of([task(1).taking(secs(3)).shielded(secs(5)), task(2)]);
    let run = run_group(subject, &Settings::stopped(secs(1)), scene).await?;
    run.equal("task 2 dropped at", run.first(&Event::Freed(2)), Some(secs(1)))?;
    run.equal("tasks that ended well:", run.ended(End::Ok), vec![1])?;
    run.equal("the end of the group at", run.returned_at(), secs(3))
}

async fn task_43(subject: &Subject) -> Checked {
    needs(subject, Capability::Shield)?;
    let scene = Scene::of([task(1).shielded(secs(5))]);
    let run = run_group(subject, &Settings::stopped(secs(1)), scene).await?;
    let dropped = run.first(&Event::Freed(1));
    let holds = |at: Duration| at > secs(1) && at <= secs(6);
    run.require(
        dropped.is_some_and(holds),
        "with a stop at 1s, a task with a shield of 5s that is dropped after that, and by 6s",
        format_args!("{dropped:?}"),
    )?;
    run.equal("the end of the group at", Some(run.returned_at()), dropped)
}
