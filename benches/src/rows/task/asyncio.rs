//! The same work in Python: the cost of a task of its `TaskGroup`, in time and memory.

use std::time::Duration;

use serde::Deserialize;

use super::{BATCH, asleep, joined, runtime};
use crate::{
    measure::{Sample, measured},
    python,
    row::{Metric, OURS, Row},
};

const COUNT: u64 = 100_000;
const PEER: &str = "asyncio.TaskGroup";

/// Returns no rows without an interpreter.
pub(super) fn rows() -> Vec<Row> {
    let Some(python) = python::interpreter() else { return Vec::new() };
    let again = python.clone();
    let time = Row::new("task/beside-asyncio", Metric::Wall)
        .target(0.25)
        .rounds(5)
        .fixed(COUNT)
        .with_round(
            OURS,
            Box::new(|n| {
                let runtime = runtime();
                measured(|| runtime.block_on(joined(n, BATCH)))
            }),
        )
        .with_round(PEER, Box::new(move |n| taskgroup(&again, n, BATCH)));
    let memory = Row::new("task/memory-beside-asyncio", Metric::Bytes)
        .target(0.4)
        .rounds(5)
        .fixed(COUNT)
        .with(OURS, asleep)
        .with_round(PEER, Box::new(move |n| taskgroup(&python, n, 0)));
    vec![time, memory]
}

#[derive(Deserialize)]
struct Cost {
    wall: f64,
    cpu: f64,
    bytes: i64,
}

/// Runs in a process of its own, which measures itself without its start.
fn taskgroup(python: &str, count: u64, batch: u64) -> Sample {
    let text = include_str!("../../../python/taskgroup.py");
    let output = python::script(python, text, &[&count.to_string(), &batch.to_string()]);
    let cost: Cost = output
        .and_then(|output| Ok(serde_json::from_str(&output)?))
        .expect("a Python that has TaskGroup, which came with 3.11");
    let (wall, cpu) = (Duration::from_secs_f64(cost.wall), Duration::from_secs_f64(cost.cpu));
    Sample { wall, cpu, bytes: cost.bytes, ..Sample::default() }
}
