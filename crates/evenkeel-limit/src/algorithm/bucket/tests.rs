//! The arithmetic, at instants that no runtime would show.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
const YEAR: u64 = 365 * DAY;

/// A bucket and the nanoseconds since its start.
struct Fixture {
    bucket: Bucket,
    start: Instant,
    now: u64,
}

impl Fixture {
    fn full(permits: u32, nanos: u64, burst: u32) -> Self {
        let start = Instant::now();
        let bucket = Bucket::full(Rate::per(permits, Duration::from_nanos(nanos)), burst, start);
        Self { bucket, start, now: 0 }
    }

    fn empty(permits: u32, nanos: u64, burst: u32) -> Self {
        let mut fixture = Self::full(permits, nanos, burst);
        assert!(fixture.take(burst));
        fixture
    }

    /// Goes to an instant, which may be an earlier one.
    fn at(&mut self, now: u64) -> &mut Self {
        self.now = now;
        self.bucket.advance(self.start + Duration::from_nanos(now));
        self.bucket.overflow();
        self
    }

    fn after(&mut self, nanos: u64) -> &mut Self {
        self.at(self.now + nanos)
    }

    fn take(&mut self, permits: u32) -> bool {
        let fits = self.bucket.fits(permits);
        if fits {
            self.bucket.spend(permits);
        }
        fits
    }

    /// Takes all permits that are there.
    fn drain(&mut self) -> u32 {
        let available = self.bucket.available();
        assert!(self.take(available) && !self.take(1));
        available
    }

    fn until(&self, permits: u32) -> u64 {
        self.bucket.until(self.bucket.due(0, permits)).as_nanos() as u64
    }
}

/// Returns the permits that an empty bucket has granted after a time in which it was polled at equal steps.
fn polled(permits: u32, nanos: u64, every: u64, total: u64) -> u32 {
    let mut fixture = Fixture::empty(permits, nanos, 10);
    let polls = (0..total).step_by(every as usize).chain([total]);
    polls.map(|now| if fixture.at(now).take(1) { 1 + fixture.drain() } else { 0 }).sum()
}

#[test]
fn polling_often_earns_no_less() {
    assert_eq!(polled(1, 60 * SECOND, 119_000, 180 * SECOND), 3);
    assert_eq!(polled(10, 60 * SECOND, 11_000, 12 * SECOND), 2);
    assert_eq!(polled(1, 1_500_000, 2_900_000, 300_000_000), 200);
    assert_eq!(polled(10, 100, 1, 97), 9);
    assert_eq!(polled(10, 100, 1, 100), 10);
}

#[test]
fn rounding_does_not_add_up() {
    assert_eq!(Fixture::empty(600_000_000, SECOND, 1_000_000).at(1_000_000).drain(), 600_000);
    assert_eq!(Fixture::empty(3, SECOND, 1_000_000).at(DAY).drain(), 259_200);
    assert_eq!(Fixture::empty(1_000_003, SECOND, 2_000_000).at(SECOND).drain(), 1_000_003);

    // No fraction with a power of two below it is this rate; a million periods in uneven steps.
    let mut fixture = Fixture::empty(7, 11, 1000);
    let mut taken = 0;
    while fixture.now < 11_000_000 {
        let step = (fixture.now % 97 + 1).min(11_000_000 - fixture.now);
        taken += fixture.after(step).drain();
    }
    assert_eq!(taken, 7_000_000);
}

#[test]
fn idling_earns_one_burst() {
    for idle in [SECOND, DAY, YEAR, 100 * YEAR, 580 * YEAR] {
        for (permits, nanos) in [(1, SECOND), (1000, SECOND), (u32::MAX, SECOND), (u32::MAX, 1)] {
            let mut fixture = Fixture::empty(permits, nanos, 10);
            let earned = u128::from(permits) * u128::from(idle) / u128::from(nanos);
            assert_eq!(u128::from(fixture.at(idle).drain()), earned.min(10));
        }
    }
    assert_eq!(Fixture::empty(10, SECOND / 5, 10).at(1_050_000_000).drain(), 10);
}

#[test]
fn extremes_are_exact() {
    assert_eq!(Fixture::full(1, YEAR, 1000).drain(), 1000);
    assert_eq!(Fixture::empty(1, YEAR, 1000).at(YEAR - 1).drain(), 0);
    assert_eq!(Fixture::empty(1, YEAR, 1000).at(YEAR).drain(), 1);

    let mut fixture = Fixture::full(u32::MAX, SECOND, u32::MAX);
    assert!(fixture.take(u32::MAX) && !fixture.take(1));
    assert!(!fixture.at(SECOND - 1).take(u32::MAX));
    assert!(fixture.at(SECOND).take(u32::MAX) && !fixture.take(1));
    assert_eq!(fixture.until(1), 1, "the first of four that come in this nanosecond");

    let mut fixture = Fixture::empty(1, u64::MAX, u32::MAX);
    assert_eq!(fixture.until(1), u64::MAX);
    assert_eq!(fixture.until(u32::MAX), u64::MAX, "saturated");
    assert!(!fixture.at(u64::MAX - 1).take(1));
    assert_eq!(fixture.until(1), 1);
    assert!(fixture.at(u64::MAX).take(1) && !fixture.take(1));
}

#[test]
fn readings_wrap_around() {
    let mut fixture = Fixture::empty(u32::MAX, 1, u32::MAX);
    for _ in 0..1000 {
        assert_eq!(fixture.after(YEAR / 10).bucket.available(), u32::MAX);
        assert!(fixture.take(u32::MAX) && !fixture.take(1));
        assert_eq!(fixture.until(u32::MAX), 1);
    }
}

#[test]
fn going_back_earns_nothing_and_locks_nobody_out() {
    let mut fixture = Fixture::empty(1, SECOND, 100);
    assert_eq!(fixture.at(YEAR).drain(), 100);
    for start in [YEAR - SECOND, DAY, 0] {
        assert_eq!(fixture.at(start).drain(), 0);
        assert_eq!(fixture.until(1), SECOND);
        for second in 1..=10 {
            assert_eq!(fixture.at(start + second * SECOND).drain(), 1);
        }
    }
    assert_eq!(fixture.at(2 * YEAR).drain(), 100);
}

/// Two clocks, a second or a year apart, one of which is behind.
#[test]
fn clocks_in_turn_count_time_once() {
    let runtimes = [(); 2].map(|()| tokio::runtime::Builder::new_current_thread().build().unwrap());
    for apart in [SECOND, YEAR] {
        let mut fixture = Fixture::empty(1, SECOND, 100);
        let mut taken = 0;
        for round in 0..1000 {
            for (runtime, start) in runtimes.iter().zip([apart, 0]) {
                let _entered = runtime.enter();
                taken += fixture.at(start + round * SECOND / 100).drain();
            }
        }
        let highest = (apart / SECOND).min(100) as u32 + 9;
        assert_eq!(taken, highest);
    }
}

#[test]
fn refunds_do_not_overflow() {
    let mut fixture = Fixture::empty(1, SECOND, 10);
    fixture.bucket.refund(4);
    assert_eq!(fixture.at(SECOND).bucket.available(), 5);
    fixture.bucket.refund(10);
    assert_eq!(fixture.bucket.available(), 10);
    fixture.take(3);
    assert_eq!(fixture.bucket.available(), 7);
}

/// Numbers of all magnitudes, small ones as often as large ones.
fn magnitude(bits: u32) -> impl Strategy<Value = u64> {
    (1..=bits, any::<u64>()).prop_map(|(bits, number)| (number >> (64 - bits)).max(1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any rate, any burst: permits are there exactly when the rational number says so, and `until` returns the first
    /// nanosecond at which they are.
    #[test]
    fn every_rate_is_exact(
        permits in magnitude(32),
        nanos in magnitude(64),
        burst in magnitude(32),
        steps in prop::collection::vec((magnitude(57), magnitude(32), any::<bool>()), 1..40),
    ) {
        let mut fixture = Fixture::full(permits as u32, nanos, burst as u32);
        let full = u128::from(burst) * u128::from(nanos);
        let mut level = full;
        for (step, wanted, to_the_point) in steps {
            let wanted = (wanted % burst + 1).min(burst) as u32;
            let missing = (u128::from(wanted) * u128::from(nanos)).saturating_sub(level);
            let wait = missing.div_ceil(permits.into());
            prop_assert_eq!(u128::from(fixture.until(wanted)), wait.min(u64::MAX.into()));
            prop_assert_eq!(u128::from(fixture.bucket.available()), level / u128::from(nanos));
            let taken = fixture.take(wanted);
            prop_assert_eq!(taken, missing == 0);
            if taken {
                level -= u128::from(wanted) * u128::from(nanos);
            }
            // To the nanosecond before it is due, or anywhere.
            let step = if to_the_point && wait > 1 && wait < 1 << 57 { wait as u64 - 1 } else { step };
            fixture.after(step);
            level = (level + u128::from(permits) * u128::from(step)).min(full);
        }
    }
}
