//! Pipelines over the broker in memory: several processes on one broker, and tables that show what they did.

mod incarnation;
mod link;
mod outside;
mod plan;
mod shapes;
mod slot;
mod work;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use evenkeel_pipeline::MemoryBroker;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

pub use self::plan::Fault;
use self::{
    link::Item,
    outside::Outside,
    plan::{Plan, draw, ms},
    slot::Slot,
};
use crate::{Checks, Random, Script, Subject, Trace, note};

/// Pipelines over the broker in memory.
///
/// Promises: each item has its rows, or its dead letter; nothing is acked before its effect; a report adds up, and agrees
/// with the answers that the broker gave; items of a key keep their order; the window, the budget and the limits hold; a
/// lease that is lost ends its work, and nothing is said about it; a drain ends in its time; nothing is left.
#[derive(Clone, Copy, Debug)]
pub struct Pipelines;

/// The parts of the world that all processes of a run share.
#[derive(Debug)]
struct Shared {
    seed: u64,
    plan: Plan,
    /// The items are shared out between them, and each process pulls from all.
    brokers: Vec<MemoryBroker<Item>>,
    outside: Outside,
    checks: Checks,
    trace: Trace,
    /// The deliveries so far.
    deliveries: AtomicU64,
    start: Instant,
}

impl Subject for Pipelines {
    type Fault = Fault;

    fn name(&self) -> &'static str {
        "pipeline"
    }

    fn draw(&self, random: &mut Random) -> Script<Fault> {
        draw(random)
    }

    async fn simulate(&self, seed: u64, script: &Script<Fault>, trace: &Trace) -> Result<(), String> {
        let plan = Plan::new(script);
        let shared = Arc::new(Shared {
            seed,
            brokers: (0..plan.brokers).map(|index| MemoryBroker::with(plan.broker(seed ^ index))).collect(),
            outside: Outside::new(),
            checks: Checks::default(),
            trace: trace.clone(),
            deliveries: AtomicU64::new(0),
            start: Instant::now(),
            plan,
        });
        // Dropping them aborts their tasks, also when the time of the run is over.
        let (mut processes, mut others) = (JoinSet::new(), JoinSet::new());
        for index in 0..shared.plan.processes {
            processes.spawn(Slot::new(Arc::clone(&shared), index, &script.faults).live());
        }
        others.spawn(publish(Arc::clone(&shared)));
        others.spawn(break_broker(Arc::clone(&shared), script.faults.clone()));
        let all = async {
            while let Some(ended) = processes.join_next().await {
                shared.checks.that(ended.is_ok(), || format!("a task of the simulation failed: {ended:?}"));
            }
        };
        tokio::select! {
            biased;
            _ = shared.checks.broken() => {}
            () = all => {}
        }
        shared.checks.result()?;
        shared.is_complete()
    }
}

impl Shared {
    /// The broker that a fault at a time concerns.
    fn broker_at(&self, millis: u64) -> &MemoryBroker<Item> {
        &self.brokers[(millis % self.plan.brokers) as usize]
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + ms(millis)
    }

    fn next_delivery(&self) -> u64 {
        self.deliveries.fetch_add(1, Relaxed)
    }

    /// The promises at the end: all that was published has had its effect, and nothing is left.
    fn is_complete(&self) -> Result<(), String> {
        for snapshot in self.brokers.iter().map(MemoryBroker::snapshot) {
            if (snapshot.stored, snapshot.leased, snapshot.delayed) != (0, 0, 0) {
                return Err(format!("something is left at the broker: {snapshot:?}"));
            }
            if self.plan.is_calm && snapshot.expired > 0 {
                return Err(format!(
                    "{} leases ran out, though nothing was slow or broken",
                    snapshot.expired
                ));
            }
            self.trace.reached_times("leases that ran out", snapshot.expired);
            self.trace.reached_times("redeliveries", snapshot.redelivered);
        }
        self.trace.reached_times("items", self.plan.items);
        self.outside.is_complete(&self.plan)
    }
}

/// Publishes all items, and keeps those of which it does not know that they are durable, as an outbox does.
async fn publish(shared: Arc<Shared>) {
    let Shared { plan, brokers, outside, checks, .. } = &*shared;
    loop {
        let losses = outside.power_losses();
        for number in 0..plan.items {
            let (item, broker) = (Item::new(plan, number), &brokers[(number % plan.brokers) as usize]);
            // Only one of the two has a size, and only the other one an id.
            let published = if plan.budget > 0 {
                broker.publish_sized(item, plan.size(number) as usize).await.map(drop)
            } else {
                broker.publish_once(&number.to_string(), item).await.map(drop)
            };
            checks.that(published.is_ok(), || "the broker is closed".to_owned());
            let gap = Random::of(shared.seed, &[1, number]).millis(plan.gap);
            if !gap.is_zero() {
                sleep(gap).await;
            }
        }
        for broker in brokers {
            broker.sync().await;
        }
        if outside.power_losses() == losses {
            break;
        }
    }
    note!(shared.trace, "all items are published");
    brokers.iter().for_each(MemoryBroker::close);
}

/// Breaks the broker by the script.
async fn break_broker(shared: Arc<Shared>, mut faults: Vec<Fault>) {
    faults.sort_by_key(Fault::time);
    for fault in faults {
        match fault {
            Fault::Crash { at, down } => {
                sleep_until(shared.at(at)).await;
                note!(shared.trace, "the broker crashes for {down} ms");
                shared.trace.reached("crashes of the broker");
                shared.broker_at(at).crash(ms(down));
            }
            Fault::PowerLoss { at, down } => {
                sleep_until(shared.at(at)).await;
                shared.outside.note_power_loss();
                let loss = shared.broker_at(at).power_loss(ms(down));
                note!(shared.trace, "the broker loses power for {down} ms: {loss:?}");
                shared.trace.reached("power losses");
                shared.trace.reached_times("messages revived", loss.revived as u64);
                shared.trace.reached_times("messages lost", loss.lost as u64);
            }
            _ => {}
        }
    }
}
