//! The tasks that a group waits for, and the cost of waiting.

use std::{sync::mpsc, thread};

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TASK-01" task_01 "A group ends when its last task has ended, and not before."),
    rule!(Must "TASK-02" task_02 "Tasks run beside each other."),
    rule!(Must "TASK-03" task_03 "A group without tasks ends with its body."),
    rule!(Must "TASK-04" task_04 "A group that has no task for a while goes on as long as its body."),
    rule!(Must "TASK-05" task_05 "Tasks that a task spawns are waited for, too."),
    rule!(Should "TASK-06" task_06 "A task is polled only when it was woken.").needs(Needs::POLLS),
    rule!(Must "TASK-07" task_07 "Many tasks that end at once let others run.").needs(Needs::BESIDE).once(),
    rule!(Must "TASK-08" threads task_08 "On several threads, no end of a task is missed."),
];

async fn task_01(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).taking(secs(1)), task(2).taking(secs(3)), task(3).taking(secs(2))]);
    let run = run_group(subject, &Settings::usual(), scene).await?;
    run.equal("tasks that ended before the group,", run.ended(End::Ok), vec![1, 3, 2])?;
    run.equal("the end of the group at", run.returned_at(), secs(3))
}

async fn task_02(subject: &Subject) -> Checked {
    let scene = Scene::of([1, 2, 3].map(|number| task(number).taking(secs(1))));
    let run = run_group(subject, &Settings::usual(), scene).await?;
    run.equal("tasks of 1s begin at", run.begun(), vec![secs(0); 3])
}

async fn task_03(subject: &Subject) -> Checked {
    let run = run_group(subject, &Settings::usual(), Scene::of([])).await?;
    run.equal("the end of the group at", run.returned_at(), secs(0))
}

async fn task_04(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).taking(secs(1))]).later(secs(5), task(2).taking(secs(1)));
    let run = run_group(subject, &Settings::usual(), scene).await?;
    run.equal("tasks of 1s, spawned at 0s and 5s, begin at", run.begun(), vec![secs(0), secs(5)])?;
    run.equal("the end of the group at", run.returned_at(), secs(6))
}

async fn task_05(subject: &Subject) -> Checked {
    needs(subject, Capability::SpawnFromTasks)?;
    let last = task(3).taking(secs(5));
    let scene =
        Scene::of([task(1).taking(secs(1)).spawning(vec![task(2).taking(secs(1)).spawning(vec![last])])]);
    let run = run_group(subject, &Settings::usual(), scene).await?;
    run.equal("the end of the group at", run.returned_at(), secs(7))
}

async fn task_06(subject: &Subject) -> Checked {
    let scene = Scene::of((1..=20).map(|number| task(number).taking(ms(100 * u64::from(number)))));
    let run = run_group(subject, &Settings::usual(), scene).await?;
    let in_vain = run.pick(|_, event| matches!(event, Event::PolledInVain(_)).then_some(()));
    run.require(
        in_vain.is_empty(),
        "two polls for each of 20 tasks that sleep",
        format_args!("{} more", in_vain.len()),
    )
}

async fn task_07(subject: &Subject) -> Checked {
    let scene = Scene::of((1..=1000).map(|number| task(number).taking(ms(0))));
    let (run, turns) = beside(run_group(subject, &Settings::usual(), scene)).await;
    run?.require(turns > 0, "another task to run while 1000 tasks end", "none ran")
}

fn task_08(subject: &Subject) -> Checked {
    const ROUNDS: usize = 20;
    const TASKS: usize = 16;
    let runtime = runtime(Builder::new_multi_thread().worker_threads(2).enable_time())?;
    let group = configure_on(&runtime, subject, &Settings::usual())?;
    let (done, ended) = mpsc::channel();
    let rounds = async move {
        for _ in 0..ROUNDS {
            let tasks = (1..=TASKS as u32).map(|number| task(number).taking(ms(u64::from(number % 2))));
            let run = Finished::of(&group, |record| Body::new(Scene::of(tasks), record)).await;
            let ended = run.map(|run| run.ended(End::Ok).len());
            if done.send(ended).is_err() {
                return;
            }
        }
    };
    runtime.spawn(rounds);
    let outcome = (0..ROUNDS).try_for_each(|_| match ended.recv_timeout(Duration::from_secs(1)) {
        Ok(Ok(TASKS)) => Ok(()),
        Ok(Ok(some)) => Err(Verdict::fail(format_args!("{TASKS} tasks that have ended"), some)),
        Ok(Err(verdict)) => Err(verdict),
        Err(_) => Err(Verdict::fail("the end of the group", "none: a wake was lost")),
    });
    // A task that hangs is not waited for.
    thread::spawn(move || drop(runtime));
    outcome
}
