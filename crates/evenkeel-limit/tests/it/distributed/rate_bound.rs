//! The permits that several processes use of one quota in any stretch of time.

use std::sync::Mutex;

use evenkeel_limit::Rate;
use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

use crate::distributed::fixtures::{Fault, FaultyStore, ms, process};

#[derive(Clone, Debug)]
enum Step {
    Sleep(u64),
    Acquire(usize, u32),
    Try(usize, u32),
    /// Waits for this time at most, and is dropped.
    Leave(usize, u32, u64),
    Refund(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (process, permits) = (0..3_usize, 1..6_u32);
    prop_oneof![
        2 => (1..80_u64).prop_map(Step::Sleep),
        4 => (process.clone(), permits.clone()).prop_map(|(who, n)| Step::Acquire(who, n)),
        3 => (process.clone(), permits.clone()).prop_map(|(who, n)| Step::Try(who, n)),
        2 => (process.clone(), permits, 0..60_u64).prop_map(|(who, n, time)| Step::Leave(who, n, time)),
        1 => process.prop_map(Step::Refund),
    ]
}

/// In no stretch of time are more permits used than the burst, those that the rate earns, and those that were taken
/// before: a lease, or those that a request collected.
async fn windows(lease: u32, latency: Option<u64>, steps: Vec<Step>) {
    let store = FaultyStore::new();
    store.always(latency.map(|time| Fault::Slow(ms(time))));
    let quota = || process(&store, Rate::per_second(100)).burst(8).lease(lease);
    let quotas = [quota(), quota(), quota()];
    let (start, used) = (Instant::now(), Mutex::new(vec![]));
    let note = |permits| used.lock().unwrap().push((start.elapsed(), i64::from(permits)));
    for step in steps {
        match step {
            Step::Sleep(time) => sleep(ms(time)).await,
            Step::Acquire(who, permits) => {
                quotas[who].acquire_many(permits).await.unwrap();
                note(permits as i32);
            }
            Step::Try(who, permits) => {
                if quotas[who].try_acquire_many(permits).await.is_ok() {
                    note(permits as i32);
                }
            }
            Step::Leave(who, permits, time) => {
                if timeout(ms(time), quotas[who].acquire_many(permits)).await.is_ok() {
                    note(permits as i32);
                }
            }
            Step::Refund(who) => {
                if quotas[who].acquire().await.is_ok() {
                    quotas[who].refund(1);
                }
            }
        }
    }
    let used = used.into_inner().unwrap();
    let hands = 3 * i64::from(lease.max(5));
    for (first, (from, _)) in used.iter().enumerate() {
        let mut sum = 0;
        for (until, permits) in &used[first..] {
            sum += permits;
            let rate = (*until - *from).as_millis() as i64 / 10;
            assert!(sum <= 8 + rate + hands, "{sum} from {from:?} until {until:?}");
        }
    }
    // At the beginning no permits had been taken.
    let mut sum = 0;
    for (until, permits) in used {
        sum += permits;
        assert!(sum <= 8 + until.as_millis() as i64 / 10, "{sum} until {until:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn three_processes_keep_to_one_quota(
        lease in 1..10_u32,
        latency in prop::option::of(1..20_u64),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        World::run(|_| windows(lease, latency, steps));
    }
}
