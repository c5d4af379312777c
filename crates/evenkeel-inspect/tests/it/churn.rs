//! Random programs whose tasks come and go: a look finds what follows from that which each task says of itself.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

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

/// The state of a program as its tasks tell it: the things that each has got, of those that it wants.
struct Model {
    capacities: Vec<usize>,
    tasks: Vec<ModelTask>,
}

struct ModelTask {
    wants: Vec<usize>,
    got: Arc<AtomicUsize>,
    is_alive: bool,
}

impl ModelTask {
    fn has(&self) -> &[usize] {
        if self.is_alive { &self.wants[..self.got.load(Relaxed)] } else { &[] }
    }

    fn waits_for(&self) -> Option<usize> {
        self.wants.get(self.has().len()).copied().filter(|_| self.is_alive)
    }
}

impl Model {
    fn free(&self, thing: usize) -> usize {
        let has = self.tasks.iter().flat_map(ModelTask::has).filter(|had| **had == thing).count();
        self.capacities[thing] - has
    }

    /// The tasks that no order of ends can help: a task without a wait may end at any time, which frees what it has.
    fn stuck(&self) -> BTreeSet<usize> {
        let all = 0..self.tasks.len();
        let mut stuck: BTreeSet<_> = all.filter(|task| self.tasks[*task].waits_for().is_some()).collect();
        loop {
            let can_move = |task: &usize| {
                let thing = self.tasks[*task].waits_for().expect("it waits");
                let holders = (0..self.tasks.len()).filter(|other| self.tasks[*other].has().contains(&thing));
                self.free(thing) > 0 || holders.into_iter().any(|other| !stuck.contains(&other))
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
            let mut model = Model { capacities: capacities.clone(), tasks: Vec::new() };
            let mut tasks: Vec<JoinHandle<()>> = Vec::new();
            for plan in &plans {
                let wants: Vec<_> = plan.iter().map(|thing| things[*thing].clone()).collect();
                let got = Arc::<AtomicUsize>::default();
                tasks.push(spawn(keep(wants, got.clone())));
                model.tasks.push(ModelTask { wants: plan.clone(), got, is_alive: true });
                world.settle().await;
                check(&model, &tasks);
            }
            for task in aborts.iter().filter(|task| **task < tasks.len()) {
                tasks[*task].abort();
                model.tasks[*task].is_alive = false;
                world.settle().await;
                check(&model, &tasks);
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
async fn keep(wants: Vec<Thing>, got: Arc<AtomicUsize>) {
    let mut wants = wants.into_iter();
    let mut held = Vec::new();
    let thing = wants.next().expect("one thing");
    held.push(match &thing {
        Thing::Pool(pool) => Box::new(pool.get().await.expect(OPEN)) as Box<dyn Send>,
        Thing::Limit(limit) => Box::new(limit.clone().acquire_owned(1).await.expect(OPEN)),
    });
    got.store(1, Relaxed);
    if let Some(thing) = wants.next() {
        held.push(match &thing {
            Thing::Pool(pool) => Box::new(pool.get().await.expect(OPEN)),
            Thing::Limit(limit) => Box::new(limit.clone().acquire_owned(1).await.expect(OPEN)),
        });
        got.store(2, Relaxed);
    }
    if let Some(thing) = wants.next() {
        held.push(thing.take().await);
        got.store(3, Relaxed);
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
        let task = ids.iter().position(|id| Some(*id) == step.task).expect("a task of this test");
        assert!(expected.contains(&task), "{expected:?}\n{dump}");
    }
    let waiting: usize = dump.resources.iter().map(|resource| resource.waiters.len()).sum();
    assert_eq!(waiting, model.tasks.iter().filter(|task| task.waits_for().is_some()).count(), "{dump}");
}
