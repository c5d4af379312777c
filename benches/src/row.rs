//! A row: an operation of ours and of our peers, and the ratio to reach.

use std::{cell::LazyCell, pin::Pin, sync::Arc};

use crate::measure::{Sample, measured};

/// A metric that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// The processor time of the process per operation, in nanoseconds.
    Cpu,
    /// The wall time per operation, in nanoseconds.
    Wall,
    /// The bytes on the heap that an operation keeps.
    Bytes,
}

impl Metric {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Wall => "wall",
            Self::Bytes => "bytes",
        }
    }

    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Cpu | Self::Wall => "ns/op",
            Self::Bytes => "B/op",
        }
    }

    /// Returns the value of a sample of this number of operations.
    pub(crate) fn of(self, sample: Sample, operations: u64) -> f64 {
        let total = match self {
            Self::Cpu => sample.cpu.as_nanos() as f64,
            Self::Wall => sample.wall.as_nanos() as f64,
            Self::Bytes => sample.bytes as f64,
        };
        total / operations as f64
    }
}

/// Does a number of operations, and returns their cost.
pub(crate) type Round = Box<dyn FnMut(u64) -> Sample>;

/// The name of our own entrant.
pub(crate) const OURS: &str = "evenkeel";
/// The name of the lower bound: the work without any library.
pub(crate) const FLOOR: &str = "floor";

/// A program of peers that not every run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// An interpreter with peers that are written in Python.
    Python,
    /// The program of the queues in PostgreSQL.
    Queues,
}

pub(crate) struct Entrant {
    pub(crate) name: String,
    pub(crate) round: Round,
    /// The program that it needs, which not every machine has.
    pub(crate) needs: Option<Needs>,
}

pub(crate) struct Row {
    pub(crate) id: String,
    /// The metrics that are compared, and the ratio to the best peer that we want to reach; more than one makes as many rows.
    pub(crate) metrics: Vec<(Metric, Option<f64>)>,
    /// The number of rounds, if the usual number would take too long.
    pub(crate) rounds: Option<usize>,
    /// The number of operations of a round, if it is fixed.
    pub(crate) operations: Option<u64>,
    /// The reason that callgrind cannot count the instructions, if it cannot.
    pub(crate) not_counted: Option<&'static str>,
    pub(crate) entrants: Vec<Entrant>,
}

impl Row {
    pub(crate) fn new(id: impl Into<String>, metric: Metric) -> Self {
        Self {
            id: id.into(),
            metrics: vec![(metric, None)],
            rounds: None,
            operations: None,
            not_counted: None,
            entrants: Vec::new(),
        }
    }

    /// Returns the id of the result in one of the metrics.
    pub(crate) fn id_of(&self, metric: Metric) -> String {
        match self.metrics.len() {
            1 => self.id.clone(),
            _ => format!("{}/{}", self.id, metric.name()),
        }
    }

    /// Whether a metric is time, so that instructions stand beside it.
    pub(crate) fn timed(&self) -> bool {
        self.metrics.iter().any(|(metric, _)| *metric != Metric::Bytes)
    }

    pub(crate) fn not_counted(mut self, reason: &'static str) -> Self {
        self.not_counted = Some(reason);
        self
    }

    pub(crate) fn also(mut self, metric: Metric) -> Self {
        self.metrics.push((metric, None));
        self
    }

    /// Sets the number of rounds, each with one operation.
    pub(crate) fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = Some(rounds);
        self.operations = Some(1);
        self
    }

    /// Sets the number of operations of a round.
    pub(crate) fn fixed(mut self, operations: u64) -> Self {
        self.operations = Some(operations);
        self
    }

    /// Sets the ratio to reach in the metric that was named last.
    pub(crate) fn target(mut self, ratio: f64) -> Self {
        if let Some((_, target)) = self.metrics.last_mut() {
            *target = Some(ratio);
        }
        self
    }

    /// Adds an entrant, which does a number of operations, and may keep its output until they are measured.
    pub(crate) fn with<T>(self, name: &str, mut work: impl FnMut(u64) -> T + 'static) -> Self {
        self.with_round(name, Box::new(move |operations| measured(|| work(operations))))
    }

    pub(crate) fn with_round(mut self, name: &str, round: Round) -> Self {
        self.entrants.push(Entrant { name: name.to_owned(), round, needs: None });
        self
    }

    /// Adds a peer that is written in Python.
    pub(crate) fn with_python(self, name: &str, round: Round) -> Self {
        self.with_program(Needs::Python, name, round)
    }

    /// Adds a peer that runs in a program of its own.
    pub(crate) fn with_program(mut self, needs: Needs, name: &str, round: Round) -> Self {
        self.entrants.push(Entrant { name: name.to_owned(), round, needs: Some(needs) });
        self
    }

    /// Removes the peers of a program; returns nothing if it had some, and no peer is left.
    pub(crate) fn without(mut self, needs: Needs) -> Option<Self> {
        if self.entrants.iter().all(|entrant| entrant.needs != Some(needs)) {
            return Some(self);
        }
        self.entrants.retain(|entrant| entrant.needs != Some(needs));
        let peer = |entrant: &Entrant| ![OURS, FLOOR].contains(&&*entrant.name);
        self.entrants.iter().any(peer).then_some(self)
    }
}

type Work = Arc<dyn Fn(u64) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A row with asynchronous entrants. It becomes four rows, one for each place where a future can be driven.
///
/// A library can be linear in one of them and quadratic in another, as joins of many handles are.
pub(crate) struct AsyncRow {
    id: &'static str,
    metric: Metric,
    target: Option<f64>,
    entrants: Vec<(String, Work)>,
}

impl AsyncRow {
    pub(crate) fn new(id: &'static str, metric: Metric) -> Self {
        Self { id, metric, target: None, entrants: Vec::new() }
    }

    pub(crate) fn target(mut self, ratio: f64) -> Self {
        self.target = Some(ratio);
        self
    }

    pub(crate) fn with<F>(mut self, name: &str, work: impl Fn(u64) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.entrants.push((name.to_owned(), Arc::new(move |operations| Box::pin(work(operations)))));
        self
    }

    pub(crate) fn everywhere(self) -> impl Iterator<Item = Row> {
        ["current/block_on", "current/task", "multi/block_on", "multi/task"].into_iter().map(move |place| {
            let mut row = Row::new(format!("{}/{place}", self.id), self.metric);
            row.metrics = vec![(self.metric, self.target)];
            for (name, work) in &self.entrants {
                row = row.with_round(name, driven(place, work.clone()));
            }
            row
        })
    }
}

fn driven(place: &'static str, work: Work) -> Round {
    let mut builder = match place.starts_with("current") {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    // Made only for a row that is measured, since most runs measure one of them.
    let runtime = LazyCell::new(move || {
        builder.worker_threads(2).enable_all().build().expect("a runtime for a benchmark")
    });
    Box::new(move |operations| {
        let (runtime, work) = (&*runtime, work(operations));
        if place.ends_with("task") {
            measured(|| {
                runtime.block_on(async { tokio::spawn(work).await.expect("a benchmark does not panic") })
            })
        } else {
            measured(|| runtime.block_on(work))
        }
    })
}
