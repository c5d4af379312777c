//! Leases: extended while there is work, run out when the worker is gone.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-24" pipeline_24 "Work of ten times the ack wait is delivered once."),
    rule!(Must "PIPELINE-25" pipeline_25 "The leases of messages that wait in hand are extended, too."),
    rule!(Must "PIPELINE-26" pipeline_26 "A slow worker causes no redelivery."),
    rule!(Must "PIPELINE-27" pipeline_27 "The messages of a worker that was killed come again when the ack wait has passed."),
    rule!(Must "PIPELINE-28" pipeline_28 "A delivery whose lease has run out counts as an attempt."),
    rule!(Must "PIPELINE-29" pipeline_29 "A worker that is killed stops its work at once."),
    rule!(Must "PIPELINE-30" pipeline_30 "A worker that is killed between an effect and its ack leaves the message, for which the sink has one row."),
    rule!(Must "PIPELINE-31" pipeline_31 "An ack that the server did not take is repeated, and the work is not."),
];

async fn pipeline_24(subject: &Subject) -> Checked {
    needs(subject, Capability::Leases)?;
    let run = Run::start(subject, &Settings::of(1))?;
    run.work.runs(|_| Step::OK.after(secs(300)));
    run.publish([1]).await;
    let (worker, other) = (run.worker(1).await?, run.worker(2).await?);
    run.finish(worker).await?;
    run.finish(other).await?;
    run.equal("runs", run.begun().len(), 1)
}

async fn pipeline_25(subject: &Subject) -> Checked {
    needs(subject, Capability::Leases)?;
    let run = Run::start(subject, &Settings::of(5).limited(1))?;
    run.work.runs(|_| Step::OK.after(secs(40)));
    run.publish(1..=5).await;
    let (worker, other) = (run.worker(1).await?, run.worker(2).await?);
    run.finish(worker).await?;
    run.finish(other).await?;
    run.equal("messages of the first worker", run.begun_by(1), vec![1, 2, 3, 4, 5])?;
    run.equal("messages of the other", run.begun_by(2), Vec::new())
}

async fn pipeline_26(subject: &Subject) -> Checked {
    needs(subject, Capability::Leases)?;
    let run = Run::start(subject, &Settings { ack_wait: secs(1), ..Settings::of(10).limited(1) })?;
    run.work.runs(|_| Step::OK.after(ms(300)));
    run.publish(1..=40).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("runs", run.begun().len(), 40)?;
    run.equal("the end of all", run.last_done(), secs(12))
}

/// Kills a worker after five seconds of its work, while another one waits, until the message is done.
async fn killed(subject: &Subject, step: Step) -> Checked<Run> {
    needs(subject, Capability::Leases)?;
    let run = Run::start(subject, &Settings::of(1))?;
    run.work.runs(move |mark| if mark.worker == 1 { step } else { Step::OK.writing(ms(1)) });
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    let other = run.worker(2).await?;
    run.until(secs(5)).await;
    drop(worker);
    run.settle().await;
    run.finish(other).await?;
    Ok(run)
}

async fn pipeline_27(subject: &Subject) -> Checked {
    let run = killed(subject, Step::HANGS).await?;
    let begun = run.attempts(1);
    // On a real clock others see that a worker is gone when they look.
    let latest = run.latest(secs(30)) + run.either(secs(0), secs(15));
    let holds =
        matches!(*begun, [(_, 1, _), (at, 2, _)] if at >= run.either(secs(30), secs(29)) && at <= latest);
    run.require(holds, "the second run by the other worker at 30s", format_args!("{begun:?}"))
}

async fn pipeline_28(subject: &Subject) -> Checked {
    let run = killed(subject, Step::HANGS).await?;
    let attempts: Vec<u32> = run.attempts(1).into_iter().map(|(.., attempt)| attempt).collect();
    run.equal("attempts", attempts, vec![1, 2])
}

async fn pipeline_29(subject: &Subject) -> Checked {
    let run = killed(subject, Step::OK.after(secs(10))).await?;
    run.equal("dropped", run.dropped(), vec![(secs(5), 1, 1)])
}

async fn pipeline_30(subject: &Subject) -> Checked {
    let run = killed(subject, Step::OK.after(secs(10)).writing(secs(1))).await?;
    run.equal("rows by identity, and writes", run.rows(), (1, 2))
}

async fn pipeline_31(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1).stopped())?;
    run.work.runs(|_| Step::OK.after(secs(2)));
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.crash(secs(5));
    run.finish(worker).await?;
    run.equal("begun", run.begun(), vec![(secs(0), 1, 1)])?;
    run.stores_now(0).await
}
