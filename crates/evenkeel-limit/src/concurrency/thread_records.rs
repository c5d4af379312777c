//! The records of the permits that a thread takes.
//!
//! # How it works
//!
//! Each thread that takes permits of limiters with names has a block of records, for all of these limiters. It knows the next
//! one that it will use: in a burst from one place, that one is free again each time, and a permit costs some stores and no
//! reading of the clock. All else is done [here](Thread::begin), out of the way: reading the clock, noting a place, looking for
//! a free record.
//!
//! The numbers of a range belong to one reading of the clock: the first is that of the use with the time, and the others are
//! those of the uses that follow without one. So the number of the next record tells how many there were, with those skipped.
//!
//! Blocks form a list that only grows, which looks walk along without a lock. The block of a thread that has ended goes to the
//! next one that begins, with the records that are used still: permits may outlive the threads that took them.
//!
//! Invariant: only its thread begins a use of a record, and the next record is not in the set of free ones.

use std::{
    array,
    cell::Cell,
    iter, ptr,
    sync::{
        OnceLock,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use evenkeel_inspect::{TaskCell, is_burst, thread_number};
use tokio::{
    task,
    time::{Duration, Instant},
};

use super::{
    places::{PLACES, Place, address},
    record::{RANGE, Record, UNREAD, Use},
};

/// The nanoseconds of the first time.
const MIDDLE: u64 = 1 << 63;

/// The records of a block: each is a bit of a word.
const RECORDS: usize = 64;

/// With fewer free records than that, a block is not looked through again at once.
const FEW: u32 = 16;

/// The uses without a record after a look that found few.
const PAUSE: u32 = 64;

/// The numbers that are skipped if the record of the permit before is still used: so one of 32 such permits has a time at least.
const SKIPPED: u64 = 7;

/// The record of a thread that has no next one: it is of no place.
static NONE: Record = record();

static FIRST: Block = Block::new();

/// The ranges of numbers that were given out.
static RANGES: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static NEXT: Cell<&'static Record> = const { Cell::new(&NONE) };
    static THREAD: Thread = Thread::new();
}

const fn record() -> Record {
    Record {
        place: AtomicU64::new(0),
        number: AtomicU64::new(0),
        task: TaskCell::new(),
        limiter: AtomicU64::new(0),
        weight: AtomicU64::new(0),
        since: AtomicU64::new(UNREAD),
    }
}

#[derive(Debug)]
struct Block {
    records: [Record; RECORDS],
    /// The number of records, from the first on, that were ever used.
    used: AtomicUsize,
    is_owned: AtomicBool,
    next: OnceLock<&'static Block>,
}

/// A permit that is recorded: for which limiter, by its address, and from where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) limiter: u64,
    pub(super) weight: u32,
    pub(super) place: Place,
}

/// The record of a permit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begun {
    /// Without a time.
    Unread(&'static Record),
    /// With a time.
    Timed(&'static Record),
}

/// Returns the first number of a range that nobody else has.
pub(super) fn new_range() -> u64 {
    RANGES.fetch_add(1, Relaxed) * RANGE
}

/// Returns the next record of this thread, if it is free, was prepared for this place, and has a number left, which is taken: to
/// begin its use, without a time, is all that is left to do.
#[inline(always)]
pub(super) fn next_for(place: u64) -> Option<&'static Record> {
    let record = NEXT.get();
    (record.is_free_for(place) && record.take_number()).then_some(record)
}

/// Records a permit in any record of this thread; `None` if there is no free one. `may_skip` says that it needs no time.
pub(super) fn begin(taken: Taken, may_skip: bool) -> Option<Begun> {
    THREAD.try_with(|thread| thread.begin(taken, may_skip)).ok().flatten()
}

/// Returns a time in nanoseconds: from the first time of this process on, which is in the middle of the range, as paused clocks
/// may be behind it.
pub(super) fn nanos(at: Instant) -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = *FIRST.get_or_init(|| at);
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    match at.checked_duration_since(first) {
        Some(after) => MIDDLE.saturating_add(nanos(after)),
        None => MIDDLE.saturating_sub(nanos(first.saturating_duration_since(at))).max(UNREAD + 1),
    }
}

/// Returns what is recorded of a limiter.
pub(super) fn uses_of(limiter: u64) -> impl Iterator<Item = Use> {
    used_records().filter_map(Record::look).filter(move |used| used.limiter == limiter)
}

/// Ends the records of a limiter that is dropped: they are of permits that were forgotten.
pub(super) fn end_all_of(limiter: u64) {
    let is_its = |record: &&Record| record.look().is_some_and(|used| used.limiter == limiter);
    used_records().filter(is_its).for_each(Record::end);
}

fn used_records() -> impl Iterator<Item = &'static Record> {
    let blocks = iter::successors(Some(&FIRST), |block| block.next.get().copied());
    blocks.flat_map(|block| &block.records[..block.used.load(Acquire)])
}

impl Block {
    const fn new() -> Self {
        Self {
            records: [const { record() }; RECORDS],
            used: AtomicUsize::new(0),
            is_owned: AtomicBool::new(false),
            next: OnceLock::new(),
        }
    }

    /// Returns a block that no other thread has.
    fn claim() -> &'static Self {
        let mut block = &FIRST;
        while block.is_owned.swap(true, Acquire) {
            block = block.next.get_or_init(|| Box::leak(Box::new(Self::new())));
        }
        block
    }
}

/// The block of a thread, and what only that needs to know.
struct Thread {
    block: &'static Block,
    number: u64,
    /// A bit for each record that is known to be free.
    free: Cell<u64>,
    /// The uses until the block is looked through again.
    pause: Cell<u32>,
    /// The last reading of the clock.
    read_at: Cell<u64>,
    /// The numbers that were skipped since then.
    skipped: Cell<u64>,
    /// The address of the last place that was noted.
    noted: Cell<u64>,
}

impl Thread {
    fn new() -> Self {
        Self {
            block: Block::claim(),
            number: thread_number(),
            free: Cell::new(0),
            pause: Cell::new(0),
            read_at: Cell::new(UNREAD),
            skipped: Cell::new(0),
            noted: Cell::new(0),
        }
    }

    fn begin(&self, taken: Taken, may_skip: bool) -> Option<Begun> {
        let next = NEXT.get();
        let place = self.noted(taken.place);
        // A use that outlives the next call, or may be given to another task, is worth a time more than one that is over.
        let skipped = if next.is_free() { 0 } else { SKIPPED };
        let number = next.number() + skipped;
        if may_skip && !ptr::eq(next, &NONE) && next.number() % RANGE + skipped < RANGE - 1 {
            // It is used, or was prepared for another place.
            let record = if next.is_free() { next } else { self.take_free()? };
            self.skipped.set(self.skipped.get() + skipped);
            record.prepare(number, place, UNREAD, self.number);
            record.take_number();
            NEXT.set(record);
            return Some(Begun::Unread(self.begun(record, taken)));
        }
        self.begin_timed(taken, place).map(Begun::Timed)
    }

    fn begin_timed(&self, taken: Taken, place: u64) -> Option<&'static Record> {
        let (last, now) = (NEXT.get(), nanos(Instant::now()));
        // The ones without a time, and this one.
        let holds = (last.number() % RANGE + 1).saturating_sub(self.skipped.take());
        let is_burst = is_burst(self.read_at.replace(now), now, holds);
        let record = self.take_free();
        let next = match record.filter(|_| is_burst) {
            Some(_) if last.is_free() && !ptr::eq(last, &NONE) => Some(last),
            Some(_) => self.take_free(),
            None => None,
        };
        NEXT.set(next.unwrap_or(&NONE));
        let (record, range) = (record?, new_range());
        record.prepare(range, place, now, self.number);
        if let Some(next) = next {
            next.prepare(range, place, UNREAD, self.number);
        }
        Some(self.begun(record, taken))
    }

    /// Notes a place, unless it is that of the last permit, and returns its address.
    fn noted(&self, place: Place) -> u64 {
        let at = address(place);
        if self.noted.replace(at) != at {
            PLACES.note(place);
        }
        at
    }

    fn begun(&self, record: &'static Record, taken: Taken) -> &'static Record {
        record.begin(task::try_id(), taken.limiter, taken.weight);
        record
    }

    /// Returns a free record, which is not the next one then.
    fn take_free(&self) -> Option<&'static Record> {
        let free = match self.free.get() {
            0 => self.find_free()?,
            free => free,
        };
        let at = free.trailing_zeros() as usize;
        self.free.set(free & (free - 1));
        if at >= self.block.used.load(Relaxed) {
            self.block.used.store(at + 1, Release);
        }
        Some(&self.block.records[at])
    }

    /// Looks for free records; not each time, where most are used.
    #[inline(never)]
    fn find_free(&self) -> Option<u64> {
        if let Some(pause) = self.pause.get().checked_sub(1) {
            self.pause.set(pause);
            return None;
        }
        let next = NEXT.get();
        let is_free = |record: &Record| record.is_free() && !ptr::eq(record, next);
        let bits: [u64; RECORDS] = array::from_fn(|at| u64::from(is_free(&self.block.records[at])) << at);
        let free = bits.iter().fold(0, |free, bit| free | bit);
        if free.count_ones() < FEW {
            self.pause.set(PAUSE);
        }
        (free != 0).then_some(free)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        NEXT.set(&NONE);
        self.block.is_owned.store(false, Release);
    }
}

#[cfg(test)]
mod tests {
    use std::{panic::Location, thread};

    use super::*;

    /// Limiters that no other test has: no core is at such an address.
    static LIMITERS: AtomicU64 = AtomicU64::new(1);

    #[track_caller]
    fn taken(limiter: u64) -> Taken {
        Taken { limiter, weight: 1, place: Location::caller() }
    }

    fn begin_now(limiter: u64) -> &'static Record {
        match begin(taken(limiter), false) {
            Some(Begun::Timed(record)) => record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_thread_has_a_block_of_records_and_uses_them_again() {
        let limiter = LIMITERS.fetch_add(1, Relaxed);
        thread::spawn(move || {
            // Some may still be used since another thread had the block.
            let all: Vec<_> = iter::from_fn(|| begin(taken(limiter), false)).collect();
            assert!((RECORDS / 2..=RECORDS).contains(&all.len()), "{}", all.len());
            assert_eq!(uses_of(limiter).count(), all.len());
            for begun in &all[..RECORDS / 4] {
                let (Begun::Unread(record) | Begun::Timed(record)) = begun;
                record.end();
            }
            assert_eq!(uses_of(limiter).count(), all.len() - RECORDS / 4);
            // The block is looked through again after a while.
            let found = (0..2 * PAUSE).filter_map(|_| begin(taken(limiter), false)).count();
            assert!(found >= RECORDS / 4, "{found}");
            end_all_of(limiter);
            assert_eq!(uses_of(limiter).count(), 0);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn records_outlive_their_thread_and_numbers_are_apart() {
        let limiter = LIMITERS.fetch_add(1, Relaxed);
        let mut numbers = Vec::new();
        for round in 0..20 {
            // The next thread gets a block that was used, with what is used still.
            let (record, number) = thread::spawn(move || {
                let record = begin_now(limiter);
                begin_now(limiter).end();
                (record, record.number())
            })
            .join()
            .unwrap();
            numbers.push(number);
            assert_eq!(uses_of(limiter).count(), round % 5 + 1);
            if round % 5 == 4 {
                end_all_of(limiter);
            }
            assert_eq!(record.is_free(), round % 5 == 4);
        }
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 20);
    }

    /// Many threads take, return each other's permits, and look: each use is seen with its own fields, and none stays.
    #[test]
    fn permits_that_move_between_threads() {
        let limiters: Vec<u64> = (0..2).map(|_| LIMITERS.fetch_add(1, Relaxed)).collect();
        thread::scope(|scope| {
            let (give, take) = std::sync::mpsc::sync_channel::<&'static Record>(8);
            for index in 0..3 {
                let (give, limiter) = (give.clone(), limiters[index % 2]);
                scope.spawn(move || {
                    for weight in 0..20_000_u64 {
                        let taken = Taken { weight: weight as u32, ..taken(limiter) };
                        let next = next_for(address(taken.place));
                        let record = match next {
                            Some(record) => {
                                record.begin(None, limiter, taken.weight);
                                record
                            }
                            None => match begin(taken, weight % 3 > 0) {
                                Some(Begun::Unread(record) | Begun::Timed(record)) => record,
                                None => continue,
                            },
                        };
                        let is_last = weight % 5 > 0 || give.send(record).is_err();
                        if is_last {
                            record.end();
                        }
                    }
                });
            }
            drop(give);
            scope.spawn(move || take.iter().for_each(Record::end));
            for _ in 0..2_000 {
                for limiter in &limiters {
                    let seen: Vec<_> = uses_of(*limiter).map(|used| used.number).collect();
                    let apart: std::collections::HashSet<_> = seen.iter().collect();
                    // One that ends and one that begins meanwhile are two.
                    assert_eq!(apart.len(), seen.len());
                }
            }
        });
        assert!(limiters.iter().all(|limiter| uses_of(*limiter).next().is_none()));
    }
}
