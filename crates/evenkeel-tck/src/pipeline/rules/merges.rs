//! Workers that take messages from several sources.

use std::collections::BTreeSet;

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-94" pipeline_94 "Messages of several sources are each settled at their own."),
    rule!(Must "PIPELINE-95" pipeline_95 "Messages of several sources have identities of their own."),
    rule!(Must "PIPELINE-96" pipeline_96 "A source with a backlog leaves the others a share."),
    rule!(Must "PIPELINE-97" pipeline_97 "A source whose server is away holds up no other."),
    rule!(Must "PIPELINE-98" pipeline_98 "An error of one source that does not pass is told with its number, after the work in hand of all."),
    rule!(Must "PIPELINE-99" pipeline_99 "A worker of several sources ends with the last of them."),
    rule!(Must "PIPELINE-100" pipeline_100 "A drain hands back the messages of all sources."),
];

async fn pipeline_94(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(8).merged())?;
    run.work.runs(|mark| Step::OK.after(if mark.number < 10 { secs(10) } else { secs(1) }));
    run.publish(1..=4).await;
    run.publish_to_second(11..=13).await;
    let worker = run.worker(1).await?;
    run.until(secs(5)).await;
    run.stores_at_each(&[4, 0]).await?;
    run.finish(worker).await?;
    run.equal("runs", run.begun().len(), 7)?;
    run.stores_at_each(&[0, 0]).await
}

async fn pipeline_95(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4).merged())?;
    run.work.runs(|_| Step::OK.writing(ms(1)));
    run.publish(1..=5).await;
    run.publish_to_second(1..=5).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("rows by identity, and writes", run.rows(), (10, 10))
}

async fn pipeline_96(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4).merged())?;
    run.work.runs(|_| Step::OK.after(secs(1)));
    run.publish(1..=40).await;
    let worker = run.worker(1).await?;
    run.until(ms(2_500)).await;
    run.publish_to_second([41]).await;
    run.finish(worker).await?;
    let begun: Vec<Duration> = run.attempts(41).into_iter().map(|(at, ..)| at).collect();
    // Its turn comes behind the messages that were in hand when it came.
    let holds = matches!(*begun, [at] if at <= run.latest(ms(3_500)));
    run.require(holds, "message 41 begun by 3.5s", format_args!("{begun:?}"))
}

async fn pipeline_97(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(8).merged().stopped())?;
    run.work.runs(|_| Step::OK.after(secs(1)));
    run.publish(1..=20).await;
    run.publish_to_second(21..=40).await;
    let worker = run.worker(1).await?;
    run.until(ms(1_500)).await;
    run.crash_second(secs(20));
    run.until(secs(12)).await;
    let of_first = run.done().into_iter().filter(|number| *number <= 20).count();
    run.equal("messages of the first source that are done by 12s", of_first, 20)?;
    run.finish(worker).await?;
    let done: BTreeSet<u32> = run.done().into_iter().collect();
    run.equal("messages done", done.len(), 40)
}

async fn pipeline_98(subject: &Subject) -> Checked {
    needs(subject, Capability::Delete)?;
    let run = Run::start(subject, &Settings::of(4).merged())?;
    run.work.runs(|_| Step::OK.after(secs(5)));
    run.publish([1]).await;
    run.publish_to_second([2]).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    worker.delete(1).await;
    let end = run.within(secs(60), worker.finish()).await;
    let end = end.ok_or_else(|| run.failure("an end of the worker within a minute", "none"))?;
    run.require(end.error.is_some(), "the error", "none")?;
    run.require(end.source == Some(1), "the number of its source, 1", format_args!("{:?}", end.source))?;
    let mut done = run.done();
    done.sort_unstable();
    run.equal("messages done", done, vec![1, 2])?;
    run.stores_now(0).await
}

async fn pipeline_99(subject: &Subject) -> Checked {
    needs(subject, Capability::Close)?;
    let run = Run::start(subject, &Settings::of(4).merged())?;
    run.publish([1]).await;
    let mut end = run.worker(1).await?.finish();
    run.queue.close();
    let ended = run.within(secs(60), &mut end).await;
    run.require(ended.is_none(), "a worker that goes on, as its second source does", "its end")?;
    run.publish_to_second([2]).await;
    run.second().close();
    let ended = run.within(secs(60), end).await;
    let ended = ended.ok_or_else(|| run.failure("an end of the worker within a minute", "none"))?;
    run.require(ended.error.is_none(), "an end without an error", format_args!("{:?}", ended.error))?;
    run.equal("messages done", run.done(), vec![1, 2])
}

async fn pipeline_100(subject: &Subject) -> Checked {
    needs(subject, Capability::Drain)?;
    let run = Run::start(subject, &Settings::of(8).merged())?;
    run.work.runs(|mark| if mark.worker == 1 { Step::HANGS } else { Step::OK });
    run.publish(1..=2).await;
    run.publish_to_second(3..=4).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.drain(worker, secs(0)).await?;
    let other = run.worker(2).await?;
    run.until(secs(11)).await;
    let mut again: Vec<(u32, u32)> = (1..=4)
        .flat_map(|number| run.attempts(number))
        .filter_map(|(_, worker, attempt)| (worker == 2).then_some((worker, attempt)))
        .collect();
    again.sort_unstable();
    run.equal("workers and attempts of the second runs", again, vec![(2, 1); 4])?;
    run.finish(other).await.map(drop)
}
