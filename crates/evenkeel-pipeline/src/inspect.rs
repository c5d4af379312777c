//! A pipeline in the dumps of evenkeel-inspect: its stages, its sources, and what these are told.
//!
//! # How it works
//!
//! Each part is an object of its own. The run of the pipeline has them, so that they are in the registry as long as it runs
//! and no longer. An item in hand is in the backlog of one part at most: that of the stage in which it is or for whose
//! limit it waits, that of the acks if it is decided, or that of the dead letters. So a part in which nothing moves is the one that
//! stands still. An item that waits at the server is in no hand: it is in the backlog of the source, if that knows.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use evenkeel_inspect::{Backlog, Inspect, Inspected, InspectedResource, Registration, register};
use tokio::time::Instant;

use crate::{
    AtServer, Bottleneck, MAX_SETTLED, PipelineSnapshot,
    dead_letters::MAX_LETTERS,
    edges::{Caller, SourceEdges},
    in_hand::InHand,
    intake::Intake,
    stage::Stage,
    status::Status,
};

/// The number of items in hand that are told one by one.
const SHOWN: usize = 3;

/// The objects of a pipeline that runs.
pub(crate) type Objects = Vec<Arc<Object>>;

/// A part of a pipeline in the registry.
pub(crate) struct Object {
    pipeline: Arc<Parts>,
    part: Part,
    _registration: Registration,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Stage(usize),
    Source(usize),
    Acks(usize),
    DeadLetters(usize),
}

struct Parts {
    stages: Vec<Arc<Stage>>,
    sources: Vec<SourceParts>,
    status: Status,
}

struct SourceParts {
    in_hand: Arc<InHand>,
    edges: SourceEdges,
    at_server: Option<AtServer>,
}

/// Registers the parts of a pipeline.
pub(crate) fn objects(intakes: &[Intake], stages: &[Arc<Stage>], status: &Status) -> Objects {
    let sources = intakes.iter().map(|intake| SourceParts {
        in_hand: Arc::clone(&intake.in_hand),
        edges: intake.edges.clone(),
        at_server: intake.at_server.clone(),
    });
    let pipeline =
        Arc::new(Parts { stages: stages.to_vec(), sources: sources.collect(), status: status.clone() });
    let of_sources = intakes.iter().enumerate().flat_map(|(index, intake)| {
        let dead_letters = intake.dead_letters.as_ref().map(|_| Part::DeadLetters(index));
        [Part::Source(index), Part::Acks(index)].into_iter().chain(dead_letters)
    });
    let object = |part| {
        let pipeline = Arc::clone(&pipeline);
        Arc::new_cyclic(|object: &Weak<Object>| Object {
            pipeline,
            part,
            _registration: register(object.clone()),
        })
    };
    of_sources.chain((0..stages.len()).map(Part::Stage)).map(object).collect()
}

impl Inspect for Object {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let Parts { stages, sources, .. } = &*self.pipeline;
        let mut resource = match self.part {
            Part::Stage(index) => stage(&stages[index], now),
            Part::Source(index) => sources[index].source(now),
            Part::Acks(index) => sources[index].acks(now),
            Part::DeadLetters(index) => sources[index].dead_letters(now),
        };
        resource.notes.extend(self.pipeline.bottleneck(self.part));
        Some(Inspected::Resource(resource))
    }
}

impl Parts {
    /// Says so if this part holds the pipeline up.
    fn bottleneck(&self, part: Part) -> Option<String> {
        let numbers = self.sources.iter().map(|source| source.in_hand.numbers()).sum();
        let snapshot = PipelineSnapshot::new(numbers, &self.stages, &self.status, Duration::ZERO);
        let bottleneck = snapshot.bottleneck();
        let is_here = match (&bottleneck, part) {
            (Bottleneck::Stage { name, .. }, Part::Stage(index)) => *self.stages[index].name == **name,
            (Bottleneck::Settle { .. }, Part::Acks(_)) => true,
            (Bottleneck::Window { .. } | Bottleneck::Source | Bottleneck::Paused, Part::Source(_)) => true,
            _ => false,
        };
        is_here.then(|| format!("the bottleneck is {bottleneck}"))
    }
}

fn stage(stage: &Stage, now: Instant) -> InspectedResource {
    // The holders first: one that ends meanwhile leaves room, and deadlocks are told of what is full.
    let holders = stage.edges.holds.holders(stage.edges.call.0, now);
    let snapshot = stage.snapshot();
    let mut resource = InspectedResource::new(stage.edges.kind, snapshot.limit.into());
    resource.name = Some(snapshot.name.into());
    resource.place = Some(stage.edges.call.0);
    resource.in_use = snapshot.in_flight;
    resource.holders = holders;
    resource.waiters = stage.waiters(now);
    resource.outage = stage.edges.outage(now);
    let pending = snapshot.in_flight + resource.waiters.len() as u64;
    if pending > 0 {
        let ended = u32::try_from(snapshot.done + snapshot.failed).unwrap_or(u32::MAX);
        let mut backlog = Backlog::new(pending, stage.edges.holds.idle(now));
        backlog.usual = snapshot.working.checked_div(ended);
        resource.backlog = Some(backlog);
    }
    if let (Some(failure), None) = (snapshot.last_failure, &resource.outage) {
        resource.notes.push(format!("{} failed, last: {failure}", snapshot.failed));
    }
    resource
}

impl SourceParts {
    fn resource(&self, kind: &'static str, capacity: usize) -> InspectedResource {
        let mut resource = InspectedResource::new(kind, capacity as u64);
        resource.place = Some(self.edges.call.0);
        resource
    }

    fn source(&self, now: Instant) -> InspectedResource {
        let numbers = self.in_hand.numbers();
        let mut resource = self.resource("source", numbers.window);
        resource.in_use = numbers.in_hand as u64;
        resource.waiters.extend(self.edges.waiter(Caller::Pull, now));
        resource.outage = self.edges.outage(&[Caller::Pull], now);
        if numbers.is_paused {
            resource.notes.push("pulls are paused".to_owned());
        }
        // Without a pull nothing is to come.
        let pull = resource.waiters.first().filter(|pull| pull.until.is_none());
        if let (Some(pull), Some(read)) = (pull, self.at_server.as_ref().and_then(AtServer::last)) {
            let idle = now.saturating_duration_since(read.moved_at).min(pull.waited);
            // The server may give no more than the items that are in hand here.
            if read.pending > 0 && (read.usual.is_some() || numbers.in_hand == 0) {
                let mut backlog = Backlog::new(read.pending, idle);
                backlog.usual = read.usual;
                resource.backlog = Some(backlog);
            }
            resource.notes.push(read.text);
        }
        let oldest = self.in_hand.oldest(SHOWN).into_iter().map(|(key, attempt, pulled_at)| {
            let (origin, age) = (self.in_hand.origin(key), now.saturating_duration_since(pulled_at));
            let age = Duration::from_millis(age.as_millis() as u64);
            format!("in hand for {age:?}: '{}', attempt {attempt}", origin.escape_debug())
        });
        resource.notes.extend(oldest);
        resource
    }

    fn acks(&self, now: Instant) -> InspectedResource {
        let numbers = self.in_hand.numbers();
        let mut resource = self.resource("acks", numbers.window.max(2 * MAX_SETTLED));
        resource.in_use = numbers.unsettled as u64;
        let waiter = self.edges.waiter(Caller::Settle, now);
        if let Some(waiter) = waiter.as_ref().filter(|_| numbers.unsettled > 0) {
            resource.backlog = Some(Backlog::new(numbers.unsettled as u64, waiter.waited));
        }
        resource.waiters.extend(waiter);
        resource.waiters.extend(self.edges.waiter(Caller::Extend, now));
        resource.outage = self.edges.outage(&[Caller::Settle, Caller::Extend], now);
        resource
    }

    fn dead_letters(&self, now: Instant) -> InspectedResource {
        let waiter = self.edges.waiter(Caller::DeadLetters, now);
        let written = waiter.as_ref().map_or(0, |waiter| waiter.amount);
        let pending = self.in_hand.exhausted() as u64 + written;
        let mut resource = self.resource("sink", MAX_LETTERS);
        resource.name = Some("dead letters".into());
        resource.in_use = written;
        if let Some(waiter) = &waiter {
            resource.backlog = Some(Backlog::new(pending, waiter.waited));
        }
        resource.waiters.extend(waiter);
        resource.outage = self.edges.outage(&[Caller::DeadLetters], now);
        resource
    }
}
