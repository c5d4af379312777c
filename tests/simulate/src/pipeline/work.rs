//! The work of the stages: it takes time, has effects, fails, panics and hangs, as the seed says.

use std::{
    future::{pending, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use evenkeel_pipeline::{DeadLetter, Message, SinkError};
use tokio::time::sleep;

use super::{
    incarnation::{Incarnation, Order},
    link::Item,
    outside::RowKey,
};
use crate::{Random, checks::plant_panic, note};

/// The sequences of random numbers of a seed.
const WORK: u64 = 2;
const STORE: u64 = 3;
const BURY: u64 = 4;

/// The calls after which a call succeeds, and at once, so that each run has an end.
const MOST_FAILURES: u64 = 5;

/// A stage of a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) stage: usize,
    pub(super) order: Order,
    /// Whether the row is written here.
    pub(super) writes: bool,
    /// Whether items that cannot succeed fail here.
    pub(super) poisons: bool,
}

/// Work that is counted while it runs.
struct Active<'a> {
    run: &'a Incarnation,
    stage: usize,
    deliveries: Vec<u64>,
    order: Order,
}

impl<'a> Active<'a> {
    fn begin(run: &'a Incarnation, stage: usize, deliveries: Vec<u64>, order: Order) -> Self {
        run.begins(stage, &deliveries, order);
        Self { run, stage, deliveries, order }
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.run.ends(self.stage, &self.deliveries, self.order);
    }
}

/// Runs a function of the process, which must not go on without a lease.
async fn leased<F: Future>(run: &Incarnation, deliveries: &[u64], future: F) -> F::Output {
    let mut future = pin!(future);
    let watched = poll_fn(|cx| {
        run.goes_on(deliveries);
        future.as_mut().poll(cx)
    });
    run.process.runs(watched).await
}

/// The way a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Succeeds,
    Fails,
    Panics,
    Hangs,
}

impl Incarnation {
    fn draw_end(&self, random: &mut Random, failing: u64, call: u64) -> End {
        let plan = &self.shared.plan;
        if call >= MOST_FAILURES {
            return End::Succeeds;
        }
        let (panics, hangs) = (random.happens(plan.panicking), random.happens(plan.hanging));
        let end = match random.happens(failing) {
            true => End::Fails,
            false if panics => End::Panics,
            false if hangs => End::Hangs,
            false => return End::Succeeds,
        };
        self.shared.trace.reached(match end {
            End::Fails => "calls that failed",
            End::Panics => "panics",
            _ => "hangs",
        });
        end
    }

    /// Ends a call.
    async fn end(&self, end: End, text: &str) -> Result<(), io::Error> {
        match end {
            End::Succeeds => Ok(()),
            End::Fails => Err(io::Error::other(text.to_owned())),
            End::Panics => plant_panic(text),
            End::Hangs if self.shared.plan.timeout > 0 => pending().await,
            // Without a time limit it comes back, after several leases.
            End::Hangs => {
                sleep(3 * self.shared.plan.ack_wait).await;
                Err(io::Error::other(text.to_owned()))
            }
        }
    }
}

/// The function of a stage.
pub(super) async fn work(
    run: Arc<Incarnation>,
    place: Place,
    item: Item,
    part: Option<u64>,
    id: Option<String>,
) -> Result<Item, io::Error> {
    let delivery = [item.delivery];
    let (number, row) = (item.number, (item.number, part.unwrap_or(0)));
    let Place { stage, order, writes, poisons } = place;
    let called = async {
        let _active = Active::begin(&run, stage, delivery.to_vec(), order);
        let shared = &run.shared;
        note!(
            shared.trace,
            "process {} works on {row:?} in stage {stage}, delivery {delivery:?}",
            run.number
        );
        let call = shared.outside.count_call(stage as u64, row);
        let mut random = Random::of(shared.seed, &[WORK, stage as u64, row.0, row.1, call]);
        let half = if call < MOST_FAILURES { shared.plan.work / 2 } else { 0 };
        let (before, behind) = (random.millis(half), random.millis(half));
        let mut end = run.draw_end(&mut random, shared.plan.failing, call);
        if poisons && shared.plan.is_poison(number) {
            end = End::Fails;
        }
        pause(before).await;
        // A call that does not succeed may have had its effect, unless the item never succeeds.
        if writes && (end == End::Succeeds || random.happens(500)) && !shared.plan.is_poison(number) {
            run.write(id.as_deref(), row);
        }
        pause(behind).await;
        run.end(end, "planted in a stage").await
    };
    leased(&run, &delivery, called).await?;
    Ok(item)
}

/// Most calls take no time at all, without a timer.
async fn pause(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

/// An item, or a part of one, in a batch.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: Option<String>,
    pub(super) item: Item,
    pub(super) part: u64,
}

/// The sink, and the function of batches.
pub(super) async fn store(run: Arc<Incarnation>, stage: usize, batch: Vec<Stored>) -> Result<(), SinkError> {
    let deliveries: Vec<u64> = batch.iter().map(|stored| stored.item.delivery).collect();
    let called = async {
        let _active = Active::begin(&run, stage, deliveries.clone(), Order::None);
        let shared = &run.shared;
        let plan = &shared.plan;
        shared.checks.that((1..=plan.batch).contains(&(batch.len() as u64)), || {
            format!("a batch of {} items, and {} are the most", batch.len(), plan.batch)
        });
        note!(shared.trace, "process {} stores deliveries {deliveries:?}", run.number);
        let first = batch.first().map_or((0, 0), |stored| (stored.item.number, stored.part));
        let calls = batch
            .iter()
            .map(|stored| shared.outside.count_call(stage as u64, (stored.item.number, stored.part)));
        let call = calls.max().unwrap_or(0);
        let mut random = Random::of(shared.seed, &[STORE, first.0, first.1, call]);
        let half = if call < MOST_FAILURES { plan.work / 2 } else { 0 };
        let (before, behind) = (random.millis(half), random.millis(half));
        let end = run.draw_end(&mut random, plan.sinks_failing, call);
        pause(before).await;
        let mut failed = Vec::new();
        for (index, Stored { id, item, part }) in batch.iter().enumerate() {
            let mut random = Random::of(shared.seed, &[STORE, item.number, *part, call]);
            let is_poison = plan.is_poison(item.number);
            if is_poison || end == End::Fails && random.happens(500) {
                failed.push(index);
            }
            // Some of those that fail are written all the same: the answer was lost.
            if !is_poison && (end == End::Succeeds || random.happens(500)) {
                run.write(id.as_deref(), (item.number, *part));
            } else if end != End::Succeeds || is_poison {
                failed.push(index);
            }
        }
        pause(behind).await;
        match end {
            End::Fails | End::Succeeds if failed.is_empty() => Ok(()),
            End::Fails | End::Succeeds => Err(SinkError::some("planted in a sink", failed)),
            _ => run.end(end, "planted in a sink").await.map_err(SinkError::all),
        }
    };
    leased(&run, &deliveries, called).await
}

/// The sink of dead letters.
pub(super) async fn bury(
    run: Arc<Incarnation>,
    letters: Vec<Message<DeadLetter<Item>>>,
) -> Result<(), SinkError> {
    let called = async {
        let shared = &run.shared;
        let (plan, outside) = (&shared.plan, &shared.outside);
        let first = letters.first().map_or(0, |letter| letter.item.item.number);
        let call = outside.count_call(BURY, (first, 0));
        let mut random = Random::of(shared.seed, &[BURY, first, call]);
        let (before, behind) = (random.millis(plan.work / 2), random.millis(plan.work / 2));
        let fails = random.happens(plan.letters_failing) && call < MOST_FAILURES;
        let panics = fails && random.happens(200);
        pause(before).await;
        let mut failed = Vec::new();
        for (index, Message { id, attempt, item: letter }) in letters.iter().enumerate() {
            let number = letter.item.number;
            note!(shared.trace, "process {} buries item {number}: {}", run.number, letter.reason);
            let expected = (plan.attempts, plan.attempts);
            shared.checks.that((letter.attempts, *attempt) == expected && !letter.reason.is_empty(), || {
                format!("the letter of item {number} (`{id}`) is attempt {attempt} of {}", plan.attempts)
            });
            if fails && random.happens(500) {
                failed.push(index);
            }
            if !fails || random.happens(500) {
                outside.bury(number, letter.attempts);
            } else {
                failed.push(index);
            }
        }
        pause(behind).await;
        if panics {
            plant_panic("in the sink of dead letters");
        }
        if failed.is_empty() {
            Ok(())
        } else {
            Err(SinkError::some("planted in the sink of dead letters", failed))
        }
    };
    run.process.runs(called).await
}

impl Incarnation {
    fn write(&self, id: Option<&str>, row: RowKey) {
        let Self { shared, .. } = self;
        if let Err(broken) = shared.outside.write(&shared.plan, id, row) {
            shared.checks.fail(broken);
        }
    }
}
