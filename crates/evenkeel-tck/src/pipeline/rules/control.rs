//! Pauses, and limits that change.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-19" pipeline_19 "A paused worker takes no more messages, and finishes those in hand."),
    rule!(Must "PIPELINE-20" pipeline_20 "A message that comes during a pause is free for other workers."),
    rule!(Must "PIPELINE-21" pipeline_21 "A worker that is resumed goes on at once."),
    rule!(Must "PIPELINE-22" pipeline_22 "A limit that is raised lets waiting messages begin at once."),
    rule!(Must "PIPELINE-23" pipeline_23 "A limit that is lowered stops no work, and holds from then on."),
];

async fn pipeline_19(subject: &Subject) -> Checked {
    needs(subject, Capability::Pause)?;
    let run = Run::start(subject, &Settings::of(1))?;
    run.work.runs(|_| Step::OK.after(secs(2)));
    run.publish(1..=3).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    worker.pause();
    run.until(secs(10)).await;
    run.equal("messages done", run.done(), vec![1])?;
    run.stores_now(2).await?;
    worker.resume();
    run.finish(worker).await.map(drop)
}

async fn pipeline_20(subject: &Subject) -> Checked {
    needs(subject, Capability::Pause)?;
    let run = Run::start(subject, &Settings::of(4))?;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    worker.pause();
    run.settle().await;
    run.publish([1]).await;
    run.until(secs(2)).await;
    run.equal("begun in the pause", run.begun(), Vec::new())?;
    let other = run.worker(2).await?;
    run.until(secs(3)).await;
    run.equal("begun by another worker", run.begun_by(2), vec![1])?;
    worker.resume();
    run.finish(worker).await?;
    run.finish(other).await.map(drop)
}

async fn pipeline_21(subject: &Subject) -> Checked {
    needs(subject, Capability::Pause)?;
    let run = Run::start(subject, &Settings::of(4))?;
    let worker = run.worker(1).await?;
    worker.pause();
    run.settle().await;
    run.publish([1]).await;
    run.until(ms(5_500)).await;
    worker.resume();
    run.finish(worker).await?;
    run.equal("begun", run.begun(), vec![(ms(5_500), 1, 1)])
}

async fn pipeline_22(subject: &Subject) -> Checked {
    needs(subject, Capability::SetLimit)?;
    let run = Run::start(subject, &Settings::of(4).limited(1))?;
    run.work.runs(|_| Step::OK.after(secs(10)));
    run.publish(1..=4).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    worker.set_limit(4);
    run.finish(worker).await?;
    let times: Vec<Duration> = run.begun().into_iter().map(|(at, ..)| at).collect();
    run.equal("begun", times, vec![secs(0), secs(1), secs(1), secs(1)])
}

async fn pipeline_23(subject: &Subject) -> Checked {
    needs(subject, Capability::SetLimit)?;
    let run = Run::start(subject, &Settings::of(7).limited(4))?;
    run.work.runs(|_| Step::OK.after(secs(10)));
    run.publish(1..=7).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    worker.set_limit(1);
    run.finish(worker).await?;
    let times: Vec<Duration> = run.begun().into_iter().map(|(at, ..)| at).collect();
    run.equal("begun", times, [0, 0, 0, 0, 10, 20, 30].map(secs).to_vec())?;
    run.equal("dropped", run.dropped(), Vec::new())
}
