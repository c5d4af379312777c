//! A limit for each key that looks at the clock once for several permits: never more than the exact bucket, and hardly less.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use evenkeel_limit::{Keyed, Rate, RateLimiter, Reason};
use evenkeel_testkit::{World, assert_took, cancel};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

const BURST: u32 = 64;
/// The permits that may be granted at one look at the clock.
const CREDITS: u32 = BURST / 16;
/// The keys that are checked, and the room for them and others.
const CHECKED: u16 = 3;
const ROOM: usize = 64;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The exact bucket of a key from which the same permits are taken, in billionths of a permit.
#[derive(Debug)]
struct Exact {
    level: i128,
    read: Instant,
}

const PERMIT: i128 = 1_000_000_000;

impl Exact {
    fn full(now: Instant) -> Self {
        Self { level: i128::from(BURST) * PERMIT, read: now }
    }

    fn earn(&mut self, now: Instant, rate: u32) {
        let earned = (now - self.read).as_nanos() as i128 * i128::from(rate);
        (self.level, self.read) = ((self.level + earned).min(i128::from(BURST) * PERMIT), now);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    /// Requests of a key for one permit each.
    Singles(u16, u32),
    Many(u16, u32),
    /// Other keys, which are new and so move the hand: full buckets are forgotten.
    Others(u16),
    SetRate(u32),
    /// Asks for the limiter of the key: from then on that has its permits.
    Promote(u16),
    /// Sets an override, uses other keys, and removes it.
    Override(u16, u16),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..CHECKED;
    prop_oneof![
        3 => (0..3_000_000_u64).prop_map(Step::Advance),
        2 => (0..100_u64).prop_map(|n| Step::Advance(n * 1_000_000)),
        4 => (key(), 0..100_u32).prop_map(|(key, times)| Step::Singles(key, times)),
        // No more than there are credits: the key looks full, and is not.
        4 => (key(), 1..=CREDITS).prop_map(|(key, times)| Step::Singles(key, times)),
        2 => (key(), 0..=BURST + 1).prop_map(|(key, permits)| Step::Many(key, permits)),
        5 => (1..20_u16).prop_map(Step::Others),
        1 => (1..20_000_u32).prop_map(Step::SetRate),
        1 => key().prop_map(Step::Promote),
        2 => (key(), 1..20_u16).prop_map(|(key, others)| Step::Override(key, others)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A grant is in the exact bucket of its key, so that no stretch of time has more than that allows; what is denied is
    /// not there, or among the permits that may be missing.
    #[test]
    fn no_key_gets_more_than_an_exact_bucket_has(steps in prop::collection::vec(step(), 1..200)) {
        World::run(async |_| {
            let mut rate = 1000;
            let keyed: Keyed<u16> = Keyed::per_second(rate).burst(BURST).fast().max_keys(ROOM);
            let mut fresh = CHECKED..;
            let mut exact: HashMap<u16, Exact> = HashMap::new();
            for step in steps {
                assert!(keyed.len() <= ROOM);
                if keyed.len() == ROOM {
                    // A key that was forgotten would share its permits with others.
                    advance(Duration::from_secs(100)).await;
                }
                let now = Instant::now();
                let bucket = |exact: &mut HashMap<u16, Exact>, key| {
                    exact.entry(key).or_insert_with(|| Exact::full(now)).earn(now, rate);
                };
                match step {
                    Step::Advance(nanos) => advance(Duration::from_nanos(nanos)).await,
                    Step::SetRate(permits) => {
                        (0..CHECKED).for_each(|key| bucket(&mut exact, key));
                        rate = permits;
                        keyed.set_rate(Rate::per_second(rate));
                    }
                    Step::Singles(key, times) => {
                        bucket(&mut exact, key);
                        (0..times).for_each(|_| check(&keyed, exact.get_mut(&key).unwrap(), key, 1, rate));
                    }
                    Step::Many(key, permits) => {
                        bucket(&mut exact, key);
                        check(&keyed, exact.get_mut(&key).unwrap(), key, permits, rate);
                    }
                    Step::Others(number) => others(&keyed, fresh.by_ref().take(number.into())).await,
                    Step::Promote(key) => {
                        bucket(&mut exact, key);
                        let available = i128::from(keyed.limiter(&key).snapshot().available);
                        assert!(available * PERMIT <= exact[&key].level + slack(rate));
                    }
                    Step::Override(key, number) => {
                        keyed.override_key(key, RateLimiter::unlimited());
                        assert!(keyed.try_acquire(&key).is_ok());
                        others(&keyed, fresh.by_ref().take(number.into())).await;
                        assert!(keyed.remove_override(&key));
                    }
                }
            }
        });
    }
}

async fn others(keyed: &Keyed<u16>, keys: impl Iterator<Item = u16>) {
    keys.for_each(|key| _ = keyed.try_acquire(&key));
    // At most rates they are full again.
    advance(ms(1)).await;
}

/// Two nanoseconds: the rounding errors of a bucket are smaller.
fn slack(rate: u32) -> i128 {
    2 * i128::from(rate)
}

fn check(keyed: &Keyed<u16>, exact: &mut Exact, key: u16, permits: u32, rate: u32) {
    let wanted = i128::from(permits) * PERMIT;
    match keyed.try_acquire_many(&key, permits) {
        Ok(()) => {
            assert!(wanted <= exact.level + slack(rate), "{permits} of {exact:?}");
            exact.level -= wanted;
        }
        Err(denied) if permits > BURST => assert_eq!(denied.reason, Reason::NeverFits),
        Err(denied) => {
            assert_eq!(denied.reason, Reason::Busy);
            let missing = i128::from(CREDITS) * PERMIT;
            assert!(exact.level < wanted + missing + slack(rate), "no {permits} of {exact:?}");
        }
    }
}

/// A bucket whose permits were granted without a look at the clock looks full to the hand.
#[test]
fn a_key_with_permits_to_settle_is_not_forgotten() {
    World::run(async |_| {
        // A quarter of the burst at once, and the rest in the second after the keys beside it were used.
        let keyed: Keyed<u64> = Keyed::per_second(1600).burst(1600).fast().max_keys(64);
        assert!(keyed.try_acquire(&0).is_ok());
        advance(ms(100)).await;
        // All of them by the credits of the first request.
        assert!((0..100).all(|_| keyed.try_acquire(&0).is_ok()));
        for key in 1..60 {
            assert!(keyed.try_acquire(&key).is_ok());
        }
        let granted = (0..1600).filter(|_| keyed.try_acquire(&0).is_ok()).count();
        assert_eq!(granted, 1500, "with the burst of a bucket that was forgotten it would be all");
        // When it is full again, and nothing is left to settle, it is forgotten.
        for round in 0..3 {
            advance(Duration::from_secs(10)).await;
            (0..60).for_each(|key| _ = keyed.try_acquire(&(100 + 60 * round + key)));
        }
        assert!(keyed.len() <= 64);
        assert_eq!((0..2000).filter(|_| keyed.try_acquire(&0).is_ok()).count(), 1600);
    });
}

/// The bucket of a key is kept under an override, with the permits that are still to be settled.
#[test]
fn an_override_settles_the_permits_of_its_key() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::per_second(1600).burst(1600).fast().max_keys(64);
        assert!(keyed.try_acquire(&0).is_ok());
        advance(ms(100)).await;
        assert!((0..100).all(|_| keyed.try_acquire(&0).is_ok()));
        keyed.override_key(0, RateLimiter::unlimited());
        for key in 1..60 {
            assert!(keyed.try_acquire(&key).is_ok());
        }
        assert!(keyed.remove_override(&0));
        assert_eq!((0..1600).filter(|_| keyed.try_acquire(&0).is_ok()).count(), 1500);
    });
}

#[test]
fn at_one_instant_exactly_the_burst_is_granted() {
    World::run(async |_| {
        for burst in [1, 15, 16, 17, 64, 1000, 4096, 10_000] {
            let keyed: Keyed<u64> = Keyed::per_second(1).burst(burst).fast();
            let granted = (0..2 * burst).filter(|_| keyed.try_acquire(&7).is_ok()).count();
            assert_eq!(granted, burst as usize);
            let denied = keyed.try_acquire(&7).unwrap_err();
            assert_eq!(denied.retry_after, Some(Duration::from_secs(1)));
            advance(Duration::from_secs(1)).await;
            assert_eq!([7, 7].map(|key| keyed.try_acquire(&key).is_ok()), [true, false]);
        }
    });
}

#[test]
fn threads_share_the_burst_of_a_key() {
    const THREADS: usize = 4;
    for _ in 0..20 {
        let day = Rate::every(Duration::from_secs(86_400));
        let keyed = Arc::new(Keyed::<u64>::new(day).burst(1000).fast());
        let barrier = Arc::new(Barrier::new(THREADS));
        let threads = [(); THREADS].map(|()| {
            let (keyed, barrier) = (Arc::clone(&keyed), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                (0..500).filter(|_| keyed.try_acquire(&7).is_ok()).count()
            })
        });
        assert_eq!(threads.map(|thread| thread.join().unwrap()).iter().sum::<usize>(), 1000);
    }
}

/// A key of the library's own types is compared under the lock, and any other one without it.
#[test]
fn keys_of_all_types_have_their_permits_without_a_look_at_the_clock() {
    fn granted<K: Hash + Eq + Clone>(key: K) -> usize {
        World::run(async |_| {
            let keyed: Keyed<K> = Keyed::per_second(1600).burst(1600).fast();
            assert!(keyed.try_acquire(&key).is_ok());
            advance(ms(100)).await;
            assert!((0..100).all(|_| keyed.try_acquire(&key).is_ok()));
            // They would have been earned by now, if the clock had been read for them.
            advance(ms(100)).await;
            (0..1600).filter(|_| keyed.try_acquire(&key).is_ok()).count()
        })
    }
    assert_eq!([granted(7), granted((7, "seven")), granted(Some(7))], [1500; 3]);
}

#[test]
fn a_small_burst_is_exact() {
    World::run(async |_| {
        let keyed: Keyed<u64> = Keyed::per_second(10).burst(15).fast();
        assert!(keyed.try_acquire(&7).is_ok());
        advance(ms(99)).await;
        assert_eq!((0..20).filter(|_| keyed.try_acquire(&7).is_ok()).count(), 14);
        advance(ms(1)).await;
        assert_eq!([7, 7].map(|key| keyed.try_acquire(&key).is_ok()), [true, false]);
    });
}

#[test]
fn waiters_have_their_turns_at_the_exact_instants() {
    World::run(async |_| {
        let keyed: Keyed<String> = Keyed::per_second(100).burst(100).fast();
        for _ in 0..100 {
            assert_took!(keyed.acquire("ann"), Duration::ZERO);
        }
        assert_took!(keyed.acquire("ann"), ms(10));
        assert_took!(keyed.acquire_many("ann", 5), ms(50)).unwrap();
        assert_took!(keyed.acquire("bob"), Duration::ZERO);
    });
}

#[test]
fn every_wait_can_be_dropped() {
    let used_up = async || {
        let keyed: Arc<Keyed<u64>> = Arc::new(Keyed::per_second(100).burst(100).fast());
        (0..100).for_each(|_| keyed.try_acquire(&1).unwrap());
        keyed
    };
    let as_if_new = async |keyed: Arc<Keyed<u64>>| {
        (0..100).for_each(|_| keyed.try_acquire(&1).unwrap());
        assert_took!(keyed.acquire(&1), ms(10));
    };
    let acquire = async |keyed: Arc<Keyed<u64>>| keyed.acquire(&1).await;
    assert_eq!(cancel::every_point(used_up, acquire, as_if_new).points(), 1);
}

/// A loop over permits that are available lets other tasks run, also where they are credits.
#[tokio::test]
async fn a_loop_over_credits_lets_others_run() {
    let keyed: Keyed<u64> = Keyed::per_second(1_000_000).burst(1_000_000).fast();
    let other = tokio::spawn(async {});
    for _ in 0..10_000 {
        keyed.acquire(&7).await;
    }
    assert!(other.is_finished());
}
