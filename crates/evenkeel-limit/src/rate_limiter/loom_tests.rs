//! The fast path, with the steps of its users in every order that the memory model allows; the waiters and timers of the
//! core are in the modules below.
//!
//! The shipped files are compiled a second time here, by `#[path]`, with the modules `loom` and `timer` of this file in
//! place of those of `crate::sync`.

use std::time::Duration;

use ::loom::{
    sync::{Arc, Mutex},
    thread,
};
use tokio::time::Instant;

use self::fast_path::{FastPath, TryAcquire};
use crate::{algorithm::bucket::Bucket, rate::Rate};

/// The primitives of the code under test.
mod loom {
    pub(super) use ::loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence},
    };

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
}

#[expect(clippy::duplicate_mod, dead_code, reason = "the same with another lock, and not all of it is used")]
#[path = "core.rs"]
mod core;
mod core_tests;
#[expect(clippy::duplicate_mod, dead_code, reason = "the same with other atomics, and not all of it is used")]
#[path = "fast_path.rs"]
mod fast_path;
mod timer;
#[expect(clippy::duplicate_mod, reason = "the same with another timer")]
#[path = "timers.rs"]
mod timers;
mod waiting;

/// A fast path, and the bucket behind the lock with the number of its grants.
struct Limiter {
    fast_path: FastPath,
    locked: Mutex<(Bucket, u64)>,
}

impl Limiter {
    /// Returns a limiter that earns nothing during the test.
    fn full(burst: u32) -> Arc<Self> {
        Self::new(Rate::every(Duration::from_secs(3600)), burst)
    }

    fn new(rate: Rate, burst: u32) -> Arc<Self> {
        let fast_path = FastPath::new(None);
        let bucket = Bucket::full(rate, burst, Instant::now());
        fast_path.open(&bucket);
        Arc::new(Self { fast_path, locked: Mutex::new((bucket, 0)) })
    }

    /// Takes the lock as the core does.
    fn behind_the_lock<R>(&self, change: impl FnOnce(&mut Bucket, &mut u64) -> R) -> R {
        let mut locked = self.locked.lock().unwrap();
        let (bucket, granted) = &mut *locked;
        if let Some(usage) = self.fast_path.close() {
            *granted += usage.granted;
            bucket.set_missing(usage.missing);
        }
        let result = change(bucket, granted);
        self.fast_path.open(bucket);
        result
    }

    /// Returns whether a permit was granted.
    fn take(&self, now: u64) -> bool {
        self.take_with_clock(|| now)
    }

    fn take_with_clock(&self, clock: impl Fn() -> u64) -> bool {
        match self.fast_path.take_with_clock(|| Some(clock()), 1) {
            TryAcquire::Granted => true,
            TryAcquire::Refused { .. } => false,
            TryAcquire::Closed => self.behind_the_lock(|bucket, granted| {
                let fits = bucket.fits(1);
                if fits {
                    bucket.spend(1);
                    *granted += 1;
                }
                fits
            }),
        }
    }
}

/// Runs all orders with at most two switches away from a thread that could go on; three find nothing more, and take hours.
fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(check);
}

/// A thread takes a permit while another changes the burst behind the lock: nothing is granted by the fields of an earlier
/// opening, and no grant is forgotten.
#[test]
fn grants_add_up_whatever_changes() {
    for (before, after) in [(1, 1), (2, 1), (1, 2)] {
        model(move || {
            let limiter = Limiter::full(before);
            let now = limiter.fast_path.nanos(limiter.locked.lock().unwrap().0.now()).unwrap();
            let taker = thread::spawn({
                let limiter = Arc::clone(&limiter);
                move || limiter.take(now)
            });
            limiter.behind_the_lock(|bucket, _| bucket.set_burst(after));
            let taken = taker.join().unwrap();
            let (left, granted) = limiter.behind_the_lock(|bucket, granted| (bucket.available(), *granted));
            assert!(taken && granted == 1, "there is one at any time");
            assert!(left < before && left <= after, "a larger burst has to be earned");
        });
    }
}

/// Two threads take the same permit.
#[test]
fn one_permit_goes_to_one() {
    model(|| {
        let limiter = Limiter::full(1);
        let now = limiter.fast_path.nanos(limiter.locked.lock().unwrap().0.now()).unwrap();
        let taker = thread::spawn({
            let limiter = Arc::clone(&limiter);
            move || limiter.take(now)
        });
        let taken = limiter.take(now);
        assert!(taken != taker.join().unwrap());
        limiter.behind_the_lock(|bucket, granted| assert_eq!((bucket.available(), *granted), (0, 1)));
    });
}

/// A thread reads the clock, and then sees the word after another took a permit that was earned later.
#[test]
fn nobody_is_refused_while_there_is_a_permit() {
    model(|| {
        let limiter = Limiter::new(Rate::every(Duration::from_micros(100)), 2);
        let opened = limiter.fast_path.nanos(limiter.locked.lock().unwrap().0.now()).unwrap();
        // Behind a lock, as no clock shows an instant before one that another thread has read; an atomic may.
        let clock = Arc::new(Mutex::new(opened));
        let taker = thread::spawn({
            let (limiter, clock) = (Arc::clone(&limiter), Arc::clone(&clock));
            move || limiter.take_with_clock(|| *clock.lock().unwrap())
        });
        assert!(limiter.take(opened));
        let later = opened + 100_000;
        *clock.lock().unwrap() = later;
        assert!(limiter.take(later));
        assert!(taker.join().unwrap());
    });
}

/// Credits are taken back while others take them: each is used or left, and never both.
#[test]
fn credits_are_used_or_left() {
    model(|| {
        let fast_path = Arc::new(FastPath::new(None));
        fast_path.lend(2);
        let takers = [(); 2].map(|()| {
            let fast_path = Arc::clone(&fast_path);
            thread::spawn(move || u32::from(fast_path.take_credit()))
        });
        let left = fast_path.recall();
        let taken: u32 = takers.map(|taker| taker.join().unwrap()).iter().sum();
        assert_eq!(taken + left, 2);
        assert_eq!(fast_path.recall(), 0);
    });
}
