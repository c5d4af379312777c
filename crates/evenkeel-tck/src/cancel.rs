//! Rules that drop a future at each of its await points.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    Verdict,
    rule::{Checked, panic_message},
};

/// Runs an exploration of all await points, and turns its panic into a failure whose timeline lists the await points
/// that failed.
pub(crate) fn explored<T>(explore: impl FnOnce() -> T) -> Checked {
    // Each await point runs in a world of its own; the message of the panic is a table of the failed ones.
    catch_unwind(AssertUnwindSafe(explore)).map(drop).map_err(|payload| {
        let table = panic_message(&*payload);
        let (head, rows) = table.split_once('\n').unwrap_or((&table, ""));
        let timeline = rows.lines().map(str::to_owned).collect();
        Verdict::Fail { expected: "nothing left behind".to_owned(), got: head.to_owned(), timeline }
    })
}
