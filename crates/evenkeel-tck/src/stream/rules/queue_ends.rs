//! The end of a queue: its producers or consumers gone, or closed.

use tokio::task::yield_now;

use super::prelude::*;
use crate::stream::queue_harness::{QueueRun, settle};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-85" stream_85 "When the last producer is gone, the items in the queue are popped, and then all consumers are told that there are no more."),
    rule!(Must "STREAM-86" stream_86 "Consumers that wait are told at the instant at which the last producer goes."),
    rule!(Must "STREAM-87" stream_87 "When the last consumer is gone, pushes fail, and those that wait at that instant."),
    rule!(Must "STREAM-88" stream_88 "An item that is not accepted comes back."),
    rule!(Must "STREAM-89" stream_89 "A closed queue accepts nothing, the pushes that wait fail at that instant, and its items are popped."),
    rule!(Must "STREAM-90" stream_90 "A consumer that waits is told at the instant at which its queue is closed."),
    rule!(Must "STREAM-91" stream_91 "A queue that is closed with its items gives them back in order, and its consumers are told that there are no more."),
];

async fn stream_85(subject: &Subject) -> Checked {
    let mut run = QueueRun::with(subject, Capability::EndWithProducers, 4)?;
    run.push_beside((1..=3).map(item)).await;
    run.drop_producer();
    run.pop_all().await?;
    run.equal("items popped", run.taken(), vec![1, 2, 3])?;
    let again = timeout(secs(1), run.pop()).await;
    run.require(again == Ok(false), "told again that there are no more", format_args!("{again:?}"))?;
    if has_consumers(subject) {
        let mut run = QueueRun::start(subject, 4)?;
        run.push_beside((1..=2).map(item)).await;
        run.drop_producer();
        let tasks = [run.pop_beside(1).await, run.pop_beside(2).await];
        for task in tasks {
            let ended = timeout(secs(1), task).await;
            run.require(ended.is_ok(), "two consumers told that there are no more", "one that waits")?;
        }
        run.equal("items popped", sorted(run.taken()), vec![1, 2])?;
    }
    Ok(())
}

fn has_consumers(subject: &Subject) -> bool {
    needs(subject, Capability::Consumers).is_ok()
}

async fn stream_86(subject: &Subject) -> Checked {
    let mut run = QueueRun::with(subject, Capability::EndWithProducers, 4)?;
    let producer = run.producer();
    run.drop_producer();
    run.spawn(async move {
        sleep(ms(10)).await;
        drop(producer);
    });
    let other = if has_consumers(subject) { Some(run.pop_beside(1).await) } else { None };
    run.pop_all().await?;
    run.equal("a producer that goes at 10ms, the end at", run.first(&Event::Over(0)), Some(ms(10)))?;
    if let Some(other) = other {
        drop(timeout(secs(1), other).await);
        run.equal("the end of another consumer at", run.first(&Event::Over(1)), Some(ms(10)))?;
    }
    Ok(())
}

async fn stream_87(subject: &Subject) -> Checked {
    let run = QueueRun::with(subject, Capability::EndWithConsumers, 1)?;
    run.push_beside((1..=3).map(item)).await;
    sleep(ms(10)).await;
    drop(run.consumer.lock().await.take());
    settle().await;
    let failed = |number| run.first(&Event::GaveBack(number)).or(run.first(&Event::Refused(number)));
    run.equal("two pushes that wait, failed at", [failed(2), failed(3)], [Some(ms(10)); 2])?;
    let push = timeout(secs(1), run.push(item(4))).await;
    run.require(push.is_ok() && failed(4).is_some(), "a later push that fails", "none")
}

async fn stream_88(subject: &Subject) -> Checked {
    let run = QueueRun::with(subject, Capability::EndWithConsumers, 1)?;
    run.push_beside((1..=2).map(item)).await;
    drop(run.consumer.lock().await.take());
    settle().await;
    drop(timeout(secs(1), run.push(item(3))).await);
    let back = [2, 3].map(|number| run.first(&Event::GaveBack(number)).is_some());
    run.equal("a push that waits, and a later one, have their items back:", back, [true, true])
}

/// Closes a queue.
async fn close(run: &QueueRun) {
    if let Some(consumer) = &mut *run.consumer.lock().await {
        consumer.close();
    }
    settle().await;
}

async fn stream_89(subject: &Subject) -> Checked {
    let run = QueueRun::with(subject, Capability::Close, 2)?;
    run.push_beside((1..=4).map(item)).await;
    sleep(ms(10)).await;
    close(&run).await;
    drop(timeout(secs(1), run.push(item(5))).await);
    run.pop_all().await?;
    run.equal("items popped after a close", run.taken(), vec![1, 2])?;
    let failed = |number| run.first(&Event::GaveBack(number)).or(run.first(&Event::Refused(number)));
    run.equal("pushes that fail at", [3, 4, 5].map(failed), [Some(ms(10)); 3])
}

async fn stream_90(subject: &Subject) -> Checked {
    needs(subject, Capability::Consumers)?;
    let run = QueueRun::with(subject, Capability::Close, 2)?;
    let task = run.pop_beside(1).await;
    sleep(ms(10)).await;
    close(&run).await;
    drop(timeout(secs(1), task).await);
    run.equal("a queue closed at 10ms, a consumer told at", run.first(&Event::Over(1)), Some(ms(10)))
}

async fn stream_91(subject: &Subject) -> Checked {
    let run = QueueRun::with(subject, Capability::CloseNow, 3)?;
    run.push_beside((1..=4).map(item)).await;
    let back = match &mut *run.consumer.lock().await {
        Some(consumer) => consumer.close_now(),
        None => Vec::new(),
    };
    yield_now().await;
    run.equal("items back", back.iter().map(crate::stream::Item::number).collect(), vec![1, 2, 3])?;
    run.pop_all().await?;
    run.equal("items popped after that", run.taken(), Vec::new())
}
