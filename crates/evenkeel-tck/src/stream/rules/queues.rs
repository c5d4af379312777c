//! Queues: their order, their bound, and waits that are dropped.

use std::{collections::BTreeSet, future::poll_fn, rc::Rc, task::Poll, thread};

use evenkeel_testkit::cancel;
use tokio::task::JoinHandle;

use super::prelude::*;
use crate::stream::{
    Queue, QueueConsumer,
    queue_harness::{QueueRun, needs_pops, queues, settle},
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-75" stream_75 "Items leave a queue once each, in the order in which they came."),
    rule!(Must "STREAM-76" stream_76 "A queue accepts as many items as its capacity, and no more."),
    rule!(Must "STREAM-77" stream_77 "Producers that wait are served in the order in which they came, each at the instant at which there is room."),
    rule!(Must "STREAM-78" stream_78 "A consumer that waits gets an item at the instant at which it is pushed."),
    rule!(Must "STREAM-79" alone stream_79 "Dropping the wait for an item loses no item.").needs(Needs::CANCEL),
    rule!(Must "STREAM-80" alone stream_80 "An item whose consumer leaves before it has taken it goes to the next one at once.").needs(Needs::CANCEL),
    rule!(Must "STREAM-81" alone stream_81 "A push that is dropped is accepted or not, and its room goes to the next producer.").needs(Needs::CANCEL),
    rule!(Must "STREAM-82" stream_82 "A capacity of zero is refused, or hands items over."),
    rule!(Must "STREAM-83" stream_83 "A queue bounded by weight accepts no more than its capacity, unless it is one item."),
    rule!(Must "STREAM-84" threads stream_84 "On several threads, with waits that are dropped, each item leaves a queue once."),
];

async fn stream_75(subject: &Subject) -> Checked {
    let mut run = QueueRun::start(subject, 3)?;
    run.push_in_turn((1..=20).map(item));
    run.drop_producer();
    run.pop_some(20).await?;
    if needs(subject, Capability::EndWithProducers).is_ok() {
        run.pop_all().await?;
    }
    run.equal("items popped", run.taken(), Vec::from_iter(1..=20))
}

async fn stream_76(subject: &Subject) -> Checked {
    for capacity in [1, 4] {
        let run = QueueRun::start(subject, capacity)?;
        run.push_beside((1..=10).map(item)).await;
        run.equal("items accepted, none popped,", run.accepted().len(), capacity)?;
        run.pop_some(2).await?;
        settle().await;
        run.equal("items accepted, 2 popped,", run.accepted().len(), capacity + 2)?;
        run.pop_some(8).await?;
    }
    Ok(())
}

async fn stream_77(subject: &Subject) -> Checked {
    let run = QueueRun::start(subject, 1)?;
    run.push_beside((1..=5).map(item)).await;
    for _ in 0..5 {
        sleep(ms(10)).await;
        run.pop_some(1).await?;
        settle().await;
    }
    let accepted = run.pick(|at, event| match event {
        Event::Pushed(number) => Some((*number, at)),
        _ => None,
    });
    let expected = [(1, 0), (2, 10), (3, 20), (4, 30), (5, 40)].map(|(number, at)| (number, ms(at)));
    run.equal("with room for one, and a pop each 10ms, items accepted at", accepted, expected.to_vec())
}

async fn stream_78(subject: &Subject) -> Checked {
    let run = QueueRun::start(subject, 4)?;
    let push = run.push(item(1));
    run.spawn(async {
        sleep(ms(10)).await;
        push.await;
    });
    run.pop_some(1).await?;
    run.equal("an item pushed at 10ms, popped at", run.first(&Event::Took(1)), Some(ms(10)))
}

/// Pushes an item each 10 ms, in a task.
fn push_timed(run: &QueueRun, numbers: impl IntoIterator<Item = u32>) -> JoinHandle<()> {
    let pushes: Vec<_> = numbers.into_iter().map(|number| run.push(item(number))).collect();
    run.spawn(async move {
        for push in pushes {
            sleep(ms(10)).await;
            push.await;
        }
    })
}

fn stream_79(subject: &Subject) -> Checked {
    const ITEMS: usize = 4;
    queues(subject, 2)?;
    let setup = async || {
        let mut run = unwrap(QueueRun::start(subject, 2));
        push_timed(&run, 1..=ITEMS as u32);
        run.drop_producer();
        Rc::new(run)
    };
    let operation = async |run: Rc<QueueRun>| {
        for _ in 0..ITEMS {
            run.pop().await;
        }
    };
    let check = async |run: Rc<QueueRun>| {
        while run.taken().len() < ITEMS && timeout(secs(1), run.pop()).await == Ok(true) {}
        assert_eq!(run.taken(), [1, 2, 3, 4], "items popped after a wait for one was dropped");
    };
    explored(|| cancel::every_point(setup, operation, check))
}

fn stream_80(subject: &Subject) -> Checked {
    queues(subject, 4)?;
    needs(subject, Capability::Consumers)?;
    let setup = async || {
        let run = unwrap(QueueRun::start(subject, 4));
        let mut consumer = run.another().await;
        let record = run.record.clone();
        // It comes after the operation, and stays.
        run.spawn(async move {
            sleep(ms(5)).await;
            while let Some(job) = consumer.pop().await {
                record.note(Event::Took(job.item().number()));
            }
        });
        push_timed(&run, [1]);
        Rc::new(run)
    };
    let operation = async |run: Rc<QueueRun>| {
        run.pop().await;
    };
    let check = async |run: Rc<QueueRun>| {
        let taken = run.taken();
        assert_eq!(taken, [1], "items popped, with one consumer left");
        // One that is not polled may hold it up until it is dropped, after an hour.
        assert!(run.first(&Event::Took(1)) <= Some(secs(3600) + ms(10)), "the item waited for nobody");
    };
    // The task of the other consumer ends when the state is dropped, with the last producer.
    explored(|| cancel::every_point(setup, operation, check))
}

fn stream_81(subject: &Subject) -> Checked {
    queues(subject, 1)?;
    let setup = async || {
        let run = unwrap(QueueRun::start(subject, 1));
        run.push(item(1)).await;
        let push = run.push(item(9));
        // It comes after the operation, and stays.
        run.spawn(async {
            sleep(ms(5)).await;
            push.await;
        });
        Rc::new(run)
    };
    let operation = async |run: Rc<QueueRun>| {
        let pops = run.clone();
        tokio::task::spawn_local(async move {
            for _ in 0..2 {
                sleep(ms(10)).await;
                drop(timeout(ms(1), pops.pop()).await);
            }
        });
        run.push(item(2)).await;
    };
    let check = async |run: Rc<QueueRun>| {
        while timeout(secs(1), run.pop()).await == Ok(true) {}
        let taken = sorted(run.taken());
        let holds = taken == [1, 9] || taken == [1, 2, 9];
        assert!(holds, "items popped after a push was dropped: {taken:?}");
        let accepted = run.accepted();
        assert!(
            accepted.iter().all(|number| taken.contains(number)),
            "accepted: {accepted:?}, popped: {taken:?}"
        );
    };
    explored(|| cancel::every_point(setup, operation, check))
}

async fn stream_82(subject: &Subject) -> Checked {
    needs_pops(subject)?;
    let Some(operator) = unless_refused(subject, &Settings::Queue(Queue::of(0)))? else { return Ok(()) };
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| QueueRun::of(operator)));
    let Ok(run) = made else { return Ok(()) };
    let mut run = run?;
    run.push_in_turn((1..=3).map(item));
    run.drop_producer();
    run.pop_some(3).await?;
    run.equal("items popped", run.taken(), vec![1, 2, 3])
}

async fn stream_83(subject: &Subject) -> Checked {
    needs_pops(subject)?;
    let operator = configure(subject, &Settings::Queue(Queue { by_weight: true, ..Queue::of(10) }))?;
    let run = QueueRun::of(operator)?;
    let weights = [4, 4, 4, 50, 3];
    run.push_beside((1..).zip(weights).map(|(number, weight)| item(number).weighing(weight))).await;
    run.equal("accepted, of weights 4, 4, 4, 50 and 3 with room for 10,", run.accepted(), vec![1, 2])?;
    run.pop_some(1).await?;
    settle().await;
    run.equal("accepted, one popped,", run.accepted(), vec![1, 2, 3])?;
    run.pop_some(2).await?;
    settle().await;
    run.equal("accepted, 3 popped,", run.accepted(), vec![1, 2, 3, 4])?;
    run.pop_some(1).await?;
    settle().await;
    run.equal("accepted, 4 popped,", run.accepted(), vec![1, 2, 3, 4, 5])?;
    run.pop_some(1).await
}

/// Pops all items; the wait for one is dropped after its first poll, and made again.
async fn pop_twice(mut consumer: Box<dyn QueueConsumer>, record: Record) {
    loop {
        let mut pop = consumer.pop();
        let job = match poll_fn(|cx| Poll::Ready(pop.as_mut().poll(cx))).await {
            Poll::Ready(job) => job,
            Poll::Pending => {
                drop(pop);
                consumer.pop().await
            }
        };
        let Some(job) = job else { return };
        record.note(Event::Took(job.item().number()));
    }
}

fn stream_84(subject: &Subject) -> Checked {
    const ITEMS: u32 = 200;
    let threads = runtime(Builder::new_multi_thread().worker_threads(4).enable_time())?;
    let mut run = threads.block_on(async { QueueRun::start(subject, 4) })?;
    let consumers = if needs(subject, Capability::Consumers).is_ok() { 3 } else { 1 };
    let record = run.record.clone();
    let ended = threads.block_on(async move {
        let mut tasks = vec![
            run.push_in_turn((1..=ITEMS).map(item)),
            run.push_in_turn((ITEMS + 1..=2 * ITEMS).map(item)),
        ];
        for _ in 1..consumers {
            tasks.push(run.spawn(pop_twice(run.another().await, run.record.clone())));
        }
        let last = run.consumer.lock().await.take();
        if let Some(consumer) = last {
            tasks.push(run.spawn(pop_twice(consumer, run.record.clone())));
        }
        run.drop_producer();
        let all = async {
            for task in tasks {
                drop(task.await);
            }
        };
        timeout(secs(3), all).await.is_ok()
    });
    // A task that hangs in a poll is not waited for.
    thread::spawn(move || drop(threads));
    let taken = sorted(record.taken());
    let once = BTreeSet::from_iter(&taken).len();
    if ended && taken.len() == once && once == 2 * ITEMS as usize {
        return Ok(());
    }
    let got = format!(
        "{} items, {once} different ones, and {}",
        taken.len(),
        if ended { "an end" } else { "no end" }
    );
    Err(Verdict::fail("400 items, each once, and an end within 3s of real time", got))
}
