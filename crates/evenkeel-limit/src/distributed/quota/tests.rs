//! The arithmetic, compared with rational numbers.

use std::time::Duration;

use proptest::prelude::*;

use super::{MAX_DEPTH, Quota, Rate, StoredBucket, Take, Taken};

fn take(quota: Quota, returned: u32, least: u32, most: u32) -> Take<'static> {
    let Quota { speed, cost, .. } = quota;
    Take { key: "", speed, cost, depth: quota.depth(), returned, least, most }
}

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

#[test]
fn usual_rates_are_exact() {
    let parts = |rate, burst| {
        let Quota { speed, cost, .. } = Quota::new(rate, burst);
        (speed, cost)
    };
    let hour = Duration::from_secs(3600);
    assert_eq!(parts(Rate::per_second(100), 100), (1, 10_000));
    assert_eq!(parts(Rate::per_second(3), 3), (3, 1_000_000));
    assert_eq!(parts(Rate::per(5000, hour), 5000), (1, 720_000));
    assert_eq!(parts(Rate::per_second(3_000_000), 1_000_000), (3, 1));
    assert_eq!(parts(Rate::per(1, Duration::from_nanos(1)), 1), (1000, 1));
}

#[test]
#[should_panic = "a burst of 4000000000 at 1 per 3600s takes more than 70 years to fill"]
fn a_bucket_for_centuries_is_refused() {
    Quota::new(Rate::every(Duration::from_secs(3600)), 4_000_000_000);
}

#[test]
fn a_clock_that_goes_back_locks_out_no_longer_than_it_takes_to_fill() {
    let quota = Quota::new(Rate::per_second(10), 5);
    let mut bucket =
        StoredBucket { missing: quota.depth(), cost: quota.cost, since: 1 << 60, full_at: 1 << 61 };
    let taken = bucket.take(&take(quota, 0, 1, 1), 7);
    assert_eq!((taken, bucket.full_at), (Taken { granted: 0, full_in: micros(500_000) }, 500_007));
    assert_eq!(bucket.take(&take(quota, 0, 1, 1), 100_007).granted, 1);
}

#[test]
fn a_clock_that_goes_back_earns_nothing_twice() {
    let quota = Quota::new(Rate::per_second(10), 5);
    let mut bucket = StoredBucket::default();
    assert_eq!(bucket.take(&take(quota, 0, 5, 5), 1_000_000).granted, 5);
    assert_eq!(bucket.take(&take(quota, 0, 1, 1), 1_200_000).granted, 1);
    assert_eq!(bucket.take(&take(quota, 0, 1, 5), 1_100_000).granted, 0);
    assert_eq!(bucket.take(&take(quota, 0, 1, 5), 1_300_000).granted, 2);
}

/// The permits that a larger burst allowed are not forgotten.
#[test]
fn a_smaller_burst_waits_for_what_a_larger_one_took() {
    let [large, small] = [20, 5].map(|burst| Quota::new(Rate::per_second(10), burst));
    let mut bucket = StoredBucket::default();
    assert_eq!(bucket.take(&take(large, 0, 1, 20), 0).granted, 20);
    for returned in [0, 1] {
        let taken = bucket.take(&take(small, returned, 1, 5), 100_000);
        assert_eq!(taken, Taken { granted: 0, full_in: micros(500_000) });
    }
    assert_eq!(bucket.take(&take(large, 0, 1, 20), 100_000).granted, 2);
    assert_eq!(bucket.take(&take(small, 0, 1, 5), 1_600_000).granted, 0);
    assert_eq!(bucket.take(&take(small, 0, 1, 5), 1_700_000).granted, 1);
}

/// A bucket of 60 at one per second is used up; then the rate is a hundred times as high.
#[test]
fn a_faster_rate_earns_faster_what_a_slower_one_lacks() {
    let [slow, fast] = [1, 100].map(|permits| Quota::new(Rate::per_second(permits), 60));
    let mut bucket = StoredBucket::default();
    assert_eq!(bucket.take(&take(slow, 0, 1, 60), 0).granted, 60);
    let taken = bucket.take(&take(fast, 0, 1, 1), 3_000);
    assert_eq!(taken, Taken { granted: 0, full_in: micros(597_000) });
    assert_eq!(bucket.take(&take(fast, 0, 60, 60), 599_999).granted, 0);
    assert_eq!(bucket.take(&take(fast, 0, 60, 60), 600_000).granted, 60);
    // At the slower rate again, the 10 ms earn a hundredth of a permit.
    assert_eq!(bucket.take(&take(slow, 0, 1, 1), 610_000), Taken { granted: 0, full_in: micros(59_990_000) });
}

fn rate() -> impl Strategy<Value = Rate> {
    (1..=u32::MAX, 0..32_u32, 0..40_u32, any::<u64>()).prop_map(|(permits, less, bits, nanos)| {
        Rate::per((permits >> less).max(1), Duration::from_nanos((nanos >> (63 - bits)).max(1)))
    })
}

proptest! {
    #[test]
    fn a_rate_is_never_faster_and_at_most_3_ppm_slower(rate in rate(), burst in 1..=u32::MAX) {
        let fill = u128::from(burst) * u128::from(rate.nanos()) / u128::from(rate.permits());
        prop_assume!(fill < 70 * 365 * 86_400_000_000_000);
        let Quota { speed, cost, .. } = Quota::new(rate, burst);
        prop_assert!(u128::from(cost) * u128::from(burst) <= MAX_DEPTH);
        // Microseconds for a permit are cost / speed; they should be nanos / (1000 permits).
        let ours = u128::from(cost) * u128::from(rate.permits()) * 1000;
        let exact = u128::from(rate.nanos()) * u128::from(speed);
        prop_assert!(ours >= exact && (ours - exact) * 1_000_000 <= 3 * exact, "{speed} / {cost}");
    }

    /// The bucket is exact to the part, at every time of a call.
    #[test]
    fn no_part_is_lost(
        permits in 1..2000_u32,
        burst in 1..50_u32,
        steps in prop::collection::vec((0..3000_u64, 0..3_u32, 0..20_u32, 0..60_u32), 1..50),
    ) {
        let quota = Quota::new(Rate::per(permits, Duration::from_millis(7)), burst);
        let (mut bucket, mut now) = (StoredBucket::default(), 0);
        let mut there = u128::from(quota.depth());
        for (advance, returned, least, more) in steps {
            now += advance;
            let most = least + more;
            let came = u128::from(advance * quota.speed + u64::from(returned) * quota.cost);
            there = (there + came).min(quota.depth().into());
            let fit = (there / u128::from(quota.cost)) as u32;
            let granted = if fit < least { 0 } else { fit.min(most) };
            there -= u128::from(granted) * u128::from(quota.cost);
            let full_in = micros((u128::from(quota.depth()) - there).div_ceil(quota.speed.into()) as u64);
            prop_assert_eq!(bucket.take(&take(quota, returned, least, most), now), Taken { granted, full_in });
        }
    }

    /// No permits are invented when callers disagree, for all pairs of rates.
    #[test]
    fn another_rate_sees_no_more_permits(
        one in rate(), two in rate(), bursts in any::<[u16; 2]>(), spent in any::<u16>(), passed in 0..1_000_000_u64,
    ) {
        let [one_burst, two_burst] = bursts.map(|burst| u32::from(burst).max(1));
        let longest = Rate::every(Duration::from_secs(3600)).nanos();
        prop_assume!([one, two].iter().all(|rate| rate.nanos() <= longest));
        let (one, two) = (Quota::new(one, one_burst), Quota::new(two, two_burst));
        let spent = u32::from(spent).min(one_burst);
        let mut bucket = StoredBucket::default();
        bucket.take(&take(one, 0, spent, spent), 0);
        let granted = bucket.take(&take(two, 0, 1, two_burst), passed).granted;
        // The earnings of the second rate meanwhile, in whole permits.
        let earned = u128::from(passed) * u128::from(two.speed) / u128::from(two.cost);
        let most = (u128::from(two_burst) + earned).saturating_sub(spent.into()) ;
        prop_assert!(u128::from(granted) <= most.min(two_burst.into()), "{granted} of {most}");
        let exact = most.min(two_burst.into());
        prop_assert!(u128::from(granted) + 1 >= exact, "{granted} of {exact}");
    }

    /// The permits are available after the wait, and at most 2 µs of it are rounding.
    #[test]
    fn a_wait_is_exact(permits in 1..3_000_000_u32, burst in 1..50_u32, spent in 0..50_u32, want in 1..50_u32) {
        let quota = Quota::new(Rate::per_second(permits), burst);
        let (spent, want) = (spent.min(burst), want.min(burst));
        let mut bucket = StoredBucket::default();
        let Taken { full_in, .. } = bucket.take(&take(quota, 0, spent, spent), 0);
        let wait = quota.wait(full_in, want.into());
        let granted = |mut bucket: StoredBucket, at: Duration| {
            bucket.take(&take(quota, 0, want, want), at.as_micros() as u64).granted
        };
        prop_assert_eq!(granted(bucket, wait), want);
        if let Some(early) = wait.checked_sub(micros(2)) {
            prop_assert_eq!(granted(bucket, early), 0);
        }
    }
}
