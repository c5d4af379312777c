use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    Verdict,
    rule::{Checked, panic_message},
};

/// Explores the points at which something can be cut short; what does not hold there becomes the timeline.
pub(crate) fn explored<T>(explore: impl FnOnce() -> T) -> Checked {
    // Each cut has a world of its own; what panics is a table of them.
    catch_unwind(AssertUnwindSafe(explore)).map(drop).map_err(|payload| {
        let table = panic_message(&*payload);
        let (head, rows) = table.split_once('\n').unwrap_or((&table, ""));
        let timeline = rows.lines().map(str::to_owned).collect();
        Verdict::Fail { expected: "nothing left behind".to_owned(), got: head.to_owned(), timeline }
    })
}
