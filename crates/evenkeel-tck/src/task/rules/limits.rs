//! The number of tasks that run at a time, and the time of a group.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TASK-34" task_34 "No more tasks run at a time than the limit, and no fewer."),
    rule!(Must "TASK-35" task_35 "A task that waits for its turn never begins in a group that has failed."),
    rule!(Must "TASK-36" task_36 "A limit of zero is refused, or is no reason to wait for ever."),
    rule!(Must "TASK-37" task_37 "A group ends at its deadline, and leaves no task."),
    rule!(Should "TASK-38" task_38 "A group that ends before its deadline does not wait for it."),
];

fn limited(tasks: usize) -> Settings {
    Settings { limit: Some(tasks), ..Settings::usual() }
}

async fn task_34(subject: &Subject) -> Checked {
    let scene = Scene::of((1..=5).map(|number| task(number).taking(secs(1))));
    let run = run_group(subject, &limited(2), scene).await?;
    let begun = [0, 0, 1, 1, 2].map(secs).to_vec();
    let mut got = run.begun();
    got.sort_unstable();
    run.equal("with a limit of 2, tasks of 1s begin at", got, begun)
}

async fn task_35(subject: &Subject) -> Checked {
    let settings = Settings { limit: Some(1), ..Settings::fail_fast() };
    let scene = Scene::of([task(1).taking(secs(1)).failing(), task(2), task(3)]);
    let run = run_group(subject, &settings, scene).await?;
    run.equal("with a limit of 1, tasks begin at", run.begun(), vec![secs(0)])?;
    run.ends_at("after a failure at 1s", secs(1))
}

async fn task_36(subject: &Subject) -> Checked {
    needs(subject, Capability::Limit)?;
    let Some(group) = unless_refused(subject, &limited(0))? else { return Ok(()) };
    Finished::of(&group, |record| Body::new(Scene::of([task(1)]), record)).await.map(drop)
}

async fn task_37(subject: &Subject) -> Checked {
    let settings = Settings { deadline: Some(secs(5)), ..Settings::usual() };
    let run = run_group(subject, &settings, Scene::of([task(1), task(2)])).await?;
    run.ends_at("with a deadline of 5s", secs(5))?;
    run.equal("task 1 dropped at", run.first(&Event::Freed(1)), Some(secs(5)))?;
    run.leaves_nobody()
}

async fn task_38(subject: &Subject) -> Checked {
    let settings = Settings { deadline: Some(secs(5)), ..Settings::usual() };
    let run = run_group(subject, &settings, Scene::of([task(1).taking(secs(1))])).await?;
    run.ends_at("with a deadline of 5s", secs(1))
}
