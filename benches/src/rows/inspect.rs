//! The rows of objects that can be inspected, as they are with the feature: beside the same rows without it they tell its cost.
//! And a dump of a large program.

#[cfg(feature = "inspect-peers")]
mod beside_peers;

use std::{hint::black_box, time::Duration};

use evenkeel::{
    inspect::dump,
    limit::ConcurrencyLimiter,
    pool::{Manager, Pool},
    task::{BoxError, group},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
    time::sleep,
};

use super::{limit, pool, stream, task};
use crate::{
    measure::measured,
    row::{AsyncRow, Metric, OURS, Row},
};

/// The beginnings of the ids of the rows whose objects can be inspected.
const INSPECTED: [&str; 7] = [
    "limit/concurrency-ready/",
    "pool/get/",
    "pool/get-contended/",
    "stream/par-map-trivial/",
    "stream/par-map-yield/",
    "task/spawn-join/",
    "task/spawn-join-value/",
];

const GROUPS: u64 = 100;
const TASKS: u64 = 1_000;
/// Of each group, the tasks that wait for an object.
const WAITING: u64 = 100;

pub(crate) fn rows() -> Vec<Row> {
    let all = [limit::rows(), pool::rows(), stream::rows(), task::rows()].into_iter().flatten();
    let inspected = all.filter(|row| INSPECTED.iter().any(|id| row.id.starts_with(id)));
    let inspected = inspected.map(|row| Row { id: format!("inspect/{}", row.id), ..row });
    let rows = inspected.chain(named().everywhere()).chain([large_dump()]);
    #[cfg(feature = "inspect-peers")]
    let rows = rows.chain(beside_peers::rows());
    rows.collect()
}

/// A permit of a limiter with a name, whose holder is recorded.
fn named() -> AsyncRow {
    AsyncRow::new("inspect/limit/concurrency-ready-named", Metric::Cpu).with(OURS, |n| async move {
        let limiter = ConcurrencyLimiter::new(10).named("calls");
        for _ in 0..n {
            drop(black_box(limiter.acquire().await));
        }
    })
}

struct Units;

impl Manager for Units {
    type Object = ();
    type Error = std::convert::Infallible;

    async fn create(&self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// A dump of a hundred thousand tasks in a hundred groups, ten thousand of which wait for objects, on two workers.
fn large_dump() -> Row {
    let mut program = None::<Runtime>;
    let round = move |dumps| {
        let runtime = program.get_or_insert_with(start);
        let _entered = runtime.enter();
        measured(|| (0..dumps).map(|_| black_box(dump()).findings.len()).sum::<usize>())
    };
    Row::new("inspect/dump-100000-tasks", Metric::Wall).fixed(1).with_round(OURS, Box::new(round))
}

/// Starts the program, and returns when all of its tasks are where they wait.
fn start() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    for _ in 0..GROUPS {
        runtime.spawn(group(async |g| {
            let pool = Pool::builder(Units).max(1).named("orders").acquire_timeout(LONG).build()?;
            let _kept = pool.get().await?;
            for index in 0..TASKS {
                let pool = pool.clone();
                g.task("worker").spawn(async move {
                    if index < WAITING {
                        drop(pool.get().await);
                    }
                    sleep(LONG).await;
                });
            }
            sleep(LONG).await;
            Ok::<(), BoxError>(())
        }));
    }
    runtime.block_on(async {
        let waits = |dump: evenkeel::inspect::Dump| -> usize {
            dump.resources.iter().map(|resource| resource.waiters.len()).sum()
        };
        while waits(dump()) < (GROUPS * WAITING) as usize {
            yield_now().await;
        }
    });
    runtime
}

/// Longer than a measurement.
const LONG: Duration = Duration::from_secs(86_400);
