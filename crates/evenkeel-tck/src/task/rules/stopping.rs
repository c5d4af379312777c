//! Tasks that are left when a group ends, is stopped, or is dropped.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TASK-21" task_21 "When a group has ended after a failure, no task is alive."),
    rule!(Must "TASK-22" task_22 "A group that is stopped ends at once."),
    rule!(Must "TASK-23" task_23 "When a group has ended because it was stopped, no task is alive.")
        .after("TASK-22"),
    rule!(Must "TASK-24" task_24 "A task that was stopped has not failed."),
    rule!(Must "TASK-25" task_25 "When a group has ended, so have the groups within its tasks."),
    rule!(Must "TASK-26" task_26 "Tasks that spawn tasks do not keep a group from stopping.")
        .after("TASK-22"),
    rule!(Must "TASK-27" task_27 "Nothing is spawned into a group that has ended."),
    rule!(Must "TASK-28" alone task_28 "A group dropped at any await leaves no task that goes on.")
        .needs(Needs::CANCEL),
];

async fn task_21(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1), task(2).taking(secs(1)).failing(), task(3)]);
    let run = run_group(subject, &Settings::fail_fast(), scene).await?;
    run.leaves_nobody()
}

async fn task_22(subject: &Subject) -> Checked {
    let mut cases = vec![Settings::stopped(secs(1))];
    if needs(subject, Capability::CollectAll).is_ok() {
        cases.push(Settings { stop_after: Some(secs(1)), ..Settings::collecting() });
    }
    for settings in cases {
        let run = run_group(subject, &settings, Scene::of([task(1), task(2)])).await?;
        run.ends_at("after a stop at 1s", secs(1))?;
    }
    Ok(())
}

async fn task_23(subject: &Subject) -> Checked {
    let run = run_group(subject, &Settings::stopped(secs(1)), Scene::of([task(1), task(2)])).await?;
    run.leaves_nobody()
}

async fn task_24(subject: &Subject) -> Checked {
    needs(subject, Capability::Errors)?;
    let run = run_group(subject, &Settings::stopped(secs(1)), Scene::of([task(1), task(2)])).await?;
    run.equal("tasks told to have failed:", run.outcome.failed(), Vec::new())
}

async fn task_25(subject: &Subject) -> Checked {
    let inner = configure(subject, &Settings::usual())?;
    let inner = Configured::new(move |record| {
        // More tasks than a runtime drops before it polls the caller again.
        let run = inner.call(Body::new(Scene::of((100..300).map(task)), &record));
        async move { drop(run.await) }
    });
    let scene = Scene::of([task(1).running(inner), task(2)]);
    let run = run_group(subject, &Settings::stopped(secs(1)), scene).await?;
    let alive = run.alive_at_the_end().len();
    run.equal("when the group has ended, tasks alive:", alive, 0)
}

async fn task_26(subject: &Subject) -> Checked {
    needs(subject, Capability::SpawnFromTasks)?;
    let scene = Scene::of([task(1).taking(ms(10)).endless()]);
    let run = run_group(subject, &Settings::stopped(ms(1005)), scene).await?;
    run.ends_at("after a stop at 1005ms", ms(1005))?;
    run.leaves_nobody()
}

async fn task_27(subject: &Subject) -> Checked {
    needs(subject, Capability::Handle)?;
    let group = configure(subject, &Settings::usual())?;
    let record = Record::start();
    let body = Body::new(Scene::of([task(1).taking(secs(1))]), &record);
    let outside = body.outside();
    let run = Finished::end(group.call(body), record).await?;
    outside.spawn(task(2).taking(secs(1)), &run.record);
    sleep(secs(10)).await;
    let began = run.first(&Event::Began(2));
    run.require(began.is_none(), "that task 2 never begins", "it does")?;
    let freed = run.first(&Event::Freed(2));
    run.require(freed.is_some(), "that task 2 is dropped", "it is kept")
}

/// A lifetime so long that a task which is not dropped is still alive an hour after its group was dropped.
const HOURS: Duration = secs(5 * 3600);

fn task_28(subject: &Subject) -> Checked {
    leaves_no_task(subject, &Settings::usual(), |record| {
        Body::new(Scene::of([1, 2].map(|number| task(number).taking(HOURS))), record)
    })
}
