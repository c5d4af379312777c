//! Long lists are copied a chunk at a time, so that nobody waits for the lock of one for longer than a chunk takes.

use std::{cell::Cell, ops::Range};

/// The most entries that a look passes under one lock.
const CHUNK: usize = 128;

/// The room for values that come while a look begins.
const SPARE: usize = 8;

thread_local! {
    static LONGEST: Cell<usize> = const { Cell::new(0) };
}

/// Appends a list that is under a lock, a chunk at a time; `expected` is its length before.
///
/// `copy` takes the lock, appends the values of these entries and at most one more, and returns the number of all entries. It
/// need not get memory meanwhile: there is room for them. An entry has to stay where it is while its value is there.
#[doc(hidden)]
pub fn copy_chunks<T>(
    copied: &mut Vec<T>,
    expected: usize,
    mut copy: impl FnMut(Range<usize>, &mut Vec<T>) -> usize,
) {
    copied.reserve_exact(expected + SPARE);
    let mut from = 0;
    loop {
        if copied.capacity() - copied.len() < SPARE {
            copied.reserve(CHUNK);
        }
        let room = CHUNK.min(copied.capacity() - copied.len() - 1);
        let all = copy(from..from + room, copied);
        LONGEST.set(LONGEST.get().max(room.min(all.saturating_sub(from))));
        from += room;
        if from >= all {
            return;
        }
    }
}

/// Returns the most entries that were passed under one lock by this thread since the last call.
#[doc(hidden)]
#[must_use]
pub fn longest_run() -> usize {
    LONGEST.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_are_copied_into_room_that_is_there() {
        for all in [0, 1, SPARE, CHUNK, CHUNK + 1, 10 * CHUNK + 7] {
            for expected in [0, all / 2, all, 2 * all] {
                let list: Vec<_> = (0..all).collect();
                let mut copied = vec![usize::MAX];
                copy_chunks(&mut copied, expected, |entries, copied| {
                    let before = copied.capacity();
                    copied.extend(list.get(entries.start..entries.end.min(all)).unwrap_or_default());
                    assert_eq!(copied.capacity(), before, "memory is got without the lock");
                    all
                });
                assert_eq!(copied[1..], list);
                assert!(longest_run() <= CHUNK);
            }
        }
    }
}
