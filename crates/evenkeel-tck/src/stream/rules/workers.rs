//! Items that are finished: the wait for all of them, items put back, and workers.

use super::prelude::*;
use crate::stream::{
    Item, Worked,
    queue_harness::{QueueRun, settle},
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-92" stream_92 "The wait for all items ends at the instant at which the last accepted one is finished."),
    rule!(Must "STREAM-93" stream_93 "The wait for all items of an empty queue ends at once."),
    rule!(Must "STREAM-94" panics stream_94 "An item whose consumer panics is finished, or is popped again."),
    rule!(Must "STREAM-95" stream_95 "An item that is put back is popped again, and is not finished before."),
    rule!(Must "STREAM-96" stream_96 "Workers work on as many items at a time as there are workers, and on each item once."),
    rule!(Must "STREAM-97" panics stream_97 "Workers tell of each item that fails or panics, and go on.")
        .after("STREAM-96"),
    rule!(Must "STREAM-98" stream_98 "Workers that are closed give the items back that they have not begun."),
    rule!(Must "STREAM-99" stream_99 "Workers that are dropped leave no item that goes on.")
        .needs(Needs::CANCEL_AND_ABORT),
];

/// Waits for all items in a task, and records its end.
async fn join_beside(run: &QueueRun) {
    let (producer, record) = (run.producer(), run.record.clone());
    run.spawn(async move {
        if producer.join().await.is_ok() {
            record.note(Event::Returned);
        }
    });
    settle().await;
}

async fn stream_92(subject: &Subject) -> Checked {
    let run = QueueRun::with(subject, Capability::Join, 4)?;
    run.push_beside((1..=2).map(item)).await;
    join_beside(&run).await;
    let first = run.job().await?;
    sleep(ms(10)).await;
    drop(first);
    let second = run.job().await?;
    sleep(ms(10)).await;
    run.equal("with an item that is not finished, the end of the wait", run.first(&Event::Returned), None)?;
    drop(second);
    settle().await;
    run.equal(
        "the last item finished at 20ms, the end of the wait at",
        run.first(&Event::Returned),
        Some(ms(20)),
    )
}

async fn stream_93(subject: &Subject) -> Checked {
    needs(subject, Capability::Queue)?;
    needs(subject, Capability::Join)?;
    let run = QueueRun::unpopped(subject, 4)?;
    join_beside(&run).await;
    run.equal("the end of the wait at", run.first(&Event::Returned), Some(ms(0)))
}

async fn stream_94(subject: &Subject) -> Checked {
    let run = QueueRun::with(subject, Capability::Join, 4)?;
    run.push_beside([item(1)]).await;
    let job = run.job().await?;
    let task = tokio::spawn(async move {
        let _job = job;
        panic!("the consumer panicked");
    });
    drop(task.await);
    join_beside(&run).await;
    while run.first(&Event::Returned).is_none() && timeout(secs(1), run.pop()).await == Ok(true) {
        settle().await;
    }
    run.require(run.first(&Event::Returned).is_some(), "an end of the wait for all items", "none")
}

async fn stream_95(subject: &Subject) -> Checked {
    needs(subject, Capability::Join)?;
    let run = QueueRun::with(subject, Capability::HandBack, 4)?;
    run.push_beside((1..=2).map(item)).await;
    join_beside(&run).await;
    if let Some(job) = run.job().await? {
        job.put_back();
    }
    run.pop_some(1).await?;
    settle().await;
    run.equal("with an item put back, the end of the wait", run.first(&Event::Returned), None)?;
    run.pop_some(1).await?;
    settle().await;
    run.equal("items popped", sorted(run.taken()), vec![1, 1, 2])?;
    run.require(run.first(&Event::Returned).is_some(), "an end of the wait for all items", "none")
}

/// A queue whose items workers take.
fn worked(subject: &Subject) -> Checked<QueueRun> {
    needs(subject, Capability::Queue)?;
    needs(subject, Capability::Workers)?;
    QueueRun::unpopped(subject, 20)
}

/// Runs workers over these items, which are all in the queue; a minute at most, until they are closed after this time.
async fn work(
    subject: &Subject,
    scripts: impl IntoIterator<Item = Script>,
    close_after: Option<Duration>,
) -> Checked<(QueueRun, Worked)> {
    let mut run = worked(subject)?;
    run.push_beside(scripts).await;
    run.drop_producer();
    let Some(consumer) = run.consumer.lock().await.take() else {
        return Err(Verdict::fail("a consumer", "none"));
    };
    let worked = timeout(secs(60), consumer.workers(2, close_after)).await;
    run.note(Event::Returned);
    match worked {
        Ok(worked) => Ok((run, worked)),
        Err(_) => Err(run.failure("an end of the workers within a minute", "none")),
    }
}

async fn stream_96(subject: &Subject) -> Checked {
    let (run, _) = work(subject, (1..=10).map(|number| item(number).taking(ms(10))), None).await?;
    run.equal("items worked on", sorted(run.ended()), Vec::from_iter(1..=10))?;
    run.equal("at a time, with 2 workers,", run.peak(), 2)?;
    run.equal("the end of 10 items of 10ms at", run.first(&Event::Returned), Some(ms(50)))
}

async fn stream_97(subject: &Subject) -> Checked {
    let script = |number| match number {
        2 => item(number).taking(ms(10)).failing(),
        3 | 4 => item(number).taking(ms(10)).panicking(),
        _ => item(number).taking(ms(10)),
    };
    let (run, worked) = work(subject, (1..=10).map(script), None).await?;
    run.equal("items that ended well", sorted(run.ended()), vec![1, 5, 6, 7, 8, 9, 10])?;
    let failures = |kind| worked.failures.iter().filter(|failure| failure.kind == kind).count();
    let told = (failures(FailureKind::Error), failures(FailureKind::Panic));
    run.equal("errors and panics told", told, (1, 2))
}

async fn stream_98(subject: &Subject) -> Checked {
    let (run, worked) =
        work(subject, (1..=6).map(|number| item(number).taking(secs(600))), Some(ms(10))).await?;
    run.equal("the end of workers that are closed at 10ms at", run.first(&Event::Returned), Some(ms(10)))?;
    let back = worked.unstarted.iter().map(Item::number).collect();
    run.equal("items back", sorted(back), vec![3, 4, 5, 6])
}

async fn stream_99(subject: &Subject) -> Checked {
    let mut run = worked(subject)?;
    run.push_beside((1..=4).map(|number| item(number).taking(secs(1)))).await;
    run.drop_producer();
    let Some(consumer) = run.consumer.lock().await.take() else {
        return Err(Verdict::fail("a consumer", "none"));
    };
    drop(timeout(ms(10), consumer.workers(2, None)).await);
    sleep(secs(10)).await;
    run.equal("items that ended", run.ended(), Vec::new())?;
    run.equal("items begun", run.begun().len(), 2)
}
