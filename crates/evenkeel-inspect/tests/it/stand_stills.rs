//! Planted stand-stills, in virtual time: each is named by the first finding, with the place of each partner.

use std::{panic::Location, sync::Arc};

use evenkeel_inspect::{Finding, FindingKind, FindingStep};
use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_task::{BoxError, Group, group};
use evenkeel_testkit::World;
use tokio::{spawn, time::sleep};

use crate::units::{line_of, look, pool, secs};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("stand_stills.rs"), mark)
}

/// The lines at which a step took what it has, and at which it waits.
fn lines(step: &FindingStep) -> (u32, u32) {
    let line = |place: Option<&'static Location<'static>>| {
        let place = place.expect("a place");
        assert!(place.file().ends_with("stand_stills.rs"), "{place}");
        place.line()
    };
    (line(step.taken_at), line(step.waits_at))
}

/// The only finding of the dump, whose first line says this.
fn only(kind: FindingKind, first_line: &str) -> Finding {
    let dump = look();
    assert_eq!(dump.findings.len(), 1, "{dump}");
    assert_eq!(dump.findings[0].kind, kind, "{dump}");
    let text = dump.findings[0].to_string();
    assert_eq!(text.lines().next(), Some(first_line), "{dump}");
    assert!(dump.to_string().starts_with(&first_line[..first_line.len().min(60)]), "{dump}");
    dump.findings[0].clone()
}

#[test]
fn a_task_that_waits_for_the_object_it_has() {
    World::run(async |_| {
        let pool = pool("orders", 1);
        let waits = spawn({
            let pool = pool.clone();
            async move {
                let _outer = pool.get().await.unwrap();
                let _inner = pool.get().await.unwrap();
            }
        });
        let line = line!() - 4;
        sleep(secs(5)).await;
        let id = waits.id();
        let finding = only(
            FindingKind::SelfWait,
            &format!("deadlock: task {id} waits for pool 'orders', which it holds itself, for 5s"),
        );
        assert_eq!(finding.lasted, secs(5));
        assert_eq!(lines(&finding.steps[0]), (line, line + 1));
        assert_eq!((finding.steps.len(), finding.behind), (1, 0));
        waits.abort();
        sleep(secs(1)).await;
        assert!(look().findings.is_empty(), "it has ended");
    });
}

/// Outside of tasks: the future that the thread blocks on, in a `select!` with the look.
#[test]
fn a_body_that_waits_for_the_object_it_has() {
    World::run(async |_| {
        let pool = pool("orders", 1);
        let _outer = pool.get().await.unwrap();
        tokio::select! {
            biased;
            _ = pool.get() => unreachable!("the object is in use"),
            () = sleep(secs(5)) => {}
            () = async {
                sleep(secs(2)).await;
                let dump = look();
                assert_eq!(dump.findings[0].kind, FindingKind::SelfWait, "{dump}");
                assert!(dump.to_string().starts_with("deadlock: thread "), "{dump}");
            } => {}
        }
        assert!(look().findings.is_empty(), "the wait was dropped");
    });
}

#[test]
fn two_pools_in_opposite_order() {
    World::run(async |_| {
        let (orders, stock) = (pool("orders", 1), pool("stock", 1));
        let run = group(async |g| {
            let (first, second) = (orders.clone(), stock.clone());
            g.task("sell").spawn(async move {
                let _held = first.get().await.unwrap();
                sleep(secs(1)).await;
                let _wanted = second.get().await.unwrap();
            });
            let sell = line!() - 4;
            let (first, second) = (stock.clone(), orders.clone());
            g.task("refill").spawn(async move {
                let _held = first.get().await.unwrap();
                sleep(secs(2)).await;
                let _wanted = second.get().await.unwrap();
            });
            let refill = line!() - 4;
            // One that waits for a part of the circle is no part of it.
            g.task("report").spawn(async move { drop(orders.get().await) });
            sleep(secs(10)).await;

            let finding = only(
                FindingKind::Cycle,
                "deadlock: 2 tasks wait for each other, for 8s; 1 more task waits behind",
            );
            let mut steps: Vec<_> =
                finding.steps.iter().map(|step| (step.name.clone().unwrap(), lines(step), step)).collect();
            steps.sort_by_key(|(name, ..)| name.clone());
            assert_eq!((&*steps[0].0, steps[0].1), ("refill", (refill, refill + 2)));
            assert_eq!((&*steps[1].0, steps[1].1), ("sell", (sell, sell + 2)));
            let (refill, sell) = (steps[0].2, steps[1].2);
            assert_eq!((&*refill.has, &*refill.waits_for), ("pool 'stock'", "pool 'orders'"));
            assert_eq!((&*sell.has, &*sell.waits_for), ("pool 'orders'", "pool 'stock'"));
            assert_eq!((refill.waited, sell.waited), (secs(8), secs(9)));
            assert_eq!(refill.held_for, Some(secs(10)));
            Err::<(), BoxError>("seen".into())
        });
        assert!(run.await.is_err());
    });
}

#[test]
fn a_permit_and_an_object() {
    World::run(async |_| {
        let (calls, orders) = (Arc::new(ConcurrencyLimiter::new(1).named("calls")), pool("orders", 1));
        let tasks = [
            spawn({
                let (calls, orders) = (calls.clone(), orders.clone());
                async move {
                    let _held = calls.acquire_owned(1).await.unwrap(); // has a permit
                    sleep(secs(1)).await;
                    drop(orders.get().await); // wants an object
                }
            }),
            spawn(async move {
                let _held = orders.get().await.unwrap(); // has an object
                sleep(secs(1)).await;
                drop(calls.acquire().await); // wants a permit
            }),
        ];
        sleep(secs(3)).await;
        let finding = only(FindingKind::Cycle, "deadlock: 2 tasks wait for each other, for 2s");
        for step in &finding.steps {
            let places = match &*step.has {
                "concurrency limit 'calls'" => (at("has a permit"), at("wants an object")),
                "pool 'orders'" => (at("has an object"), at("wants a permit")),
                other => panic!("{other}"),
            };
            assert_eq!(lines(step), places);
        }
        tasks.iter().for_each(|task| task.abort());
    });
}

#[test]
fn a_full_group_whose_tasks_wait_for_children() {
    World::run(async |_| {
        let builder = line!() + 1;
        let run = Group::builder().limit(2).run(async |g| {
            let parents = line!() + 3;
            for n in 0..2 {
                let inner = g.clone();
                g.task(format!("parent-{n}")).spawn(async move {
                    let child = inner.task("child").spawn_with_handle(async {});
                    child.await.unwrap();
                });
            }
            sleep(secs(4)).await;
            let dump = look();
            assert_eq!(dump.findings.len(), 1, "{dump}");
            let finding = &dump.findings[0];
            assert_eq!(finding.kind, FindingKind::FullGroup, "{dump}");
            let text = finding.to_string();
            let first = text.lines().next().unwrap();
            let group = &format!("deadlock: group ({}:{builder}:", file!());
            assert!(first.starts_with(group), "{first}");
            let end = ") is full of tasks that wait for its other tasks, for 4s; 2 more tasks wait behind";
            assert!(first.ends_with(end), "{first}");
            assert_eq!(dump.to_string().lines().next().unwrap()[..30], first[..30], "{dump}");
            let parent = finding.steps.iter().find(|step| step.name.as_deref() != Some("child")).unwrap();
            let child = finding.steps.iter().find(|step| step.name.as_deref() == Some("child")).unwrap();
            assert_eq!(lines(parent), (parents, parents + 1));
            assert_eq!(child.waits_at.unwrap().line(), parents + 1);
            assert!(parent.waits_for.starts_with("task 'child'"), "{finding}");
            assert!(child.waits_for.starts_with("a slot of group"), "{finding}");
            Err::<(), BoxError>("seen".into())
        });
        assert!(run.await.is_err());
    });
}

/// A task keeps an object while it waits for a group whose tasks need it.
#[test]
fn a_group_that_needs_the_object_of_its_owner() {
    World::run(async |_| {
        let pool = pool("orders", 1);
        let owner = spawn({
            let pool = pool.clone();
            async move {
                let _held = pool.get().await.unwrap();
                group(async |g| {
                    g.task("part").spawn(async move { drop(pool.get().await) });
                    Ok(())
                })
                .await
            }
        });
        let line = line!() - 7;
        sleep(secs(3)).await;
        let finding = only(FindingKind::Cycle, "deadlock: 2 tasks wait for each other, for 3s");
        let owner_step = finding.steps.iter().find(|step| step.name.is_none()).unwrap();
        assert_eq!(owner_step.taken_at.unwrap().line(), line - 1);
        assert_eq!(owner_step.waits_at.unwrap().line(), line);
        assert!(owner_step.waits_for.starts_with("the tasks of group"), "{finding}");
        let part = finding.steps.iter().find(|step| step.name.as_deref() == Some("part")).unwrap();
        assert_eq!((part.spawned_at.unwrap().line(), part.waits_at.unwrap().line()), (line + 1, line + 1));
        owner.abort();
    });
}

/// Each of many tasks has one of several objects, and waits for a second one.
#[test]
fn a_crowd_with_an_object_each() {
    World::run(async |_| {
        let pool = pool("orders", 8);
        let tasks: Vec<_> = (0..12)
            .map(|_| {
                let pool = pool.clone();
                spawn(async move {
                    let _one = pool.get().await.unwrap();
                    sleep(secs(1)).await;
                    drop(pool.get().await);
                })
            })
            .collect();
        let line = line!() - 6;
        sleep(secs(3)).await;
        let dump = look();
        let finding = only(
            FindingKind::AllHoldersWait,
            "deadlock: all of pool 'orders' is held by 8 tasks that wait for more of it, for 2s; 4 more tasks wait behind",
        );
        assert!(finding.steps.iter().all(|step| lines(step) == (line, line + 2)), "{dump}");
        assert_eq!(dump.resources[0].waiters.len(), 12);
        tasks.iter().for_each(|task| task.abort());
    });
}

/// A holder that waits for more of the same is behind one that waits for itself elsewhere, and is not told twice.
#[test]
fn a_crowd_of_which_one_waits_elsewhere() {
    World::run(async |_| {
        let (calls, orders) = (Arc::new(ConcurrencyLimiter::new(2).named("calls")), pool("orders", 1));
        let outer = spawn({
            let calls = calls.clone();
            async move {
                let _held = calls.acquire().await.unwrap();
                sleep(secs(1)).await;
                drop(calls.acquire().await);
            }
        });
        let inner = spawn(async move {
            let _call = calls.acquire().await.unwrap();
            let _held = orders.get().await.unwrap();
            sleep(secs(1)).await;
            drop(orders.get().await);
        });
        sleep(secs(3)).await;
        let id = inner.id();
        only(
            FindingKind::SelfWait,
            &format!(
                "deadlock: task {id} waits for pool 'orders', which it holds itself, for 2s; 1 more task waits behind"
            ),
        );
        outer.abort();
        inner.abort();
    });
}
