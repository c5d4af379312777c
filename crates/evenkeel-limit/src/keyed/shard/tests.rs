//! How much a call does, and readings that wrap around.

use std::time::Duration;

use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::time::advance;

use super::{super::key::PlainKey, *};
#[cfg(feature = "inspect")]
use crate::sync::edges::{CallPlace, Title};

/// The largest number of keys for one shard.
const KEYS: usize = 16_383;

fn config(permits: u32, burst: u32) -> Config {
    Config {
        rate: Rate::per_second(permits),
        burst,
        fast: false,
        cpu: false,
        max_pause: Duration::MAX,
        #[cfg(feature = "inspect")]
        family: Family::new(Title::new(CallPlace::here()), burst),
    }
}

fn decide(shard: &mut Shard<u64>, count: &KeyCount, key: u64) -> Decision {
    // Spread over the table.
    let tag = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
    let request = Request { tag, permits: 1, mode: Some(Mode::Try) };
    let decision = shard.decide_now(request, &mut PlainKey(&key), count).expect("a plain key");
    decision.expect("room for the key")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The hand passes a single chain at most, however long the shard was not used.
    #[test]
    fn a_call_looks_at_four_chains(
        permits in 1..=u32::MAX,
        burst in 1..=u32::MAX,
        steps in prop::collection::vec(0..50_u32, 1..60),
    ) {
        World::run(async |_| {
            let mut shard = Shard::new(config(permits, burst), KEYS, None);
            let count = KeyCount::new(KEYS);
            for (key, step) in steps.into_iter().enumerate() {
                advance(Duration::from_nanos(1 << step)).await;
                shard.clock.advance_to_now();
                assert!(shard.advance_hand(&mut PlainKey(&0), &count) <= CHAINS_FOR_NEW_KEY);
                decide(&mut shard, &count, key as u64);
            }
        });
    }
}

/// A bucket that was full long ago does not appear to be full in the future, though readings wrap around.
#[test]
fn an_old_key_is_full() {
    World::run(async |_| {
        let mut shard = Shard::new(config(1, 4), 2, None);
        let count = KeyCount::new(2);
        assert!(matches!(decide(&mut shard, &count, 7), Decision::Granted));
        // Advances by more than half of the range of readings, in steps of a whole bucket.
        for _ in 0..40_000 {
            advance(Duration::from_secs(4)).await;
            assert!(matches!(decide(&mut shard, &count, 8), Decision::Granted));
        }
        assert!((0..4).all(|_| matches!(decide(&mut shard, &count, 7), Decision::Granted)));
        assert!(matches!(decide(&mut shard, &count, 7), Decision::Denied(_)));
    });
}
