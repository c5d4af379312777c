//! Random programs, which are run to their end: a finding names a task that never ends, and each one that never ends is told.
//!
//! Beside what `churn.rs` has: weights, tasks that wait for one of two things, things that are given back, pauses, children that are
//! waited for, and a group with a limit. No model tells what is stuck: the run does.

use std::{any::Any, collections::HashSet, future::Future, pin::Pin, sync::Arc, time::Duration};

use evenkeel_inspect::TaskId;
use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_pool::Pool;
use evenkeel_task::Group;
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::{select, spawn, time::sleep};

use crate::units::{Units, look, pool, secs};

const OPEN: &str = "nothing closes it";

#[derive(Clone)]
enum Thing {
    Pool(Pool<Units>),
    Limit(Arc<ConcurrencyLimiter>, u32),
}

type Held = Box<dyn Any + Send>;

/// A step of a task; things are numbers, and weights are cut to what the limit has.
#[derive(Clone, Debug)]
enum Step {
    Take(usize, u32),
    TakeEither((usize, u32), (usize, u32)),
    GiveBack,
    Sleep(u64),
    Child(Vec<Step>),
    /// A child that is not waited for.
    Left(Vec<Step>),
}

fn step(depth: u32) -> BoxedStrategy<Step> {
    let thing = || (0..8_usize, 1..4_u32);
    let leaf = prop_oneof![
        6 => thing().prop_map(|(thing, weight)| Step::Take(thing, weight)),
        2 => (thing(), thing()).prop_map(|(a, b)| Step::TakeEither(a, b)),
        2 => Just(Step::GiveBack),
        3 => (1..6_u64).prop_map(Step::Sleep),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let child = || prop::collection::vec(step(depth - 1), 1..4);
    prop_oneof![10 => leaf, 2 => child().prop_map(Step::Child), 1 => child().prop_map(Step::Left)].boxed()
}

/// Takes a part of a thing, at a line of its own for each step of a task: a hold does not look like one of a loop.
#[rustfmt::skip]
#[expect(clippy::match_same_arms, reason = "they differ by their lines")]
async fn take(thing: &Thing, weight: u32, place: usize) -> Held {
    match thing {
        Thing::Pool(pool) => {
            let get = match place {
                0 => pool.get(),
                1 => pool.get(),
                2 => pool.get(),
                3 => pool.get(),
                4 => pool.get(),
                5 => pool.get(),
                6 => pool.get(),
                _ => pool.get(),
            };
            Box::new(get.await.expect(OPEN))
        }
        Thing::Limit(limit, max) => {
            let weight = weight.min(*max);
            let acquire = match place {
                0 => limit.acquire_owned(weight),
                1 => limit.acquire_owned(weight),
                2 => limit.acquire_owned(weight),
                3 => limit.acquire_owned(weight),
                4 => limit.acquire_owned(weight),
                5 => limit.acquire_owned(weight),
                6 => limit.acquire_owned(weight),
                _ => limit.acquire_owned(weight),
            };
            Box::new(acquire.await.expect(OPEN))
        }
    }
}

fn run(steps: Vec<Step>, things: Arc<[Thing]>, group: Group) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let mut held: Vec<Held> = Vec::new();
        let thing = |n: usize| &things[n % things.len()];
        for (place, step) in steps.into_iter().enumerate() {
            match step {
                Step::Take(n, weight) => held.push(take(thing(n), weight, place).await),
                Step::TakeEither((a, of_a), (b, of_b)) => {
                    let taken = select! {
                        biased;
                        taken = take(thing(a), of_a, place) => taken,
                        taken = take(thing(b), of_b, place) => taken,
                    };
                    held.push(taken);
                }
                Step::GiveBack => drop(held.pop()),
                Step::Sleep(seconds) => sleep(secs(seconds)).await,
                Step::Child(steps) => {
                    let child = group.spawn_with_handle(run(steps, things.clone(), group.clone()));
                    let _ = child.await;
                }
                Step::Left(steps) => drop(group.spawn_with_handle(run(steps, things.clone(), group.clone()))),
            }
        }
        drop(held);
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_task_is_told_if_it_never_ends(
        capacities in prop::collection::vec(1..4_u32, 2..5),
        limit in prop::option::of(1..6_usize),
        programs in prop::collection::vec(prop::collection::vec(step(2), 1..7), 1..7),
        pauses in prop::collection::vec(1..3_000_u64, 12),
    ) {
        World::run(async |world| {
            let things = capacities.iter().enumerate().map(|(n, capacity)| match n % 3 {
                0 => Thing::Pool(pool("thing", *capacity as usize)),
                _ => Thing::Limit(Arc::new(ConcurrencyLimiter::new(*capacity).named("thing")), *capacity),
            });
            let things: Arc<[Thing]> = things.collect();
            let owner = spawn({
                let (things, programs) = (things.clone(), programs.clone());
                async move {
                    let builder = match limit {
                        Some(limit) => Group::builder().limit(limit),
                        None => Group::builder(),
                    };
                    builder.run(async |g| {
                        for steps in programs {
                            g.spawn(run(steps, things.clone(), g.clone()));
                        }
                        Ok(())
                    }).await
                }
            });
            let mut told = Vec::new();
            for pause in &pauses {
                sleep(Duration::from_millis(*pause)).await;
                told.extend(look().findings.into_iter().filter(|finding| finding.kind.is_deadlock()));
            }
            sleep(secs(20_000)).await;
            let dump = look();
            let deadlocks: Vec<_> = dump.findings.iter().filter(|finding| finding.kind.is_deadlock()).collect();
            let ids: HashSet<TaskId> = dump.groups.iter().flat_map(|group| &group.tasks).filter_map(|task| task.id).collect();
            let own = TaskId::Task(owner.id());
            for finding in told.iter().chain(deadlocks.iter().copied()) {
                for step in &finding.steps {
                    let task = step.task.unwrap();
                    assert!(ids.contains(&task) || (task == own && !owner.is_finished()), "ended: {finding}\n{dump}");
                }
            }
            let expected = ids.len() + usize::from(!owner.is_finished());
            let all: usize = deadlocks.iter().map(|finding| finding.steps.len() + finding.behind).sum();
            assert_eq!(all, expected, "{dump}");
            owner.abort();
            world.settle().await;
        });
    }
}
