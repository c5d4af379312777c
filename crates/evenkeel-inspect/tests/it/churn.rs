//! Random programs whose objects come and go: a look says what a model knows.

use std::{collections::BTreeSet, sync::Arc};

use evenkeel_inspect::TaskId;
use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_pool::Pool;
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::{spawn, task::JoinHandle};

use crate::units::{Units, look, pool};

const OPEN: &str = "nothing closes it";

/// One of the resources.
#[derive(Clone)]
enum Thing {
    Pool(Pool<Units>),
    Limit(Arc<ConcurrencyLimiter>),
}

impl Thing {
    /// Takes a part of it for ever.
    async fn take(&self) -> Box<dyn Send> {
        match self {
            Self::Pool(pool) => Box::new(pool.get().await.expect(OPEN)),
            Self::Limit(limit) => Box::new(limit.acquire_owned(1).await.expect(OPEN)),
        }
    }
}

/// Tasks that each take some things, one after the other at places of their own, and keep them until they are aborted; and the
/// capacities of the things.
fn programs() -> impl Strategy<Value = (Vec<usize>, Vec<Vec<usize>>, Vec<usize>)> {
    let capacities = prop::collection::vec(1..3_usize, 2..4);
    let tasks = prop::collection::vec(prop::collection::vec(0..4_usize, 1..4), 1..7);
    (capacities, tasks, prop::collection::vec(0..8_usize, 0..4))
}

/// The state of the model: of each task the things that it has, and the one that it waits for.
struct Model {
    free: Vec<usize>,
    tasks: Vec<ModelTask>,
    queues: Vec<Vec<usize>>,
}

struct ModelTask {
    wants: Vec<usize>,
    has: usize,
    is_alive: bool,
}

impl Model {
    fn waits_for(&self, task: usize) -> Option<usize> {
        let ModelTask { wants, has, is_alive } = &self.tasks[task];
        wants.get(*has).copied().filter(|_| *is_alive)
    }

    fn ask(&mut self, task: usize) {
        while let Some(thing) = self.waits_for(task) {
            if self.free[thing] == 0 || !self.queues[thing].is_empty() {
                self.queues[thing].push(task);
                return;
            }
            self.free[thing] -= 1;
            self.tasks[task].has += 1;
        }
    }

    fn abort(&mut self, task: usize) {
        self.queues.iter_mut().for_each(|queue| queue.retain(|waiter| *waiter != task));
        let ModelTask { wants, has, is_alive } = &mut self.tasks[task];
        wants[..*has].iter().for_each(|thing| self.free[*thing] += 1);
        (*is_alive, *has) = (false, 0);
        while let Some(thing) =
            (0..self.free.len()).find(|thing| self.free[*thing] > 0 && !self.queues[*thing].is_empty())
        {
            let next = self.queues[thing].remove(0);
            self.free[thing] -= 1;
            self.tasks[next].has += 1;
            self.ask(next);
        }
    }

    /// The tasks that no order of ends can help: a task without a wait may end at any time, which frees what it has.
    fn stuck(&self) -> BTreeSet<usize> {
        let mut stuck: BTreeSet<_> =
            (0..self.tasks.len()).filter(|task| self.waits_for(*task).is_some()).collect();
        loop {
            let can_move = |task: &usize| {
                let thing = self.waits_for(*task).expect("it waits");
                let has = |other: &ModelTask| other.wants[..other.has].contains(&thing);
                self.free[thing] > 0
                    || (0..self.tasks.len()).any(|other| has(&self.tasks[other]) && !stuck.contains(&other))
            };
            let moved: Vec<_> = stuck.iter().copied().filter(can_move).collect();
            if moved.is_empty() {
                return stuck;
            }
            stuck.retain(|task| !moved.contains(task));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_look_finds_the_tasks_that_are_stuck_and_no_others((capacities, plans, aborts) in programs()) {
        let plans: Vec<Vec<usize>> = plans
            .into_iter()
            .map(|plan| plan.into_iter().map(|thing| thing % capacities.len()).collect())
            .collect();
        World::run(async |world| {
            let things: Vec<_> = capacities
                .iter()
                .enumerate()
                .map(|(n, capacity)| match n % 2 {
                    0 => Thing::Pool(pool("thing", *capacity)),
                    _ => Thing::Limit(Arc::new(ConcurrencyLimiter::new(*capacity as u32).named("thing"))),
                })
                .collect();
            let mut model = Model {
                free: capacities.clone(),
                queues: vec![Vec::new(); capacities.len()],
                tasks: Vec::new(),
            };
            let mut tasks: Vec<JoinHandle<()>> = Vec::new();
            for plan in &plans {
                let wants: Vec<_> = plan.iter().map(|thing| things[*thing].clone()).collect();
                tasks.push(spawn(keep(wants)));
                world.settle().await;
                model.tasks.push(ModelTask { wants: plan.clone(), has: 0, is_alive: true });
                model.ask(tasks.len() - 1);
                check(&model, &tasks);
            }
            for task in aborts.iter().filter(|task| **task < tasks.len()) {
                if model.tasks[*task].is_alive {
                    tasks[*task].abort();
                    world.settle().await;
                    model.abort(*task);
                    check(&model, &tasks);
                }
            }
            tasks.iter().for_each(JoinHandle::abort);
            world.settle().await;
            let dump = look();
            let edges = |n: usize| dump.resources[n].holders.len() + dump.resources[n].waiters.len();
            assert!((0..dump.resources.len()).all(|n| edges(n) == 0), "a dead task: {dump}");
        });
    }
}

/// Takes the things one after the other, each at a line of its own: a hold does not look like one of a loop.
async fn keep(wants: Vec<Thing>) {
    let mut wants = wants.into_iter();
    let mut held = Vec::new();
    let thing = wants.next().expect("one thing");
    held.push(match &thing {
        Thing::Pool(pool) => Box::new(pool.get().await.expect(OPEN)) as Box<dyn Send>,
        Thing::Limit(limit) => Box::new(limit.clone().acquire_owned(1).await.expect(OPEN)),
    });
    if let Some(thing) = wants.next() {
        held.push(match &thing {
            Thing::Pool(pool) => Box::new(pool.get().await.expect(OPEN)),
            Thing::Limit(limit) => Box::new(limit.clone().acquire_owned(1).await.expect(OPEN)),
        });
    }
    if let Some(thing) = wants.next() {
        held.push(thing.take().await);
    }
    std::future::pending::<()>().await;
}

fn check(model: &Model, tasks: &[JoinHandle<()>]) {
    let dump = look();
    let expected: BTreeSet<_> = model.stuck();
    let told: usize = dump.findings.iter().map(|finding| finding.steps.len() + finding.behind).sum();
    assert_eq!(told, expected.len(), "{expected:?}\n{dump}");
    let ids: Vec<_> = tasks.iter().map(|task| TaskId::Task(task.id())).collect();
    for step in dump.findings.iter().flat_map(|finding| &finding.steps) {
        let task = ids.iter().position(|id| *id == step.task).expect("a task of this test");
        assert!(expected.contains(&task), "{expected:?}\n{dump}");
    }
    let waiting: usize = dump.resources.iter().map(|resource| resource.waiters.len()).sum();
    assert_eq!(waiting, (0..tasks.len()).filter(|task| model.waits_for(*task).is_some()).count(), "{dump}");
}
