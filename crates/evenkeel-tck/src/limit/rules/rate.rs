//! The number of permits that are granted, and the times. Time advances by nanoseconds here: nothing waits.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "LIMIT-01" limit_01 "A full limiter grants its burst at once, and no more."),
    rule!(Must "LIMIT-02" limit_02 "In no stretch of time is more granted than the burst and what the rate gives in it, to within one permit."),
    rule!(Should "LIMIT-03" limit_03 "In no stretch of time is even one permit more granted than that.").after("LIMIT-02"),
    rule!(Must "LIMIT-04" limit_04 "Permits that have been earned are granted."),
    rule!(Must "LIMIT-05" limit_05 "A permit comes when it is earned, however often it was asked for before."),
    rule!(Must "LIMIT-06" limit_06 "However high the rate, it is right to within one percent."),
    rule!(Should "LIMIT-07" limit_07 "The rate is exact: after 3000 permits, a permit comes neither a nanosecond early nor late.").after("LIMIT-06"),
    rule!(Should "LIMIT-08" limit_08 "Whatever was asked before, a request is granted if an exact bucket has its permits, and else not.").after("LIMIT-03"),
    rule!(Must "LIMIT-09" limit_09 "After any time in which nothing was asked for, the burst is granted, and no more."),
    rule!(Must "LIMIT-10" limit_10 "A limiter that begins empty grants nothing that it has not earned."),
    rule!(Must "LIMIT-11" limit_11 "A burst below the number of the rate is kept."),
    rule!(Must "LIMIT-12" limit_12 "A burst that takes a thousand years to earn is granted, and no more."),
    rule!(Must "LIMIT-13" limit_13 "A rate of zero is refused or grants nothing; it is never no limit."),
];

const DAY: Duration = secs(24 * 60 * 60);
const YEAR: Duration = secs(365 * 24 * 60 * 60);
const NANO: Duration = Duration::from_nanos(1);

/// Ten a second.
const TEN: Settings = Settings::rate(10, secs(1));

async fn limit_01(subject: &Subject) -> Checked {
    Harness::start(subject, &TEN)?.grants("at 10 per second", 25, 10)
}

/// Makes one request at the beginning, then takes all permits just before and just after each second. The rule asks
/// that the sum never exceeds the rate.
async fn never_exceeds(subject: &Subject, more: u128) -> Checked {
    let harness = Harness::start(subject, &TEN)?;
    harness.take(1);
    for step in [990, 10, 500, 490, 10, 90] {
        advance(ms(step)).await;
        harness.take(20);
    }
    let granted = harness.granted();
    for (index, begin) in granted.iter().enumerate() {
        for (count, end) in (1..).zip(&granted[index..]) {
            let most = 10 + (*end - *begin).as_nanos() * 10 / secs(1).as_nanos() + more;
            harness.require(
                count <= most,
                format_args!("at 10 per second, at most {most} from {begin:?} to {end:?}"),
                count,
            )?;
        }
    }
    Ok(())
}

async fn limit_02(subject: &Subject) -> Checked {
    never_exceeds(subject, 1).await
}

async fn limit_03(subject: &Subject) -> Checked {
    never_exceeds(subject, 0).await
}

async fn limit_04(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &TEN)?;
    harness.take(10);
    let mut granted = 0;
    for _ in 0..25 {
        advance(ms(100)).await;
        granted += harness.take(1);
    }
    let all = "25 in 2.5s at 10 per second, after the burst";
    harness.require(granted >= 25, all, granted)
}

async fn limit_05(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::rate(1, secs(3600)))?;
    harness.take(1);
    let (times, step) = (2000, Duration::from_micros(7190));
    for _ in 0..times {
        advance(step).await;
        harness.take(1);
    }
    advance(secs(3600) - step * times).await;
    harness.grants("after an hour, at 1 per hour, and 2000 requests in it", 1, 1)
}

async fn limit_06(subject: &Subject) -> Checked {
    needs(subject, Capability::Weights)?;
    for (per_second, time) in [(600_000_000, ms(1)), (300_000_000, ms(1)), (1_000_000, ms(10))] {
        let harness = Harness::start(subject, &Settings::rate(per_second, secs(1)))?;
        harness.gives("at the beginning", Request::of(per_second))?;
        advance(time).await;
        let one_percent = per_second / 1000 * time.as_millis() as u32 / 100;
        let when = format!("after {time:?} at {per_second} per second");
        harness.gives(&when, Request::of(99 * one_percent))?;
        harness.refuses(&format!("{when}, beyond that"), Request::of(2 * one_percent))?;
    }
    Ok(())
}

async fn limit_07(subject: &Subject) -> Checked {
    needs(subject, Capability::Weights)?;
    for (time, is_there) in [(secs(1000) - NANO, false), (secs(1000), true)] {
        let harness = Harness::start(subject, &Settings::rate(3, secs(1)).burst(3000))?;
        harness.gives("at the beginning", Request::of(3000))?;
        advance(time).await;
        let granted = harness.ask(Request::of(3000)).is_ok();
        harness.equal(&format!("at 3 per second, 3000 after {time:?}:"), granted, is_there)?;
    }
    Ok(())
}

/// Permits of whole nanoseconds, and steps of time that are thousandths of a permit's.
async fn limit_08(subject: &Subject) -> Checked {
    needs(subject, Capability::Weights)?;
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    // The state of xorshift.
    let mut draw = |below: u32| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 32) as u32 % below
    };
    for (permits, per, burst) in [(1, ms(100), 1), (1, secs(60), 7), (10, secs(1), 10), (50, ms(1), 20)] {
        let harness = Harness::start(subject, &Settings::rate(permits, per).burst(burst))?;
        let mut model = Model::new(Rate { permits, per }, burst);
        for _ in 0..150 {
            advance(per / permits / 1000 * draw(3000)).await;
            let wanted = 1 + draw(burst.min(5));
            let (expected, granted) = (model.grants(wanted), harness.ask(Request::of(wanted)).is_ok());
            harness.equal(&format!("at {permits} per {per:?}, {wanted} granted:"), granted, expected)?;
        }
    }
    Ok(())
}

async fn limit_09(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &TEN)?;
    harness.take(10);
    for idle in [ms(1050), DAY, 10 * YEAR] {
        advance(idle).await;
        harness.grants(&format!("after {idle:?}"), 25, 10)?;
    }
    Ok(())
}

async fn limit_10(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings { starts_empty: true, ..TEN })?;
    harness.grants("at the beginning", 5, 0)?;
    advance(ms(200)).await;
    harness.grants("after 200ms, at 10 per second", 5, 2)
}

async fn limit_11(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &TEN.burst(3))?;
    harness.grants("with a burst of 3", 10, 3)?;
    advance(secs(60)).await;
    harness.grants("with a burst of 3, after a minute", 10, 3)
}

async fn limit_12(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::rate(1, YEAR).burst(1000))?;
    harness.grants("with a burst of 1000, and 1 per year", 1010, 1000)
}

async fn limit_13(subject: &Subject) -> Checked {
    let Some(harness) = Harness::unless_refused(subject, &Settings::rate(0, secs(1)))? else { return Ok(()) };
    harness.grants("at 0 per second", 100, 0)
}
