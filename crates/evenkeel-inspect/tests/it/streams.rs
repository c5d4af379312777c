//! Batches, parallel maps and workers: what they tell, and the stand-stills in them.

use std::{
    future::{pending, poll_fn},
    panic::Location,
    task::Poll,
};

use evenkeel_inspect::FindingKind;
use evenkeel_pipeline::SourceError;
use evenkeel_stream::{Batch, Capacity, generate, prelude::*, queue};
use evenkeel_testkit::World;
use tokio::{
    select, spawn,
    time::{Instant, sleep},
};

use crate::units::{line_of, look, next, of_kind, pool, secs};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("streams.rs"), mark)
}

fn line(place: &'static Location<'static>) -> u32 {
    assert!(place.file().ends_with("streams.rs"), "{place}");
    place.line()
}

#[test]
fn a_batch_with_a_time_limit_ends_by_itself() {
    World::run(async |_| {
        let items = generate(|y| async move {
            y.yield_(1).await;
            y.yield_(2).await;
            pending::<()>().await;
        });
        let mut batches = items.batch(Batch::items(500).within(secs(3600))); // own batch
        let start = Instant::now();
        select! {
            biased;
            batch = next(&mut batches) => panic!("{batch:?}"),
            () = sleep(secs(1800)) => {}
        }
        let dump = look();
        assert!(dump.findings.is_empty(), "{dump}");
        let batch = of_kind(&dump, "batch");
        assert_eq!((batch.name, line(batch.place.unwrap())), (None, at("own batch")));
        assert_eq!((batch.in_use, batch.backlog, batch.notes.len()), (2, None, 0));
        assert_eq!(batch.waiters[0].until, Some(start + secs(3600)));
        assert_eq!(next(&mut batches).await, Some(vec![1, 2]));
        assert!(look().resources.is_empty(), "it has ended");
        drop(batches);
    });
}

/// A consumer that has an object which the items of its map wait for.
#[test]
fn a_map_that_waits_for_its_consumer() {
    World::run(async |_| {
        let orders = pool("orders", 1);
        let consumer = spawn({
            let orders = orders.clone();
            async move {
                let numbers = generate(|y| async move {
                    for n in 0..3 {
                        y.yield_(n).await;
                    }
                });
                let items = orders.clone();
                let mut results = numbers.par_map(3, async move |_| items.get().await.is_ok()); // wants a result
                let _held = orders.get().await.unwrap(); // has it
                next(&mut results).await
            }
        });
        sleep(secs(5)).await;
        let dump = look();
        let map = of_kind(&dump, "parallel map");
        assert_eq!((map.capacity, map.in_use, map.holders.len()), (3, 3, 3), "{dump}");
        assert!(map.holders.iter().all(|holder| holder.held_for == secs(5)), "{dump}");
        assert_eq!(map.waiters.len(), 1);
        assert_eq!(map.waiters[0].label.as_deref(), Some("a result"));
        assert_eq!(dump.findings.len(), 1, "{dump}");
        let finding = &dump.findings[0];
        assert_eq!((finding.kind, finding.steps.len(), finding.behind), (FindingKind::Cycle, 2, 2), "{dump}");
        let step = finding.steps.iter().find(|step| step.has == "pool 'orders'").unwrap();
        assert_eq!(line(step.taken_at.unwrap()), at("has it"));
        assert_eq!(line(step.waits_at.unwrap()), at("wants a result"));
        consumer.abort();
        sleep(secs(1)).await;
        assert_eq!(look().resources.len(), 1, "the pool alone");
    });
}

/// A map whose source is silent, and whose items take their time, is in no circle.
#[test]
fn a_map_that_goes_on() {
    World::run(async |_| {
        let numbers = generate(|y| async move {
            for n in 0..3 {
                y.yield_(n).await;
                sleep(secs(10)).await;
            }
        });
        let mut results = numbers.par_map(3, async |n| {
            sleep(secs(25)).await;
            n
        });
        select! {
            biased;
            n = next(&mut results) => panic!("{n:?}"),
            () = sleep(secs(15)) => {}
        }
        let dump = look();
        assert!(dump.findings.is_empty(), "{dump}");
        let map = of_kind(&dump, "parallel map");
        let held: Vec<_> = map.holders.iter().map(|holder| holder.held_for).collect();
        assert_eq!((map.capacity, map.in_use, held), (3, 2, vec![secs(15), secs(5)]), "{dump}");
        let waits: Vec<_> =
            map.waiters.iter().map(|waiter| (waiter.label.as_deref().unwrap(), waiter.waited)).collect();
        assert_eq!(waits, [("a result", secs(15)), ("an item of the source", secs(5))]);
        let mut left = 0;
        while next(&mut results).await.is_some() {
            left += 1;
        }
        assert_eq!(left, 3);
        drop(results);
        assert!(look().resources.is_empty());
    });
}

#[test]
fn workers_that_do_not_go_on() {
    World::run(async |_| {
        let (jobs, consumer) = queue(Capacity::items(2));
        let work = async |n: u32| {
            if n > 0 {
                pending::<()>().await;
            }
            Ok::<_, SourceError>(())
        };
        let workers = consumer.workers(1, work); // workers
        let producer = spawn(async move {
            for n in 0..5 {
                jobs.push(n).await.unwrap(); // push
            }
        });
        sleep(secs(605)).await;
        let dump = look();
        let resource = of_kind(&dump, "workers");
        assert_eq!((resource.capacity, resource.in_use), (1, 1), "{dump}");
        assert_eq!(line(resource.holders[0].place), at("workers"));
        assert_eq!(resource.waiters.len(), 1);
        assert_eq!((line(resource.waiters[0].place), resource.waiters[0].waited), (at("push"), secs(605)));
        let backlog = resource.backlog.unwrap();
        assert_eq!((backlog.pending, backlog.idle), (3, secs(605)));
        assert_eq!(dump.findings[0].kind, FindingKind::NoProgress, "{dump}");
        assert_eq!(resource.notes, ["2 in the queue, 1 done"]);
        producer.abort();
        drop(workers);
        sleep(secs(1)).await;
        assert!(look().resources.is_empty());
    });
}

/// A push that goes to another task after its first poll waits there.
#[test]
fn a_push_that_moves_counts_for_the_task_that_polls_it() {
    World::run(async |world| {
        let (jobs, consumer) = queue(Capacity::items(1));
        let workers = consumer.workers(1, async |_: u32| {
            pending::<()>().await;
            Ok::<_, SourceError>(())
        });
        world.settle().await;
        for n in 0..2 {
            jobs.push(n).await.unwrap();
            world.settle().await;
        }
        let (to, moved) = tokio::sync::oneshot::channel();
        let first = spawn(async move {
            let mut push = Box::pin(async move { jobs.push(2).await.unwrap() });
            assert!(poll_fn(|cx| Poll::Ready(push.as_mut().poll(cx).is_pending())).await);
            assert!(to.send(push).is_ok());
        });
        let second = spawn(async { moved.await.unwrap().await });
        first.await.unwrap();
        world.settle().await;
        let waiters = of_kind(&look(), "workers").waiters;
        let tasks: Vec<_> = waiters.iter().map(|waiter| waiter.task).collect();
        assert_eq!(tasks, [evenkeel_inspect::TaskId::Task(second.id())]);
        second.abort();
        drop(workers);
    });
}
