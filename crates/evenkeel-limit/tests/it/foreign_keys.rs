//! Keys of foreign types: their `Hash`, `Eq`, `Clone` and `Drop` may do anything.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Barrier, LazyLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use evenkeel_limit::{Keyed, Rate, RateLimiter};
use evenkeel_testkit::World;
use tokio::time::advance;

const DAY: Duration = Duration::from_secs(86_400);

/// A key type whose values all have the same hash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Same(u32);

impl Hash for Same {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[test]
fn no_key_is_refused_while_there_is_room() {
    for keys in [1, 2, 3, 100, 1023, 1024, 5000, 20_000] {
        let keyed: Keyed<u64> = Keyed::new(Rate::every(DAY)).max_keys(keys as usize);
        assert!((0..keys).all(|key| keyed.try_acquire(&key).is_ok()), "room for {keys}");
        assert!((0..keys).all(|key| keyed.try_acquire(&key).is_err()), "each of {keys} has its own");
        assert_eq!(keyed.len() as u64, keys);
        let overflow = (keys..keys + 10).filter(|key| keyed.try_acquire(key).is_ok()).count();
        assert_eq!((overflow, keyed.len() as u64), (1, keys));
    }
}

#[test]
fn no_key_is_refused_though_all_fall_into_one_table() {
    let keyed: Keyed<Same> = Keyed::new(Rate::every(DAY)).max_keys(3000);
    assert!((0..3000).all(|key| keyed.try_acquire(&Same(key)).is_ok()));
    assert!((0..3000).step_by(7).all(|key| keyed.try_acquire(&Same(key)).is_err()));
    assert_eq!((keyed.len(), keyed.try_acquire(&Same(3000)).is_ok()), (3000, true));
    assert!(keyed.try_acquire(&Same(3001)).is_err(), "the two share the overflow");
    assert_eq!(keyed.len(), 3000);
}

#[test]
fn there_may_be_room_for_any_number() {
    let keyed: Keyed<u32> = Keyed::new(Rate::every(DAY)).max_keys(usize::MAX);
    assert!((0..100_000).all(|key| keyed.try_acquire(&key).is_ok()));
    assert!((0..100_000).all(|key| keyed.try_acquire(&key).is_err()));
    assert_eq!(keyed.len(), 100_000);
}

#[test]
fn threads_that_bring_new_keys_fill_the_room_and_no_more() {
    for keys in [7, 1000, 4096] {
        let keyed: Keyed<u64> = Keyed::new(Rate::every(DAY)).max_keys(keys as usize);
        let barrier = Barrier::new(4);
        let bring = |thread: u64| {
            barrier.wait();
            // Two threads use each key.
            (0..keys).filter(|key| keyed.try_acquire(&(key + thread / 2 * (keys / 2))).is_ok()).count()
        };
        let granted: usize = thread::scope(|scope| {
            let threads = [0, 1, 2, 3].map(|thread| scope.spawn(move || bring(thread)));
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        // One permit of the overflow, and one of each key with a bucket.
        assert_eq!((granted, keyed.len() as u64), (keys as usize + 1, keys));
    }
}

#[test]
fn room_is_made_of_full_buckets_alone() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::new(Rate::every(Duration::from_secs(1))).max_keys(4000);
        assert!((0..4000).all(|key| keyed.try_acquire(&key).is_ok()));
        advance(Duration::from_millis(500)).await;
        assert!(keyed.try_acquire(&10_000).is_ok(), "the overflow has one");
        assert!((0..4000).all(|key| keyed.try_acquire(&key).is_err()));
        advance(Duration::from_millis(500)).await;
        assert!((10_000..14_000).all(|key| keyed.try_acquire(&key).is_ok()), "all of them are full");
        assert!((10_000..14_000).all(|key| keyed.try_acquire(&key).is_err()));
        assert_eq!(keyed.len(), 4000);
    });
}

thread_local! {
    /// Whether keys call back.
    static CALLS_BACK: Cell<bool> = const { Cell::new(false) };
}

static BACK: AtomicUsize = AtomicUsize::new(0);

/// A key that calls back into its limiter from each of its functions.
struct Back(u32);

static KEYED: LazyLock<Keyed<Back>> =
    LazyLock::new(|| Keyed::new(Rate::every(Duration::from_secs(1))).max_keys(40));

fn call_back() {
    if CALLS_BACK.replace(false) {
        BACK.fetch_add(1, Relaxed);
        let _taken = KEYED.try_acquire(&Back(1));
        let _limiter = KEYED.limiter(&Back(2));
        assert!(KEYED.len() <= 40);
        KEYED.set_rate(Rate::every(Duration::from_secs(1)));
        KEYED.override_key(Back(3), RateLimiter::unlimited());
        assert!(KEYED.remove_override(&Back(3)));
        CALLS_BACK.set(true);
    }
}

impl Hash for Back {
    fn hash<H: Hasher>(&self, state: &mut H) {
        call_back();
        (self.0 / 8).hash(state);
    }
}

impl PartialEq for Back {
    fn eq(&self, other: &Self) -> bool {
        call_back();
        self.0 == other.0
    }
}

impl Eq for Back {}

impl Clone for Back {
    fn clone(&self) -> Self {
        call_back();
        Self(self.0)
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        call_back();
    }
}

#[test]
fn keys_may_call_back() {
    World::run(async |_| {
        CALLS_BACK.set(true);
        for round in 0..4 {
            for key in 0..60 {
                let _may_overflow = KEYED.try_acquire(&Back(100 * (round % 2) + key));
            }
            KEYED.override_key(Back(100), RateLimiter::unlimited());
            KEYED.override_key(Back(100), RateLimiter::per_second(1));
            assert!(KEYED.remove_override(&Back(100)));
            assert!(KEYED.len() <= 40);
            advance(Duration::from_secs(10)).await;
            KEYED.acquire(&Back(5)).await;
        }
        CALLS_BACK.set(false);
        assert!(BACK.load(Relaxed) > 1000);
    });
}

thread_local! {
    /// The number of calls after which a key panics.
    static FUSE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// A key that panics in any of its functions except `Drop`.
#[derive(Debug)]
struct Fused(u32);

fn burn() {
    let left = FUSE.get();
    FUSE.set(left.wrapping_sub(1));
    assert!(left != 0, "a key panics");
}

impl Hash for Fused {
    fn hash<H: Hasher>(&self, state: &mut H) {
        burn();
        (self.0 / 4).hash(state);
    }
}

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        burn();
        self.0 == other.0
    }
}

impl Eq for Fused {}

impl Clone for Fused {
    fn clone(&self) -> Self {
        burn();
        Self(self.0)
    }
}

#[test]
fn a_key_that_panics_takes_nothing_and_is_no_obstacle() {
    World::run(async |_| {
        let keyed: Keyed<Fused> = Keyed::new(Rate::every(Duration::from_secs(1))).max_keys(24);
        let mut panics = 0;
        for fuse in 0..400 {
            FUSE.set(fuse % 12);
            let key = Fused((fuse * 7 % 40) as u32);
            panics +=
                usize::from(catch_unwind(AssertUnwindSafe(|| keyed.try_acquire(&key).is_ok())).is_err());
            FUSE.set(usize::MAX);
            assert!(keyed.len() <= 24);
            advance(Duration::from_millis(300)).await;
        }
        assert!(panics > 50, "or this test shows nothing");
        advance(Duration::from_secs(100)).await;
        assert!((100..124).all(|key| keyed.try_acquire(&Fused(key)).is_ok()), "no room was lost");
        assert!((100..124).all(|key| keyed.try_acquire(&Fused(key)).is_err()));
    });
}

#[test]
fn the_same_key_on_many_threads_has_one_bucket() {
    let keyed: Keyed<Same> = Keyed::new(Rate::every(DAY)).burst(1000);
    let barrier = Barrier::new(4);
    let granted: usize = thread::scope(|scope| {
        let take = || {
            barrier.wait();
            (0..2000).filter(|n| keyed.try_acquire(&Same(n % 2)).is_ok()).count()
        };
        let threads = [(); 4].map(|()| scope.spawn(take));
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!((granted, keyed.len()), (2000, 2));
}

#[test]
fn keys_of_any_type_can_be_given_limiters() {
    World::run(async |_| {
        let keyed: Keyed<Same> = Keyed::new(Rate::every(DAY)).max_keys(2);
        assert!(keyed.try_acquire(&Same(1)).is_ok());
        keyed.override_key(Same(1), RateLimiter::unlimited());
        keyed.override_key(Same(2), RateLimiter::per_second(1).burst(5));
        assert_eq!(keyed.len(), 1, "the bucket of before stays");
        assert!((0..100).all(|_| keyed.try_acquire(&Same(1)).is_ok()));
        assert_eq!((0..100).filter(|_| keyed.try_acquire(&Same(2)).is_ok()).count(), 5);
        assert!(keyed.remove_override(&Same(1)) && keyed.remove_override(&Same(2)));
        assert!(!keyed.remove_override(&Same(1)));
        assert!(keyed.try_acquire(&Same(1)).is_err(), "as it was before");
        assert!(keyed.try_acquire(&Same(2)).is_ok());
        assert_eq!(keyed.len(), 2);

        let keyed: Keyed<u64> = Keyed::new(Rate::every(Duration::from_secs(1))).max_keys(2);
        assert!(keyed.try_acquire(&1).is_ok());
        keyed.override_key(1, RateLimiter::unlimited());
        advance(Duration::from_secs(2)).await;
        assert!(
            (2..4).all(|key| keyed.try_acquire(&key).is_ok()),
            "one over which another stands is forgotten"
        );
        assert_eq!(keyed.len(), 2);
        assert!(keyed.remove_override(&1) && keyed.try_acquire(&1).is_ok(), "that is the overflow");
        assert_eq!(keyed.len(), 2);
    });
}

#[test]
fn a_key_that_is_dropped_is_dropped_once() {
    World::run(async |_| {
        static LIVE: AtomicUsize = AtomicUsize::new(0);
        #[derive(PartialEq, Eq, Hash)]
        struct Counted(u32);
        impl Clone for Counted {
            fn clone(&self) -> Self {
                LIVE.fetch_add(1, Relaxed);
                Self(self.0)
            }
        }
        impl Drop for Counted {
            fn drop(&mut self) {
                LIVE.fetch_sub(1, Relaxed);
            }
        }
        let keyed: Arc<Keyed<Counted>> = Arc::new(Keyed::per_second(1).burst(1).max_keys(50));
        for round in 0..10 {
            for key in 0..80 {
                LIVE.fetch_add(1, Relaxed);
                let _may_overflow = keyed.try_acquire(&Counted(100 * round + key));
            }
            assert_eq!(LIVE.load(Relaxed), keyed.len());
            advance(Duration::from_secs(2)).await;
        }
        drop(keyed);
        assert_eq!(LIVE.load(Relaxed), 0);
    });
}
