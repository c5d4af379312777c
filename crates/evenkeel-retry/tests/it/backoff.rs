//! Properties of the delays: growth, cap and jitter.

use std::{collections::HashSet, panic::catch_unwind, time::Duration};

use evenkeel_retry::{Backoff, Jitter};
use proptest::prelude::*;

use crate::ms;

fn jitters() -> impl Strategy<Value = Jitter> {
    prop_oneof![
        Just(Jitter::None),
        Just(Jitter::Full),
        Just(Jitter::Equal),
        (0..=100_u8).prop_map(Jitter::Percent)
    ]
}

fn nanos() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), 1..1_000_000_000_u64, any::<u64>(), Just(u64::MAX)]
}

fn retries() -> impl Strategy<Value = u32> {
    let edges =
        [0, 1, 2, 31, 32, 33, 35, 63, 64, 65, 93, 94, 95, 1000, 1023, 1024, 1025, u32::MAX - 1, u32::MAX];
    prop_oneof![0..2000_u32, prop::sample::select(edges.to_vec())]
}

/// (initial, cap) with initial <= cap.
fn range() -> impl Strategy<Value = (Duration, Duration)> {
    (nanos(), nanos()).prop_map(|(a, b)| (Duration::from_nanos(a.min(b)), Duration::from_nanos(a.max(b))))
}

fn growing() -> impl Strategy<Value = (Backoff, Duration, Duration)> {
    (range(), 0..4_u8, 1_u32..1000, 1_u32..1000).prop_map(|((initial, cap), kind, a, b)| {
        let backoff = match kind {
            0 => Backoff::linear(initial, cap),
            1 => Backoff::exponential(initial, cap),
            2 => Backoff::exponential(initial, cap).ratio(a.max(b) + 1, a.min(b)),
            _ => Backoff::fibonacci(initial, cap),
        };
        (backoff, initial, cap)
    })
}

proptest! {
    #[test]
    fn no_delay_is_above_the_cap_or_outside_the_jitters_range(
        (backoff, initial, cap) in growing(), jitter in jitters(), n in retries(), seed: u64,
    ) {
        let ceiling = backoff.ceiling(n);
        let delay = backoff.jitter(jitter).delay(n, seed);
        prop_assert!(initial <= ceiling && ceiling <= cap);
        let least = match jitter {
            Jitter::None => ceiling,
            Jitter::Equal => ceiling / 2,
            Jitter::Percent(p) => ceiling.mul_f64(f64::from(100 - p) / 100.0 * (1.0 - 1e-9)).saturating_sub(Duration::from_nanos(2)),
            _ => Duration::ZERO,
        };
        prop_assert!(least <= delay && delay <= ceiling, "{least:?} {delay:?} {ceiling:?}");
    }

    #[test]
    fn the_ceiling_never_shrinks_and_reaches_the_cap((backoff, initial, cap) in growing(), n in 1..2000_u32) {
        prop_assert!(backoff.ceiling(n) <= backoff.ceiling(n + 1));
        let last = backoff.ceiling(u32::MAX);
        // Linear growth of a few nanoseconds may need more retries than a u32 counts.
        let reaches = initial.as_nanos().saturating_mul(u128::from(u32::MAX)) >= cap.as_nanos();
        prop_assert!(last == if initial.is_zero() { Duration::ZERO } else { cap } || !reaches, "{last:?} of {cap:?}");
    }

    #[test]
    fn doubling_is_exact(initial in 0..1_000_000_000_u64, n in 1..34_u32) {
        let backoff = Backoff::exponential(Duration::from_nanos(initial), Duration::MAX);
        prop_assert_eq!(backoff.ceiling(n), Duration::from_nanos(initial << (n - 1)));
    }

    #[test]
    fn any_ratio_is_exact_to_the_rounding_of_each_step(numerator in 2..50_u32, denominator in 1..49_u32, n in 2..9_u32) {
        prop_assume!(numerator > denominator);
        let backoff = Backoff::exponential(ms(1), Duration::MAX).ratio(numerator, denominator);
        let product = backoff.ceiling(n - 1).as_nanos() * u128::from(numerator);
        prop_assert_eq!(backoff.ceiling(n).as_nanos(), product.div_ceil(u128::from(denominator)));
    }

    #[test]
    fn a_delay_depends_on_its_number_and_the_seed_alone(seed: u64, n in 1..100_u32) {
        let backoff = Backoff::exponential(ms(100), ms(10_000));
        prop_assert_eq!(backoff.delay(n, seed), backoff.delay(n, seed));
    }
}

#[test]
fn the_kinds_follow_their_formulas() {
    let ceilings = |backoff: Backoff| (1..=7).map(|n| backoff.ceiling(n).as_millis()).collect::<Vec<_>>();
    let (initial, cap) = (ms(100), ms(1000));
    assert_eq!(ceilings(Backoff::none()), [0; 7]);
    assert_eq!(ceilings(Backoff::fixed(initial)), [100; 7]);
    assert_eq!(ceilings(Backoff::linear(initial, ms(450))), [100, 200, 300, 400, 450, 450, 450]);
    assert_eq!(ceilings(Backoff::exponential(initial, cap)), [100, 200, 400, 800, 1000, 1000, 1000]);
    assert_eq!(ceilings(Backoff::exponential(initial, cap).ratio(1, 1)), [100; 7]);
    assert_eq!(
        ceilings(Backoff::exponential(initial, cap).ratio(3, 1)),
        [100, 300, 900, 1000, 1000, 1000, 1000]
    );
    assert_eq!(ceilings(Backoff::fibonacci(initial, cap)), [100, 100, 200, 300, 500, 800, 1000]);
    const STEPS: &[Duration] = &[ms(5), ms(50), ms(20)];
    assert_eq!(ceilings(Backoff::steps(STEPS)), [5, 50, 20, 20, 20, 20, 20]);
    assert_eq!(Backoff::steps(STEPS).ceiling(0), ms(5));
    assert_eq!(Backoff::steps(STEPS).ceiling(u32::MAX), ms(20));
    assert_eq!(
        Backoff::exponential(Duration::from_nanos(1), Duration::from_secs(3600)).ceiling(43),
        Duration::from_secs(3600)
    );
    assert_eq!(Backoff::fixed(Duration::MAX).ceiling(9), Duration::from_nanos(u64::MAX));
}

#[test]
fn clients_at_the_cap_do_not_come_back_together() {
    let cap = ms(10_000);
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Percent(20)] {
        let backoff = Backoff::exponential(ms(100), cap).jitter(jitter);
        let draws: Vec<Duration> = (0..10_000).map(|seed| backoff.delay(50, seed)).collect();
        assert!(draws.iter().filter(|delay| **delay == cap).count() < 100, "{jitter:?} heaps at the cap");
        assert!(draws.iter().collect::<HashSet<_>>().len() > 9_900);
    }
}

#[test]
fn full_jitter_is_uniform() {
    let backoff = Backoff::fixed(ms(1000)).jitter(Jitter::Full);
    let mut tenths = [0_u32; 10];
    let mut sum = 0_u128;
    for n in 0..100_000_u32 {
        let delay = backoff.delay(n % 10 + 1, u64::from(n / 10));
        sum += delay.as_nanos();
        tenths[(delay.as_millis() as usize / 100).min(9)] += 1;
    }
    let mean = sum as f64 / 100_000.0 / 1e6;
    assert!((mean - 500.0).abs() < 5.0, "the mean is {mean} ms");
    assert!(tenths.iter().all(|&count| (9_500..10_500).contains(&count)), "{tenths:?}");
}

#[test]
fn bad_configurations_are_refused_when_constructed() {
    let refused = |build: fn() -> Backoff| catch_unwind(build).is_err();
    assert!(refused(|| Backoff::linear(ms(2), ms(1))));
    assert!(refused(|| Backoff::exponential(ms(2), ms(1))));
    assert!(refused(|| Backoff::fibonacci(ms(2), ms(1))));
    assert!(refused(|| Backoff::steps(&[])));
    assert!(refused(|| Backoff::exponential(ms(1), ms(2)).ratio(1, 0)));
    assert!(refused(|| Backoff::exponential(ms(1), ms(2)).ratio(9, 10)));
    assert!(refused(|| Backoff::exponential(ms(1), ms(2)).ratio(10_001, 10_000)));
    assert!(refused(|| Backoff::fixed(ms(1)).ratio(2, 1)));
    assert!(refused(|| Backoff::fixed(ms(1)).jitter(Jitter::Percent(101))));
    assert!(
        catch_unwind(|| Backoff::exponential(ms(1), ms(1)).ratio(1001, 1000).jitter(Jitter::Percent(100)))
            .is_ok()
    );
}
