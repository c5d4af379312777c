//! Cutting an operation short at each of its suspension points.

use std::sync::Arc;

use tokio::sync::Semaphore;

mod class;
mod effects;
mod frozen;
mod leftovers;
mod limits;

async fn nothing() {}

async fn anything_goes<S>(_: S) {}

async fn one_permit() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

async fn has_its_permit(semaphore: Arc<Semaphore>) {
    assert_eq!(semaphore.available_permits(), 1, "permits");
}

/// The rows of a table that did not pass: point and cut.
fn failed(table: &str) -> Vec<String> {
    let rows = table.lines().skip_while(|line| !line.ends_with("verdict")).skip(1);
    let failed = rows.filter(|row| !row.ends_with("  ok"));
    failed
        .map(|row| {
            row.split("  ")
                .filter(|cell| !cell.is_empty())
                .take(2)
                .map(str::trim)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

const ALL_OF_TWO_POINTS: [&str; 10] = [
    "1 dropped",
    "1 dropped on wake",
    "1 aborted",
    "1 panicked",
    "1 frozen",
    "2 dropped",
    "2 dropped on wake",
    "2 aborted",
    "2 panicked",
    "2 frozen",
];
