//! Long lists: no lock is held for more than a part of one, and all of it is in the dump, in order.

use std::{
    future::pending,
    sync::{Arc, mpsc},
    time::Duration,
};

use evenkeel_inspect::{Dump, InspectedResource, TaskId, longest_run};
use evenkeel_limit::{ConcurrencyLimiter, Rate, RateLimiter};
use evenkeel_retry::Policy;
use evenkeel_shutdown::Shutdown;
use evenkeel_stream::{Capacity, generate, prelude::*, queue};
use evenkeel_task::{Blocking, BoxError, group};
use evenkeel_testkit::World;
use tokio::{runtime::Builder, spawn, task::JoinHandle, time::sleep};

use crate::units::{look, next, of_kind, pool, secs};

const MANY: usize = 1_000;

/// The most entries of a list that a look passes under one lock.
const RUN: usize = 128;

/// A look that has passed long lists in short runs.
fn look_in_runs() -> Dump {
    let _ = longest_run();
    let dump = look();
    let longest = longest_run();
    assert_eq!(longest, RUN, "a list that is long enough, and no longer run");
    dump
}

/// Spawns tasks that wait, and then others in the places of some that have left.
async fn waiters<F>(make: impl Fn(usize) -> F) -> Vec<JoinHandle<()>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks: Vec<_> = (0..MANY).map(|index| spawn(make(index))).collect();
    sleep(Duration::from_millis(1)).await;
    for index in (0..MANY).step_by(7).rev() {
        let left = tasks.remove(index);
        left.abort();
        assert!(left.await.expect_err("it waits").is_cancelled());
    }
    tasks.extend((0..MANY / 10).map(|index| spawn(make(index))));
    sleep(Duration::from_millis(1)).await;
    tasks
}

fn assert_order(resource: &InspectedResource, tasks: &[JoinHandle<()>]) {
    let waiting: Vec<_> = resource.waiters.iter().map(|waiter| waiter.task).collect();
    let tasks: Vec<_> = tasks.iter().map(|task| TaskId::Task(task.id())).collect();
    assert!(waiting == tasks, "{} of {}: {resource}", waiting.len(), tasks.len());
}

#[test]
fn of_a_pool() {
    World::run(async |_| {
        let objects = pool("objects", MANY);
        let mut kept = Vec::new();
        for _ in 0..MANY {
            kept.push(objects.get().await.unwrap());
        }
        let waiting = objects.clone();
        let tasks = waiters(move |_| {
            let objects = waiting.clone();
            async move { drop(objects.get().await) }
        })
        .await;
        let pool = of_kind(&look_in_runs(), "pool");
        assert_order(&pool, &tasks);
        assert_eq!((pool.holders.len(), pool.in_use), (MANY, MANY as u64));
        assert!(pool.holders.is_sorted_by_key(|holder| holder.number));
        tasks.iter().for_each(JoinHandle::abort);
    });
}

#[test]
fn of_a_concurrency_limiter() {
    World::run(async |_| {
        let calls = Arc::new(ConcurrencyLimiter::new(MANY as u32).named("calls"));
        let kept: Vec<_> = (0..MANY).map(|_| calls.try_acquire().unwrap()).collect();
        let waiting = Arc::clone(&calls);
        let tasks = waiters(move |_| {
            let calls = Arc::clone(&waiting);
            async move { drop(calls.acquire().await) }
        })
        .await;
        let limit = of_kind(&look_in_runs(), "concurrency limit");
        assert_order(&limit, &tasks);
        assert_eq!((limit.holders.len(), limit.in_use), (MANY, MANY as u64));
        drop(kept);
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn of_a_rate_limiter() {
    World::run(async |_| {
        let calls = Arc::new(RateLimiter::new(Rate::per_second(1)));
        assert!(calls.try_acquire().is_ok());
        let waiting = Arc::clone(&calls);
        let tasks = waiters(move |_| {
            let calls = Arc::clone(&waiting);
            async move { _ = calls.acquire().await }
        })
        .await;
        let limit = of_kind(&look_in_runs(), "rate limit");
        assert_order(&limit, &tasks);
        assert!(limit.waiters.is_sorted_by_key(|waiter| waiter.until), "each has a turn");
        tasks.iter().for_each(JoinHandle::abort);
    });
}

#[test]
fn of_a_group() {
    World::run(async |_| {
        let run = spawn(group(async |g| {
            let handles: Vec<_> =
                (0..MANY).map(|_| g.task("child").spawn_with_handle(pending::<()>())).collect();
            for handle in handles {
                g.spawn(async move { _ = handle.await });
            }
            pending::<Result<(), BoxError>>().await
        }));
        sleep(secs(1)).await;
        let dump = look_in_runs();
        assert_eq!((dump.groups[0].tasks.len(), dump.groups[0].child_waits.len()), (2 * MANY, MANY));
        assert!(dump.groups[0].child_waits.is_sorted_by_key(|wait| wait.number));
        run.abort();
        drop(run.await);
    });
}

#[test]
fn of_a_parallel_map() {
    World::run(async |_| {
        let items = generate(|y| async move {
            for index in 0..MANY {
                y.yield_(index).await;
            }
        });
        let mut map = Box::pin(items.par_map(MANY, async |_| sleep(secs(60)).await));
        let consumer = spawn(async move {
            let mut items = 0;
            while next(&mut map).await.is_some() {
                items += 1;
            }
            items
        });
        sleep(secs(1)).await;
        let map = of_kind(&look_in_runs(), "parallel map");
        assert_eq!((map.holders.len(), map.in_use), (MANY, MANY as u64));
        assert_eq!(consumer.await.unwrap(), MANY);
    });
}

#[test]
fn of_calls_that_wait_for_another_attempt() {
    World::run(async |_| {
        static POLICY: Policy = Policy::fixed(Duration::from_secs(60)).max_attempts(2);
        let tasks: Vec<_> =
            (0..MANY).map(|_| spawn(async { drop(POLICY.run(async || Err::<(), _>("no")).await) })).collect();
        sleep(secs(1)).await;
        let retry = of_kind(&look_in_runs(), "retry");
        assert_order(&retry, &tasks);
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn of_the_guards_of_a_program() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        let guards: Vec<_> = (0..MANY).map(|_| handle.guard("request")).collect();
        let run = spawn(shutdown.run());
        sleep(secs(1)).await;
        assert_eq!(of_kind(&look_in_runs(), "drain").holders.len(), MANY);
        drop(guards);
        stop.drain("done");
        drop(run.await);
    });
}

#[test]
fn of_the_producers_of_a_queue() {
    World::run(async |_| {
        let (jobs, consumer) = queue(Capacity::items(1));
        let workers = consumer.workers(1, async |_: usize| {
            pending::<()>().await;
            Ok::<_, BoxError>(())
        });
        sleep(secs(1)).await;
        // One is in the work, and one in the queue.
        for index in 0..2 {
            jobs.push(index).await.unwrap();
            sleep(secs(1)).await;
        }
        let producer = jobs.clone();
        let tasks = waiters(move |index| {
            let producer = producer.clone();
            async move { producer.push(index).await.unwrap() }
        })
        .await;
        assert_order(&of_kind(&look_in_runs(), "workers"), &tasks);
        tasks.iter().for_each(JoinHandle::abort);
        drop((jobs, workers));
    });
}

/// On a real clock, as a blocking call stops that of a world.
#[test]
fn of_blocking_calls() {
    Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let files = Blocking::new(1);
        let (end, ended) = mpsc::channel::<()>();
        let first = spawn(files.run(move |_stop| ended.recv().is_err()));
        while files.running() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        let waiting = files.clone();
        let tasks = waiters(move |_| {
            let files = waiting.clone();
            async move { files.run(|_stop| ()).await }
        })
        .await;
        assert_order(&of_kind(&look_in_runs(), "blocking calls"), &tasks);
        tasks.iter().for_each(JoinHandle::abort);
        drop(end);
        assert!(first.await.unwrap());
    });
}
