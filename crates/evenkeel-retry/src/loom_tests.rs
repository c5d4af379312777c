//! Loom tests of the bucket: its users in every interleaving that the memory model allows.

use ::loom::{model, sync::Arc, thread};

use self::bucket::{Bucket, UNIT};

mod loom {
    pub(super) use ::loom::sync::atomic::{AtomicU64, Ordering};
}

#[expect(clippy::duplicate_mod, reason = "the same with other atomics")]
#[path = "bucket.rs"]
mod bucket;

/// Runs both on threads; returns their results, and the units that the bucket holds after them.
fn both<A, B>(
    bucket: Bucket,
    one: impl FnOnce(&Bucket) -> A + 'static,
    other: impl FnOnce(&Bucket) -> B,
) -> (A, B, u64)
where
    A: 'static,
{
    let bucket = Arc::new(bucket);
    let first = thread::spawn({
        let bucket = Arc::clone(&bucket);
        move || one(&bucket)
    });
    let second = other(&bucket);
    (first.join().unwrap(), second, bucket.held(0, 0, u64::MAX))
}

fn take(bucket: &Bucket) -> bool {
    bucket.try_take(0, 0, 2 * UNIT)
}

/// Returns a bucket of at most two tokens that holds this many.
fn holding(tokens: u64) -> Bucket {
    Bucket::full(tokens * UNIT)
}

#[test]
fn one_token_goes_to_one() {
    model(|| {
        let (one, other, left) = both(holding(1), take, take);
        assert!(one != other);
        assert_eq!(left, 0);
    });
}

#[test]
fn a_deposit_beside_a_retry_is_not_lost() {
    model(|| {
        let (_, taken, left) = both(holding(1), |bucket| bucket.deposit(UNIT / 10, 2 * UNIT), take);
        assert!(taken);
        assert_eq!(left, UNIT / 10);
    });
}

/// A permit is returned by a deposit of one token.
#[test]
fn deposits_add_up_to_the_reserve_and_no_more() {
    for (tokens, left) in [(0, 2), (1, 2), (2, 2)] {
        model(move || {
            let deposit = |bucket: &Bucket| bucket.deposit(UNIT, 2 * UNIT);
            assert_eq!(both(holding(tokens), deposit, deposit).2, left * UNIT);
        });
    }
}

/// The second from 0 to 1 adds one token, in whichever thread, and the second from 1 to 2 another. A thread that looks
/// before the deposit may get none, but the token is not lost.
#[test]
fn time_is_counted_once() {
    let at = |millis| move |bucket: &Bucket| bucket.try_take(millis, 1, 2 * UNIT);
    model(move || {
        let (one, other, left) = both(holding(0), at(1000), at(1000));
        assert!(one != other);
        assert_eq!(left, 0);
    });
    model(move || {
        let (one, other, left) = both(holding(0), at(1000), at(2000));
        assert!(one || other);
        assert_eq!((u64::from(one) + u64::from(other)) * UNIT + left, 2 * UNIT);
    });
}
