//! The tasks that are asked to stop, and the wait for them.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "SHUTDOWN-01" shutdown_01 "The stop reaches every task at once."),
    rule!(Must "SHUTDOWN-02" shutdown_02 "The program ends when its last task has ended, and not before."),
    rule!(Must "SHUTDOWN-03" shutdown_03 "A task that looks late sees that it was asked to stop."),
    rule!(Must "SHUTDOWN-04" shutdown_04 "A program without tasks ends when it is asked to stop, or before."),
    rule!(Must "SHUTDOWN-05" shutdown_05 "A program ends when all its tasks have ended, also without a request to stop."),
    rule!(Must "SHUTDOWN-06" shutdown_06 "A task that ends well does not stop the others."),
];

async fn shutdown_01(subject: &Subject) -> Checked {
    let scene = Scene::of([1, 2, 3].map(|number| task(number).draining(secs(u64::from(number)))));
    let run = run_program(subject, &Settings::stopped(secs(1)), scene).await?;
    run.equal("with a stop at 1s, tasks asked at", run.drained(), vec![secs(1); 3])
}

async fn shutdown_02(subject: &Subject) -> Checked {
    let scene = Scene::of([1, 3, 2].map(|number| task(number).draining(secs(u64::from(number)))));
    let run = run_program(subject, &Settings::stopped(secs(1)), scene).await?;
    run.equal("tasks that ended before the program:", run.ended(End::Ok), vec![1, 2, 3])?;
    run.ends_at("with a stop at 1s and tasks that take up to 3s for it", secs(4))
}

async fn shutdown_03(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).looking_after(secs(3)), task(2).draining(secs(5))]);
    let run = run_program(subject, &Settings::stopped(secs(1)), scene).await?;
    let asked = run.drained();
    run.equal("tasks that look from 3s on and from 0s on, asked at", asked, vec![secs(3), secs(1)])
}

async fn shutdown_04(subject: &Subject) -> Checked {
    let run = run_program(subject, &Settings::stopped(secs(1)), Scene::of([])).await?;
    run.require(run.returned_at() <= secs(1), "an end within 1s", format_args!("{:?}", run.returned_at()))
}

async fn shutdown_05(subject: &Subject) -> Checked {
    needs(subject, Capability::EndsByItself)?;
    let scene = Scene::of([1, 2].map(|number| task(number).taking(secs(u64::from(number)))));
    let run = run_program(subject, &Settings::unstopped(), scene).await?;
    run.ends_at("with tasks of 1s and 2s", secs(2))
}

async fn shutdown_06(subject: &Subject) -> Checked {
    let scene = Scene::of([task(1).taking(ms(500)), task(2)]);
    let run = run_program(subject, &Settings::stopped(secs(5)), scene).await?;
    run.equal("with a stop at 5s, task 2 asked at", run.drained(), vec![secs(5)])
}
