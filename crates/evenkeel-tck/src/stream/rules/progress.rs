//! The progress of items in flight, whatever the consumer does.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::Semaphore;

use super::prelude::*;
use crate::stream::item::Meeting;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "STREAM-14" stream_14 "A consumer that waits for a lock gets it, though an item in flight holds it."),
    rule!(Must "STREAM-15" stream_15 "An item takes its own time, however busy the consumer is."),
    rule!(Must "STREAM-16" stream_16 "Items in flight end while the consumer takes no result."),
    rule!(Should "STREAM-17" stream_17 "An item costs at most three polls, however many are in flight.")
        .needs(Needs::POLLS)
        .once(),
    rule!(Should "STREAM-18" stream_18 "A map over items that are always ready lets other tasks run.")
        .needs(Needs::BESIDE),
    rule!(Must "STREAM-19" threads stream_19 "On several threads no result is lost."),
    rule!(Must "STREAM-20" threads stream_20 "A parallel map runs its items on several threads."),
];

async fn stream_14(subject: &Subject) -> Checked {
    for limit in [1, 2, 8] {
        for map in maps(subject, limit)? {
            let lock = Arc::new(Semaphore::new(1));
            let supply = Supply::of((1..=30).map(|number| item(number).taking(ms(10)).holding(&lock)));
            let run = Run::of(subject, &map, supply, Busy::Holding(lock, ms(10))).await?;
            run.is("results of 30 items", run.taken().len(), 30)?;
            let end = run.first(&Event::Returned);
            run.asks(end <= Some(ms(1200)), "an end within twice the time that the lock is held", end)?;
        }
    }
    Ok(())
}

async fn stream_15(subject: &Subject) -> Checked {
    for map in maps(subject, 4)? {
        let run = Run::of(subject, &map, items(8, ms(10)), Busy::Each(ms(30))).await?;
        let times: Vec<_> = (1..=8)
            .map(|number| Some(run.first(&Event::Ended(number))? - run.first(&Event::Began(number))?))
            .collect();
        run.is("times of items of 10ms", times, vec![Some(ms(10)); 8])?;
    }
    Ok(())
}

async fn stream_16(subject: &Subject) -> Checked {
    for map in maps(subject, 4)? {
        let times = (1..=4).map(|number| item(number).taking(ms(u64::from(number) * 10)));
        let run = Run::of(subject, &map, Supply::of(times), Busy::First(secs(3600))).await?;
        let ends: Vec<_> = (1..=4).map(|number| run.first(&Event::Ended(number))).collect();
        run.is("the ends of items of 10ms to 40ms at", ends, [10, 20, 30, 40].map(ms).map(Some).to_vec())?;
    }
    Ok(())
}

async fn stream_17(subject: &Subject) -> Checked {
    const ITEMS: u32 = 1000;
    for map in maps(subject, ITEMS as usize)? {
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = |number| Script { polls: Some(polls.clone()), ..item(number).taking(ms(1)) };
        let supply = Supply::of((1..=ITEMS).map(counted));
        let run = Run::of(subject, &map, supply, Busy::No).await?;
        let polls = polls.load(Relaxed);
        run.asks(polls <= 3 * ITEMS as usize, "at most 3000 polls for 1000 items", polls)?;
    }
    Ok(())
}

async fn stream_18(subject: &Subject) -> Checked {
    for map in maps(subject, 16)? {
        let (run, future) = Run::begin(subject, &map, items(1000, ms(0)), Busy::No)?;
        let (ended, turns) = beside(run.end(future)).await;
        ended?;
        run.asks(turns >= 4, "at least 4 turns of another task beside 1000 items", turns)?;
    }
    Ok(())
}

fn stream_19(subject: &Subject) -> Checked {
    let threads = runtime(Builder::new_multi_thread().worker_threads(4).enable_time())?;
    let maps = maps(subject, 8)?;
    for map in maps {
        for _ in 0..10 {
            let yielding = |number: u32| Script { yields: number % 4, ..item(number) };
            let supply = Supply::of((1..=64).map(yielding));
            let (run, future) = threads.block_on(async { Run::begin(subject, &map, supply, Busy::No) })?;
            let task = threads.spawn(future);
            let ended = threads.block_on(async { timeout(secs(5), task).await });
            run.asks(matches!(ended, Ok(Ok(Ok(())))), "an end within 5s of real time", run.taken().len())?;
            run.is("results of 64 items", sorted(run.taken()), Vec::from_iter(1..=64))?;
        }
    }
    Ok(())
}

fn stream_20(subject: &Subject) -> Checked {
    needs(subject, Capability::Parallel)?;
    let threads = runtime(Builder::new_multi_thread().worker_threads(4).enable_time())?;
    for map in maps(subject, 2)? {
        let meeting = Arc::new(Meeting::default());
        let both = |number| Script { meeting: Some(meeting.clone()), ..item(number) };
        let supply = Supply::of([1, 2].map(both));
        let (run, future) = threads.block_on(async { Run::begin(subject, &map, supply, Busy::No) })?;
        drop(threads.block_on(threads.spawn(future)));
        run.is("items that meet on two threads", sorted(run.ended()), vec![1, 2])?;
    }
    Ok(())
}
