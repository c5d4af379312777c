//! Servers that stop, lose power, deliver twice and out of order; logs.

use std::collections::BTreeSet;

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-63" pipeline_63 "A worker goes on by itself when the server is back."),
    rule!(Must "PIPELINE-64" pipeline_64 "A server that stops and comes back with its store has lost no message."),
    rule!(Must "PIPELINE-65" pipeline_65 "A server that loses power keeps what it has made durable, and tells of the rest."),
    rule!(Must "PIPELINE-66" pipeline_66 "A message whose ack is lost with the power comes again, and the sink has one row for it."),
    rule!(Must "PIPELINE-67" pipeline_67 "An error that does not pass ends a worker, after the work in hand."),
    rule!(Must "PIPELINE-68" pipeline_68 "Messages that are delivered twice have one row each."),
    rule!(Must "PIPELINE-69" pipeline_69 "Messages that are delivered out of order are all worked on."),
    rule!(Must "PIPELINE-70" pipeline_70 "The low-water mark of a log is the first position that is not settled, and never goes back."),
];

fn distinct(numbers: Vec<u32>) -> Vec<u32> {
    numbers.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

async fn pipeline_63(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(2).stopped())?;
    run.work.runs(|_| Step::OK.after(secs(1)));
    run.publish(1..=10).await;
    let worker = run.worker(1).await?;
    run.until(ms(2_500)).await;
    run.crash(secs(5));
    run.wait_for("an empty queue", async || run.queue.stored().await == 0).await?;
    run.equal("messages done", distinct(run.done()), (1..=10).collect())?;
    run.finish(worker).await.map(drop)
}

async fn pipeline_64(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(2).stopped())?;
    run.publish(1..=10).await;
    run.crash(secs(5));
    run.until(secs(6)).await;
    run.stores_now(10).await?;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("messages done", distinct(run.done()), (1..=10).collect())
}

async fn pipeline_65(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { sync_every: Some(secs(1)), ..Settings::of(2) })?;
    run.publish(1..=5).await;
    run.until(ms(1_500)).await;
    run.publish(6..=8).await;
    let lost = run.power_loss(secs(5));
    run.equal("messages that are told as lost", lost, 3)?;
    run.until(secs(10)).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("messages done", distinct(run.done()), (1..=5).collect())
}

async fn pipeline_66(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { sync_every: Some(secs(10)), ..Settings::of(2) })?;
    run.work.runs(|_| Step::OK.writing(ms(1)));
    run.publish([1]).await;
    run.until(ms(10_500)).await;
    let worker = run.worker(1).await?;
    run.until(secs(12)).await;
    run.stores_now(0).await?;
    let lost = run.power_loss(secs(5));
    run.equal("messages that are told as lost", lost, 0)?;
    run.until(secs(60)).await;
    run.finish(worker).await?;
    run.equal("rows by identity, and writes", run.rows(), (1, 2))
}

async fn pipeline_67(subject: &Subject) -> Checked {
    needs(subject, Capability::Delete)?;
    let run = Run::start(subject, &Settings::of(2))?;
    run.work.runs(|_| Step::OK.after(secs(5)));
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    worker.delete(0).await;
    let end = run.within(secs(60), worker.finish()).await;
    let end = end.ok_or_else(|| run.failure("an end of the worker within a minute", "none"))?;
    run.require(end.error.is_some(), "the error", "none")?;
    run.equal("messages done", run.done(), vec![1])?;
    run.stores_now(0).await
}

async fn pipeline_68(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { duplicates: 0.5, ..Settings::of(4) })?;
    run.work.runs(|_| Step::OK.writing(ms(1)));
    run.publish(1..=40).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    let (rows, writes) = run.rows();
    run.equal("rows", rows, 40)?;
    run.require(writes > 40, "messages that are delivered twice", "none")
}

async fn pipeline_69(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { reorders: 0.5, ..Settings::of(4) })?;
    run.publish(1..=40).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("messages done", distinct(run.done()), (1..=40).collect())?;
    run.require(run.done() != (1..=40).collect::<Vec<_>>(), "messages out of order", "none")?;
    run.stores_now(0).await
}

async fn pipeline_70(subject: &Subject) -> Checked {
    needs(subject, Capability::LowWater)?;
    let run = Run::start(subject, &Settings::of(1))?;
    let mut log = run.queue.low_water(100);
    let (mut open, mut next, mut mark) = (BTreeSet::new(), 100_u64, 100_u64);
    let mut random = 12_345_u64;
    for _ in 0..2_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let roll = (random >> 33) as usize;
        if open.len() < 8 && roll.is_multiple_of(2) {
            log.begin(next);
            open.insert(next);
            next += 1;
        } else if let Some(&position) = open.iter().nth(roll / 2 % open.len().max(1)) {
            log.settle(position);
            open.remove(&position);
        }
        let settled = open.first().copied().unwrap_or(next);
        run.equal("the mark", log.mark(), settled)?;
        run.require(settled >= mark, "a mark that does not go back", settled)?;
        mark = settled;
    }
    Ok(())
}
