//! Findings that are no deadlock: each at the time from which on it is told, with the places of its partners.

use std::{
    panic::Location,
    sync::{Arc, mpsc},
    time::Duration,
};

use evenkeel_inspect::{
    Dump, Finding, FindingKind, Inspected, InspectedResource, TaskId, WaiterEdge, dump_at,
};
use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_pool::Pool;
use evenkeel_task::{BoxError, group};
use evenkeel_testkit::World;
use tokio::{
    join,
    runtime::{Builder, Handle},
    spawn,
    task::yield_now,
    time::{Instant, sleep},
};

use crate::units::{Units, line_of, look, object, pool, secs};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("findings.rs"), mark)
}

#[track_caller]
pub(crate) fn here() -> &'static Location<'static> {
    Location::caller()
}

/// The only finding of a dump, which begins with it.
pub(crate) fn only(dump: &Dump) -> &Finding {
    assert_eq!(dump.findings.len(), 1, "{dump}");
    let (finding, text) = (&dump.findings[0], dump.to_string());
    let first: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(first.starts_with(&finding.summary), "{dump}");
    finding
}

pub(crate) fn assert_nothing(dump: &Dump) {
    assert!(dump.findings.is_empty(), "{dump}");
}

/// The lines at which the holders took it, and at which the others wait.
pub(crate) fn lines(finding: &Finding) -> (Vec<u32>, Vec<u32>) {
    let line = |place: Option<&Location<'_>>| place.map(Location::line);
    let taken = finding.steps.iter().filter_map(|step| line(step.taken_at)).collect();
    (taken, finding.steps.iter().filter_map(|step| line(step.waits_at)).collect())
}

/// A pool whose objects are usually held that long.
async fn used_pool(max: usize, usual: Duration) -> Pool<Units> {
    let orders = pool("orders", max);
    for _ in 0..8 {
        let held = orders.get().await;
        sleep(usual).await;
        drop(held);
    }
    orders
}

#[test]
fn objects_of_a_pool_that_do_not_come_back() {
    World::run(async |_| {
        let orders = used_pool(2, 10 * MS).await;
        assert_eq!(look().resources[0].usual_hold, Some(10 * MS));
        let run = group(async |g| {
            for name in ["import", "export"] {
                let orders = orders.clone();
                g.task(name).spawn(async move {
                    let _kept = orders.get().await; // keeps an object
                    sleep(secs(1_000)).await;
                });
            }
            sleep(secs(1)).await;
            let orders = orders.clone();
            g.spawn(async move { drop(orders.get().await) }); // waits for an object
            sleep(secs(10) - MS).await;
            assert_nothing(&look());
            sleep(MS).await;
            let dump = look();
            let finding = only(&dump);
            assert_eq!((finding.kind, finding.lasted), (FindingKind::OldHolders, secs(11)));
            assert_eq!((&*finding.subject, finding.behind), ("pool 'orders'", 1));
            let (keeps, waits) = (at("keeps an object"), at("waits for an object"));
            assert_eq!(lines(finding), (vec![keeps, keeps], vec![waits]), "{finding}");
            let names: Vec<_> = finding.steps.iter().map(|step| step.name.as_deref()).collect();
            assert_eq!(names, [Some("import"), Some("export"), None]);
            assert!(
                dump.to_string().starts_with(
                    "old holders: all 2 holders of pool 'orders' have had it for 11s or longer,\n    usually \
                     10ms; 1 task waits"
                ),
                "{dump}"
            );
            Err::<(), BoxError>("seen".into())
        });
        assert!(run.await.is_err());
    });
}

#[test]
fn permits_that_do_not_come_back() {
    World::run(async |_| {
        let calls = Arc::new(ConcurrencyLimiter::new(1).named("calls"));
        for _ in 0..8 {
            let _held = calls.acquire().await;
            sleep(secs(1)).await;
        }
        let kept = calls.acquire().await; // keeps a permit
        let waiter = spawn({
            let calls = calls.clone();
            async move { drop(calls.acquire().await) } // waits for a permit
        });
        // A hundred times as long as usual.
        sleep(secs(99)).await;
        assert_nothing(&look());
        sleep(secs(1)).await;
        let dump = look();
        let finding = only(&dump);
        assert_eq!((finding.kind, finding.lasted), (FindingKind::OldHolders, secs(100)));
        assert_eq!(lines(finding), (vec![at("keeps a permit")], vec![at("waits for a permit")]));
        assert!(
            finding
                .summary
                .starts_with("old holders: the holder of concurrency limit 'calls' has had it for 100s, "),
            "{finding}"
        );
        drop(kept);
        waiter.await.unwrap();
        assert_nothing(&look());
    });
}

/// One that just took it may return it, nobody waits, or it is not known how long it is held: nothing is told.
#[test]
fn holders_that_may_be_right() {
    World::run(async |_| {
        let orders = used_pool(2, 10 * MS).await;
        let _old = orders.get().await;
        sleep(secs(50)).await;
        let young = orders.get().await;
        sleep(secs(9)).await;
        let waiter = spawn(async move { drop(orders.get().await) });
        sleep(secs(1) - MS).await;
        assert_nothing(&look());
        drop(young);
        waiter.await.unwrap();

        let leader = pool("leader", 1);
        let leads = leader.get().await;
        let stands_by = spawn(async move { drop(leader.get().await) });
        sleep(secs(3_600)).await;
        assert_nothing(&look());
        drop(leads);
        stands_by.await.unwrap();
    });
}

/// A deadlock says why the holders are old, and is told once.
#[test]
fn old_holders_of_a_deadlock() {
    World::run(async |_| {
        let orders = used_pool(1, 10 * MS).await;
        let stuck = spawn(async move {
            let _outer = orders.get().await;
            drop(orders.get().await);
        });
        sleep(secs(60)).await;
        assert_eq!(only(&look()).kind, FindingKind::SelfWait);
        stuck.abort();
    });
}

/// A task that does something else when its wait is over.
#[test]
fn a_wait_that_is_not_polled_when_its_time_is_up() {
    World::run(async |_| {
        let run = group(async |g| {
            g.task("report").spawn(async {
                let (task, begun) = (TaskId::current(), Instant::now());
                let _wait = object(move || {
                    let mut delay = InspectedResource::new("delay", 0);
                    let mut waiter = WaiterEdge::new(1, task, here(), begun.elapsed()); // waits in vain
                    waiter.until = Some(begun + secs(5));
                    delay.waiters.push(waiter);
                    Some(Inspected::Resource(delay))
                });
                sleep(secs(1_000)).await;
            });
            sleep(secs(6) - MS).await;
            assert_nothing(&look());
            sleep(MS).await;
            let dump = look();
            let finding = only(&dump);
            assert_eq!((finding.kind, finding.lasted), (FindingKind::LateTimer, secs(1)));
            assert_eq!(finding.subject, "task 'report'");
            assert_eq!(lines(finding), (vec![], vec![at("waits in vain")]));
            assert!(finding.summary.starts_with("late timer: task 'report' should have gone on 1s ago: "));
            Err::<(), BoxError>("seen".into())
        });
        assert!(run.await.is_err());
    });
}

/// The time at which a thread is asked instead of now, so that the test does not wait.
fn later(secs_from_now: u64) -> Dump {
    dump_at(Some(Handle::current().id()), Instant::now() + secs(secs_from_now))
}

#[test]
fn a_worker_thread_that_is_blocked() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let orders = Pool::builder(Units).max(1).named("orders").acquire_timeout(MS).build().expect("room");
        let held = orders.get().await;
        let (unblock, blocked) = mpsc::channel::<()>();
        let task = spawn({
            let orders = orders.clone();
            async move {
                join!(
                    async { drop(orders.get().await) }, // waits on a thread
                    async move { assert_eq!(blocked.recv(), Ok(())) },
                );
            }
        });
        while look().resources[0].waiters.is_empty() {
            yield_now().await;
        }
        let dump = later(5);
        let finding = only(&dump);
        assert_eq!(finding.kind, FindingKind::LateTimer, "{dump}");
        assert_eq!(finding.steps[0].task, Some(TaskId::Task(task.id())));
        assert_eq!(lines(finding), (vec![], vec![at("waits on a thread")]));
        unblock.send(()).expect("it is blocked");
        task.await.unwrap();
        assert_nothing(&later(5));
        drop(held);
    });
}

#[test]
fn objects_that_do_not_come_back_on_threads() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let orders = pool("orders", 1);
        // The clock is read for one of 33 leases at least.
        for _ in 0..33 * 8 {
            drop(orders.get().await);
        }
        let kept = orders.get().await; // keeps it on a thread
        let waiter = spawn({
            let orders = orders.clone();
            async move { drop(orders.get().await) } // wants it on a thread
        });
        while look().resources[0].waiters.is_empty() {
            yield_now().await;
        }
        assert_nothing(&look());
        let dump = later(3_600);
        let finding = only(&dump);
        assert_eq!(finding.kind, FindingKind::OldHolders, "{dump}");
        assert_eq!(lines(finding), (vec![at("keeps it on a thread")], vec![at("wants it on a thread")]));
        drop(kept);
        waiter.await.unwrap();
    });
}
