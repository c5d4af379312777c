//! What a call looks at.

use std::time::Duration;

use evenkeel_testkit::World;
use proptest::prelude::*;
use tokio::time::advance;

use super::{super::key::Plain, *};

/// The most keys that a shard is for.
const KEYS: usize = 16_383;

fn terms(permits: u32, burst: u32) -> Terms {
    Terms { rate: Rate::per_second(permits), burst, max_pause: Duration::MAX }
}

fn take(shard: &mut Shard<u64>, room: &Room, key: u64) -> Verdict {
    // Spread over the table.
    let tag = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
    let call = Call { now: Instant::now(), tag, permits: 1, or: Else::Refuse };
    shard.take(call, &mut Plain(&key), room).expect("a plain key")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However long nothing was asked for, the hand passes over four chains at most.
    #[test]
    fn a_call_looks_at_four_chains(
        permits in 1..=u32::MAX,
        burst in 1..=u32::MAX,
        steps in prop::collection::vec(0..50_u32, 1..60),
    ) {
        World::run(async |_| {
            let mut shard = Shard::new(terms(permits, burst), KEYS);
            let room = Room::new(KEYS);
            for (key, step) in steps.into_iter().enumerate() {
                advance(Duration::from_nanos(1 << step)).await;
                shard.pace.advance(Instant::now());
                assert!(shard.keep_up(&mut Plain(&0), &room) <= SWEEP);
                take(&mut shard, &room, key as u64);
            }
        });
    }
}

/// A key that was full long ago is not taken for one that is full in the future, though readings wrap around.
#[test]
fn an_old_key_is_full() {
    World::run(async |_| {
        let mut shard = Shard::new(terms(1, 4), 2);
        let room = Room::new(2);
        assert!(matches!(take(&mut shard, &room, 7), Verdict::Granted));
        // For more than half of the range, in steps of a whole bucket.
        for _ in 0..40_000 {
            advance(Duration::from_secs(4)).await;
            assert!(matches!(take(&mut shard, &room, 8), Verdict::Granted));
        }
        assert!((0..4).all(|_| matches!(take(&mut shard, &room, 7), Verdict::Granted)));
        assert!(matches!(take(&mut shard, &room, 7), Verdict::Denied(_)));
    });
}
