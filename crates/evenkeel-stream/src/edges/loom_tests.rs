//! Looks at the items of a worker, in every order of their steps that the memory model allows.
//!
//! The shipped file is compiled a second time here, by `#[path]`, with the module `loom` of this file.

use ::loom::{model::Builder, sync::Arc, thread};

use self::item_cell::ItemCell;

/// The primitives of the code under test.
mod loom {
    pub(super) use ::loom::sync::atomic::{AtomicU64, Ordering};
}

#[expect(clippy::duplicate_mod, reason = "the same with other atomics")]
#[path = "item_cell.rs"]
mod item_cell;

/// The time of an item, by its number.
fn time_of(number: u64) -> u64 {
    number * 100
}

/// Runs items of a worker, each of which has a time or not, beside two looks.
fn looks_beside(items: &'static [(u64, bool)]) {
    let mut model = Builder::new();
    // All orders with at most that many switches away from a thread that could go on.
    model.preemption_bound = Some(2);
    model.check(move || {
        let cell = Arc::new(ItemCell::new());
        let worker = thread::spawn({
            let cell = Arc::clone(&cell);
            move || {
                for &(number, has_time) in items {
                    cell.begin(number, has_time.then(|| time_of(number)));
                    cell.end();
                }
            }
        });
        let mut last = 0;
        for _ in 0..2 {
            if let Some((number, since)) = cell.get() {
                let &(_, has_time) = items.iter().find(|(item, _)| *item == number).expect("an item");
                assert!(number >= last, "{number} behind {last}");
                assert_eq!(since, has_time.then(|| time_of(number)));
                last = number;
            }
        }
        worker.join().expect("it does not panic");
        assert_eq!(cell.get(), None);
    });
}

#[test]
fn items_with_times() {
    looks_beside(&[(1, true), (2, true)]);
}

#[test]
fn items_without_times() {
    looks_beside(&[(1, false), (2, false)]);
}

#[test]
fn items_of_both_kinds() {
    looks_beside(&[(1, false), (2, true), (3, false)]);
}
