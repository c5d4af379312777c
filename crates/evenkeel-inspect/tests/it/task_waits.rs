//! Waits for work outside of groups: background tasks, blocking calls, restarts, borrowed resources; and the ends of groups.

use std::{io, sync::Arc};

use evenkeel_inspect::{FindingKind, InspectedResource, TaskId};
use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_task::{Blocking, Group, Restart, Stop, background, blocking, group, using};
use evenkeel_testkit::World;
use tokio::{
    runtime::{Builder, Handle},
    spawn,
    sync::oneshot,
    task::yield_now,
    time::{Instant, sleep},
};

use crate::units::{line_of, look, secs};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("task_waits.rs"), mark)
}

/// The resources of this kind.
fn of_kind(kind: &str) -> Vec<InspectedResource> {
    look().resources.into_iter().filter(|resource| resource.kind == kind).collect()
}

fn only(kind: &str) -> InspectedResource {
    let mut found = of_kind(kind);
    assert_eq!(found.len(), 1, "{}", look());
    found.remove(0)
}

#[test]
fn a_background_task_that_waits_for_the_one_that_awaits_it() {
    World::run(async |_| {
        let calls = Arc::new(ConcurrencyLimiter::new(1).named("calls"));
        let wanted = calls.clone();
        let task = spawn(async move {
            let _permit = calls.acquire().await; // has the permit
            let writer = background(async move |_stop| drop(wanted.acquire().await)); // the writer
            sleep(secs(2)).await;
            writer.await.unwrap();
        });
        sleep(secs(1)).await;
        let before = only("background task");
        assert_eq!((before.in_use, before.waiters.len()), (1, 0), "nobody waits for it so far");
        sleep(secs(4)).await;
        let dump = look();
        let finding = &dump.findings[0];
        assert_eq!(
            (finding.kind, finding.steps.len(), finding.lasted),
            (FindingKind::Cycle, 2, secs(3)),
            "{dump}"
        );
        let step = finding.steps.iter().find(|step| step.task == Some(TaskId::Task(task.id()))).unwrap();
        assert_eq!(step.taken_at.unwrap().line(), at("has the permit"));
        assert_eq!(step.waits_at.unwrap().line(), at("the writer"));
        assert!(step.waits_for.starts_with("background task ("), "{finding}");
        task.abort();
        sleep(secs(1)).await;
        assert!(look().resources.is_empty(), "{}", look());
    });
}

#[test]
fn a_background_task_that_is_stopped_has_its_grace() {
    World::run(async |_| {
        let start = Instant::now();
        let deaf = background(async |_stop| std::future::pending::<()>().await);
        let looks = async {
            sleep(secs(1)).await;
            let waiter = only("background task").waiters.remove(0);
            assert_eq!((waiter.until, waiter.waited), (Some(start + secs(5)), secs(1)));
            assert_eq!(waiter.label.as_deref(), Some("its end, asked to drain"));
        };
        let (stopped, ()) = tokio::join!(deaf.stop(secs(5)), looks);
        assert!(stopped.is_none());
        assert!(of_kind("background task").is_empty());
        // One that has ended is in no dump, though its handle is there.
        let quick = background(async |_stop| 7);
        sleep(secs(1)).await;
        assert!(of_kind("background task").is_empty());
        assert_eq!(quick.await.unwrap(), 7);
    });
}

#[test]
fn a_restart_says_when_it_will_be() {
    World::run(async |_| {
        let start = Instant::now();
        let run = group(async |g| {
            let poll = async || Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionReset));
            g.task("poller").supervise(Restart::new([secs(10), secs(20)]), poll); // the poller
            Ok(())
        });
        let looks = async {
            for (after, until, waited) in [(secs(4), secs(10), secs(4)), (secs(8), secs(30), secs(2))] {
                sleep(after).await;
                let (restart, dump) = (only("restart"), look());
                assert_eq!((restart.capacity, restart.place.unwrap().line()), (0, at("the poller")));
                let waiter = &restart.waiters[0];
                assert_eq!((waiter.until, waiter.waited), (Some(start + until), waited));
                assert_eq!(Some(waiter.task), dump.groups[0].tasks[0].id, "{dump}");
                assert!(
                    dump.findings.is_empty()
                        && dump.to_string().contains("task 'poller' waits for its next start"),
                    "{dump}"
                );
            }
        };
        let (ended, ()) = tokio::join!(run, looks);
        assert!(ended.is_err());
        assert!(of_kind("restart").is_empty());
    });
}

#[test]
fn the_end_of_a_group_has_a_time() {
    World::run(async |_| {
        let start = Instant::now();
        let run = Group::builder().deadline(start + secs(10)).grace(secs(5)).run(async |g| {
            g.spawn(std::future::pending::<()>());
            Ok(())
        });
        let looks = async {
            for (after, until) in [(secs(1), secs(10)), (secs(10), secs(15))] {
                sleep(after).await;
                let join = look().groups[0].join.clone().expect("the body has ended");
                assert_eq!((join.until, join.waited), (Some(start + until), start.elapsed()));
                let (dump, left) = (look(), start + until - Instant::now());
                let words = format!("waits for all of its tasks since {:?}, {left:?} left", join.waited);
                assert!(dump.to_string().contains(&words), "{dump}");
            }
        };
        let (ended, ()) = tokio::join!(run, looks);
        assert!(ended.is_err());
    });
}

#[test]
fn a_resource_that_was_given_away_is_waited_for() {
    World::run(async |_| {
        let start = Instant::now();
        let (give, given) = oneshot::channel();
        let used = using(
            async { Ok::<_, io::Error>(7) },
            async |_| (),
            async |resource| {
                let _ = give.send(resource);
                Ok(())
            },
        );
        let looks = async {
            sleep(secs(3)).await;
            let wait = only("borrowed resource").waiters.remove(0);
            assert_eq!((wait.until, wait.waited), (Some(start + secs(30)), secs(3)));
            drop(given.await);
        };
        let (used, ()) = tokio::join!(used, looks);
        used.unwrap();
        assert!(of_kind("borrowed resource").is_empty());
    });
}

/// Looks until there is what is looked for: nothing else ends the test.
async fn until<T>(found: impl Fn() -> Option<T>) -> T {
    loop {
        match found() {
            Some(found) => return found,
            None => yield_now().await,
        }
    }
}

#[test]
fn a_blocking_call_that_waits_for_its_caller() {
    Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let calls = Arc::new(ConcurrencyLimiter::new(1).named("calls"));
        let wanted = calls.clone();
        let caller = spawn(async move {
            let _permit = calls.acquire().await;
            let runtime = Handle::current();
            let work = move |stop: &Stop| {
                runtime.block_on(async {
                    tokio::select! {
                        _ = wanted.acquire() => {}
                        () = stop.aborting() => {}
                    }
                });
            };
            blocking(work).await; // the call
        });
        let finding = until(|| look().findings.first().cloned()).await;
        assert_eq!((finding.kind, finding.steps.len()), (FindingKind::Cycle, 2), "{finding}");
        let step = finding.steps.iter().find(|step| step.task == Some(TaskId::Task(caller.id()))).unwrap();
        assert_eq!(step.waits_at.unwrap().line(), at("the call"), "{finding}");
        caller.abort();
        until(|| of_kind("blocking call").is_empty().then_some(())).await;
    });
}

/// Calls within calls, of which no more than one may run.
#[test]
fn blocking_calls_that_wait_for_a_slot() {
    Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let files = Blocking::new(1); // the bound
        let inner = files.clone();
        let work = move |stop: &Stop| {
            Handle::current().block_on(async {
                tokio::select! {
                    () = inner.run(|_stop| ()) => {} // the inner call
                    () = stop.aborting() => {}
                }
            });
        };
        let outer = spawn(files.run(work)); // the outer call
        let finding = until(|| look().findings.first().cloned()).await;
        assert_eq!(finding.kind, FindingKind::SelfWait, "{finding}");
        let step = &finding.steps[0];
        assert_eq!(step.taken_at.unwrap().line(), at("the outer call"), "{finding}");
        assert_eq!(step.waits_at.unwrap().line(), at("the inner call"), "{finding}");
        let slots = only("blocking calls");
        assert_eq!((slots.capacity, slots.in_use, slots.place.unwrap().line()), (1, 1, at("the bound")));
        outer.abort();
        until(|| {
            (only("blocking calls").in_use == 0 && only("blocking calls").holders.is_empty()).then_some(())
        })
        .await;
        assert_eq!(files.running(), 0);
    });
}
