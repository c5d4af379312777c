//! Keys, filters, splits and batches: how acks travel.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-53" pipeline_53 "Messages with the same key are worked on one after the other, in their order."),
    rule!(Must "PIPELINE-54" pipeline_54 "Messages with other keys go on meanwhile."),
    rule!(Must "PIPELINE-55" pipeline_55 "A message that is filtered out is acked."),
    rule!(Must "PIPELINE-56" pipeline_56 "A message of several parts is acked when all are done."),
    rule!(Must "PIPELINE-57" pipeline_57 "A message of which one part fails is delivered again as a whole."),
    rule!(Must "PIPELINE-58" pipeline_58 "A message without parts is acked."),
    rule!(Must "PIPELINE-59" pipeline_59 "A batch is stored when it is full, and has no more messages than that."),
    rule!(Must "PIPELINE-60" pipeline_60 "A batch that is not full is stored when its time has passed, from its first message on."),
    rule!(Must "PIPELINE-61" pipeline_61 "The messages of a batch are acked when it is stored, and not before."),
    rule!(Must "PIPELINE-62" pipeline_62 "Only those messages of a batch are delivered again that have failed."),
];

async fn pipeline_53(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { keyed: true, ..Settings::of(10) })?;
    run.work.runs(|mark| Step::OK.after(secs(if mark.number == 1 { 3 } else { 1 })));
    for number in 1..=4 {
        run.send(Item { number, part: 0, key: 7, size: 1 }).await;
    }
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    let begun = vec![(secs(0), 1, 1), (secs(3), 2, 1), (secs(4), 3, 1), (secs(5), 4, 1)];
    run.equal("begun", run.begun(), begun)
}

async fn pipeline_54(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { keyed: true, ..Settings::of(10) })?;
    run.work.runs(|_| Step::OK.after(secs(1)));
    for number in 1..=8 {
        run.send(Item { number, part: 0, key: number.div_ceil(2), size: 1 }).await;
    }
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("the end of all", run.last_done(), secs(2))
}

async fn pipeline_55(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(2).shaped(Shape::Filter))?;
    run.publish(1..=6).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.stores_now(0).await?;
    run.finish(worker).await?;
    run.equal("messages done", run.done(), vec![2, 4, 6])
}

async fn pipeline_56(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4).shaped(Shape::Split))?;
    run.work.runs(|mark| Step::OK.after(secs(mark.part.into())));
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.just_before(secs(3)).await;
    run.equal("parts done", run.done().len(), 2)?;
    run.stores_now(1).await?;
    run.finish(worker).await?;
    run.equal("the end of all", run.last_done(), secs(3))?;
    run.stores_now(0).await
}

async fn pipeline_57(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1).shaped(Shape::Split))?;
    run.work.runs(|mark| if (mark.part, mark.attempt) == (2, 1) { Step::FAILS } else { Step::OK });
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    let second = run.begun().iter().filter(|(.., attempt)| *attempt == 2).count();
    run.equal("parts of the second attempt", second, 3)
}

async fn pipeline_58(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1).shaped(Shape::Split))?;
    run.work.splits(|number| number - 1);
    run.publish(1..=2).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.stores_now(0).await?;
    run.finish(worker).await?;
    run.equal("parts done", run.done(), vec![2])
}

/// Batches of three, within ten seconds.
fn batches() -> Settings {
    Settings::of(10).shaped(Shape::Batch { items: 3, within: Some(secs(10)) })
}

async fn pipeline_59(subject: &Subject) -> Checked {
    let run = Run::start(subject, &batches())?;
    run.publish(1..=7).await;
    let worker = run.worker(1).await?;
    run.until(secs(20)).await;
    let stores = vec![(secs(0), vec![1, 2, 3]), (secs(0), vec![4, 5, 6]), (secs(10), vec![7])];
    run.equal("stores", run.stores(), stores)?;
    run.finish(worker).await.map(drop)
}

async fn pipeline_60(subject: &Subject) -> Checked {
    let run = Run::start(subject, &batches())?;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.publish([1]).await;
    run.until(secs(7)).await;
    run.publish([2]).await;
    run.until(secs(20)).await;
    run.equal("stores", run.stores(), vec![(secs(11), vec![1, 2])])?;
    run.finish(worker).await.map(drop)
}

async fn pipeline_61(subject: &Subject) -> Checked {
    let run = Run::start(subject, &batches())?;
    run.work.stores(|_| (secs(5), Vec::new()));
    run.publish(1..=3).await;
    let worker = run.worker(1).await?;
    run.just_before(secs(5)).await;
    run.stores_now(3).await?;
    run.until(secs(6)).await;
    run.stores_now(0).await?;
    run.finish(worker).await.map(drop)
}

async fn pipeline_62(subject: &Subject) -> Checked {
    let run = Run::start(subject, &batches())?;
    run.work.stores(|numbers| (secs(0), if numbers.len() == 3 { vec![1] } else { Vec::new() }));
    run.publish(1..=3).await;
    let worker = run.worker(1).await?;
    run.until(secs(20)).await;
    let stores: Vec<Vec<u32>> = run.stores().into_iter().map(|(_, numbers)| numbers).collect();
    run.equal("stores", stores, vec![vec![1, 2, 3], vec![2]])?;
    run.finish(worker).await.map(drop)
}
