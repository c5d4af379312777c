//! The cost of a world that records its timeline, beside one that does not.

use std::time::Duration;

use evenkeel_testkit::{World, WorldBuilder};

use super::task::joined;
use crate::row::{Metric, OURS, Row};

/// The number of tasks alive together.
const BATCH: u64 = 1000;

pub(crate) fn rows() -> Vec<Row> {
    let run = |world: WorldBuilder, n: u64| {
        // Under callgrind it computes for long.
        world
            .block_limit(Duration::from_secs(600))
            .wall_limit(Duration::from_secs(600))
            .run_report(async |_| joined(n, BATCH).await)
    };
    let spawn_join = Row::new("timeline/spawn-join", Metric::Cpu)
        .with(OURS, move |n| run(World::builder(), n))
        .with("off", move |n| run(World::builder().without_timeline(), n));
    vec![spawn_join]
}
