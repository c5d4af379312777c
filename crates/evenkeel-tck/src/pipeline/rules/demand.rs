//! Demand: a worker takes what it has room for, and nothing waits in a buffer of its client.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-11" pipeline_11 "A worker takes no more than its window; the rest is for others."),
    rule!(Must "PIPELINE-12" pipeline_12 "A place in the window that becomes free is filled at once."),
    rule!(Must "PIPELINE-13" pipeline_13 "A worker with messages in hand takes no more than the free part of its window."),
    rule!(Must "PIPELINE-14" pipeline_14 "Messages that wait for a limit are in the window."),
    rule!(Must "PIPELINE-15" pipeline_15 "No more messages are worked on at a time than the limit, and no fewer."),
    rule!(Must "PIPELINE-16" pipeline_16 "The sizes of the messages in hand do not exceed the budget."),
    rule!(Must "PIPELINE-17" pipeline_17 "A message that is larger than the budget passes."),
    rule!(Must "PIPELINE-18" pipeline_18 "A publish waits while the server is full, and goes on when there is room."),
];

/// Starts a worker that hangs, and another one that does not. The rule asks that the second one gets this number of messages.
async fn leaves(run: &Run, worker: Box<dyn crate::pipeline::Worker>, number: usize) -> Checked {
    let other = run.worker(2).await?;
    run.until(run.elapsed() + secs(10)).await;
    let result = run.equal("messages for another worker", run.begun_by(2).len(), number);
    drop((worker, other));
    run.settle().await;
    result
}

fn first_hangs(run: &Run) {
    run.work.runs(|mark| if mark.worker == 1 { Step::HANGS } else { Step::OK });
}

async fn pipeline_11(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4))?;
    first_hangs(&run);
    run.publish(1..=10).await;
    let worker = run.worker(1).await?;
    leaves(&run, worker, 6).await
}

async fn pipeline_12(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(2))?;
    run.work.runs(|mark| Step::OK.after(secs(if mark.number == 1 { 10 } else { 1 })));
    run.publish(1..=5).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    let times: Vec<Duration> = run.begun().into_iter().map(|(at, ..)| at).collect();
    run.equal("begun", times, vec![secs(0), secs(0), secs(1), secs(2), secs(3)])
}

async fn pipeline_13(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4))?;
    first_hangs(&run);
    run.publish(1..=2).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.publish(3..=12).await;
    run.settle().await;
    leaves(&run, worker, 8).await
}

async fn pipeline_14(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4).limited(1))?;
    first_hangs(&run);
    run.publish(1..=10).await;
    let worker = run.worker(1).await?;
    leaves(&run, worker, 6).await
}

async fn pipeline_15(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(10).limited(3))?;
    run.work.runs(|_| Step::OK.after(secs(1)));
    run.publish(1..=12).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("work at a time", run.running(), (0, 3))?;
    run.equal("the end of all", run.last_done(), secs(4))
}

async fn pipeline_16(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { budget: Some(100), ..Settings::of(10) })?;
    first_hangs(&run);
    for number in 1..=10 {
        run.send(Item { number, part: 0, key: number, size: 40 }).await;
    }
    let worker = run.worker(1).await?;
    leaves(&run, worker, 8).await
}

async fn pipeline_17(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { budget: Some(100), ..Settings::of(10) })?;
    run.work.runs(|_| Step::OK.after(secs(1)));
    for (number, size) in [(1, 500), (2, 10)] {
        run.send(Item { number, part: 0, key: number, size }).await;
    }
    let worker = run.worker(1).await?;
    run.until(secs(10)).await;
    let result = run.equal("begun", run.begun(), vec![(secs(0), 1, 1), (secs(1), 2, 1)]);
    drop(worker);
    run.settle().await;
    result
}

async fn pipeline_18(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { capacity: Some(3), ..Settings::of(1) })?;
    run.work.runs(|_| Step::OK.after(secs(1)));
    run.publish(1..=3).await;
    let mut fourth = Box::pin(run.publish([4]));
    let is_full = run.within(secs(5), &mut fourth).await.is_none();
    run.require(is_full, "a publish that waits", "it is done")?;
    let worker = run.worker(1).await?;
    run.require(run.within(secs(60), fourth).await.is_some(), "a publish that goes on", "it waits")?;
    // A real server is looked at from time to time.
    let (room, latest) = (run.elapsed(), run.latest(secs(6)) + run.either(secs(0), secs(2)));
    run.require(room >= secs(6) && room <= latest, "room at 6s", format_args!("{room:?}"))?;
    run.finish(worker).await?;
    run.equal("messages done", run.done(), vec![1, 2, 3, 4])
}
