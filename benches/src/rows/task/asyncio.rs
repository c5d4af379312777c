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

pub(super) fn rows() -> [Row; 2] {
    let time = Row::new("task/beside-asyncio", Metric::Wall)
        .target(0.25)
        .rounds(5)
        .fixed(COUNT)
        .not_counted("its peer runs in Python; ours alone is `task/spawn-join`")
        .with_round(
            OURS,
            Box::new(|n| {
                let runtime = runtime();
                measured(|| runtime.block_on(joined(n, BATCH)))
            }),
        )
        .with_python(PEER, Box::new(|n| taskgroup(n, BATCH)));
    let memory = Row::new("task/memory-beside-asyncio", Metric::Bytes)
        .target(0.4)
        .rounds(5)
        .fixed(COUNT)
        .with(OURS, asleep)
        .with_python(PEER, Box::new(|n| taskgroup(n, 0)));
    [time, memory]
}

#[derive(Deserialize)]
struct Cost {
    wall: f64,
    cpu: f64,
    bytes: i64,
}

/// Runs in a process of its own, which measures itself without its start.
fn taskgroup(count: u64, batch: u64) -> Sample {
    let text = include_str!("../../../python/taskgroup.py");
    let output = python::script(text, &[&count.to_string(), &batch.to_string()]);
    let cost: Cost =
        output.and_then(|output| Ok(serde_json::from_str(&output)?)).expect("a Python peer that works");
    let (wall, cpu) = (Duration::from_secs_f64(cost.wall), Duration::from_secs_f64(cost.cpu));
    Sample { wall, cpu, bytes: cost.bytes, ..Sample::default() }
}
